"""Every exercise: its solution passes, a blank is no answer, mistakes get their hint.

A lecture's test file brings the tables: `SOLUTIONS`, exercise -> answer; `ACCEPTED`,
(exercise, another right answer); `STUBS`, (exercise, what nobody has filled in); and
`MISTAKES`, (exercise, answer, pattern in the second hint). A lambda without arguments
makes its answer anew for each try. No exercise comes without a solution and two
mistakes, and no lecture without the kinds of exercises that a reader is promised.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from teaching.check import exercises

FILES = sorted(Path(__file__).parent.glob("test_lecture_*.py"))
LECTURES = {path.stem[-2:]: importlib.import_module(path.stem) for path in FILES}


def table(name):
    """All lectures' cases, named by the exercise and the hint that is wanted."""
    rows = [row for lecture in LECTURES.values() for row in getattr(lecture, name, [])]
    hints = [re.sub(r"\W+", " ", "-".join([row[0], *row[2:]])) for row in rows]
    return [pytest.param(*row, id=hint) for row, hint in zip(rows, hints, strict=True)]


SOLVED = {k: v for lecture in LECTURES.values() for k, v in lecture.SOLUTIONS.items()}
MISTAKES = table("MISTAKES")
SOURCES = Path(__file__).parent.parent / "notebooks" / "source"
KINDS = ("Predict", "Write", "Modify", "Explain", "Repair", "Investigate")
NAMES = [name for lecture in LECTURES for name in exercises(lecture)]


def made(answer):
    """The answer, or what a lambda without arguments makes."""
    is_lambda = getattr(answer, "__name__", "") == "<lambda>"
    if is_lambda and not inspect.signature(answer).parameters:
        return answer()
    return answer


@pytest.mark.parametrize(("name", "answer"), [*SOLVED.items(), *table("ACCEPTED")])
def test_solution_is_right(check, name, answer, capsys):
    check(name, made(answer))
    assert check.results[name] == "right", capsys.readouterr().out


BLANKS = [(name, ...) for name in NAMES]


@pytest.mark.parametrize(("name", "answer"), [*BLANKS, *table("STUBS")])
def test_blank_is_unanswered(check, name, answer):
    check(name, made(answer))
    assert check.results[name] == "unanswered"


@pytest.mark.parametrize(("name", "answer", "hint"), MISTAKES)
def test_mistake_gets_its_hint(check, name, answer, hint, capsys):
    check(name, made(answer))
    assert check.results[name] == "wrong"
    capsys.readouterr()
    check(name, made(answer))  # the second try adds the stronger hint
    assert re.search(hint, " ".join(capsys.readouterr().out.split()))


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_solution_and_two_mistakes_tested(name):
    assert name in SOLVED
    hints = {case.values[2] for case in MISTAKES if case.values[0] == name}
    assert len(hints) >= 2, f"{name}: test two wrong answers, each with its own hint"
    assert all(hints), f"{name}: a mistake without the hint that it should get"


@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.py")), ids=lambda p: p.stem)
def test_a_lecture_asks_in_every_way(source):
    text = source.read_text(encoding="utf-8")
    headings = re.findall(r"^# ### (\d\d\.\d+) (\w+)(:?) ", text, re.M)
    assert [name for name, _, _ in headings] == exercises(source.name[:2])
    for name, kind, colon in headings:
        assert (kind in KINDS, colon) == (True, ":"), f"{name}: begin with a kind"
    assert len(headings) >= 4
    kinds = {kind for _, kind, _ in headings}
    assert {"Predict", "Investigate"} <= kinds
    assert kinds & {"Modify", "Repair"}  # of a network that works, or does not
    assert "Explain" in kinds or "**Explain" in text
