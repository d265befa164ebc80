"""How long does every lecture take under nbval at scale `tiny`, as in CI?"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.measure import Group, Target, Timing
from benchmarks.settings import Settings
from utils.course import ROOT, CourseError

LIMIT = 120  # seconds for the whole course
TOTAL, WANTED = "all, two at a time", "the limit"
PROCESSES = ["-n", "2", "--dist", "loadfile"]
NBVAL = ["--nbval-lax", "--nbval-current-env"]


def groups(settings: Settings) -> Iterator[Group]:
    """The lectures, then their solutions: all of them, and each by its own seconds.

    Always on the wall clock: the work is done by other processes.
    """
    folder = ROOT / "notebooks"
    targets = [] if settings.quick else [Target(TOTAL, WANTED, 1)]
    for what, where in {"lectures": folder, "solutions": folder / "solutions"}.items():
        paths = sorted(where.glob("[0-9][0-9]_*.ipynb"))
        seconds, each = execute(paths[: 1 if settings.quick else None])
        timings = [Timing(WANTED, 0, [float(LIMIT)]), Timing(TOTAL, 0, [seconds])]
        timings += [Timing(name, 0, [t]) for name, t in each.items()]
        yield Group(
            f"{what} under nbval, two processes of one thread", timings, targets
        )


def execute(paths: list[Path]) -> tuple[float, dict[str, float]]:
    """Run pytest as CI does; returns seconds in all, and those of each notebook.

    Raises:
        CourseError: a cell failed, or pytest could not run.
    """
    one_thread = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    env = os.environ | one_thread | {"CNN_COURSE_SCALE": "tiny"}
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", *PROCESSES, *NBVAL]
        command += [f"--junitxml={report}", *map(str, paths)]
        begin = perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True
        )
        seconds = perf_counter() - begin
        if done.returncode:
            raise CourseError(
                f"The notebooks do not pass, so their seconds mean nothing: run"
                f" `make test` and repair them first.\n{done.stdout[-2000:]}"
            )
        return seconds, by_notebook(report.read_text(encoding="utf-8"))


def by_notebook(report: str) -> dict[str, float]:
    """Seconds of each notebook, the longest first, from pytest's JUnit report."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.fromstring(report).iter("testcase"):
        name = case.attrib["classname"].removeprefix("notebooks.")
        name = name.removesuffix(".ipynb").replace(".", "/")
        seconds[name] += float(case.attrib["time"])
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))
