"""The tests that guard the subject catch its faults, each planted by itself."""

from __future__ import annotations

import ast

import report
from mutate import MUTANTS, ROOT, judge_all, keep, plant

FEW = ("the running variance", "the batch norm's momentum")  # what CI plants


def test_each_fault_still_has_its_place():
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS) >= 30
    for mutant in MUTANTS:
        text = (ROOT / mutant.path).read_text("utf-8")
        ast.parse(plant(mutant, text))
        for name in mutant.tests.split():
            assert (ROOT / "tests" / f"test_{name}.py").is_file()


def test_every_fault_is_caught(thorough):
    chosen = tuple(m for m in MUTANTS if thorough or m.what.startswith(FEW))
    survived = []
    for mutant, test in judge_all(chosen):
        survived += [] if test else [mutant.what]
        if thorough:
            keep(mutant, test)
    assert survived == []


def test_what_came_of_every_fault_is_kept():
    kept = report.read("mutants")["mutants"]
    assert list(kept) == [mutant.what for mutant in MUTANTS]
    assert all(kept.values())
