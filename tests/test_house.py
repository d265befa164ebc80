"""The house stands as it was drawn: which way arrows point, sizes, what lies where."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from utils import models
from utils.course import ROOT
from utils.data import Loader
from utils.train import fit

# Which rooms a room's files may import, beside their own.
ARROWS = {
    "utils": set(),
    "teaching": {"utils"},
    "experiments": {"utils"},
    "benchmarks": {"utils", "experiments"},
    "tools": {"utils", "teaching", "experiments", "benchmarks"},
}
NETWORKS = {name: file for name, (file, *_) in models.TABLE.items()} | models.ALSO
FILES = [path for room in ARROWS for path in sorted((ROOT / room).rglob("*.py"))]
LECTURES = sorted((ROOT / "notebooks" / "source").glob("[0-9][0-9]_*.py"))

# What does not hold yet: strike off what you mend, the tests fail until you do.
CIRCLES: set[str] = set()
UPWARD: set[str] = set()
OVER: set[str] = set()


def file_of(name: str) -> Path | None:
    """The course's file of a module, or of the module that has this name in it."""
    package, _, last = name.rpartition(".")
    if package == "utils.models":  # which reads a file when a name in it is asked for
        name = f"{package}.{NETWORKS.get(last, last)}"
    place = ROOT.joinpath(*name.split("."))
    for path in (place, place.parent):
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if name.split(".")[0] in ARROWS and file.is_file():
                return file
    return None


@cache
def imported(path: Path) -> set[Path]:
    """The course's files that a file names in an import, anywhere in its code."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # `from utils import data` names a file, `from utils.data import load` not.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {file for name in names if (file := file_of(name))} - {path}


@cache
def reached(path: Path) -> set[Path]:
    """All files that one leads to, itself only if they lead back to it."""
    found: set[Path] = set()
    todo = {path}
    while todo:
        found |= (new := imported(todo.pop()) - found)
        todo |= new
    return found


def loaded(path: Path) -> set[Path]:
    """The files of utils that Python reads for one's imports, and `__init__.py`'s.

    For a lecture also those of its checks. A network that is built by its name, as
    `build("vgg16")` does, is read when a cell does so, and not counted.
    """
    found: set[Path] = set()
    todo = {path}
    if path in LECTURES:
        todo.add(ROOT / "teaching" / "checks" / f"lecture_{path.stem[:2]}.py")
    while todo:
        file = todo.pop()
        found.add(file)
        package = file.parent / "__init__.py"
        todo |= (reached(file) | ({package} if package.is_file() else set())) - found
    return {file for file in found if ROOT / "utils" in file.parents}


def lines(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def arrow(start: Path, end: Path) -> str:
    return " -> ".join(path.relative_to(ROOT).as_posix() for path in (start, end))


def test_no_two_files_import_each_other():
    edges = {(a, b) for a in FILES for b in imported(a) if a in reached(b)}
    assert {arrow(*edge) for edge in edges} == CIRCLES


def test_no_arrow_points_upward():
    edges = {(a, b) for a in FILES for b in imported(a) if room(a) != room(b)}
    upward = {arrow(a, b) for a, b in edges if room(b) not in ARROWS[room(a)]}
    assert upward == UPWARD


def test_nothing_has_outgrown_its_size():
    utils = [path for path in FILES if room(path) == "utils"]
    sizes = {
        "utils": (lines(utils), 4800),
        "models": (lines((ROOT / "utils" / "models").glob("*.py")), 1500),
        "tests": (lines((ROOT / "tests").rglob("*.py")), 14_500),
        "training": (lines(loaded(ROOT / "utils" / "train.py")), 1000),
        "parameters of fit": (len(inspect.signature(fit).parameters), 14),
        "parameters of Loader": (len(inspect.signature(Loader).parameters), 7),
    }
    sizes |= {path.relative_to(ROOT).as_posix(): (lines([path]), 480) for path in utils}
    sizes |= {path.stem: (lines(loaded(path)), 4500) for path in LECTURES}
    over = {name: size for name, (size, most) in sizes.items() if size > most}
    assert over.keys() == OVER, over


def test_a_students_sidebar_shows_notebooks_alone():
    there = {path.name for path in (ROOT / "notebooks").glob("[!._]*")}
    lectures = {f"{path.stem}.ipynb" for path in LECTURES}
    assert there == lectures | {"solutions", "source"}
    assert {path.name for path in (ROOT / "notebooks" / "source").glob("[!._]*")} == {
        path.name for path in LECTURES
    }
