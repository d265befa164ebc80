"""What a slide takes by name: figures and tables of the run, drawings, numbers.

Drawings are made when a deck is built, by `teaching` and from the runs in results/;
nothing is trained.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import re
from contextlib import redirect_stdout
from html import escape
from typing import Any, NamedTuple
from unittest import mock

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from nbformat import NotebookNode

from teaching import architectures, blocks, diagrams, kept
from tools import build, deck, outputs
from tools.deck import Deck
from tools.outputs import SourceError
from utils import course

# What a slide's expressions may name, beside what the deck's own cells define.
ROOMS = {"architectures": architectures, "blocks": blocks, "diagrams": diagrams}
ROOMS |= {"kept": kept}


class Shown(NamedTuple):
    """A picture or a table, as a page shows it.

    Attributes:
        html: an `<img>` that carries its file, or a `<table>`.
        aspect: of the picture, width over height; 0 for a table.
    """

    html: str
    aspect: float


class Stage:
    """Where a deck's code runs, and from where its slides take what they show.

    Raises:
        SourceError: the notebook is missing, or a cell of the deck fails.
    """

    def __init__(self, lesson: Deck) -> None:
        self.lesson = lesson
        source = build.ROOT / "notebooks" / "source" / f"{lesson.name}.py"
        notebook = outputs.load(build.target(source, solutions=False))
        if notebook is None:
            raise SourceError(f"{lesson.name}.ipynb is missing: run tools.build")
        self.cells = {cell.get("id"): cell for cell in notebook.cells}
        self.values = {**ROOMS, "said": self.said}
        self.drawn: dict[str, Any] = {}
        plt.switch_backend("agg")
        course.use_style()
        torch.manual_seed(0)
        for cell in lesson.cells:
            name = cell.options.get("name", "")
            value = self._run(cell.text, f"the deck's cell {name!r}")
            self.drawn[name] = (value, cell.options.get("alt", ""))

    def picture(self, kind: str, what: str, alt: str) -> Shown:
        """The picture or table of a cell ("run"), or of an expression ("draw")."""
        if kind == "draw":
            return shown(self._run(what, what), alt)
        if what in self.drawn:
            value, described = self.drawn[what]
            return shown(value, alt or described)
        return kept_output(self._cell(what), what, alt)

    def value(self, expression: str) -> str:
        """What an expression in a slide's text gives."""
        return escape(str(self._run(expression.strip(), expression)))

    def filled(self, text: str) -> str:
        """The text of a slide with the values of its `{{ ... }}`."""
        return deck.VALUE.sub(lambda match: self.value(match[1]), text)

    def said(self, pattern: str) -> str:
        """The first group that a pattern finds in what the notebook's cells printed."""
        cells = [cell for cell in self.cells.values() if cell.cell_type == "code"]
        printed = [words(output) for cell in cells for output in cell.outputs]
        found = re.search(pattern, "\n".join(printed))
        if found is None:
            raise SourceError(f"no cell of the notebook printed {pattern!r}")
        return found[1]

    def _cell(self, name: str) -> NotebookNode:
        found = self.lesson.cell(name)
        if found is None:
            raise SourceError(deck.missing(name, self.lesson))
        if found.id not in self.cells:
            raise SourceError(f"the notebook lacks the cell {name!r}: run tools.build")
        return self.cells[found.id]

    def _run(self, code: str, what: str) -> Any:
        """Run code; what its last line gives. Its images are those that come along."""
        plt.close("all")
        tiny = mock.patch.dict(os.environ, CNN_COURSE_SCALE="tiny")
        try:
            *before, last = ast.parse(code.strip().rstrip(";")).body
            is_value = isinstance(last, ast.Expr)
            before = ast.Module(before if is_value else [*before, last], [])
            with tiny, redirect_stdout(io.StringIO()):
                exec(compile(before, what, "exec"), self.values)
                value = None
                if is_value:
                    value = eval(compile(ast.unparse(last), what, "eval"), self.values)
        except SourceError:
            raise
        except Exception as error:  # whatever the code of a slide does wrong
            told = f"{type(error).__name__}: {error}"
            raise SourceError(f"{what} fails with {told}") from error
        figures = plt.get_fignums()
        return plt.figure(figures[-1]) if figures else value


def shown(value: Any, alt: str) -> Shown:
    """A drawing, a figure or a table for a page.

    Raises:
        SourceError: it is none of them, or nobody describes it.
    """
    if isinstance(value, Figure):
        file = io.StringIO()
        with plt.rc_context({"svg.hashsalt": "deck", "savefig.bbox": None}):
            value.savefig(file, format="svg", metadata={"Date": None})
        plt.close(value)
        return image(file.getvalue().encode(), "image/svg+xml", alt)
    if hasattr(value, "_repr_svg_"):
        return image(value._repr_svg_().encode(), "image/svg+xml", alt or value.alt)
    if hasattr(value, "_repr_html_"):
        return Shown(value._repr_html_(), 0)
    raise SourceError(f"{value!r} is neither a drawing nor a figure nor a table")


def kept_output(cell: NotebookNode, name: str, alt: str) -> Shown:
    """What a cell of the notebook showed in the run that is kept."""
    for kind, data, described in outputs.pictures(cell):
        return image(data, kind, alt or described)
    for output in cell.outputs:
        if "<table" in (table := "".join(output.get("data", {}).get("text/html", ""))):
            return Shown(table, 0)
    raise SourceError(
        f"the cell {name!r} shows no figure and no table in the run that is kept; take"
        " a number that it prints with {{ said(pattern) }}"
    )


def image(file: bytes, kind: str, alt: str) -> Shown:
    """A picture that carries its file; SVG says its size in its first line."""
    if not alt:
        raise SourceError("a picture without words for it: ![what it shows](...)")
    if kind == "image/png":
        width, height = (int.from_bytes(file[i : i + 4], "big") for i in (16, 20))
    else:
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', file.decode())
        width, height = (float(side) for side in box.groups())
    data = base64.b64encode(file).decode()
    img = f'<img alt="{escape(alt)}" src="data:{kind};base64,{data}">'
    return Shown(img, float(width) / float(height))


def words(output: NotebookNode) -> str:
    """What an output says in letters."""
    return output.get("text", "") + "".join(
        output.get("data", {}).get("text/plain", "")
    )
