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

from tools import build
from tools.outputs import SourceError

STYLE, OUT = build.ROOT / "tools" / "slides", build.ROOT / "build" / "slides"
FORMULA = re.compile(r"\$[^$\n]+\$|\$\$")
WORDS_A_MINUTE = 110  # spoken slowly, with a look at the audience
SECONDS_A_SLIDE = 40  # to look at what is on it, and for a question now and then


def write(source: Path, folder: Path = OUT) -> Path:
    """Write the deck of a lecture, given its source; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    deck = folder / f"{source.stem}.html"
    page = export(build.target(source, solutions=False))
    deck.write_text(page, encoding="utf-8", newline="\n")
    return deck


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
    deck = {"title": title, "css": styles(), "scripts": list(scripts(cells))}
    page, _ = exporter.from_notebook_node(cells, resources={"deck": deck})
    return page


def styles() -> str:
    """The style sheets: reveal's, the course's, and that of the code."""
    code = HtmlFormatter(style=JupyterStyle, nobackground=True)
    sheets = [STYLE / "vendor" / "reveal.css", STYLE / "deck" / "deck.css"]
    parts = [sheet.read_text(encoding="utf-8") for sheet in sheets]
    return "\n".join([*parts, code.get_style_defs(".highlight")])


def scripts(cells: NotebookNode) -> Iterator[str]:
    """What runs in the page; MathJax, which is large, only where there are formulas."""
    names = ["reveal.js", "notes.js"]
    prose = [cell.source for cell in cells.cells if cell.cell_type == "markdown"]
    if any(FORMULA.search(text) for text in prose):
        yield 'MathJax = {tex: {inlineMath: [["$", "$"]]}, svg: {fontCache: "local"}};'
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
    for source in sources:
        deck = write(source, options.out)
        print(f"{deck}  {deck.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
