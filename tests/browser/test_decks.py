"""Every slide of every deck fits its 1280 x 720 pixels, with the network off.

And one deck is printed, and shown with the speaker's notes.
"""

from __future__ import annotations

import re

import pytest

from tools import build, slides
from utils.course import ROOT

LECTURES = build.lectures([])
# For each slide what is wrong with it; a slide has all its fragments shown.
FAULTS = """async () => {
  const found = [];
  for (const slide of Reveal.getSlides()) {
    const {h, v} = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    await new Promise(requestAnimationFrame);
    const name = `${h}/${v} ${slide.innerText.slice(0, 40)}`;
    const say = text => found.push(`${name}: ${text}`);
    const all = selector => [...slide.querySelectorAll(selector)].filter(
      e => !e.closest("aside"));
    const room = document.querySelector(".slides").getBoundingClientRect();
    const bottom = Math.max(...all("*").map(e => e.getBoundingClientRect().bottom));
    if (bottom > room.bottom + 1) say(`${bottom - room.bottom} px too high`);
    for (const e of all("pre, table, img, svg, p, li, h2")) {
      if (e.getBoundingClientRect().right > room.right + 1 ||
          e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
        say(`${e.tagName} too wide: ${e.innerText.slice(0, 60)}`);
    }
    for (const e of all("img")) if (!e.naturalWidth) say("a picture is missing");
    for (const e of all("img")) if (!e.alt) say("a picture without a description");
    for (const e of all("p, li, td"))
      if (/\\$[^$]+\\$/.test(e.innerText)) say(`a formula as text: ${e.innerText}`);
    if (all("mjx-merror").length) say("a formula with an error");
  }
  return found;
}"""
# What a slide made for a room owes the last row: sizes, and nothing under the keys.
ROOM = """() => Reveal.getSlides().flatMap((slide, i) => {
  Reveal.slide(i, 0, 99);
  const found = [], say = text => found.push(`slide ${i + 1}: ${text}`);
  const scale = slide.querySelector(".slide").getBoundingClientRect().width / 1280;
  const floor = slide.querySelector("footer").getBoundingClientRect().top;
  const keys = [...document.querySelectorAll(".controls .enabled, .slide-number")];
  const top = Math.min(...keys.map(e => e.getBoundingClientRect().top));
  for (const e of slide.querySelectorAll(".shows *")) {
    const size = parseFloat(getComputedStyle(e).fontSize);
    const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    const least = e.closest("pre, code") ? 24 : 28;
    if (own && size < least) say(`${size} px: ${e.innerText}`);
    const low = e.getBoundingClientRect().bottom - Math.min(floor, top);
    if (low > 1) say(`${low} px too low: ${e.outerHTML.slice(0, 60)}`);
  }
  if (slide.querySelector("h2")?.offsetHeight > 64) say("a heading of two lines");
  for (const e of slide.querySelectorAll("img")) {
    const [kind, data] = e.src.split(",");
    const wide = e.getBoundingClientRect().width / scale;
    if (!kind.includes("svg")) {
      if (wide < 250) say("a photo under 250 px");
      continue;
    }
    const text = atob(data);
    const k = wide / parseFloat(text.match(/viewBox="0 0 ([0-9.]+)/)[1]);
    const sizes = [...text.matchAll(/ font-size="([0-9.]+)"/g)].map(m => m[1] * k);
    // matplotlib draws letters as outlines, 100 units high.
    sizes.push(...[...text.matchAll(/scale\\(([0-9.]+) -/g)].map(m => 100 * m[1] * k));
    if (Math.min(...sizes) < 19.9) say(`text of ${Math.min(...sizes)} px: ${e.alt}`);
  }
  return found;
})"""


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_every_slide_fits(page, tmp_path, source):
    deck = slides.write(source, tmp_path)
    complaints = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
    page.goto(deck.as_uri())
    page.wait_for_selector(".reveal.ready")
    page.wait_for_selector("body[data-fitted]")
    assert page.evaluate("Reveal.getTotalSlides()") > 20
    complaints += page.evaluate(FAULTS)
    if page.locator(".slide").count():
        complaints += page.evaluate(ROOM)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """A deck with formulas, figures and notes: its address."""
    source = ROOT / "notebooks" / "source" / "04_vgg.py"
    return slides.write(source, tmp_path_factory.mktemp("deck")).as_uri()


# For each printed page what is wrong with it.
PRINTED = """() => [...document.querySelectorAll(".pdf-page")].flatMap((page, i) => {
  const slide = page.querySelector("section"), found = [];
  const shown = [...slide.querySelectorAll("*")].filter(e => !e.closest("aside"));
  const say = text => found.push(`page ${i + 1}: ${text}`);
  const text = shown.some(e => e.innerText?.trim() || e.matches("img, svg"));
  const box = page.getBoundingClientRect();
  const sides = shown.map(e => e.getBoundingClientRect()).filter(r => r.width);
  if (!text) say("empty");
  if (Math.max(...sides.map(r => r.bottom)) > box.bottom + 1) say("cut below");
  if (Math.max(...sides.map(r => r.right)) > box.right + 1) say("cut at the right");
  if (Math.min(...sides.map(r => r.left)) < box.left + 30) say("no margin");
  return found;
})"""


def test_a_deck_prints_one_page_a_slide(browser, page, deck):
    page.goto(deck)
    page.wait_for_selector("body[data-fitted]")
    slides = page.evaluate("Reveal.getTotalSlides()")
    page.goto(f"{deck}?print-pdf")
    page.wait_for_selector("body[data-fitted]")
    page.wait_for_selector(".pdf-page mjx-container svg")
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type */Page\b", pdf)) == slides
    assert page.evaluate(PRINTED) == []


def test_the_speaker_sees_notes_with_minutes(browser, page, deck):
    page.goto(deck)
    page.wait_for_selector("body[data-fitted]")
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    view = opened.value
    notes = view.locator(".speaker-controls-notes .value")
    notes.filter(has_text="Minute 0 of").wait_for()
    first = notes.inner_text()
    assert re.match(r"Minute 0 of \d+; about \d+ for this section", first.strip())
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    notes.filter(has_not_text="Minute 0 of").wait_for()
    view.close()
