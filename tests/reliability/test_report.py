"""RELIABILITY.md says what the kept figures say."""

from __future__ import annotations

import report


def test_the_page_holds_the_figures_of_its_files():
    page = report.PAGE.read_text("utf-8")
    assert report.fill(page) == page, "run tests/reliability/report.py"


def test_every_figure_stands_on_the_page():
    rows = {row[2] for row in report.ROW.finditer(report.PAGE.read_text("utf-8"))}
    assert rows == {path.stem for path in report.FIGURES.glob("*.json")}
    for row in rows:
        assert (report.ROOT / report.read(row)["test"]).is_file()
