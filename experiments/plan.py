"""The runs we keep: trained in order, as many at a time as there are cores.

python -m experiments.plan            train what is not in results/ yet
python -m experiments.plan --status   say what is done, and how long the rest takes

Every run keeps its whole state after each epoch and goes on from it bit for bit, so a
plan may be stopped or killed at any time, and started again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch

from experiments import record, request
from experiments.runs import PLAN, SLOWER, Run
from utils import course, recipe
from utils.course import CourseError

RESULTS = course.ROOT / "results"
WORK = course.ROOT / "build" / "experiments"  # states and logs, ignored by git
FREE = 2**28  # bytes that must be free; the largest state has a tenth of them
FULL = (
    f"Less than {FREE >> 20} MB are free on the disk of {{}}. Free some, and start the"
    " plan again: it goes on where it was."
)
# What may differ between two runs of the same settings.
LOOSE = ("command", "name", "out", "save", "half", "checkpoint", "resume", "overwrite")
LOOSE += ("device", "precision")


class Job(NamedTuple):
    """One seed of a run."""

    run: Run
    seed: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.run.name}-seed{self.seed}"

    @property
    def record(self) -> Path:
        """What is kept of it."""
        return RESULTS / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What it prints."""
        return WORK / f"{self.name}.log"

    def words(self, precision: str) -> list[str]:
        """The words of its command."""
        words = [*self.run.words, "--name", self.run.name, "--seed", str(self.seed)]
        words += ["--precision", precision, "--device", "cpu"]
        words += ["--resume", "--overwrite"]
        files = {"--out": RESULTS, "--checkpoint": WORK / f"{self.name}.pt"}
        for option, path in files.items():
            words += [option, os.path.relpath(path, course.ROOT)]
        return words

    def epochs(self) -> tuple[int, int]:
        """How many are done, by the log, and how many there will be."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        whole = int(self.run.words[self.run.words.index("--epochs") + 1])
        done = [int(n) for n in re.findall(rf"epoch +(\d+)/{whole}\b", text)]
        return (done[-1] if done else 0), whole


def jobs(runs: Sequence[Run]) -> list[Job]:
    """Every seed of every run, first seeds first: each lecture has a run early."""
    seeds = sorted({seed for run in runs for seed in run.seeds})
    return [Job(run, seed) for seed in seeds for run in runs if seed in run.seeds]


# --- before anything starts ----------------------------------------------------------


def check(runs: Sequence[Run]) -> None:
    """Look at every command, and at the records that are there.

    Raises:
        CourseError: an unknown network or word, a name twice, or a record of this name
            with other settings; it is not touched.
    """
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            raise CourseError(f"The plan holds two runs of the name {run.name}.")
        try:
            options = request.read_options(run.words)
            request.check_model(options)
        except SystemExit:  # the parser has said more
            raise CourseError(f"The plan's run {run.name}: no such words.") from None
        except CourseError as error:
            raise CourseError(f"The plan's run {run.name}: {error}") from None
    for job in jobs(runs):
        if job.record.exists():
            compare(job)


def compare(job: Job) -> None:
    """Raise a `CourseError` if the record of this name is one of other settings."""
    command = record.read(job.record)["command"]
    theirs = settings(record.words(command))
    ours = settings(job.words("auto"))
    changed = [key for key in ours if ours[key] != theirs.get(key)]
    if changed:
        told = [f"{key} {theirs.get(key)!r}, not {ours[key]!r}" for key in changed]
        raise CourseError(
            f"{job.record} is of a run with other settings: {', '.join(told)}. It was"
            " left as it is: give the plan's run another name, or move the file away."
        )


def settings(words: Sequence[str]) -> dict[str, Any]:
    """What a command trains, without where it keeps what."""
    options = vars(request.read_options(words))
    return {key: value for key, value in options.items() if key not in LOOSE}


def number_format() -> str:
    """bfloat16 where this CPU has units for it, and else float32, which is said."""
    if "bfloat16" in recipe.native_formats(torch.device("cpu")):
        return "bfloat16"
    print(
        "This CPU has no units for bfloat16: the plan trains in float32, which takes"
        f" about {SLOWER} times as long; the minutes below count that."
    )
    return "float32"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the plan's lock; the system lets go of it, however the process ends.

    Raises:
        CourseError: another plan runs, or the folder takes no files.
    """
    record.make_folder(WORK)
    if shutil.disk_usage(WORK).free < FREE:
        raise CourseError(FULL.format(WORK))
    with open(WORK / "lock", "a+") as file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CourseError(
                "Another plan is running here: python -m experiments.plan --status says"
                " how far it is. Only one at a time may run."
            ) from None
        yield


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, too, end the plan as an error does: by ending its runs first."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- running -------------------------------------------------------------------------


