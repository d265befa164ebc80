"""A notebook's first cell, in folders like those of its users, and its badges."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import build, colab, execute, lectures, outputs, publish, release
from tools.outputs import SourceError
from utils.course import ROOT

LINE = re.compile(r"Course in cnn-course · Python 3\S+ · torch \d")
ADDRESS, PAGE = "https://github.com/someone/course", "notebooks/04_vgg.ipynb"


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> str:
    """The address of a bare repository that holds the course's code."""
    clone = tmp_path_factory.mktemp("course")
    for name in ("utils", "teaching", "tools"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, ignore=leave)
    shutil.copy(ROOT / "requirements.txt", clone)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", clone]
    bare = tmp_path_factory.mktemp("published") / "my course.git"
    for words in ("init -q -b main", "add .", "commit -q -m all", "clone -q --bare ."):
        more = [bare] if "bare" in words else []
        subprocess.run([*git, *words.split(), *more], check=True)
    return bare.as_uri()


def run_cell(folder: Path, code: str, then: str = "", **variables: str) -> str:
    """Run code as a notebook in `folder` does; what it printed, errors included."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cell.py").write_text(f"{code}\n{then}", encoding="utf-8")
    env = os.environ | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"} | variables
    env.pop("PYTHONPATH", None)
    some = {"capture_output": True, "text": True, "encoding": "utf-8"}
    done = subprocess.run([sys.executable, "cell.py"], cwd=folder, env=env, **some)
    return done.stdout + done.stderr


def test_the_cell_is_short_and_folded():
    assert len(colab.SETUP.splitlines()) <= 8
    assert colab.SETUP.startswith("# @title ")
    cell = build.percent.Cell("code", "", {"setup": True}, "id")
    folded = build.metadata(cell)
    assert (folded["cellView"], folded["jupyter"]) == ("form", {"source_hidden": True})


def test_in_a_clone_it_shows_nothing_and_sets_the_path(tmp_path):
    for name in ("utils", "tools"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "tools/colab.py", tmp_path / "tools")
    (tmp_path / "utils/__init__.py").touch()
    (tmp_path / "utils/course.py").write_text("print('the course of this clone')")
    folder = tmp_path / "notebooks/solutions"
    folder.mkdir(parents=True)
    (folder / "utils.py").write_text("print('not the course')")
    shown = run_cell(folder, colab.setup(""), "import utils.course")
    assert shown == "the course of this clone\n"


def test_a_lecture_runs_in_an_empty_folder(origin, tmp_path):
    made = colab.put(tmp_path, origin)
    names = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert [path.name for path in made] == names
    folder = made[0].parent
    nb = nbformat.read(made[0], 4)
    nb.cells = nb.cells[: 1 + next(i for i, c in enumerate(nb.cells) if ours(c))]
    nb.cells.append(nbformat.v4.new_code_cell("from utils import course"))
    assert asyncio.run(execute.execute(nb, folder, dict(os.environ), 300)) == ""
    [cell] = [cell for cell in outputs.code_cells(nb) if outputs.is_setup(cell)]
    assert LINE.match(cell.outputs[0].text)
    assert len(cell.outputs[0].text.splitlines()) == 1
    assert (folder / "cnn-course/.git/shallow").is_file()
    assert sorted(path.name for path in folder.iterdir()) == [names[0], "cnn-course"]


def ours(cell) -> bool:
    return "course-setup" in cell.metadata.get("tags", [])


def test_it_comes_first_and_a_second_run_does_no_harm(origin, tmp_path):
    (tmp_path / "utils.py").write_text("raise SystemExit('not the course')")
    cell, where = colab.setup(origin), "import utils; print(utils.__path__[0])"
    shown = run_cell(tmp_path, f"{cell}\n{cell}", where)
    assert len(LINE.findall(shown)) == 2
    assert Path(shown.splitlines()[-1]).samefile(tmp_path / "cnn-course" / "utils")


@pytest.mark.parametrize("why", ["no such repository", "no git", "not published"])
def test_a_failed_fetch_leaves_nothing_and_says_what_to_do(origin, tmp_path, why):
    gone = {"no such repository": (tmp_path / "gone").as_uri(), "not published": ""}
    path = {"PATH": str(tmp_path)} if why == "no git" else {}
    shown = run_cell(tmp_path / "a", colab.setup(gone.get(why, origin)), **path)
    what = "put cnn-course.zip beside" if why == "not published" else "are there git"
    assert f"RuntimeError: No course: {what}" in shown
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["cell.py"]


def test_a_course_published_nowhere_is_unpacked_from_the_websites_archive(tmp_path):
    release.pack(tmp_path / release.ARCHIVE, answers=True)
    shown = run_cell(tmp_path, colab.setup(""), "from utils import course")
    assert LINE.match(shown)
    assert len(shown.splitlines()) == 1


def test_what_is_no_address_is_refused():
    ours = "https://github.com/a"
    for text in ("", "git@github.com:a/b.git", ours, f"{ours}/b/tree/main"):
        with pytest.raises(SourceError, match="is no address of a repository: give"):
            publish.address(text)


def test_an_address_is_written_everywhere_or_nowhere(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "CITATION.cff", *lectures.PAGES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    there = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SourceError, match="nothing is changed"):  # there are no tools
        publish.publish(ADDRESS, tmp_path)
    assert {path: path.read_bytes() for path in there} == there
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(publish.subprocess, "run", lambda *a, **k: done)
    publish.publish(publish.address(f"{ADDRESS}.git/"), tmp_path)
    assert colab.repository(tmp_path) == ADDRESS
    assert f'repository-code: "{ADDRESS}"' in (tmp_path / "CITATION.cff").read_text()
    assert "someone.github.io/course/" in publish.told(ADDRESS)


FOREIGN = {  # what a student's folder holds -> what was imported before
    "utils.py": "import utils",
    "utils/helpers.py": "import utils.helpers",  # a package without __init__.py
    "tools/plots.py": "from tools import plots",
}


@pytest.mark.parametrize(("name", "before"), FOREIGN.items())
def test_another_module_of_that_name_is_named(tmp_path, name, before):
    """Without this, `from utils import course` fails without a word of the reason."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x = 1\n")
    settle = f"import runpy; runpy.run_path({str(ROOT / 'tools/colab.py')!r})['settle']"
    shown = run_cell(tmp_path, before, f"{settle}()")
    assert re.search(r"ImportError: Another `\w+` was imported .*: restart the", shown)
    assert str(tmp_path / name.partition("/")[0]) in shown


