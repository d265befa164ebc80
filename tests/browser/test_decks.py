"""Every slide of every deck fits its 1280 x 720 pixels, with the network off.

And one deck is printed, and shown with the speaker's notes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import build, deck, slides
from utils.course import ROOT

LECTURES = build.lectures([])
FAULTS = Path(__file__).with_name("slides.js").read_text(encoding="utf-8")


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


TEXTS = Path(__file__).with_name("printed.js").read_text(encoding="utf-8")
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
    notes.filter(has_text=re.compile(r"Minute 0 of [\d.]+\.\s+Say")).wait_for()
    page.keyboard.press("Space")
    notes.filter(has_text="Minute 1 of").wait_for()
    opened.value.close()


SEEN = """Reveal.getSlides().every(slide => {
  const {left, top, right, bottom, width} = slide.getBoundingClientRect();
  return width > 100 && left >= 0 && top >= 0 && right <= 1281 && bottom <= 721;
}) == Reveal.isOverview()"""


def test_the_overview_shows_all_slides_at_once(page, resnet):
    page.goto(resnet)
    page.wait_for_selector(".reveal.ready")
    for _ in range(2):
        page.keyboard.press("Escape")
        page.wait_for_function(SEEN)
