"""Every slide of every deck fits its 1280 x 720 pixels, with the network off.

And one deck is printed, and shown with the speaker's notes.
"""

from __future__ import annotations

import re

import pytest

from tools import build, slides
from utils.course import ROOT

LECTURES = build.lectures([])
# For each slide what is wrong with it; a slide has all its fragments shown. One made
# for a room owes the last row: sizes, and nothing under the keys.
FAULTS = """async () => {
  const found = [], room = document.querySelector(".slides").getBoundingClientRect();
  const keys = [...document.querySelectorAll(".controls .enabled, .slide-number")];
  const made = document.querySelector(".slide"), size = e => e.getBoundingClientRect();
  const top = made ? Math.min(...keys.map(e => size(e).top)) : room.bottom;
  for (const slide of Reveal.getSlides()) {
    const {h, v} = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    await new Promise(requestAnimationFrame);
    const name = `${h}/${v} ${slide.innerText.slice(0, 40)}`;
    const say = text => found.push(`${name}: ${text}`);
    const all = selector => [...slide.querySelectorAll(selector)].filter(
      e => !e.closest("aside"));
    for (const e of all(made ? ".shows *" : "*")) {
      if (size(e).bottom > top + 1)
        say(`${size(e).bottom - top} px too low: ${e.outerHTML.slice(0, 60)}`);
      const px = parseFloat(getComputedStyle(e).fontSize);
      const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
      const least = e.closest("pre, code") ? 24 : 28;
      if (made && own && !e.closest("mjx-container") && px < least)
        say(`${px} px: ${e.innerText}`);
    }
    for (const e of all("pre, table, img, svg, p, li, h2")) {
      if (size(e).right > room.right + 1 ||
          e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
        say(`${e.tagName} too wide: ${e.innerText.slice(0, 60)}`);
    }
    if (made && all("h2").some(e => e.offsetHeight > 64)) say("heading of two lines");
    for (const e of all("img")) {
      if (!e.naturalWidth) say("a picture is missing");
      if (!e.alt) say("a picture without a description");
      const [kind, data] = e.src.split(",");
      if (made && size(e).width < 250) say("a picture under 250 px");
      if (!made || !kind.includes("svg")) continue;
      const svg = atob(data), wide = svg.match(/viewBox="0 0 ([0-9.]+)/)[1];
      // matplotlib draws letters as outlines, 100 units high.
      const found = svg.matchAll(/ font-size="([0-9.]+)"|scale\\(([0-9.]+) -/g);
      const least = Math.min(...[...found].map(m => m[1] ?? 100 * m[2]));
      const px = least * size(e).width / wide;
      if (px < 19.9) say(`words of ${px} px in the picture: ${e.alt}`);
    }
    for (const e of all("p, li, td"))
      if (/\\$[^$]+\\$/.test(e.innerText)) say(`a formula as text: ${e.innerText}`);
    if (all("mjx-merror").length) say("a formula with an error");
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
    deck = slides.write(source, tmp_path)
    complaints = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
    page.goto(deck.as_uri())
    page.wait_for_selector(".reveal.ready")
    page.wait_for_selector("body[data-fitted]")
    assert page.evaluate("Reveal.getTotalSlides()") > 15
    complaints += page.evaluate(FAULTS)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """A deck with formulas, figures and notes: its address."""
    source = ROOT / "notebooks" / "source" / "07_resnet.py"
    return slides.write(source, tmp_path_factory.mktemp("deck")).as_uri()


# For each printed page what is wrong with it.
PRINTED = """() => [...document.querySelectorAll(".pdf-page")].flatMap((page, i) => {
  const box = page.getBoundingClientRect(), found = [];
  const shown = [...page.querySelectorAll("section *")].filter(
    e => !e.closest("aside") && e.getBoundingClientRect().width);
  const sides = shown.map(e => e.getBoundingClientRect());
  if (!shown.some(e => e.innerText?.trim() || e.matches("img"))) found.push("empty");
  if (Math.max(...sides.map(r => r.bottom)) > box.bottom + 1) found.push("cut below");
  if (Math.max(...sides.map(r => r.right)) > box.right + 1) found.push("cut right");
  return found.map(text => `page ${i + 1}: ${text}`);
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
    notes = opened.value.locator(".speaker-controls-notes .value")
    notes.filter(has_text=re.compile(r"Minute 0 of \d\d\. Say")).wait_for()
    page.keyboard.press("Space")
    notes.filter(has_text="Minute 1 of").wait_for()
    opened.value.close()
