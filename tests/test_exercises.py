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
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from teaching.check import Checker, exercises
from tools import answers

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


COUNTS = re.compile(r" \(try \d+\)$", re.M)
PAGE = Path(__file__).parent.parent / "site" / "theme" / "static" / "predict.js"
ASK = f"""require({json.dumps(str(PAGE))});
for (const [table, texts] of JSON.parse(require("fs").readFileSync(0, "utf8"))) {{
  const told = [0, 1, 2].map(n => Object.values(judge(table, texts, n)).join(" "));
  console.log(JSON.stringify(told));
}}"""


def wrong_and_right(name, one):
    """Tested answers, every slip that the check knows, and strange numbers."""
    right = answers.leaves(SOLVED[name])
    tested = (answers.leaves(c.values[1]) for c in MISTAKES if c.values[0] == name)
    yield from [right, *(a for a in tested if len(a) == len(right)), ["", *right[1:]]]
    for i, part in enumerate(one.parts):
        slips = [x for x, *_ in part.get("known", ())] + [12345.678, -1e12, 2e-7, "x"]
        for x in part.get("wrong", slips):
            yield [*right[:i], x, *right[i + 1 :]]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.py")), ids=lambda p: p.stem)
def test_a_page_says_what_the_notebook_says(source, capsys):
    found = answers.predictions(SOURCES.parent / f"solutions/{source.stem}.ipynb")
    asked, expected = [], []
    for name, one in found.items():
        for leaves in wrong_and_right(name, one):
            check, rest = Checker(), iter(leaves)
            shape = SOLVED[name] if isinstance(SOLVED[name], tuple) else [SOLVED[name]]
            answer = [
                tuple(next(rest) for _ in x) if isinstance(x, tuple) else next(rest)
                for x in shape
            ]
            for _ in range(3):
                check(name, answer if len(answer) > 1 else answer[0])
            said = COUNTS.sub("", capsys.readouterr().out)
            expected.append(
                re.sub(r"^(.) \d\d.\d+", r"\1", said, flags=re.M).splitlines()
            )
            asked.append([one.table, [str(leaf) for leaf in leaves]])
    done = subprocess.run(
        ["node", "-e", ASK],
        input=json.dumps(asked),
        text=True,
        capture_output=True,
        check=True,
    )
    assert asked
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
