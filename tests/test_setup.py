"""The cell that finds the course, or fetches it, in folders like those of its users."""

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

import build
from authoring import execute, outputs
from authoring.setup import setup
from utils import fetched
from utils.course import ROOT

LECTURE = "00_foundations"
LINE = re.compile(r"Course [0-9a-f]{7,} of \d{4}-\d\d-\d\d · Python 3\S+ · torch \d")


def git(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """The course's code, published in a bare repository."""
    clone = tmp_path_factory.mktemp("course")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "utils", clone / "utils", ignore=leave)
    shutil.copy(ROOT / "requirements.txt", clone)
    git(clone, "init", "-q", "-b", "main")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "all")
    bare = tmp_path_factory.mktemp("published") / "my course.git"
    git(clone, "clone", "-q", "--bare", ".", str(bare))
    return bare


def run_cell(folder: Path, code: str, then: str = "", path: str | None = None):
    """Run code as a notebook in `folder` does; what it printed, errors included."""
    (folder / "cell.py").write_text(f"{code}\n{then}", encoding="utf-8")
    env = os.environ | {"PYTHONUTF8": "1", "PATH": path or os.environ["PATH"]}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "cell.py"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.stdout + done.stderr


def test_in_a_clone_it_shows_nothing_and_sets_the_path(tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/__init__.py").write_text("")
    (tmp_path / "utils/course.py").write_text("print('the course of this clone')")
    folder = tmp_path / "notebooks/solutions"
    folder.mkdir(parents=True)
    (folder / "utils.py").write_text("print('not the course')")
    shown = run_cell(folder, setup("file:///nowhere"), "import utils.course")
    assert shown == "the course of this clone\n"


def test_a_lecture_runs_in_an_empty_folder(origin, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(ROOT / "notebooks/source", course / "notebooks/source")
    shutil.copytree(ROOT / "utils", course / "utils")
    setting = f'[tool.course]\nrepository = "{origin.as_uri()}"\n'
    (course / "pyproject.toml").write_text(setting)
    source = course / f"notebooks/source/{LECTURE}.py"
    nb = build.notebook(source, solutions=False, root=course)
    alone = tmp_path / "alone"
    outputs.write(nb, alone / f"{LECTURE}.ipynb")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env |= {"CNN_COURSE_SCALE": "tiny"}
    nb = nbformat.read(alone / f"{LECTURE}.ipynb", 4)
    assert asyncio.run(execute.execute(nb, alone, env, 120)) == ""
    [cell] = [cell for cell in outputs.code_cells(nb) if outputs.is_setup(cell)]
    assert LINE.match(cell.outputs[0].text)
    assert len(cell.outputs[0].text.splitlines()) == 1
    assert (alone / "cnn-course/.git/shallow").is_file()
    assert sorted(p.name for p in alone.iterdir()) == [f"{LECTURE}.ipynb", "cnn-course"]


def test_it_comes_first_and_a_second_run_does_no_harm(origin, tmp_path):
    (tmp_path / "utils.py").write_text("raise SystemExit('not the course')")
    cell = setup(origin.as_uri())
    where = "import utils; print(Path(utils.__file__).parent)"
    once = run_cell(tmp_path, cell, where)
    assert LINE.match(once)
    assert Path(once.splitlines()[-1]).samefile(tmp_path / "cnn-course/utils")
    head = tmp_path / "cnn-course/.git/HEAD"
    before = head.stat().st_mtime_ns
    again = run_cell(tmp_path, f"{cell}\n{cell}", where)
    assert len(LINE.findall(again)) == 2
    assert again.splitlines()[-1] == once.splitlines()[-1]
    assert head.stat().st_mtime_ns == before


def test_a_course_that_has_changed_since_says_so(origin, tmp_path):
    moving, alone = tmp_path / "moving.git", tmp_path / "alone"
    git(tmp_path, "clone", "-q", "--bare", str(origin), str(moving))
    alone.mkdir()
    cell = setup(moving.as_uri())
    assert "has changed" not in run_cell(alone, cell)
    git(tmp_path, "clone", "-q", str(moving), "author")
    git(tmp_path / "author", "commit", "-q", "--allow-empty", "-m", "more")
    git(tmp_path / "author", "push", "-q", "origin", "main")
    shown = run_cell(alone, cell)
    assert f"to update, delete {alone / 'cnn-course'}, restart the kernel" in shown
    shutil.rmtree(moving)  # no network: nothing to compare with, and no complaint
    assert "has changed" not in run_cell(alone, cell)


def test_a_failed_fetch_leaves_nothing_and_says_what_to_do(tmp_path):
    (tmp_path / "cnn-course.part").mkdir()  # of a kernel that was killed
    (tmp_path / "cnn-course.part/half").write_text("")
    shown = run_cell(tmp_path, setup((tmp_path / "gone.git").as_uri()))
    assert "git could not fetch it: fatal:" in shown
    assert "open this notebook in a clone of the course" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["cell.py"]


def test_without_git_it_says_so(origin, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    shown = run_cell(tmp_path, setup(origin.as_uri()), path=str(empty))
    assert re.search(r"git could not fetch it: .*git.*Is there .* git\?", shown, re.S)
    assert not (tmp_path / "cnn-course").exists()


def test_nothing_is_installed_where_all_is_there(monkeypatch):
    assert fetched.missing(ROOT) == []
    monkeypatch.setattr(fetched.subprocess, "run", None)  # pip would need it
    fetched.install([])


def test_only_what_is_missing_is_installed_and_torch_stays(monkeypatch):
    there = fetched.version
    lacks = {"pooch", "pillow"}
    monkeypatch.setattr(fetched, "version", lambda n: "" if n in lacks else there(n))
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetched.subprocess, "run", run)
    lines = fetched.missing(ROOT)
    assert [re.split(r"\W", line)[0] for line in lines] == ["pillow", "pooch"]
    fetched.install(lines)
    [pip] = calls
    kept = {name: f"{name}=={there(name)}" for name in fetched.KEPT}
    assert pip[pip.index("--quiet") + 1 :] == [*lines, *kept.values()]


def test_a_machine_without_torch_is_told(monkeypatch):
    monkeypatch.setattr(fetched, "version", lambda name: "")
    with pytest.raises(ModuleNotFoundError, match="%pip install torch torchvision"):
        fetched.settle(ROOT)


def test_pip_s_own_words_are_shown(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "No matching distribution\n")
    monkeypatch.setattr(fetched.subprocess, "run", lambda *a, **b: failed)
    with pytest.raises(RuntimeError, match=r"(?s)could not install pooch>=1.*No match"):
        fetched.install(["pooch>=1"])


def test_every_package_that_may_be_installed_has_its_range(monkeypatch):
    monkeypatch.setattr(fetched, "version", lambda name: "")
    assert len(fetched.missing(ROOT)) == len(fetched.NEEDED)
