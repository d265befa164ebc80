"""What the command line asked for, as every suite is given it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.measure import Arm, Timing, compare


@dataclass(frozen=True)
class Settings:
    """How a suite is to run.

    Attributes:
        device: where.
        clock: "wall" or "cpu", see `measure.CLOCKS`.
        quick: a look in seconds, too short for figures worth keeping.
        repeats: turns that count; None leaves the number to the suite.
        compiled: also time what `torch.compile` makes of the step.
    """

    device: torch.device
    clock: str = "wall"
    quick: bool = False
    repeats: int | None = None
    compiled: bool = False

    def pick(self, quick: int, whole: int) -> int:
        """The first number for a quick look, the second for figures."""
        return quick if self.quick else whole

    def compare(self, arms: list[Arm], repeats: int) -> list[Timing]:
        """Time the arms in turns, so many times unless the user said otherwise."""
        turns = self.repeats or self.pick(1, repeats)
        return compare(arms, repeats=turns, clock=self.clock, device=self.device)
