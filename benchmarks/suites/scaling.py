"""Does an image cost the same time and memory in a large set as in a small one?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.arms import ours
from benchmarks.measure import Arm, Group, Target, Timing, Watch
from benchmarks.networks import tiny
from benchmarks.settings import Settings
from benchmarks.work import synthetic
from utils import recipe
from utils.course import ROOT, CourseError
from utils.train import fit

SIZES = {True: (500, 1000), False: (5000, 10_000, 20_000, 50_000)}
MEMORY = "peak memory / padded store"


def groups(settings: Settings) -> Iterator[Group]:
    """One group: an epoch of the tiny network over sets of growing size."""
    sizes = SIZES[settings.quick]
    timings = settings.compare([arm(n, settings) for n in sizes], repeats=5)
    if not settings.quick:
        both = zip(timings, sizes, strict=True)
        timings = [memory(timing, n, settings) for timing, n in both]
    targets = [Target(title(n), title(sizes[0]), 0.9) for n in sizes[1:]]
    yield Group("tiny: an epoch of `fit`, loader built anew", timings, targets)


def title(n: int) -> str:
    """The arm's name."""
    return f"{n:,} images"


def arm(n: int, settings: Settings) -> Arm:
    """One epoch over n images."""
    data, where = synthetic(n), str(settings.device)

    def run(watch: Watch, turn: int) -> int:
        model = tiny()
        with watch, recipe.use_precision("float32"):
            batches = ours.loader(data, 128, seed=turn, device=where)
            fit(model, batches, epochs=1, lr=0.02, progress=False)
        return n

    return Arm(title(n), run)


def memory(timing: Timing, n: int, settings: Settings) -> Timing:
    """The timing with the memory that the loader takes, measured in a process alone."""
    command = [sys.executable, "-m", "benchmarks.memory", str(n), str(settings.device)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise CourseError(f"{' '.join(command)} failed: {done.stderr[-500:]}")
    share = json.loads(done.stdout)["share"]
    return replace(timing, facts={} if share is None else {MEMORY: share})
