"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import torch

from benchmarks import report, suites
from benchmarks.measure import CLOCKS
from benchmarks.settings import Settings
from experiments import record
from utils.course import CourseError


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the user typed."""
    listed = "\n".join(f"  {name:12}{what}" for name, what in suites.SUITES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The same work by the course, by a tutorial's loop and by others,"
        " side by side.",
        epilog=f"suites:\n{listed}\n  {'report':12}fill benchmarks/README.md from the"
        " recorded files",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*suites.SUITES, "report"]
    parser.add_argument("suite", nargs="*", help="all that make sense here if none")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="seconds; records nothing")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="cpu: one thread's time"
    )
    parser.add_argument("--repeats", type=int, help="turns that count")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--out", type=Path, help="folder (default: results/benchmarks)")
    options = parser.parse_args(arguments)
    for name in options.suite:
        if name not in names:
            parser.error(f"no suite {name!r}: choose from {', '.join(names)}")
    return options


def measure(name: str, settings: Settings, out: Path | None, command: str) -> None:
    """Run a suite, print each table when it is there, and record them all."""
    begin, done = perf_counter(), []
    for group in suites.run(name, settings):
        print(f"\n{name} · {group.title}\n\n{report.table(group)}", flush=True)
        done.append(group)
    print(f"{name}: {perf_counter() - begin:.0f} s", flush=True)
    if out is None:
        return
    made = {
        "format": record.FORMAT,
        "suite": name,
        "quick": settings.quick,
        "command": command,
        "commit": record.commit(),
        "machine": record.machine(settings.device),
        "clock": settings.clock,
        "groups": [asdict(group) for group in done],
    }
    record.write(out / f"{name}-{settings.device.type}.json", made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the suites asked for; returns the process's exit status."""
    options = parse(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: leave --device cuda out.", file=sys.stderr)
        return 2
    if options.device == "cpu":  # where `fit` would take the GPU
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    settings = Settings(
        torch.device(options.device),
        options.clock,
        options.quick,
        options.repeats,
        options.compile,
    )
    threads = torch.get_num_threads()
    out = options.out or (None if settings.quick else report.RESULTS)
    typed = sys.argv[1:] if arguments is None else list(arguments)
    try:
        for name in options.suite or suites.usual(settings):
            if name == "report":
                return report.main()
            command = " ".join(["python -m benchmarks", *typed])
            fitted = suites.fitted(name, settings)
            torch.set_num_threads(1 if fitted.clock == "cpu" else threads)
            measure(name, fitted, out, command)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