def start(job: Job, precision: str) -> subprocess.Popen[bytes]:
    """A process that trains one seed on one thread, and ends when the plan does."""
    command = [sys.executable, "-c", "from experiments import plan; plan.child()"]
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CNN_COURSE_SCALE": "small"}
    with open(job.log, "ab") as log:
        return subprocess.Popen(
            [*command, *job.words(precision)],
            cwd=course.ROOT,
            env={**os.environ, **one, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=os.name != "nt",  # Ctrl-C is the plan's to pass on
        )


def child() -> None:
    """Train as the words say; a plan that is killed closes the pipe, and ends us."""

    def follow() -> None:
        os.read(0, 1)  # not by `sys.stdin`, whose lock the interpreter's end wants
        os._exit(1)  # a state is written whole, or not at all

    threading.Thread(target=follow, daemon=True).start()
    from experiments.train import main

    raise SystemExit(main(sys.argv[1:]))


def carry_out(runs: Sequence[Run], processes: int, precision: str) -> list[Job]:
    """Train what has no record yet; the jobs that failed."""
    waiting = [job for job in jobs(runs) if not job.record.exists()]
    running: dict[Job, subprocess.Popen[bytes]] = {}
    failed: list[Job] = []
    print(table(runs, running, precision), flush=True)
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                job = waiting.pop(0)
                running[job] = start(job, precision)
            time.sleep(0.2)
            for job in [job for job in running if running[job].poll() is not None]:
                running.pop(job)
                if not job.record.exists():  # that a run diverged is a result
                    failed.append(job)
                    print(f"{job.name} failed: {last_line(job)}", file=sys.stderr)
                    if shutil.disk_usage(WORK).free < FREE:
                        raise CourseError(FULL.format(WORK))
                print(table(runs, running, precision), flush=True)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return failed


def last_line(job: Job) -> str:
    """What a run said last, and where the rest stands."""
    lines = job.log.read_text(errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'it said nothing'} ({job.log})"


# --- how far it is -------------------------------------------------------------------


def minutes(run: Run, precision: str) -> float:
    """How long one seed takes: as those of this format took, or else as declared."""
    found = [record.read(job.record) for job in jobs([run]) if job.record.exists()]
    alike = [made for made in found if made["precision"] == precision]
    took = [spent for made in alike if (spent := made.get("processor_seconds"))]
    if took:
        return mean(took) / 60
    return run.minutes / (1 if precision == "float32" else run.slower)


def table(runs: Sequence[Run], running: Sequence[Job] | Any, precision: str) -> str:
    """One line a run that is not done: its seeds, and the minutes that are left."""
    lines, left, done = [], 0.0, 0
    for run in runs:
        cells, mine, each = [], 0.0, minutes(run, precision)
        for job in jobs([run]):
            if job.record.exists():
                cells.append("done")
                continue
            epoch, whole = job.epochs()
            at = f"epoch {epoch}/{whole}" if epoch else "to do"
            cells.append(at + " (running)" * (job in running))
            mine += each * (1 - epoch / whole)
        done += cells.count("done")
        left += mine
        if mine:
            lines.append(f"{run.name:28} {mine:7,.0f} min  {', '.join(cells)}")
    total = len(jobs(runs))
    lines.append(f"{done} of {total} runs are done; {left:,.0f} processor minutes left")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry the plan out; 0 where every run has its record in the end."""
    parser = argparse.ArgumentParser(prog="python -m experiments.plan")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--processes",
        type=int,
        default=cores,
        metavar="N",
        help="runs at a time, one thread each; the cores by default",
    )
    parser.add_argument("--status", action="store_true", help="train nothing")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PURPOSE",
        help="these runs alone: names, or purposes as depth",
    )
    options = parser.parse_args(arguments)
    try:
        runs = chosen(options.only)
        check(runs)
        precision = number_format()
        if options.status:
            print(table(runs, (), precision))
            return 0
        with alone(), ended_by_sigterm():
            return 1 if carry_out(runs, max(1, options.processes), precision) else 0
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped: start the plan again, and it goes on.", file=sys.stderr)
        return 130


def chosen(only: Sequence[str]) -> list[Run]:
    """The runs of these names or purposes; all, where none is named."""
    runs = [run for run in PLAN if not only or {run.name, *run.purposes} & set(only)]
    if not runs:
        known = sorted({purpose for run in PLAN for purpose in run.purposes})
        raise CourseError(f"No run is for {only}: choose from {', '.join(known)}.")
    return runs


if __name__ == "__main__":
    raise SystemExit(main())
