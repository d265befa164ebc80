"""The picture at the top of the README: a slide beside the notebook that it is made of.

python site/picture.py    writes site/static/slide-and-notebook.png; needs Chromium
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "notebooks")]

import slides  # noqa: E402

from tools import outputs, pages  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "04_vgg.ipynb"
HEADING = "Memory early, parameters late"
PICTURE = ROOT / "site" / "static" / "slide-and-notebook.png"
BYTES = 200_000
GAP = 24


def slide(tab: Page, folder: Path) -> Path:
    """Take the slide with the section's figure."""
    deck = folder / "deck.html"
    deck.write_text(slides.export(NOTEBOOK), encoding="utf-8")
    tab.set_viewport_size({"width": 1280, "height": 720})
    tab.goto(deck.as_uri())
    tab.wait_for_selector("body[data-fitted]")
    tab.evaluate(
        """heading => {
          const first = Reveal.getSlides().find(slide =>
            slide.querySelector("h2")?.textContent.startsWith(heading));
          const column = Reveal.getIndices(first).h;
          const drawn = Reveal.getSlides().find(slide =>
            Reveal.getIndices(slide).h === column && slide.querySelector("img"));
          const {h, v} = Reveal.getIndices(drawn);
          Reveal.slide(h, v, 99);
        }""",
        HEADING,
    )
    tab.wait_for_timeout(500)
    tab.screenshot(path=folder / "slide.png")
    return folder / "slide.png"


def notebook(tab: Page, folder: Path) -> Path:
    """Take the same section as it stands in the notebook."""
    page = folder / "page.html"
    pages.write(outputs.load(NOTEBOOK), page, NOTEBOOK.parent)
    tab.set_viewport_size({"width": 820, "height": 900})
    tab.goto(page.as_uri())
    tab.get_by_role("heading", name=HEADING).evaluate(
        "heading => scrollBy(0, heading.getBoundingClientRect().top - 12)"
    )
    tab.wait_for_timeout(500)
    tab.screenshot(path=folder / "page.png")
    return folder / "page.png"


def beside(left: Path, right: Path) -> Image.Image:
    """Both pictures on one ground, in at most 256 colours."""
    with Image.open(left) as first, Image.open(right) as second:
        parts = [
            first.convert("RGB").resize((1000, 562), Image.Resampling.LANCZOS),
            second.convert("RGB").resize((656, 720), Image.Resampling.LANCZOS),
        ]
    width = sum(part.width for part in parts) + 3 * GAP
    whole = Image.new("RGB", (width, 720 + 2 * GAP), "#d0d7de")
    whole.paste(parts[0], (GAP, GAP + (720 - 562) // 2))
    whole.paste(parts[1], (parts[0].width + 2 * GAP, GAP))
    return whole.quantize(128, dither=Image.Dither.NONE)


def main() -> None:
    """Make the picture anew."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab, folder = browser.new_page(), Path(name)
        beside(slide(tab, folder), notebook(tab, folder)).save(PICTURE, optimize=True)
        browser.close()
    if PICTURE.stat().st_size > BYTES:
        sys.exit(f"{PICTURE} has {PICTURE.stat().st_size:,} bytes, over {BYTES:,}")
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
