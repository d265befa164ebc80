"""Fill RELIABILITY.md's table with the figures that thorough runs have kept.

python -m pytest tests/reliability --thorough   takes them, into results/reliability
python tests/reliability/report.py              puts them into the table
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "RELIABILITY.md"
FIGURES = ROOT / "results" / "reliability"
# A row: | promise | [file](file) <!-- name --> | figure |
ROW = re.compile(r"^(\|.*<!-- (\w+) --> \|).*\|$", re.M)
FAULTS = re.compile(r"(<!-- faults -->\n).*?(<!-- end of faults -->)", re.S)


def write(promise: str, numbers: dict) -> None:
    """Keep the figures of one promise."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (FIGURES / f"{promise}.json").write_text(text + "\n", encoding="utf-8")


def commit() -> str | None:
    """The commit that is tested, with "+" where other files than the kept differ.

    None outside git. `experiments.record.commit` needs torch, which matrix.py is
    started without, and counts the kept figures as differences.
    """
    git = ["git", "-C", str(ROOT)]
    others = [".", ":!results/reliability", f":!{PAGE.name}"]
    status = [*git, "status", "--porcelain", "--untracked-files=no", "--", *others]
    try:
        head = subprocess.check_output(
            [*git, "rev-parse", "--short=12", "HEAD"], text=True
        )
        changed = subprocess.check_output(status, text=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.strip() + "+" * bool(changed)


def read(promise: str) -> dict:
    """The kept figures of one promise."""
    return json.loads((FIGURES / f"{promise}.json").read_text("utf-8"))


def fill(page: str) -> str:
    """The page, each row of its table with the figure that its file holds."""
    page = ROW.sub(lambda row: f"{row[1]} {read(row[2])['figure']} |", page)
    return FAULTS.sub(lambda around: around[1] + faults() + around[2], page)


def faults() -> str:
    """The planted faults as a table, each with the test that caught it."""
    lines = ["| fault | caught by |", "|---|---|"]
    for fault, test in read("mutants")["mutants"].items():
        lines.append(f"| {fault} | `{test or 'nothing'}` |")
    return "".join(f"{line}\n" for line in lines)


def refresh() -> None:
    """Put the kept figures into the page."""
    PAGE.write_text(fill(PAGE.read_text("utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    refresh()
