"""Plant the faults of `mutants/` one at a time, and see whether the tests catch them.

python tests/reliability/mutate.py               all, in a copy of the course
python tests/reliability/mutate.py relu crop     these

What came of each is kept in results/reliability/mutants.json.
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

import report
from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("utils", "teaching", "experiments", "tools")
PARTS = (*ROOMS, "tests", "data", "results", "README.md", "pyproject.toml")
SECONDS = 900  # for the tests of one file; a fault that hangs them is caught, too


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
    assert count == 1, f"{mutant.name}: {mutant.path} holds its text {count} times"
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
    assert status <= 1, f"{mutant.name} keeps the tests from running:\n{found}"
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
    kept = report.read("mutants")["mutants"] | {
        mutant.name: {"fault": mutant.what, "caught by": test}
    }
    found = {one.name: kept[one.name] for one in MUTANTS if one.name in kept}
    caught = sum(bool(one["caught by"]) for one in found.values())
    missed = sum(one.missed for one in MUTANTS if one.name in found)
    figure = (
        f"{caught} of {len(found)} planted faults caught; {missed} of them had survived"
        " at first, and got their tests"
    )
    about = {"figure": figure, "test": "tests/reliability/test_mutants.py"}
    report.write("mutants", {**about, "mutants": found})


def main() -> int:
    """Run the command line; returns how many faults survived."""
    chosen = tuple(m for m in MUTANTS if m.name in sys.argv[1:] or not sys.argv[1:])
    survived = 0
    for mutant, test in judge_all(chosen):
        survived += not test
        print(f"{mutant.name:20} {test or 'SURVIVED: ' + mutant.what}", flush=True)
        keep(mutant, test)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return survived


if __name__ == "__main__":
    sys.exit(main())
