"""The notebook build, on a small course of its own in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tools import build, outputs, percent

MODULE = '''"""Demo."""
from __future__ import annotations

from dataclasses import dataclass

WIDTHS = (4, 8)  # channels


@dataclass(frozen=True)
class Size:
    """A size."""

    width: int = 3

    def double(self) -> int:
        return 2 * self.width


def area(size: Size) -> int:
    return size.width**2
'''

CHECKS = """from teaching.checks import exercise
@exercise("90.1")
def one(answer): ...
@exercise("90.2")
def two(answer): ...
"""

LECTURE = '''# %% [markdown] slide="slide"
# # A demo
# With [another page](extra.md).

# %% setup

# %% slide="skip"
import torch

# %% [markdown] slide="slide"
# ## Build

# %% mirror="utils.demo:Size"
from dataclasses import dataclass

# %% check=True
Size().double()

# %% tags=["hide-input"]
# alt: A line that rises
# alt: from 0 to 1.
plot([0, 1]);

# %% [markdown] slide="slide"
# ## Exercises

# %%
# solution
number = 32 - 5
number = number + 1

# %%
check("90.1", number)


# %%
def size(n: int, k: int) -> int:
    """The size of the output."""
    # solution
    steps = n - k
    return steps + 1


# %%
check("90.2", size)

# %% [markdown] solution=True
# Because the kernel finds no place beyond the border.
'''

STUBS = [
    ("# solution\nx = 1\ny: int = 2", "x = ...\ny = ...  # your code here"),
    ("# solution\na, (b, c) = 1, (2, 3)", "a = ...  # your code here"),
    ("# solution\nnet.weight = 1", "...  # your code here"),
    (
        "a = 1\n# solution\nx = 1\n# end solution\nb\n# solution\nfor i in y:\n    y",
        "a = 1\nx = ...  # your code here\nb\n...  # your code here",
    ),
    (
        "def f():\n    # solution\n    if a:\n        return 1\n    return 2",
        "def f():\n    return ...  # your code here",
    ),
    ("# solution\nx = 'a' if b else 'c'  # why", "x = ...  # your code here"),
    ("x = 1", "x = 1"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course of one lecture."""
    for folder in ("notebooks/source", "utils", "teaching/checks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    (tmp_path / "notebooks/extra.md").write_text("more")
    (tmp_path / "utils/course.py").write_text("")
    (tmp_path / "utils/demo.py").write_text(MODULE)
    (tmp_path / "teaching/checks/lecture_90.py").write_text(CHECKS)
    (tmp_path / "notebooks/source/90_demo.py").write_text(LECTURE)
    return tmp_path


def change(root: Path, old: str, new: str) -> None:
    """Edit the lecture's source."""
    path = root / "notebooks/source/90_demo.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def built(root: Path, *, solutions: bool = False) -> nbformat.NotebookNode:
    """Build the course and read a notebook."""
    assert build.main([], root) == 0
    return nbformat.read(page(root, solutions=solutions), as_version=4)


def page(root: Path, *, solutions: bool = False) -> Path:
    return root / "notebooks" / ("solutions" if solutions else "") / "90_demo.ipynb"


def render(root: Path) -> None:
    """Pretend that the notebooks were executed."""
    for solutions in (False, True):
        nb = built(root, solutions=solutions)
        for number, cell in enumerate(outputs.code_cells(nb), start=1):
            cell.execution_count = number
            if cell.source.startswith("plot"):
                figure = nbformat.v4.new_output("display_data", {"image/png": "aGk="})
                cell.outputs = [figure]
        outputs.describe_figures(nb)
        code = outputs.code_hash(nb)
        utils = outputs.utils_hash(nb, root, "90")
        nb.metadata.course = {"code": code, "utils": utils}
        outputs.write(nb, page(root, solutions=solutions))


def complaints(root: Path, capsys, status: int = 1) -> str:
    capsys.readouterr()
    assert build.main(["--check"], root) == status
    return capsys.readouterr().out


def find(nb, text: str):
    """The one cell that holds a text."""
    (cell,) = [cell for cell in nb.cells if text in cell.source]
    return cell


def test_build_is_valid_and_repeats_byte_by_byte(root, capsys):
    nbformat.validate(built(root))
    first = [page(root, solutions=s).read_bytes() for s in (False, True)]
    assert build.main([], root) == 0
    assert first == [page(root, solutions=s).read_bytes() for s in (False, True)]
    assert b"\r" not in first[0]
    assert first[0].endswith(b"}\n")
    assert not list(root.rglob("*.part"))
    assert capsys.readouterr().out.count("unchanged") == 2


def test_markers_become_metadata(root):
    nb = built(root)
    assert find(nb, "# A demo").metadata.slideshow.slide_type == "slide"
    assert find(nb, "Size().double").metadata.tags == ["nbval-check-output"]
    assert find(nb, "class Size").metadata.slideshow.slide_type == "subslide"
    assert find(nb, 'check("90.1"').metadata.slideshow.slide_type == "skip"
    figure = find(nb, "plot(")
    assert figure.metadata.alt == "A line that rises from 0 to 1."
    assert figure.metadata.jupyter.source_hidden
    assert figure.metadata.cellView == "form"  # what Colab folds
    assert figure.source == "plot([0, 1]);"


def test_mirrored_cell_holds_the_module_s_code(root):
    cell = find(built(root), "class Size")
    start = MODULE.index("@dataclass(")
    expected = MODULE[start : MODULE.index("\n\n\ndef area")]
    header = "# same code as utils/demo.py\nfrom dataclasses import dataclass\n\n\n"
    assert cell.source == header + expected


def test_several_names_methods_and_constants_are_mirrored(root):
    change(root, '"utils.demo:Size"', '"utils.demo:WIDTHS utils.demo:Size.double"')
    source = find(built(root), "same code").source
    assert "import dataclass\n\nWIDTHS = (4, 8)  # channels\n\n\ndef double" in source
    assert source.endswith("\n    return 2 * self.width")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("utils.demo:Size", "utils.demo:Nothing", "defines no 'Nothing'"),
        ("utils.demo:Size", "utils.other:Size", "should be 'utils.module:Name'"),
        ("import dataclass\n", "import dataclass\nx = 1\n", "imports only"),
        ("check=True", "chekc=True", "'chekc' in its marker is unknown"),
        ("    return steps + 1", "    return steps + 1\nsize(3, 1)", "end solution"),
        ("number = 32 - 5", "def f(): pass", "leave its first line outside"),
    ],
)
def test_mistakes_in_a_source_name_the_cell(root, capsys, old, new, message):
    change(root, old, new)
    assert build.main([], root) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "90_demo.py, cell " in error
    assert not page(root).exists()


