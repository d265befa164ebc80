"""The tests that guard the subject catch its faults, each planted by itself."""

from __future__ import annotations

import ast

from mutants import MUTANTS
from mutate import ROOT, judge_all, plant

FEW = ("running-biased", "momentum")  # what CI plants


def test_each_fault_still_has_its_place() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    for mutant in MUTANTS:
        text = (ROOT / "utils" / f"{mutant.file}.py").read_text("utf-8")
        ast.parse(plant(mutant, text))
        for name in mutant.tests.split():
            assert (ROOT / "tests" / f"test_{name}.py").is_file()


def test_every_fault_is_caught(thorough: bool, keep) -> None:
    chosen = tuple(m for m in MUTANTS if thorough or m.name in FEW)
    judged = list(judge_all(chosen))
    missed = sum(mutant.missed for mutant in chosen)
    caught = sum(bool(test) for _, test in judged)
    keep(
        "mutants",
        f"{caught} of {len(judged)} planted faults caught; {missed} of them had"
        " survived at first, and got their tests",
        planted=len(judged),
        caught=caught,
        missed_at_first=missed,
        mutants={m.name: {"fault": m.what, "caught by": test} for m, test in judged},
    )
    assert [mutant.name for mutant, test in judged if not test] == []
