"""Every slide of every deck fits its 1280 x 720 pixels, with the network off."""

from __future__ import annotations

import pytest

from slides import export
from utils.course import ROOT

LECTURES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
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


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("notebook", LECTURES, ids=lambda path: path.stem)
def test_every_slide_fits(page, tmp_path, notebook):
    deck = tmp_path / "deck.html"
    deck.write_text(export(notebook), encoding="utf-8")
    complaints = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
    page.goto(deck.as_uri())
    page.wait_for_selector(".reveal.ready")
    page.wait_for_selector("body[data-fitted]")
    assert page.evaluate("Reveal.getTotalSlides()") > 20
    complaints += page.evaluate(FAULTS)
    assert not complaints, "\n".join(complaints)
