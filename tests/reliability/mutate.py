"""Plant the faults of mutants.txt one at a time, and see whether the tests catch them.

python tests/reliability/mutate.py               all, in a copy of the course
python tests/reliability/mutate.py ReLU crop     those that have one of these words

In the list, "@@" begins a file's faults: its path, then the test files that guard it
("vgg" is tests/test_vgg.py). Of each fault "#" says it in words, "-" is the text as it
stands, once in the file, and "+" what stands there with the fault. What came of each
is kept in results/reliability/mutants.json.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import report

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("utils", "teaching", "experiments", "tools")
PARTS = (*ROOMS, "tests", "data", "results", "README.md", "pyproject.toml")
SECONDS = 900  # for the tests of one file; a fault that hangs them is caught, too


class Mutant(NamedTuple):
    """One fault; see the top of this file."""

    path: str
    tests: str
    what: str
    old: str
    new: str


def read(text: str) -> Iterator[Mutant]:
    """The faults of a list."""
    for group in re.split(r"^@@ ", text, flags=re.M)[1:]:
        head, *faults = re.split(r"^# ", group, flags=re.M)
        path, _, tests = head.strip().partition(" ")
        for what, _, change in (fault.partition("\n") for fault in faults):
            old, new = (
                "\n".join(re.findall(rf"^[{sign}](.*)$", change, re.M)) for sign in "-+"
            )
            yield Mutant(path, tests, what, old, new)


MUTANTS = tuple(read(Path(__file__).with_name("mutants.txt").read_text("utf-8")))


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of what the tests need, without what was downloaded."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    done = subprocess.run([*listed, *PARTS], capture_output=True, check=True, text=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name in filter(None, done.stdout.split("\0")):
            if (ROOT / name).is_file():  # not deleted since
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, Path(folder) / name)
        yield Path(folder)


def run_tests(root: Path, names: str) -> tuple[int, str]:
    """Run test files until one test fails: pytest's status, and that test's name."""
    files = [f"tests/test_{name}.py" for name in names.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    # Python takes a file's bytecode for fresh if only its size and second are the same.
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    try:
        command += ["--color=no", *files]
        some = {"capture_output": True, "text": True, "timeout": SECONDS}
        done = subprocess.run(command, cwd=root, env=env, **some)
    except subprocess.TimeoutExpired:
        return 1, "no end"
    if done.returncode < 0:  # by a signal
        return 1, "a crash of Python"
    named = r"^(?:FAILED|ERROR) tests/(\S+?)(?:\[.*)?(?: - |$)"
    failed = re.search(named, done.stdout, re.M)
    return done.returncode, failed[1] if failed else done.stdout[-2000:]


def plant(mutant: Mutant, text: str) -> str:
    """The file's text with the fault; it must hold the old text once."""
    count = text.count(mutant.old)
    assert count == 1, f"{mutant.path} holds {mutant.old!r} {count} times"
    return text.replace(mutant.old, mutant.new)


def judge(root: Path, mutant: Mutant) -> str:
    """The test that catches a fault; empty where all of them pass."""
    path = root / mutant.path
    text = path.read_text(encoding="utf-8")
    path.write_text(plant(mutant, text), encoding="utf-8")
    try:
        status, found = run_tests(root, mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
    assert status <= 1, f"Tests cannot run where {mutant.what}:\n{found}"
    return found if status else ""


def judge_all(mutants: tuple[Mutant, ...]) -> Iterator[tuple[Mutant, str]]:
    """Each fault with the test that catches it; first, all tests pass without any."""
    with copied() as root:
        names = sorted({name for m in mutants for name in m.tests.split()})
        status, found = run_tests(root, " ".join(names))
        assert not status, f"Without any fault the tests do not pass:\n{found}"
        for mutant in mutants:
            yield mutant, judge(root, mutant)


def keep(mutant: Mutant, test: str) -> None:
    """Put what came of a fault in the place of what came of it before."""
    kept = report.read("mutants")["mutants"] | {mutant.what: test}
    found = {one.what: kept[one.what] for one in MUTANTS if one.what in kept}
    figure = f"{sum(map(bool, found.values()))} of {len(found)} planted faults caught"
    about = {"figure": figure, "test": "tests/reliability/test_mutants.py"}
    report.write("mutants", {**about, "mutants": found})


def main() -> int:
    """Run the command line; returns how many faults survived."""
    words = sys.argv[1:] or [""]
    chosen = tuple(m for m in MUTANTS if any(word in m.what for word in words))
    survived = 0
    for mutant, test in judge_all(chosen):
        survived += not test
        print(f"{mutant.what}: {test or 'SURVIVED'}", flush=True)
        keep(mutant, test)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return survived


if __name__ == "__main__":
    sys.exit(main())
