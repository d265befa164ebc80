// What a test asks of the page that is shown: what hinders its reader, and what it is made of.
theme => {
  document.documentElement.dataset.theme = theme;
  const found = new Set();
  const parts = text => text.match(/[\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) =>
    [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);
  const ground = element => {
    if (!element) return [255, 255, 255];
    const own = parts(getComputedStyle(element).backgroundColor);
    return own[3] === undefined ? own : over(own, ground(element.parentElement));
  };
  const light = colour => {
    const [r, g, b] = colour.map(value => value / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode()); ) {
    const element = node.parentElement, text = node.data.trim();
    if (!text || element.closest("svg, script, style, noscript, math"))
      continue;
    if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true}))
      continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const name = `${element.localName}.${element.className} "${text.slice(0, 30)}"`;
    const small = element.closest("sub, sup, .headerlink") ? 10 : 14;
    if (size < small) found.add(`${size} px: ${name}`);
    const large = size >= 24 || size >= 18.6 && style.fontWeight >= 700;
    const behind = ground(element);
    const ratio = contrast(over(parts(style.color), behind), behind);
    if (ratio < (large ? 3 : 4.5)) found.add(`contrast ${ratio.toFixed(2)}: ${name}`);
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) found.add(`scrolls sideways by ${wide} px`);
  const every = (query, name) => [...document.querySelectorAll(query)].map(e => e.getAttribute(name)).filter(Boolean);
  if (!document.title.trim()) found.add("no title");
  if (!document.querySelector("meta[name=description]")?.content) found.add("no description");
  for (const image of document.querySelectorAll("img"))
    if (!image.alt || !image.getAttribute("width")) found.add(`no words or no size: ${image.src}`);
  return { faults: [...found], ids: every("[id]", "id"), links: [...every("[href]", "href"), ...every("[src]", "src")] };
}
