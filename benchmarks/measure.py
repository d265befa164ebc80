"""How arms are timed: in turns, in alternating order, the first turn thrown away."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

from utils.course import CourseError

BUSY = 1.5  # worst turn over median turn, above which other work disturbed the arm
CLOCKS = {
    "wall": perf_counter,
    "cpu": process_time,  # of this process alone: other work on the machine is no part
}


class Watch:
    """A stopwatch, started and stopped by the arm around what counts.

    Attributes:
        seconds: between start and stop, by the clock; of several laps, their sum.
    """

    def __init__(self, clock: str, device: torch.device) -> None:
        self.read, self.device = CLOCKS[clock], device
        self.seconds = self._begin = 0.0

    def start(self) -> None:
        """Begin, once the device has finished what came before."""
        self._synchronize()
        self._begin = self.read()

    def stop(self) -> None:
        """End, once the device has finished the work."""
        self._synchronize()
        self.seconds += self.read() - self._begin

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Arm:
    """One way to do the work.

    Attributes:
        name: as the tables show it.
        run: does the work once, given a stopwatch and the number of the turn; returns
            how many images it went through.
        skipped: why it cannot run here; empty where it can.
    """

    name: str
    run: Callable[[Watch, int], int]
    skipped: str = ""


@dataclass(frozen=True)
class Timing:
    """What was measured of an arm.

    Attributes:
        name: of the arm.
        examples: images in one turn; 0 where images are not what counts.
        seconds: of every turn that counts.
        facts: other columns of its row, such as the memory it took.
        skipped: why nothing was measured.
    """

    name: str
    examples: int = 0
    seconds: list[float] = field(default_factory=list)
    facts: dict[str, float | str] = field(default_factory=dict)
    skipped: str = ""

    @property
    def median(self) -> float:
        """Seconds of the middle turn."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """The worst turn over the median turn: near 1 on a quiet machine."""
        return max(self.seconds) / self.median

    @property
    def busy(self) -> bool:
        """Whether other work disturbed the arm, so that its figures say nothing."""
        return self.spread > BUSY

    @property
    def rate(self) -> float:
        """Images per second in the median turn."""
        return self.examples / self.median


@dataclass(frozen=True)
class Target:
    """A ratio that we hold ourselves to: `arm` is `least` times as fast as `over`."""

    arm: str
    over: str
    least: float


@dataclass(frozen=True)
class Group:
    """Arms that did the same work, side by side: one table.

    Attributes:
        title: what the work was.
        timings: of the arms; the first one is what the others are compared with.
        targets: the ratios wanted.
    """

    title: str
    timings: list[Timing]
    targets: list[Target] = field(default_factory=list)

    def timing(self, name: str) -> Timing | None:
        """What was measured of the arm of this name, None if it was skipped."""
        found = {timing.name: timing for timing in self.timings if timing.seconds}
        return found.get(name)

    def ratio(self, arm: str, over: str | None = None) -> float | None:
        """How many times as fast the arm is as another; None: there is no verdict.

        It is the median over the turns: within one, the two ran moments apart.
        """
        one, other = self.timing(arm), self.timing(over or self.timings[0].name)
        if one is None or other is None or one.busy or other.busy:
            return None
        speed = [t / max(1, one.examples) for t in one.seconds]
        against = [t / max(1, other.examples) for t in other.seconds]
        return median(b / a for a, b in zip(speed, against, strict=True))

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Group:
        """The group that `asdict` made such a state of."""
        return cls(
            state["title"],
            [Timing(**timing) for timing in state["timings"]],
            [Target(**target) for target in state["targets"]],
        )


def compare(
    arms: Sequence[Arm], *, repeats: int, clock: str, device: torch.device
) -> list[Timing]:
    """Time arms in turns, every other turn in reversed order.

    The turn 0 warms caches and compilers up and does not count.

    Args:
        arms: what to compare.
        repeats: turns that count.
        clock: "wall", or "cpu" for a machine that others use as well.
        device: where the arms compute.

    Raises:
        CourseError: there is no turn to count.
    """
    if repeats < 1:
        raise CourseError(f"{repeats} repeats measure nothing: ask for 1 or more.")
    able = [arm for arm in arms if not arm.skipped]
    timings = {arm.name: Timing(arm.name, skipped=arm.skipped) for arm in arms}
    gc.collect()
    gc.freeze()  # what is there stays: collecting before each block is then quick
    for turn in range(repeats + 1):
        for arm in able if turn % 2 else able[::-1]:
            gc.collect()
            watch = Watch(clock, device)
            examples = arm.run(watch, turn)
            seconds = timings[arm.name].seconds
            if turn:
                seconds.append(watch.seconds)
            timings[arm.name] = Timing(arm.name, examples, seconds)
    gc.unfreeze()
    return [timings[arm.name] for arm in arms]
