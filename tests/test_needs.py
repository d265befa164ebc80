"""Which cells of a notebook run before one of them, on live slides."""

from __future__ import annotations

import pytest
from nbformat import v4

from tools import build, deck, outputs, present
from tools.needs import Cell, Needs

CELLS = {
    "setup": "import sys",
    "imports": "import math\nfrom utils.train import fit",
    "data": "rows = [math.pi]\nother = 3",
    "model": "model = [0]",
    "trained": "history = fit(model, rows)",
    "loop": "for row in rows:\n    right = row\n    print(right)",
    "drawn": "print(history, model)",
    "replaced": "model = 5",
}


@pytest.fixture
def needs():
    cells = [v4.new_code_cell(code, id=name) for name, code in CELLS.items()]
    cells[0].metadata.tags = ["course-setup"]
    return Needs(v4.new_notebook(cells=cells))


def first(needs, name, code=""):
    return [cell.id for cell in needs.first(Cell(name, code or CELLS[name]))]


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("loop", "", "setup imports data"),
        ("replaced", "", "setup"),
        ("drawn", "", "setup imports data model trained"),
        ("drawn", "print(other)", "setup imports data"),
        ("drawn", "print(", "setup"),  # which tells itself what is wrong
        ("", "print(history)", "setup imports data model trained"),  # of no cell
    ],
)
def test_what_gives_the_names_runs_first(needs, name, code, expected):
    assert first(needs, name, code) == expected.split()


def test_no_cell_runs_twice_unless_its_names_were_taken(needs):
    for cell in [*needs.first(Cell("drawn", CELLS["drawn"])), Cell("drawn", "")]:
        needs.ran(cell)
    assert first(needs, "drawn") == []
    needs.ran(Cell("replaced", CELLS["replaced"]))
    assert first(needs, "drawn") == ["model", "trained"]


@pytest.mark.parametrize("source", build.lectures([]), ids=lambda path: path.stem)
def test_what_a_slide_runs_finds_its_names(source):
    lesson = deck.read(source)
    notebook = outputs.load(build.target(source, solutions=False))
    found, needs = present.what_runs(lesson, notebook), Needs(notebook)
    assert len(found["slides"]) == len(lesson.slides)
    for shown in [cell for cells in found["slides"] for cell in cells]:
        cell, given = Cell(shown["id"], shown["code"]), set()
        for one in [*needs.first(cell), cell]:
            known = set().union(*(other.gives for other in needs.above(one)))
            missing = (one.needs & known) - given
            assert not missing, one.code
            given |= one.gives
