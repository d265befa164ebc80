"""Fill RELIABILITY.md's table with the figures that thorough runs have kept.

python -m pytest tests/reliability --thorough   takes them, into results/reliability
python tests/reliability/report.py              puts them into the table
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "RELIABILITY.md"
FIGURES = ROOT / "results" / "reliability"
# A row: | promise | [file](file) <!-- name --> | figure |
ROW = re.compile(r"^(\|.*<!-- (\w+) --> \|).*\|$", re.M)


def write(promise: str, numbers: dict) -> None:
    """Keep the figures of one promise."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (FIGURES / f"{promise}.json").write_text(text + "\n", encoding="utf-8")


def fill(page: str) -> str:
    """The page, each row of its table with the figure that its file holds."""

    def row(match: re.Match) -> str:
        numbers = json.loads((FIGURES / f"{match[2]}.json").read_text("utf-8"))
        return f"{match[1]} {numbers['figure']} |"

    return ROW.sub(row, page)


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text("utf-8")), encoding="utf-8", newline="\n")
