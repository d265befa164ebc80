// What the pages do beside being read. Everything here can be missing: menu and contents open without it.
"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, attributes, ...inside) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...inside);
    return element;
  };
  const say = text => { document.getElementById("said").textContent = text; };
  const kept = {  // storage may be off, or full
    read(key) { try { return localStorage.getItem(key); } catch { return null; } },
    write(key, value) { try { localStorage.setItem(key, value); return true; } catch { return false; } },
  };

  // Light, dark, or as the system has it.
  const theme = document.querySelector(".theme"), names = { "": "automatic", light: "light", dark: "dark" };
  const show = choice => {
    document.documentElement.dataset.theme = choice;
    theme.querySelector("span").textContent = `Colours: ${names[choice]}`;
    theme.setAttribute("aria-label", `Colours: ${names[choice]}`);
  };
  show(kept.read("theme") in names ? kept.read("theme") : "");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const order = Object.keys(names), now = document.documentElement.dataset.theme;
    const next = order[(order.indexOf(now) + 1) % order.length];
    kept.write("theme", next);
    show(next);
    say(`Colours: ${names[next]}`);
  });

  // A link within the page closes the list that it was chosen from.
  for (const list of all("[popover]"))
    list.addEventListener("click", event => {
      if (event.target.closest("a") && list.matches(":popover-open")) list.hidePopover();
    });
  addEventListener("resize", () => all("[popover]:popover-open").forEach(list => list.hidePopover()));
  document.querySelector("#menu .current")?.scrollIntoView({ block: "nearest" });
  addEventListener("keydown", event => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    const field = all("input[type=search]").find(one => one.checkVisibility());
    event.preventDefault();
    field ? field.focus() : document.querySelector(".find").click();
  });

  // Code: a button that copies it; scrolled by the keyboard where it is wider than the page.
  const copy = async text => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const field = make("textarea", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");  // pages of a folder have no other way
    field.remove();
  };
  for (const block of all(".cell_input .highlight, .highlight-bash .highlight, .highlight-default .highlight")) {
    const button = make("button", { className: "copy", type: "button" }, "Copy");
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", async () => {
      await copy(block.querySelector("pre").textContent).catch(() => {});
      button.classList.add("done");
      button.textContent = "Copied";
      say("Copied");
      setTimeout(() => { button.classList.remove("done"); button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
  const scrolled = new ResizeObserver(seen => {
    for (const { target } of seen)
      target.scrollWidth > target.clientWidth ? target.tabIndex = 0 : target.removeAttribute("tabindex");
  });
  all("pre, .wide, .text_html, math[display=block]").forEach(element => scrolled.observe(element));

  // What is folded is printed too.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach(one => { one.open = true; });
    all("img[loading=lazy]").forEach(one => { one.loading = "eager"; });
  });
  addEventListener("afterprint", () => folded.forEach(one => { one.open = false; }));

  // The section that is being read, and those that the reader has ticked.
  const links = new Map(all("#contents a").map(link => [link.hash.slice(1), link]));
  const sections = all("main section section[id]").filter(one => links.has(one.id));
  const spy = new IntersectionObserver(seen => {
    for (const { target, isIntersecting } of seen) links.get(target.id).classList.toggle("here", isIntersecting);
  }, { rootMargin: "-20% 0px -75% 0px" });
  sections.forEach(section => spy.observe(section));
  const place = `read ${location.pathname.split("/").pop()}`;
  let read = new Set();
  try { read = new Set(JSON.parse(kept.read(place) || "[]")); } catch { /* not ours */ }
  const tick = id => links.get(id).classList.toggle("read", read.has(id));
  if (/\/notebooks\/\d/.test(location.pathname))
    for (const section of sections.filter(one => one.parentElement.matches("article > section"))) {
      const box = make("input", { type: "checkbox", checked: read.has(section.id) });
      box.addEventListener("change", () => {
        box.checked ? read.add(section.id) : read.delete(section.id);
        tick(section.id);
        if (!kept.write(place, JSON.stringify([...read]))) say("This browser does not keep your ticks.");
      });
      section.append(make("label", { className: "done-with" }, box, " I have worked through this section"));
      tick(section.id);
    }

  // The search: the sections that have every word, or else those with most of them; titles count most.
  const results = document.getElementById("search-results");
  const SMALL = new Set("a an and are do does for how i in is it many much of on or the to what when where which why with".split(" "));
  const find = text => {
    const asked = text.toLowerCase().replace(/(\d) ?[x×] ?(?=\d)/g, "$1×").match(/[\p{L}\p{N}_×]+/gu) || [];
    const large = asked.filter(word => !SMALL.has(word)), phrase = (large.length ? large : asked).join(" ");
    const words = phrase.split(" ").filter(Boolean).map(word => word.length > 4 ? word.replace(/s$/, "") : word);
    if (!words.length || !window.SEARCH) return [];
    const scored = SEARCH.map(entry => {
      const title = entry.section.toLowerCase(), page = entry.page.toLowerCase(), body = entry.text.toLowerCase();
      const counts = words.map(word => 12 * title.includes(word) + 6 * page.includes(word) + Math.min(4, body.split(word).length - 1));
      const near = 30 * (title.trim() === phrase) + 15 * title.includes(phrase) + 8 * body.includes(phrase);
      const last = /^[A-Z]|^benchmarks|#(objectives|references|set-up)$/.test(entry.href);  // few look for these
      return { entry, found: counts.filter(Boolean).length, score: (counts.reduce((a, b) => a + b) + near) / (last ? 4 : 1) };
    });
    const most = Math.max(...scored.map(one => one.found));
    return scored.filter(one => most && one.found === most).sort((a, b) => b.score - a.score).slice(0, 40).map(one => ({ ...one.entry, words, whole: most === words.length }));
  };
  const excerpt = ({ text, words }) => {
    const at = Math.max(0, text.toLowerCase().indexOf(words.find(word => text.toLowerCase().includes(word))) - 80);
    const part = (at ? "… " : "") + text.slice(at, at + 220) + (at + 220 < text.length ? " …" : "");
    const pieces = part.split(new RegExp(`(${words.join("|")})`, "iu"));
    return pieces.map((piece, i) => (i % 2 ? make("mark", {}, piece) : piece));
  };
  if (results) {
    const field = document.getElementById("words");
    const answer = () => {
      const found = find(field.value);
      const told = `${found[0]?.whole === false ? "No section has all these words. Those with most of them: " : ""}${found.length}`
        + `${found.length === 40 ? " or more" : ""} section${found.length === 1 ? "" : "s"}`;
      results.replaceChildren(make("p", {}, found.length ? told : field.value.trim() && "Nothing found. Try one word, or look into the glossary."), make("ul", {}, ...found.map(one => make(
        "li", {}, make("a", { href: one.href }, one.section), make("p", {}, one.page), make("p", {}, ...excerpt(one))))));
    };
    field.value = new URLSearchParams(location.search).get("q") || "";
    field.addEventListener("input", answer);
    addEventListener("load", answer);  // the words come after this script
    field.focus();
  }
})();
