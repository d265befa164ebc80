"""The self-checks: outcomes, hints, absurd answers, and every lecture's exercises."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbformat import v4
from torch import nn

from teaching import checks as kit
from teaching.check import Checker
from teaching.checks import (
    EXERCISES,
    Wrong,
    expect_choice,
    expect_function,
    expect_module,
    expect_number,
    expect_value,
)
from tools import class_report
from utils.course import CourseError

module = importlib.import_module("teaching.check")  # `teaching.check` is the function
ROOT = Path(__file__).resolve().parent.parent
LECTURES = sorted((ROOT / "teaching" / "checks").glob("lecture_*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def returns_nothing(*args):
    """A function whose body nobody has written yet."""


def stumbles(*args):
    size = ...
    return size + 1


def divides(*args):
    return 1 / 0


ABSURD = [
    *(3, -1.5, 10**400, 1j, True, float("nan"), float("inf"), "some text", "3"),
    *(object(), int, nn.Module, nn.Linear(2, 2), len, divides, lambda: 3, range(3)),
    *([1, "two", None], [[]], {"a": object()}),
    *(torch.zeros(0), torch.randn(3, 3, requires_grad=True)),
]
BLANK = [..., None, "", " ", [], (1, ...), [None, 2], {"a": ...}]


@pytest.fixture
def check(monkeypatch):
    """A checker with exercises of a lecture that does not exist."""
    monkeypatch.delenv("CNN_COURSE_STRICT", raising=False)
    monkeypatch.setattr(kit, "EXERCISES", dict(EXERCISES))
    monkeypatch.setattr(module, "EXERCISES", kit.EXERCISES)

    @kit.exercise("98.1")
    def number(answer):
        wrong = {27: "Count the first position too."}
        expect_number(
            answer, 28, unit="pixels", misconceptions=wrong, hint="(n - k) + 1."
        )
        return "32 - 5 + 1 = 28"

    @kit.exercise("98.2")
    def function(answer):
        expect_function(answer, lambda n, k: n - k + 1, [(32, 5), (28, 3)], hint="+ 1.")

    @kit.exercise("98.10")
    def network(answer):
        expect_module(answer, (2, 1, 8, 8), (2, 4, 6, 6), parameters=40)

    return Checker()


@pytest.fixture
def noted(monkeypatch):
    """What a notebook would keep unseen."""
    notes = []
    monkeypatch.setattr(module, "_record", notes.append)
    return notes


def test_hint_then_stronger_hint(check, capsys, noted):
    for _ in range(3):
        check("98.1", 27)
    lines = capsys.readouterr().out.splitlines()
    code = kit.code_of("Count the first position too.")
    told = "✗ 98.1 27 pixels: Count the first position too."
    assert lines[0] == told
    assert lines[1] == f"{told} (n - k) + 1. (try 2)"
    assert lines[2] == f"{told} (n - k) + 1. (try 3)"
    assert noted == [f"98.1 hints {code}"] * 3


def test_a_tick_says_which_try_it_was(check, capsys, noted):
    texts = "1,234.5e-06 pixels is too small.", "Count the first position too."
    codes = " ".join(map(kit.code_of, texts))
    for answer in (27, 9, 27, ..., 28, 28):
        check("98.1", answer)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "○ 98.1 not answered yet"
    assert lines[4] == "✓ 98.1 32 - 5 + 1 = 28 (try 4)"
    assert lines[5] == lines[4]
    assert noted[-1] == f"98.1 hints {codes}"


def test_a_notebook_keeps_the_hints_unseen():
    """Written by a kernel, and read by the class report."""
    source = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    source += "from teaching import check\ncheck('07.1', (33_024, 0, 14))"
    nb = v4.new_notebook(cells=[v4.new_code_cell(source)])
    NotebookClient(nb, timeout=120).execute()
    line, note = nb.cells[0].outputs
    assert line.text.startswith("✗ 07.1 ")
    assert "hint" not in line.text
    assert class_report.RECORD.fullmatch(note.data["text/html"])[1] == "07.1"


Unwritten = type("Unwritten", (nn.Module,), {"forward": lambda self, images: None})


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        *((name, a, "○") for name in ("98.1", "98.2", "98.10") for a in BLANK),
        *((name, a, "[✗○]") for name in ("98.1", "98.2", "98.10") for a in ABSURD),
        *(("98.2", f, "○") for f in (returns_nothing, stumbles)),
        *(("98.10", net, "○") for net in (Unwritten, Unwritten())),
        ("98.2", divides, r"✗.*divides\(32, 5\) raised ZeroDivisionError"),
        ("98.2", lambda n, k: n - k, "✗.*is 27, not 28"),
        ("98.2", lambda n, k: 1 + n - k, "✓"),
        ("98.10", nn.Conv2d(1, 5, 3), r"✗.*\(2, 5, 6, 6\), not \(2, 4, 6, 6\)\."),
        ("98.10", nn.Conv2d(1, 4, 3, bias=False), "✗.*It has 36 parameters, 4 too few"),
        (
            "98.10",
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
            "✗.*8 too many",
        ),
        ("98.10", nn.Conv2d(1, 4, 3), "✓"),
    ],
)
def test_an_answer_is_judged_in_one_line(check, capsys, name, answer, line):
    check(name, answer)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert re.match(line, out)


def test_module_keeps_its_modes_and_statistics():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    net[2].eval()
    before = net[1].running_var.clone()
    expect_module(net, (2, 1, 8, 8), (2, 4, 6, 6))
    assert [part.training for part in net] == [True, True, False]
    assert torch.equal(net[1].running_var, before)


def test_random_numbers_go_on_as_without_the_check(check):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check("98.2", lambda n, k: torch.rand(1).item())
    assert torch.equal(torch.rand(2), expected)


def test_an_answer_that_never_ends_is_stopped(check, capsys, monkeypatch):
    def endless(n, k):
        while True:
            pass

    monkeypatch.setattr(module, "SECONDS", 0.2)
    check("98.2", endless)
    assert check.results["98.2"] == "wrong"
    assert "still running after 0.2 s" in capsys.readouterr().out
    check("98.2", lambda n, k: n - k + 1)  # the next one has its own time
    assert check.results["98.2"] == "right"

    def by_hand(n, k):  # which stays what it is
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("98.2", by_hand)


def test_unknown_exercise_is_an_error(check):
    with pytest.raises(CourseError, match=r"98\.1, 98\.2, 98\.10"):
        check("98.3", 1)
    for name in ["77.1", "vgg.2", "", "../x"]:
        with pytest.raises(CourseError, match="no exercise"):
            check(name, 1)
    for name, said in (("98.1", "twice"), ("vgg.2", "form")):
        with pytest.raises(ValueError, match=said):
            kit.exercise(name)


def test_a_right_answer_gets_a_tick_and_the_reason_and_progress_counts(check, capsys):
    assert check("98.1", 28) is None
    assert capsys.readouterr().out == "✓ 98.1 32 - 5 + 1 = 28\n"
    check("98.2", divides)
    assert check.results == {"98.1": "right", "98.2": "wrong"}
    capsys.readouterr()
    assert check.progress("98") is None
    expected = "1 of 3 exercises right:  ✓ 98.1  ✗ 98.2  ○ 98.10\n"
    assert capsys.readouterr().out == expected


def test_strict_mode_raises(check, monkeypatch):
    refused = [("right", 27), ("right", ...), ("1", ...), ("unanswered", 28)]
    for mode, answer in [("right", 28), ("unanswered", ...), *refused]:
        monkeypatch.setenv("CNN_COURSE_STRICT", mode)
        wrong = pytest.raises(AssertionError, match=r"98\.1 should be")
        with wrong if (mode, answer) in refused else nullcontext():
            check("98.1", answer)


WHY_A = {"A": "A has more parameters."}
FOUR = torch.arange(4.0)


@pytest.mark.parametrize(
    ("expect", "values", "hint"),
    [
        *((expect_number, v, None) for v in ((0.3, 0.3), (0.30001, 0.3), (5.0, 5))),
        (expect_number, (torch.tensor(5), 5), None),
        (expect_number, (61_707, 61_706), "61,707 is too large"),
        (expect_number, (0.29, 0.3), "too small"),
        (expect_number, (float("nan"), 3), "nan"),
        (expect_number, ("28", 28), "A number is wanted"),
        (expect_number, (True, 1), "A number is wanted"),
        (expect_choice, (" b", "B", WHY_A), None),
        (expect_choice, ("a", "B", WHY_A), "more parameters"),
        (expect_choice, (7, "B", WHY_A), "Choose one of 'A', 'B'"),
        (expect_value, (FOUR + 1e-7, FOUR), None),
        (expect_value, ((1, FOUR), [1, FOUR]), None),
        (expect_value, (FOUR[:, None], FOUR), r"shape \(4, 1\), not \(4,\)"),
        (expect_value, (FOUR + 2, FOUR), "off by up to 2"),
        (expect_value, ([0, 1, 2, 3], FOUR), "not a tensor"),
        (expect_value, ((1, 3), (1, 2)), r"\[1\] is 3, not 2"),
    ],
)
def test_an_answer_is_compared_with_the_right_one(expect, values, hint):
    with pytest.raises(Wrong, match=hint) if hint else nullcontext():
        expect(*values)


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_every_exercise_survives_blank_and_absurd_answers(path, monkeypatch, capsys):
    monkeypatch.delenv("CNN_COURSE_STRICT", raising=False)
    importlib.import_module(f"teaching.checks.{path.stem}")
    checker = Checker()
    names = module.exercises(path.stem[-2:])
    assert names
    for name in names:
        for answer in BLANK:
            checker(name, answer)
            assert checker.results[name] == "unanswered", (name, answer)
        for answer in [*ABSURD, returns_nothing, stumbles]:
            checker(name, answer)
        checker(name, object())
        assert checker.results[name] == "wrong", name
    assert set(capsys.readouterr().out) & set("✗○")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_checks_what_is_registered(path):
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    checked = re.findall(r'^check\(\s*"(.*?)"', "\n".join(code), re.M)
    assert sorted(checked) == sorted(module.exercises(path.stem[:2]))


def test_a_pipe_that_knows_none_of_the_signs_stops_nothing():
    code = "from teaching.check import check; check('00.1', 3); check.progress('00')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "cp1252", "CNN_COURSE_STRICT": ""},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"? 00.1 ")
    assert b" exercises right:  ? 00.1" in done.stdout