@pytest.mark.parametrize(("source", "expected"), STUBS)
def test_stub(source, expected):
    assert percent.unsolved(source) == expected
    without = [x for x in source.split("\n") if "solution" not in x]
    assert percent.solved(source) == "\n".join(without)


def test_student_gets_stubs_and_solutions_the_code(root):
    student, full = built(root), built(root, solutions=True)
    assert find(student, "number = ...").source == "number = ...  # your code here"
    assert find(full, "32 - 5").source == "number = 32 - 5\nnumber = number + 1"
    stub = "    steps = ...\n    return ...  # your code here"
    assert stub in find(student, "def size").source
    assert "# solution" not in find(full, "def size").source
    assert student.cells[-1].source.startswith("*Your answer:*")
    assert full.cells[-1].source.startswith("Because the kernel")
    assert "(extra.md)" in find(student, "A demo").source
    assert "(../extra.md)" in find(full, "A demo").source


def test_ids_are_shared_and_survive_insertions(root):
    before = [cell.id for cell in built(root).cells]
    assert before == [cell.id for cell in built(root, solutions=True).cells]
    assert len(set(before)) == len(before)
    extra = "# %%\nnew = 1\n\n# %% [markdown] slide="
    change(root, '# %% [markdown] slide="slide"\n# ## E', f'{extra}"slide"\n# ## E')
    after = [cell.id for cell in built(root).cells]
    assert len(after) == len(before) + 1
    assert [one for one in after if one in before] == before


def test_outputs_stay_with_unchanged_code_only(root, capsys):
    render(root)
    change(root, "# ## Build", "# ## Build it")
    change(root, "from 0 to 1.", "from zero.")
    (figure,) = find(built(root), "plot").outputs
    assert figure.metadata["image/png"].alt == "A line that rises from zero."
    assert "dropped" not in capsys.readouterr().out
    change(root, "plot([0, 1])", "plot([0, 2])")
    assert find(built(root), "plot").outputs == []
    assert "its code changed: plot([0, 1]);" in capsys.readouterr().out
    assert "code changed since its outputs" in complaints(root, capsys)


def test_outputs_are_carried_over_where_only_names_moved(root, capsys):
    render(root)
    before = built(root)
    change(root, "import torch", "import torch, math")
    change(root, "plot([0, 1])", "plot.line([0, 1])")
    change(root, "# # A demo", "# # The demo")
    assert build.main(["--carry-over", "plot has moved"], root) == 0
    out = capsys.readouterr().out
    assert "kept, though its code changed: plot.line([0, 1]);" in out
    assert "dropped" not in out
    nb = nbformat.read(page(root), as_version=4)
    assert find(nb, "plot.line").outputs == find(before, "plot(").outputs
    assert nb.metadata.course.carried.reason == "plot has moved"
    assert nb.metadata.course.carried.date == build.today()
    assert built(root) == nb
    complaints(root, capsys, status=0)


