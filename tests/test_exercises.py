"""Every exercise: its solution passes, a blank is no answer, mistakes get their hint.

A lecture's test file brings the tables: `SOLUTIONS`, exercise -> answer, and
`MISTAKES`, (exercise, answer, pattern in the second hint). A lambda without arguments
makes its answer anew for each try.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from utils.check import exercises

FILES = sorted(Path(__file__).parent.glob("test_lecture_*.py"))
LECTURES = {path.stem[-2:]: importlib.import_module(path.stem) for path in FILES}
SOLUTIONS = [
    pytest.param(name, answer, id=name)
    for lecture in LECTURES.values()
    for name, answer in getattr(lecture, "SOLUTIONS", {}).items()
]
MISTAKES = [
    pytest.param(*mistake, id=f"{mistake[0]}-{hint}")
    for lecture in LECTURES.values()
    for mistake in getattr(lecture, "MISTAKES", [])
    for hint in [re.sub(r"\W+", " ", mistake[2])]
]
NAMES = [name for lecture in LECTURES for name in exercises(lecture)]


def made(answer):
    """The answer, or what a lambda without arguments makes."""
    is_lambda = getattr(answer, "__name__", "") == "<lambda>"
    if is_lambda and not inspect.signature(answer).parameters:
        return answer()
    return answer


@pytest.mark.parametrize(("name", "answer"), SOLUTIONS)
def test_solution_is_right(check, name, answer, capsys):
    check(name, made(answer))
    assert check.results[name] == "right", capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_blank_is_unanswered(check, name):
    check(name, ...)
    assert check.results[name] == "unanswered"


@pytest.mark.parametrize(("name", "answer", "hint"), MISTAKES)
def test_mistake_gets_its_hint(check, name, answer, hint, capsys):
    check(name, made(answer))
    assert check.results[name] == "wrong"
    capsys.readouterr()
    check(name, made(answer))  # the second try adds the stronger hint
    assert re.search(hint, " ".join(capsys.readouterr().out.split()))
