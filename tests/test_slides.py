"""What a slide deck takes from its notebook, and what it leaves out."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import v4

from tools import deck, slides
from tools.outputs import SourceError
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


SLIDE = """
# %% [markdown] slide="only"
# ## A claim
#
# ![](draw:architectures.bottleneck())
#
# ### How many?
#
# . . .
#
# > **{{ said(r"(\\d+) wrong") }}** of {{ whole }}
#
# Note: 45 min. Ask which one they expect, and wait for hands.
"""
CODE = """
# %% slide="only" name="curve"
# alt: A line.
import matplotlib.pyplot as plt
whole = 2 * 35
plt.plot([1, 2])
"""


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A lecture with a deck, and a function that changes it and gives its source."""
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    source = tmp_path / "notebooks" / "source" / "90_demo.py"
    notebook = v4.new_notebook(cells=[v4.new_code_cell("print()")])
    notebook.cells[0].outputs = [v4.new_output("stream", text="12 wrong\\n")]
    nbformat.write(notebook, tmp_path / "notebooks" / "90_demo.ipynb")
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    monkeypatch.setattr(slides.build, "ROOT", tmp_path)

    def changed(old: str = "", new: str = "", *, times: int = 1):
        text = SLIDE.replace(old, new, 1) if old else SLIDE
        one = '# %% [markdown] slide="slide"\n# # A lecture\n'
        source.write_text(one + CODE + text * times, encoding="utf-8")
        return source

    return changed


def test_slides_of_a_deck_take_drawings_and_numbers_by_name(lesson, tmp_path):
    source = lesson("# Note", "# ![](run:curve)\n#\n# Note")
    page = slides.write(source, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<strong>12</strong> of 70" in text
    assert text.count('src="data:image/svg+xml;base64,') == 2
    assert 'alt="A line."' in text
    assert "Minute 0 of 45. Ask which" in text
    assert 'src="http' not in text
    built = slides.build.notebook(lesson(), solutions=False, root=slides.build.ROOT)
    assert [cell.source for cell in built.cells] == ["# A lecture"]


FAULTS = [
    ("## A claim", "## A " + "c" * 60, "62 characters of heading, 2 over 60"),
    ("## A claim", "A claim", "no heading"),
    ("How many?", "why " * 40, "43 words beside a picture, 13 over 30"),
    ("![](draw:architectures.bottleneck())", "why " * 60, "15 over 50"),
    ("# > **", "# ```python\n# x = [\n# ```\n# > **", "cannot read: 'x = ['"),
    (
        "# > **",
        "# ```\n" + "# x = 1\n" * 9 + "# ```\n# > **",
        "9 lines of code, 1 over 8",
    ),
    ("45 min. ", "", "no time"),
    ("45 min.", "44 min.", "44 minutes; right are 45 to 65"),
    ("Ask which one they expect, and", "Just", "notes of 4 words"),
    ("# . . .\n#\n", "", "a question with its answer"),
    ("(draw:architectures.bottleneck())", "(run:curves)", "'curves'; there are: curve"),
    ("bottleneck()", "bottle()", "has no attribute 'bottle'"),
    ("wrong", "right", "no cell of the notebook printed"),
    (
        "![](draw:architectures.bottleneck())",
        "![](draw:1 + 1)",
        "2 is neither a drawing",
    ),
    ("whole }}", "part }}", "NameError: name 'part'"),
]


@pytest.mark.parametrize(("old", "new", "message"), FAULTS)
def test_a_slide_over_a_limit_is_named_and_nothing_written(
    lesson, tmp_path, old, new, message
):
    with pytest.raises(SourceError) as caught:
        slides.write(lesson(old, new), tmp_path / "out")
    assert message in str(caught.value)
    assert "90_demo" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_deck_is_counted_as_a_whole(lesson):
    text = "\n".join(deck.faults(deck.read(lesson(times=41))))
    assert "41 slides, 1 over 40" in text
    coded = lesson("# > **", "# ```\n# x = 1\n# ```\n# > **", times=2)
    assert "2 slides with code, 2 over 0" in "\n".join(deck.faults(deck.read(coded)))
    twice = coded.read_text(encoding="utf-8").replace(
        'slide="only"\n', 'slide="only" name="curve"\n'
    )
    coded.write_text(twice, encoding="utf-8")
    with pytest.raises(SourceError, match="two cells have the name 'curve'"):
        deck.read(coded)
    assert deck.read(lesson()).slides[0].steps[0].endswith("### How many?")
