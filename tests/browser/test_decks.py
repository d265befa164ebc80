"""Every slide of every deck fits its 1280 x 720 pixels, with the network off.

And one deck is printed, and shown with the speaker's notes.
"""

from __future__ import annotations

import re

import pytest

from tools import build, deck, slides
from utils.course import ROOT

LECTURES = build.lectures([])
# For each slide what is wrong with it; a slide has all its fragments shown.
FAULTS = """async () => {
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
      const found = svg.matchAll(/ font-size="([0-9.]+)"|scale\\(([0-9.]+) -/g);
      const least = Math.min(...[...found].map(m => m[1] ?? 100 * m[2]));
      const px = least * size(e).width / wide;
      if (px < 19.9) say(`words of ${px} px in the picture: ${e.alt}`);
    }
    for (const e of all("p, li, td"))
      if (/\\$[^$]+\\$/.test(e.innerText)) say(`a formula as text: ${e.innerText}`);
    for (const e of all("math"))
      if (e.textContent.includes("\\\\")) say(`unknown in it: ${e.textContent}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_every_slide_fits(page, tmp_path, source):
    path = slides.write(deck.read(source), tmp_path)
    complaints = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".reveal.ready")
    assert page.evaluate("Reveal.getTotalSlides()") > 15
    complaints += page.evaluate(FAULTS)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A deck with formulas, figures and notes: its address."""
    source = ROOT / "notebooks" / "source" / "07_resnet.py"
    return slides.write(deck.read(source), tmp_path_factory.mktemp("deck")).as_uri()


# For each slide what is to be read on it; printed, what is wrong with its page as well.
TEXTS = """printed => [...document.querySelectorAll(".slides section")].map(slide => {
  const box = slide.getBoundingClientRect(), found = [];
  const page = slide.closest(".pdf-page")?.getBoundingClientRect();
  if (printed != !!page || page?.width != 1280) found.push(`page: ${page?.width}`);
  for (const e of slide.querySelectorAll(".shows *, h1, h2")) {
    const {top, bottom, left, right, width} = e.getBoundingClientRect();
    if (page && width && (top < page.top - 1 || bottom > page.bottom + 1 ||
                          left < page.left - 1 || right > page.right + 1))
      found.push(`cut: ${e.outerHTML.slice(0, 60)}`);
    if (page && width && !e.checkVisibility({visibilityProperty: true,
                                             opacityProperty: true}))
      found.push(`hidden: ${e.outerHTML.slice(0, 60)}`);
  }
  return [slide.querySelector(".slide").textContent, printed ? found : []];
})"""
WINDOWS = [(1280, 720), (1920, 1080), (1024, 768)]
FEW = ("05_googlenet",)


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_a_printed_page_shows_all_of_its_slide(browser, tmp_path, source, thorough):
    if not thorough and source.stem not in FEW:
        pytest.skip("--thorough prints each deck")
    address = slides.write(deck.read(source), tmp_path).as_uri()
    for width, height in WINDOWS:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.wait_for_selector(".reveal.ready")
        shown = page.evaluate(TEXTS, False)
        page.emulate_media(media="print")
        page.goto(f"{address}?print-pdf")
        page.wait_for_selector(".pdf-page .slide")
        assert page.evaluate(TEXTS, True) == shown
        page.close()


def test_the_speaker_sees_notes_with_minutes(browser, page, resnet):
    page.goto(resnet)
    page.wait_for_selector(".reveal.ready")
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes .value")
    notes.filter(has_text=re.compile(r"Minute 0 of \d\d\.\s+Say")).wait_for()
    page.keyboard.press("Space")
    notes.filter(has_text="Minute 1 of").wait_for()
    opened.value.close()
