"""The playgrounds of the website: their script, their networks, and where they stand.

`site/play/*.mjs` are ES modules. A page that was opened from a folder may not load
modules, so the site carries them as one classic script, and networks and images as
scripts that a playground fetches when it comes into sight.

    python -m tools.play

takes the pictures that stand there without scripts, from build/site; needs Chromium.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, v4

from tools import export
from tools.outputs import SourceError
from utils.course import ROOT

FOLDER = ROOT / "site" / "play"
MODULES = ("engine", "parts", "shapes", "digit", "photos")
NETWORKS = ("lenet5-mnist", "googlenet_bn-cifar10", "resnet20-cifar10")
IMAGES = {"mnist": (10, 1, 28, 28), "cifar10": (10, 3, 32, 32)}
IMPORT = re.compile(r"^import .*?;\n", re.M | re.S)


def script() -> str:
    """All modules as one classic script."""
    texts = [(FOLDER / f"{name}.mjs").read_text(encoding="utf-8") for name in MODULES]
    plain = (re.sub(r"^export ", "", IMPORT.sub("", t), flags=re.M) for t in texts)
    return '"use strict";\n(() => {\n' + "\n".join(plain) + "\nstart();\n})();\n"


def holder(name: str, value: dict[str, Any], data: bytes) -> str:
    """A script that leaves a value and its bytes where the playgrounds look."""
    held = value | {"data": base64.b64encode(data).decode()}
    text = json.dumps(held, separators=(",", ":"))
    return f"(window.CNN ||= {{}})[{json.dumps(name)}] = {text};\n"


def write(static: Path) -> None:
    """Write the script, the networks and the images into the site's `_static`."""
    folder = static / "play"
    folder.mkdir(exist_ok=True)
    (static / "play.js").write_text(script(), encoding="utf-8", newline="\n")
    for name in NETWORKS:
        plan, data = export.plan(*export.trained(name), "float16")
        text = holder(name, {"plan": plan}, data)
        (folder / f"{name}.js").write_text(text, encoding="utf-8", newline="\n")
    for name, shape in IMAGES.items():
        data = (FOLDER / f"{name}.bin").read_bytes()
        text = holder(name, {"shape": shape}, data)
        (folder / f"{name}.js").write_text(text, encoding="utf-8", newline="\n")


def places() -> list[dict[str, str]]:
    """Each playground: lecture, heading that it belongs to, title, question, alt."""
    return json.loads((FOLDER / "places.json").read_text(encoding="utf-8"))


def insert(nb: NotebookNode, number: str, up: str) -> None:
    """Put a lecture's playgrounds at the end of their sections, in place.

    Where no heading fits any longer, a playground stands before the exercises.

    Args:
        nb: the lecture.
        number: such as 04.
        up: from its page to the site's root, as "../".
    """
    mine = [place for place in places() if place["lecture"] == number]
    for place in mine:
        cell = v4.new_markdown_cell(markdown(place, up))
        nb.cells.insert(end_of_section(nb, place["heading"]), cell)
    if mine:
        tag = f'```{{raw}} html\n<script defer src="{up}_static/play.js"></script>\n```'
        nb.cells.append(v4.new_markdown_cell(tag))


def end_of_section(nb: NotebookNode, heading: str) -> int:
    """The cell before which the section whose heading matches is at its end."""
    starts = {
        i: cell.source.partition("\n")[0].removeprefix("## ")
        for i, cell in enumerate(nb.cells)
        if cell.cell_type == "markdown" and cell.source.startswith("## ")
    }
    for i, text in starts.items():
        if re.search(heading, text, re.I):
            return min((j for j in starts if j > i), default=len(nb.cells))
    found = [i for i, text in starts.items() if text.startswith("Exercises")]
    if not found:
        raise SourceError(f"no section for a playground: {heading!r}")
    return found[0]


def markdown(place: dict[str, str], up: str) -> str:
    """A playground as Markdown: heading, question, and what stands without scripts."""
    picture = ROOT / "site" / "static" / f"play-{place['play']}.png"
    alt = html.escape(place["alt"])
    still = f'<img src="{up}_static/{picture.name}" alt="{alt}">'
    if not picture.is_file():
        still = f"<p>{alt}</p>"
    return (
        f"### Play: {place['title']}\n\n{place['question']}\n\n```{{raw}} html\n"
        f'<div class="play" data-play="{place["play"]}">{still}\n'
        "<noscript><p>The playground needs scripts, which are off in this browser."
        "</p></noscript></div>\n```"
    )


def take_pictures(site: Path) -> None:
    """Take the picture of each playground of a site into `site/static`."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as api:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = api.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 1200})
        for place in places():
            (page,) = (site / "notebooks").glob(f"{place['lecture']}_*.html")
            tab.goto(page.as_uri())
            shown = tab.locator(f"[data-play={place['play']}]")
            shown.scroll_into_view_if_needed()
            if place["play"] == "slope":
                tab.get_by_role("button", name="Ten steps").click()
            tab.wait_for_timeout(5000)  # the networks are fetched and have answered
            target = ROOT / "site" / "static" / f"play-{place['play']}.png"
            shown.screenshot(path=target)
            with Image.open(target) as image:
                top = image.convert("RGB").crop(
                    (0, 0, image.width, min(700, image.height))
                )
            top.quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)
            print(target, target.stat().st_size, "bytes")
        browser.close()


if __name__ == "__main__":
    take_pictures(ROOT / "build" / "site")
