"""Every page of the website: whole, described, readable, and at home on this host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("latex2mathml", reason="needs site/requirements.txt")
pytest.importorskip("myst_nb", reason="needs site/requirements.txt")

PHONE = {"width": 390, "height": 844}
# What hinders a reader of the page as it is shown now.
FAULTS = """() => {
  const found = new Set();
  const parts = text => text.match(/[\\d.]+/g).map(Number);
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
  return [...found];
}"""


class Page(HTMLParser):
    """What the tests ask about one page: title, anchors, links, pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.title, self.in_title = "", False
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.bare: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.in_title = tag == "title" and not self.title
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        if tag == "img" and not found.get("alt"):
            self.bare.append(found.get("src", ""))

    def handle_endtag(self, tag):
        self.in_title = False

    def handle_data(self, data):
        self.title += data if self.in_title else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The whole website, made once."""
    from tools import website

    out = tmp_path_factory.mktemp("made") / "site"
    website.make([], out)
    return out


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """All pages but the decks, which test_decks.py looks at."""
    found = sorted(site.rglob("*.html"))
    return {p: Page(p) for p in found if not {"slides", "_static"} & {*p.parts}}


def test_every_page_has_a_title_and_describes_its_pictures(pages):
    assert len(pages) > 24
    for path, page in pages.items():
        assert page.title.strip(), f"{path.name} has no title"
        assert not page.bare, f"{path.name}: {page.bare[:3]} without a description"


def test_every_link_within_the_site_arrives(pages, site):
    broken = []
    for path, link in ((one, link) for one in pages for link in pages[one].links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / (unquote(parts.path) or path.name)).resolve()
        anchor = {unquote(parts.fragment)} - {""}
        there = target.is_file() and anchor <= getattr(pages.get(target), "ids", anchor)
        if not there:
            broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


def test_every_page_can_be_read_on_a_phone_and_asks_nobody(pages, browser):
    context = browser.new_context(viewport=PHONE, offline=True)
    tab, complaints, name = context.new_page(), [], ""
    tab.on(
        "console",
        lambda m: m.type == "error" and complaints.append(f"{name}: {m.text}"),
    )
    tab.on("pageerror", lambda error: complaints.append(f"{name}: {error}"))
    tab.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
    for path in pages:
        name = path.name
        tab.goto(path.as_uri())
        for theme in ("light", "dark"):
            tab.evaluate(
                "theme => document.documentElement.dataset.theme = theme", theme
            )
            complaints += [f"{name}, {theme}: {x}" for x in tab.evaluate(FAULTS)]
    context.close()
    assert not complaints, "\n".join(complaints)


STATE = """() => [document.documentElement.outerHTML, scrollX, scrollY,
  document.querySelectorAll(":popover-open").length,
  ...Array.from(document.querySelectorAll("input, select, details"),
    e => `${e.checked} ${e.value} ${e.open}`)].join()"""
HOW = {390: "tap", 768: "press", 1280: "click"}


@pytest.mark.parametrize("width", HOW)
@pytest.mark.parametrize("page", ["index", "notebooks/00_foundations", "search"])
def test_every_control_in_sight_does_something(site, browser, width, page):
    size = {"width": width, "height": 844}
    context = browser.new_context(viewport=size, has_touch=True, offline=True)
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((site / f"{page}.html").as_uri())
    tab.wait_for_load_state()
    dead = []
    for control in tab.query_selector_all("button, summary, input[type=checkbox]"):
        if not control.is_visible() or control.get_attribute("data-once"):
            continue
        control.scroll_into_view_if_needed()
        before, name = tab.evaluate(STATE), control.evaluate("e => e.outerHTML")[:80]
        if HOW[width] == "press":
            control.press("Space" if "checkbox" in name else "Enter")
        else:
            getattr(control, HOW[width])()
        tab.wait_for_timeout(60)
        if tab.evaluate(STATE) == before:
            dead.append(name)
        tab.keyboard.press("Escape")
    menu = tab.locator(".bar .menu")
    assert menu.is_visible() == (width < 1120)
    if menu.is_visible():
        menu.click()
    tab.get_by_role("link", name="Glossary").first.click()
    assert tab.title().startswith("Glossary")
    context.close()
    assert not dead + errors


def test_the_search_finds_a_word(site, browser):
    tab = browser.new_context(offline=True).new_page()
    tab.goto(f"{(site / 'search.html').as_uri()}?q=degradation")
    tab.wait_for_selector("#search-results li a")
    found = tab.locator("#search-results li").all_inner_texts()
    assert any(re.search("ResNet", text) for text in found), found