def test_only_what_is_missing_is_installed_and_torch_stays(monkeypatch):
    there, calls = colab.version, []
    assert colab.missing(ROOT) == []
    lacks = {"pooch", "pillow"}
    monkeypatch.setattr(colab, "version", lambda n: "" if n in lacks else there(n))

    def pip(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, len(calls) - 1, "", "No match\n")

    monkeypatch.setattr(colab.subprocess, "run", pip)
    colab.install([])
    assert calls == []
    lines = colab.missing(ROOT)
    assert [re.split(r"\W", line)[0] for line in lines] == ["pillow", "pooch"]
    colab.install(lines)
    kept = [f"{name}=={there(name)}" for name in colab.KEPT]
    assert calls[0][calls[0].index("--quiet") + 1 :] == [*lines, *kept]
    with pytest.raises(RuntimeError, match=r"(?s)could not install pillow.*No match"):
        colab.install(lines)


def test_a_machine_without_torch_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(colab, "version", lambda name: "")
    assert len(colab.missing(ROOT)) == len(colab.NEEDED)  # each with its range
    monkeypatch.setattr(colab.Path, "cwd", lambda: tmp_path)
    monkeypatch.setattr(colab, "refuse_others", lambda root: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ModuleNotFoundError, match="%pip install torch torchvision"):
        colab.settle(tmp_path / "cnn-course")


def links(path, address=ADDRESS):
    return {name: link for name, (link, _) in colab.badges(address, path).items()}


def test_each_service_is_led_to_branch_path_and_notebook():
    assert links(PAGE) == {
        "Colab": "https://colab.research.google.com/github/someone/course/blob/main/"
        "notebooks/04_vgg.ipynb",
        "Kaggle": "https://www.kaggle.com/kernels/welcome?src="
        "https://github.com/someone/course/blob/main/notebooks/04_vgg.ipynb",
        "Binder": "https://mybinder.org/v2/gh/someone/course/main"
        "?labpath=notebooks%2F04_vgg.ipynb",
    }
    assert links(PAGE, f"{ADDRESS}.git") == links(PAGE, f"{ADDRESS}/") == links(PAGE)


@pytest.mark.parametrize(
    ("address", "count"), [(ADDRESS, 3), ("", 0), ("https://example.org/a/b", 0)]
)
def test_the_one_setting_puts_badges_into_notebooks_alone(tmp_path, address, count):
    source = tmp_path / "notebooks/source/04_vgg.py"
    source.parent.mkdir(parents=True)
    source.write_text('# %% [markdown] slide="slide"\n# # VGG\n\n# %% setup\n')
    text = f'[tool.course]\n# where\nrepository = "{address}"\n[tool.ruff]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    for solutions, folder in ((True, "notebooks/solutions"), (False, "notebooks")):
        nb = build.notebook(source, solutions=solutions, root=tmp_path)
        assert nb.cells[1].source.count("[![Open in ") == count
        for link in links(f"{folder}/04_vgg.ipynb", address).values():
            assert f"({link})" in nb.cells[1].source
