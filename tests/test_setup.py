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

from tools import alone
from tools import execute, outputs
from tools.setup import setup
from tools import colab
from utils.course import ROOT

LECTURE = "00_foundations"
LECTURES = (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")
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
    made = alone.put(tmp_path, origin.as_uri())
    assert [path.stem for path in made] == sorted(p.stem for p in LECTURES)
    folder = tmp_path / LECTURE
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env |= {"CNN_COURSE_SCALE": "tiny"}
    nb = nbformat.read(folder / f"{LECTURE}.ipynb", 4)
    assert asyncio.run(execute.execute(nb, folder, env, 300)) == ""
    [cell] = [cell for cell in outputs.code_cells(nb) if outputs.is_setup(cell)]
    assert LINE.match(cell.outputs[0].text)
    assert len(cell.outputs[0].text.splitlines()) == 1
    assert (folder / "cnn-course/.git/shallow").is_file()
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{LECTURE}.ipynb", "cnn-course"]


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


def test_notebooks_that_fetch_it_at_once_do_not_disturb_each_other(origin, tmp_path):
    (tmp_path / "cell.py").write_text(setup(origin.as_uri()), encoding="utf-8")
    command = [sys.executable, "cell.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(2)]
    for process in both:
        shown, _ = process.communicate()
        assert process.returncode == 0, shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.py", "cnn-course"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_folder_s_name_is_no_command(origin, tmp_path):
    folder = tmp_path / 'my $(touch pwned) `touch pwned` "course"; touch pwned'
    folder.mkdir()
    assert LINE.match(run_cell(folder, setup(origin.as_uri())))
    assert sorted(path.name for path in folder.iterdir()) == ["cell.py", "cnn-course"]
    assert not list(tmp_path.rglob("pwned"))


def test_the_weekly_workflow_opens_the_notebooks_this_way():
    text = (ROOT / ".github/workflows/weekly.yml").read_text("utf-8")
    assert "notebooks/alone.py colab file://" in text
    assert 'repository = ""' in (ROOT / "pyproject.toml").read_text("utf-8"), (
        "the course has an address: the workflow need not give one any more"
    )


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
