"""Slide decks from the notebooks: one self-contained file a lecture.

python -m tools.slides [04 ...]   build/slides/04_vgg.html, with the kept outputs
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from jupyterlab_pygments import JupyterStyle
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from tools import build, deck, room
from tools.outputs import SourceError

STYLE, OUT = build.ROOT / "tools" / "slides", build.ROOT / "build" / "slides"
FORMULA = re.compile(r"\$[^$\n]+\$|\$\$")
WORDS_A_MINUTE = 110  # spoken slowly, with a look at the audience
SECONDS_A_SLIDE = 40  # to look at what is on it, and for a question now and then


def write(source: Path, folder: Path = OUT) -> Path:
    """Write the deck of a lecture, given its source; returns the file."""
    whole = page(source)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source.stem}.html"
    path.write_text(whole, encoding="utf-8", newline="\n")
    return path


def page(source: Path) -> str:
    """The deck of a lecture, as one HTML page: of its own slides where it has some."""
    lesson = deck.read(source)
    if lesson is None:
        return export(build.target(source, solutions=False))
    css = styles(STYLE / "room" / "room.css")
    return room.page(lesson, css, list(scripts([one.text for one in lesson.slides])))


def export(notebook: Path) -> str:
    """The deck of a notebook, as one HTML page."""
    cells = nbformat.read(notebook, as_version=4)
    title = cells.cells[0].source.partition("\n")[0].lstrip("# ")
    add_minutes(cells)
    config = Config()
    config.HTMLExporter.preprocessors = [TagRemovePreprocessor]
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
    config.TagRemovePreprocessor.remove_cell_tags = {"remove-cell"}
    exporter = HTMLExporter(
        config=config,
        template_name="deck",
        extra_template_basedirs=[str(STYLE)],
        embed_images=True,
    )
    prose = [cell.source for cell in cells.cells if cell.cell_type == "markdown"]
    css = styles(STYLE / "deck" / "deck.css")
    deck = {"title": title, "css": css, "scripts": list(scripts(prose))}
    whole, _ = exporter.from_notebook_node(cells, resources={"deck": deck})
    return whole


def styles(own: Path) -> str:
    """The style sheets: reveal's, the course's own, and that of the code."""
    code = HtmlFormatter(style=JupyterStyle, nobackground=True)
    sheets = [STYLE / "vendor" / "reveal.css", own]
    parts = [sheet.read_text(encoding="utf-8") for sheet in sheets]
    return "\n".join([*parts, code.get_style_defs(".highlight")])


def scripts(prose: list[str]) -> Iterator[str]:
    """What runs in the page; MathJax, which is large, only where there are formulas."""
    names = ["reveal.js", "notes.js"]
    if any(FORMULA.search(text) for text in prose):
        # Its copy for screen readers would be a second one in the speaker's notes.
        yield (
            'MathJax = {tex: {inlineMath: [["$", "$"]]}, svg: {fontCache: "local"},'
            " options: {menuOptions: {settings: {assistiveMml: false}}}};"
        )
        names.append("mathjax.js")
    for name in names:
        yield (STYLE / "vendor" / name).read_text(encoding="utf-8")


def add_minutes(notebook: NotebookNode) -> None:
    """Begin the speaker's notes of each section with the minutes it takes."""
    starts = [i for i, cell in enumerate(notebook.cells) if kind(cell) == "slide"]
    lengths = [minutes(cells) for cells in sections(notebook)]
    total = round(sum(lengths))
    for i in reversed(range(len(starts))):  # from the end: each one moves the rest
        begin = round(sum(lengths[:i]))
        text = f"Minute {begin} of {total}; about {lengths[i]:.0f} for this section."
        note = nbformat.v4.new_markdown_cell(text)
        note.metadata["slideshow"] = {"slide_type": "notes"}
        notebook.cells.insert(starts[i] + 1, note)


def sections(notebook: NotebookNode) -> list[list[NotebookNode]]:
    """The cells of each section: from one slide that goes right to the next."""
    starts = [i for i, cell in enumerate(notebook.cells) if kind(cell) == "slide"]
    ends = [*starts[1:], len(notebook.cells)]
    return [notebook.cells[a:b] for a, b in zip(starts, ends, strict=True)]


def minutes(cells: list[NotebookNode]) -> float:
    """How long a section takes: its words, spoken, and a while for each slide."""
    shown = [cell for cell in cells if kind(cell) != "skip"]
    prose = [cell.source for cell in shown if cell.cell_type == "markdown"]
    slides = sum(kind(cell) in ("slide", "subslide") for cell in shown)
    spoken = len(" ".join(prose).split()) / WORDS_A_MINUTE
    return max(1.0, spoken + slides * SECONDS_A_SLIDE / 60)


def kind(cell: NotebookNode) -> str:
    """The cell's slide type; "" where it goes on with the slide before."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def main() -> int:
    """Write the decks that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", nargs="*", help="such as 04; all by default")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the decks")
    options = parser.parse_args()
    try:
        sources = build.lectures(options.lecture)
    except SourceError as error:
        sys.exit(f"slides: {error}")
    wrong = 0
    for source in sources:
        try:
            written = write(source, options.out)
        except SourceError as error:
            print(f"slides: {error}", file=sys.stderr)
            wrong += 1
            continue
        print(f"{written}  {written.stat().st_size / 1e6:.1f} MB")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
