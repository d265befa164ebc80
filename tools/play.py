"""The playgrounds of the website: their script, their networks, and where they stand.

`site/play/*.mjs` are ES modules. A page that was opened from a folder may not load
modules, so the site carries them as one classic script, and networks and images as
scripts that a playground fetches when it comes into sight.

    python -m tools.play [PLAYGROUND ...]

takes the pictures that stand there without scripts, from build/site; needs Chromium.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, v4

from tools import answers, export
from tools.browser import chromium
from tools.outputs import SourceError
from utils.course import ROOT

FOLDER, STATIC = ROOT / "site" / "play", ROOT / "site" / "static"
MODULES = ("engine", "parts", "shapes", "digit", "photos", "views", "training")
IMAGES = {"mnist": (10, 1, 28, 28), "cifar10": (10, 3, 32, 32)}
IMPORT = re.compile(r"^import .*?;\n", re.M | re.S)


def script() -> str:
    """All modules as one classic script."""
    texts = [(FOLDER / f"{name}.mjs").read_text(encoding="utf-8") for name in MODULES]
    plain = (re.sub(r"^export ", "", IMPORT.sub("", t), flags=re.M) for t in texts)
    return '"use strict";\n(() => {\n' + "\n".join(plain) + "\nstart();\n})();\n"


@cache
def holder(name: str) -> str:
    """A script that leaves a network or images where the playgrounds look."""
    file = FOLDER / f"{name}.bin"
    if name in IMAGES:
        held, data = {"shape": IMAGES[name]}, file.read_bytes()
    elif file.is_file():  # a run epoch by epoch, as tools.export writes it
        plan = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        held, data = {"plan": plan}, file.read_bytes()
    else:
        model, about = export.trained(name.removesuffix("-first"))
        part = model.stem.conv if name.endswith("-first") else model
        plan, data = export.plan(part, about, "float16")
        held = {"plan": plan}
    held["data"] = base64.b64encode(data).decode()
    text = json.dumps(held, separators=(",", ":"))
    return f"(window.CNN ||= {{}})[{json.dumps(name)}] = {text};\n"


def write(static: Path) -> None:
    """Write script, style, networks and images into the site's `_static`."""
    folder = static / "play"
    folder.mkdir(exist_ok=True)
    (static / "play.js").write_text(script(), encoding="utf-8", newline="\n")
    shutil.copy(FOLDER / "play.css", static)
    for name in {name for place in places() for name in place["needs"]}:
        path = folder / f"{name}.js"
        path.write_text(holder(name), encoding="utf-8", newline="\n")


def places() -> list[dict[str, Any]]:
    """Each playground: lecture, heading, title, question, answer, alt and needs."""
    return json.loads((FOLDER / "places.json").read_text(encoding="utf-8"))


def insert(nb: NotebookNode, number: str, up: str) -> None:
    """Put a lecture's playgrounds at the end of their sections, in place.

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
        tags = f'<link rel="stylesheet" href="{up}_static/play.css">\n'
        tags += f'<script defer src="{up}_static/play.js"></script>'
        nb.cells.insert(1, v4.new_markdown_cell(f"```{{raw}} html\n{tags}\n```"))


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
    raise SourceError(f"no section for a playground: {heading!r}")


def markdown(place: dict[str, Any], up: str) -> str:
    """A playground as Markdown: heading, question, itself, and the folded answer."""
    element = still(place, f"{up}_static/play-{place['play']}.png")
    note = "The playground needs scripts, which are off in this browser."
    element = element.removesuffix("</div>")
    return (
        f"### Play: {place['title']}\n\n{place['question']}\n\n```{{raw}} html\n"
        f"{element}\n<noscript><p>{note}</p></noscript></div>\n```\n\n"
        f"{answers.OPEN}\n\n{place['answer']}\n\n{answers.CLOSE}"
    )


def still(place: dict[str, Any], source: str) -> str:
    """The element of a playground, with the picture that stands there first."""
    alt = html.escape(place["alt"])
    shown = f'<img src="{source}" alt="{alt}">'
    if not (STATIC / f"play-{place['play']}.png").is_file():
        shown = f"<p>{alt}</p>"
    return f'<div class="play" data-play="{place["play"]}">{shown}</div>'


def on_slide(name: str) -> str:
    """The element of a playground in a deck, which carries its picture.

    Raises:
        SourceError: there is none of this name.
    """
    found = [place for place in places() if place["play"] == name]
    if not found:
        there = ", ".join(place["play"] for place in places())
        raise SourceError(f"no playground is called {name!r}; there are: {there}")
    picture = STATIC / f"play-{name}.png"
    data = picture.read_bytes() if picture.is_file() else b""
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return still(found[0], source)


def style(names: set[str]) -> str:
    """The style sheet of a deck's playgrounds."""
    return (FOLDER / "play.css").read_text(encoding="utf-8") if names else ""


def scripts(names: set[str]) -> list[str]:
    """What the playgrounds of a deck need, in their order: data first."""
    needed = sorted({n for p in places() if p["play"] in names for n in p["needs"]})
    return [*map(holder, needed), script()] if names else []


def take_pictures(site: Path, names: list[str]) -> None:
    """Take the picture of these playgrounds of a site into `site/static`."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 1200})
        for place in places():
            if place["play"] not in names:
                continue
            (page,) = (site / "notebooks").glob(f"{place['lecture']}_*.html")
            tab.goto(page.as_uri())
            shown = tab.locator(f"[data-play={place['play']}]")
            shown.scroll_into_view_if_needed()
            if place["play"] == "slope":
                tab.get_by_role("button", name="Ten steps").click()
            tab.wait_for_timeout(5000)  # the networks are fetched and have answered
            target = STATIC / f"play-{place['play']}.png"
            shown.screenshot(path=target)
            with Image.open(target) as image:
                whole = image.convert("RGB")
            whole.quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)
            print(target, target.stat().st_size, "bytes")
        browser.close()


def main() -> int:
    """Take the pictures that are asked for."""
    there = [place["play"] for place in places()]
    parser = argparse.ArgumentParser(
        description="Take the pictures that stand for the playgrounds where scripts are"
        " off, into site/static: from a site that `make site` has made, in Chromium."
    )
    parser.add_argument("name", nargs="*", help=f"{', '.join(there)}; all by default")
    parser.add_argument("--site", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args()
    if unknown := {*options.name} - {*there}:
        parser.error(f"no playground is called {', '.join(sorted(unknown))}")
    if not (options.site / "_static" / "play.js").is_file():
        sys.exit(f"play: there is no site in {options.site}; make site makes one")
    take_pictures(options.site.resolve(), options.name or there)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