def test_clean_course_passes_the_check(root, capsys):
    render(root)
    assert "1 lectures: nothing to complain" in complaints(root, capsys, status=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('slide="slide"\n# ## Build', "\n# ## Build", "## heading without slide"),
        ('slide="slide"\n# ## Build', 'slide="page"\n# ## Build', "'page' is none of"),
        ("# ## Build", "# # Build", "2 headings of level 1"),
        ("# ## Build", "# ## Build\n# ![](extra.md)", "image without alt"),
        ("# ## Build", "# ## Build\n# [x](gone.md)", "link to gone.md"),
        ("# ## Build", "# ## Build a GoogleNet", "'GoogleNet' is misspelt"),
        ("# ## Build", "# ## Build\n# It is Simply so.", "'Simply'"),
        ("# ## Build", "# ## Build\n# As we can\n# see, so.", "'As we can see'"),
        ("import torch", "import torch\n" + "x = 1\n" * 27, "28 lines of code"),
        ("import torch", "x = " + "1 + " * 30 + "1", "code of 125 columns"),
        ('check("90.1", number)', "number", "90.1 is checked 0 times"),
        ('check("90.1", number)', 'check("90.7", 1)', 'check("90.7", ...): teaching'),
        ('check("90.1", number)', 'check("90.2", 1)', "90.2 is checked 2 times"),
        ("# solution\nnumber", "# Solution:\nnumber", "hides nothing"),
        ("# %% setup\n", "", "no set-up cell"),
        ("import torch", "number = 32 - 5\nnumber = number + 1", "a solution shows"),
        ("# alt: A line that rises\n# alt: from 0 to 1.\n", "", "without alt text"),
    ],
)
def test_check_finds(root, capsys, old, new, message):
    change(root, old, new)
    render(root)
    assert message in complaints(root, capsys)


def test_check_finds_drift(root, capsys):
    render(root)
    (root / "utils/demo.py").write_text(MODULE.replace("width: int = 3", "width = 4"))
    found = complaints(root, capsys)
    assert "cell 5 drifted from utils.demo:Size: run tools.build" in found


def test_old_utils_are_listed_without_failing(root, capsys):
    change(root, "import torch", "import torch\n\nfrom teaching import first")
    other, first = root / "utils/other.py", root / "teaching/first.py"
    first.write_text("from utils.second import x\n")
    (root / "utils/second.py").write_text("x = 1\n")
    render(root)
    other.write_text("x = 1\n")  # which the notebook does not use
    assert "Rendered before" not in complaints(root, capsys, status=0)
    (root / "utils/second.py").write_text("x = 2\n")
    found = complaints(root, capsys, status=0)
    assert "Rendered before a change of the utils they use: notebooks/90_demo" in found


def test_check_finds_edits_missing_stamps_and_orphans(root, capsys):
    render(root)
    nb = nbformat.read(page(root), 4)
    find(nb, "import torch").source = "import torchvision"
    del nb.metadata["course"]
    outputs.write(nb, page(root))
    page(root, solutions=True).unlink()
    (root / "notebooks/91_gone.ipynb").write_text("{}")
    found = complaints(root, capsys)
    assert "notebooks/90_demo.ipynb: cell 3 differs from its source" in found
    assert "notebooks/90_demo.ipynb: no stamp" in found
    assert "notebooks/solutions/90_demo.ipynb: missing" in found
    assert "notebooks/91_gone.ipynb: no source builds it" in found


OUTPUTS = [  # kind and content of an output, and what is said of it
    ("stream", {"name": "stderr", "text": "a\nWarning: b\n"}, "stderr: Warning: b"),
    ("stream", {"text": "x" * 1_600_000}, "1.6 MB, over 1.5 MB"),
    ("error", {"ename": "NameError"}, "cell 3: failed with NameError"),
    ("execute_result", {"data": {"text/plain": "[<Line2D at 0>]"}}, "stray output"),
    ("display_data", {"data": {"text/html": '<img src="x">'}}, "HTML without alt"),
]


def test_check_finds_bad_outputs(root, capsys):
    render(root)
    for kind, content, message in OUTPUTS:
        nb = nbformat.read(page(root), 4)
        find(nb, "import torch").outputs = [nbformat.v4.new_output(kind, **content)]
        outputs.write(nb, page(root))
        assert message in complaints(root, capsys)


def test_broken_notebook_is_not_overwritten(root, capsys):
    built(root)
    page(root).write_text("<<<<<<< HEAD")
    assert build.main([], root) == 2
    assert "cannot be read as a notebook" in capsys.readouterr().err
    assert page(root).read_text() == "<<<<<<< HEAD"
    assert build.main(["77"], root) == 2
    assert "no lecture '77'; there are: 90_demo" in capsys.readouterr().err
