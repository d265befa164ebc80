"""What a slide deck takes from its notebook, and what it leaves out."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import v4

from tools.slides import add_minutes, export


def cell(source, kind, **more):
    make = v4.new_code_cell if more.pop("code", False) else v4.new_markdown_cell
    return make(source, metadata={"slideshow": {"slide_type": kind}, **more})


@pytest.fixture
def notebook(tmp_path):
    cells = [
        cell("# A title\n\nA promise.", "slide"),
        cell("Set-up", "skip"),
        cell("## A claim", "slide"),
        cell("draw()", "-", code=True, tags=["hide-input"]),
        cell("look.at(this)", "subslide", code=True),
        cell("Tell them why. " * 50, "notes"),
    ]
    path = tmp_path / "00_a.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def test_a_deck_is_one_file_that_asks_for_no_other(notebook):
    page = export(notebook)
    assert "<title>A title · slides</title>" in page
    assert 'src="http' not in page
    assert "stylesheet" not in page.partition("<body>")[0]
    assert "look" in page
    assert "draw" not in page.partition("<body>")[2].partition("<script>")[0]
    assert "Set-up" not in page


def test_only_a_deck_with_formulas_carries_mathjax(notebook):
    assert "MathJax = {" not in export(notebook)
    with_formula = nbformat.read(notebook, as_version=4)
    with_formula.cells.append(cell("Its mean is $x^2$.", "-"))
    nbformat.write(with_formula, notebook)
    assert "MathJax = {" in export(notebook)


def test_the_notes_of_a_section_begin_with_its_minutes(notebook):
    deck = nbformat.read(notebook, as_version=4)
    add_minutes(deck)
    notes = [c.source for c in deck.cells if c.source.startswith("Minute")]
    assert notes == [
        "Minute 0 of 4; about 1 for this section.",
        "Minute 1 of 4; about 3 for this section.",
    ]
    assert [c.source for c in deck.cells[:2]] == ["# A title\n\nA promise.", notes[0]]
