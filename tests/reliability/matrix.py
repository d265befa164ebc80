"""Run the tests on every Python that is here, with the oldest and the newest packages.

python tests/reliability/matrix.py            all environments, one after another
python tests/reliability/matrix.py 3.12       that Python alone
python tests/reliability/matrix.py --limits oldest     for pip's -c: what it takes

Each environment is made in a temporary folder, takes about 6 GB while it is used, and
is removed. What came of it is kept at once in results/reliability/matrix.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import report

BIN = "Scripts" if os.name == "nt" else "bin"
TESTS = ["-n", "2", "tests"]
CELLS = ["-n", "2", "--dist", "loadfile", "--nbval-lax", "--nbval-current-env"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
ABOUT = """
import json
from importlib.metadata import version
names = "torch", "torchvision", "numpy", "matplotlib", "pillow", "scikit-learn"
print(json.dumps({name: version(name).partition("+")[0] for name in names}))
"""


class Environment(NamedTuple):
    """A version of Python, and which end of the requirements' ranges it takes."""

    python: str
    packages: str  # "oldest" or "newest"


ENVIRONMENTS = (
    Environment("3.10", "oldest"),  # torch 2.4 has no build for 3.13
    Environment("3.10", "newest"),
    Environment("3.11", "newest"),
    Environment("3.12", "newest"),
    Environment("3.13", "newest"),
)


def limits(packages: str) -> str:
    """For pip's -c: the lower end of each range, or "" for the newest packages."""
    text = (report.ROOT / "requirements.txt").read_text("utf-8")
    found = re.findall(r"^([\w.-]+)>=([\d.]+)", text, re.M)
    oldest = "\n".join(f"{name}=={version}.*" for name, version in found)
    return oldest if packages == "oldest" else ""


def interpreter(version: str) -> str | None:
    """A Python of this version, on the path or pyenv's; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = shutil.which(f"python{version}")
    for path in filter(None, [found, *pyenv.glob(f"{version}.*/bin/python")]):
        if subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return str(path)
    return None


def install(environment: Environment, base: str, folder: Path) -> Path:
    """Make a virtual environment with everything that the tests need: its Python."""
    subprocess.run([base, "-m", "venv", folder], check=True)
    python = folder / BIN / "python"
    constraints = folder / "limits.txt"
    constraints.write_text(limits(environment.packages))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "-c", constraints, "-r", report.ROOT / "requirements-dev.txt"]
    subprocess.run(command, check=True)
    return python


def outcome(python: Path, *options: str) -> dict[str, int]:
    """How many tests passed, failed and were skipped."""
    result = python.parents[1] / "result.xml"
    subprocess.run(
        [python, "-m", "pytest", "-q", f"--junitxml={result}", *options],
        cwd=report.ROOT,
        env=os.environ | ONE_THREAD,
    )
    suite = next(ElementTree.parse(result).getroot().iter("testsuite"))
    count = {name: int(value) for name, value in suite.items() if value.isdigit()}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - count["skipped"] - failed
    return {"passed": passed, "failed": failed, "skipped": count["skipped"]}


def check(environment: Environment) -> dict | None:
    """Run everything in one environment; None where its Python is not here."""
    base = interpreter(environment.python)
    if base is None:
        print(f"Python {environment.python} is not here", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        python = install(environment, base, Path(folder))
        about = subprocess.check_output([python, "-c", ABOUT], text=True)
        return {
            **environment._asdict(),
            "commit": report.commit(),
            "versions": json.loads(about),
            "tests": outcome(python, *TESTS),
            "cells": outcome(python, *CELLS, "notebooks"),
        }


def passed(row: dict) -> bool:
    """Whether an environment's tests and cells have all passed."""
    return not row["tests"]["failed"] and not row["cells"]["failed"]


def keep(row: dict) -> None:
    """Put what came of one environment in the place of what came of it before."""
    path = report.FIGURES / "matrix.json"
    old = report.read("matrix")["rows"] if path.is_file() else []
    rows = {(one["python"], one["packages"]): one for one in [*old, row]}
    kept = [rows[one] for one in ENVIRONMENTS if one in rows]
    test = "tests/reliability/matrix.py"
    report.write("matrix", {"figure": figure(kept), "test": test, "rows": kept})
    report.refresh()  # the next environment's tests compare the page


def figure(rows: list[dict]) -> str:
    """What came of all environments, in a sentence."""
    good = [row for row in rows if passed(row)]
    least = {key: min(row[key]["passed"] for row in rows) for key in ("tests", "cells")}
    words = "{python} with the {packages} packages (torch {versions[torch]})"
    named = [words.format(**row) for row in rows]
    return (
        f"{len(good)} of {len(rows)} environments passed, each with at least"
        f" {least['tests']:,} tests and {least['cells']:,} notebook cells: Python"
        f" {', '.join(named)}"
    )


def main() -> int:
    """Check the environments that are asked for, and keep what passed in all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", nargs="*", help="such as 3.12; all by default")
    parser.add_argument("--limits", choices=("oldest", "newest"), help="print them")
    options = parser.parse_args()
    if options.limits:
        print(limits(options.limits))
        return 0
    asked = options.python
    wanted = [one for one in ENVIRONMENTS if not asked or one.python in asked]
    failed = 0
    for row in filter(None, map(check, wanted)):
        print(row, flush=True)
        keep(row)
        failed += not passed(row)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
