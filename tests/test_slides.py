"""A deck takes what it shows by name, and no slide of it is over a limit."""

from __future__ import annotations

import sys
import zipfile

import nbformat
import pytest
from nbformat import v4

from tools import browser, deck, handout, release, room, slides
from tools.outputs import SourceError

SLIDE = """
# %% [markdown] slide="only"
# ## A claim
#
# ![](draw:architectures.transfer())
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
    """A lecture, and a function that changes it and gives its deck."""
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    source = tmp_path / "notebooks" / "source" / "90_demo.py"
    notebook = v4.new_notebook(cells=[v4.new_code_cell("print()")])
    notebook.cells[0].outputs = [v4.new_output("stream", text="12 wrong\\n")]
    nbformat.write(notebook, tmp_path / "notebooks" / "90_demo.ipynb")
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    monkeypatch.setattr(slides.build, "ROOT", tmp_path)

    def changed(old: str = "", new: str = "", *, times: int = 1, more: str = ""):
        text = SLIDE.replace(old, new, 1) if old else SLIDE
        one = '# %% [markdown] slide="slide"\n# # A lecture\n'
        source.write_text(one + CODE + text * times + more, encoding="utf-8")
        return deck.read(source)

    return changed


def test_slides_of_a_deck_take_drawings_and_numbers_by_name(lesson, tmp_path):
    shown = lesson("# Note", "# ![](run:curve)\n#\n# Note")
    text = slides.write(shown, tmp_path).read_text(encoding="utf-8")
    assert "<strong>12</strong> of 70" in text
    assert text.count('src="data:image/svg+xml;base64,') == 2
    assert 'alt="A line."' in text
    assert "<p>Minute 0 of 45.</p>\n<p>Ask which" in text
    assert 'src="http' not in text
    assert "<mi>x</mi>" in room.page(lesson("How many?", "How many $x$?"))
    [source] = slides.build.lectures([], tmp_path)
    built = slides.build.notebook(source, solutions=False, root=tmp_path)
    assert [cell.source for cell in built.cells] == ["# A lecture"]


def test_without_answers_a_slide_ends_with_its_question(lesson, tmp_path):
    text = room.page(lesson(), answers=False)
    assert "How many?" in text
    assert "<strong>12</strong>" not in text
    assert "Ask which" not in text
    assert "Minute 0 of" not in text


SHEET = """
# %% [markdown] slide="only"
# ## One sentence to take home
#
# It reads.
#
# Note: 2 min. Let two students say it, each in other words.

# %% [markdown] slide="sheet"
# ![](draw:architectures.transfer())
#
# ## Shapes
#
# 28 pixels
"""


def test_a_handout_is_slides_with_notes_and_a_sheet(lesson, tmp_path, monkeypatch):
    with pytest.raises(SourceError, match='90_demo needs one cell slide="sheet"'):
        handout.pages(lesson())
    shown = lesson("# Note", "# $$k + 1$$\n#\n# Note", more=SHEET)
    paper, sheet = handout.pages(shown).values()
    assert paper.count("<article>") == 2
    assert "<p>Ask which" in paper
    assert not [t for t in ("It reads.", "<mi>k</mi>", "28 pixels") if t not in sheet]
    asked = handout.pages(shown, answers=False)["90_demo.pdf"]
    assert "How many?" in asked
    assert "<strong>12</strong>" not in asked
    # Without a browser, or where one fails, nothing is written.
    for program, told in (("", "no Chromium"), (sys.executable, "printed nothing")):
        monkeypatch.setattr(browser, "BROWSERS", (program,))
        monkeypatch.setattr(browser, "PLACES", ())
        monkeypatch.setenv("CHROMIUM", "")
        with pytest.raises(SourceError, match=told):
            handout.write(shown, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_release_has_neither_solutions_nor_notes(tmp_path):
    release.pack(tmp_path / "new" / "course.zip", answers=False)
    with zipfile.ZipFile(tmp_path / "new" / "course.zip") as archive:
        names = archive.namelist()
        found = [archive.read(n).decode() for n in names if n.endswith(".ipynb")]
    assert len(found) == len(slides.build.lectures([]))
    assert not [text for text in found if '"slide_type": "notes"' in text]
    assert not [name for name in names if "solutions/" in name or "source/" in name]


DRAWN, RESULT = "![](draw:architectures.transfer())", "# > **"
FAULTS = [
    ("## A claim", "## A " + "c" * 60, "62 characters of heading, 2 over 60"),
    ("## A claim", "A claim", "no heading"),
    ("How many?", "why " * 40, "43 words beside a picture, 13 over 30"),
    (DRAWN, "why " * 60, "15 over 50"),
    (RESULT, "# ```python\n# x = [\n# ```\n# > **", "cannot read: 'x = ['"),
    (RESULT, "# ```\n" + "# 1\n" * 9 + "# ```\n# > **", "9 lines of code, 1 over 8"),
    (RESULT, "# ```\n# x = 1\n# ```\n# > **", "1 slides with code, 1 over 0"),
    ("45 min. ", "", "no time"),
    ("45 min.", "39 min.", "39 minutes; right are 40 to 65"),
    ("Ask which one they expect, and", "Just", "notes of 4 words"),
    ("# . . .\n#\n", "", "a question with its answer"),
    (DRAWN, "![](run:curves)", "'curves', and no one cell this code; there are: curve"),
    (DRAWN, "![](draw:1 + 1)", "2 is neither a drawing"),
    ("transfer()", "carry()", "has no attribute 'carry'"),
    ("wrong", "right", "no cell of the notebook printed"),
    ("whole }}", "part }}", "NameError: name 'part'"),
    ('="only"\n', '="only" name="curve"\n', "two cells have the name 'curve'"),
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
    assert "41 slides, 1 over 40" in "".join(deck.faults(lesson(times=41)))
