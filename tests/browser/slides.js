// For each slide what is wrong with it; a slide has all its fragments shown.
async () => {
  const found = [], room = document.querySelector(".slides").getBoundingClientRect();
  const keys = [...document.querySelectorAll(".controls .enabled, .slide-number")];
  const size = e => e.getBoundingClientRect();
  const top = Math.min(...keys.map(e => size(e).top));
  for (const slide of Reveal.getSlides()) {
    const {h, v} = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    const wait = slide.querySelector("[data-play]") ? 2500 : 20;  // a playground
    await new Promise(done => setTimeout(done, wait));
    const say = text => found.push(`${h} ${slide.innerText.slice(0, 40)}: ${text}`);
    const all = selector => [...slide.querySelectorAll(selector)].filter(
      e => !e.closest("aside"));
    for (const e of all(".shows *")) {
      if (size(e).bottom > top + 1)
        say(`${size(e).bottom - top} px too low: ${e.outerHTML.slice(0, 60)}`);
      const scale = e.closest("svg") ? e.getCTM().a : 1;  // of a playground's drawing
      const px = parseFloat(getComputedStyle(e).fontSize) * scale;
      const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
      const least = [[18, "math"], [20, "svg"], [24, "pre, code"], [28, "*"]].find(
        one => e.closest(one[1]))[0];
      if (own && px < least) say(`${px} px: ${e.textContent}`);
    }
    for (const e of all("pre, table, img, math, p, li, h2")) {
      if (size(e).right > room.right + 1 ||
          e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
        say(`${e.tagName} too wide: ${e.textContent.slice(0, 60)}`);
    }
    if (all("h2").some(e => e.offsetHeight > 64)) say("heading of two lines");
    for (const e of all("img")) {
      if (!e.naturalWidth) say("a picture is missing");
      if (!e.alt) say("a picture without a description");
      const [kind, data] = e.src.split(",");
      if (size(e).width < 250) say("a picture under 250 px");
      if (!kind.includes("svg")) continue;
      const svg = atob(data), wide = svg.match(/viewBox="0 0 ([0-9.]+)/)[1];
      // matplotlib draws letters as outlines, 100 units high.
      const found = svg.matchAll(/ font-size="([0-9.]+)"|scale\(([0-9.]+) -/g);
      const least = Math.min(...[...found].map(m => m[1] ?? 100 * m[2]));
      const px = least * size(e).width / wide;
      if (px < 19.9) say(`words of ${px} px in the picture: ${e.alt}`);
    }
    for (const e of all("p, li, td"))
      if (/\$[^$]+\$/.test(e.innerText)) say(`a formula as text: ${e.innerText}`);
    for (const e of all("math"))
      if (e.textContent.includes("\\")) say(`unknown in it: ${e.textContent}`);
  }
  return found;
}
