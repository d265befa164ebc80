"""How nbval runs the notebooks: `pytest --nbval-lax --nbval-current-env notebooks`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Generator

import pytest

# A maintainer who types pytest wants a test, not an hour of training.
os.environ.setdefault("CNN_COURSE_SCALE", "tiny")
if "PYTEST_XDIST_WORKER" in os.environ:  # more threads than cores slow all of them
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

OUTPUT_SECONDS = 60
CELL_SECONDS = 300
DROPPED = re.compile("(Deprecation|Future)Warning")


def is_cell(item: pytest.Item) -> bool:
    """Whether an item is a cell of a notebook."""
    return type(item).__name__ == "IPyNbCell"


def pytest_configure(config: pytest.Config) -> None:
    """Give up on a cell after minutes; nbval alone would wait for half an hour."""
    if getattr(config.option, "nbval_cell_timeout", None) == 2000:
        config.option.nbval_cell_timeout = CELL_SECONDS


def pytest_itemcollected(item: pytest.Item) -> None:
    """Wait longer for a cell's output than nbval's fixed 5 seconds."""
    if is_cell(item):
        item.output_timeout = OUTPUT_SECONDS


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell the kernel, which starts after this, how its exercises must turn out."""
    if is_cell(item):
        solved = item.path.parent.name == "solutions"
        os.environ["CNN_COURSE_STRICT"] = "right" if solved else "unanswered"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail on a cell that ran out of time: `fit` takes nbval's interrupt as a stop.

    Also on one that uses what a library is about to drop, which nbval would let pass.
    """
    result = yield
    if is_cell(item) and item.parent.timed_out:
        pytest.fail(f"ran longer than {item.config.option.nbval_cell_timeout:.0f} s")
    for output in (is_cell(item) and item.test_outputs) or []:
        if output.get("name") == "stderr" and DROPPED.search(output.text):
            pytest.fail(output.text)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each notebook took, its kernel's start included, the longest first."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            notebook, cell, _ = getattr(report, "nodeid", "").partition(".ipynb::")
            if cell and hasattr(report, "duration"):
                seconds[notebook] += report.duration
    if seconds:
        terminalreporter.section("seconds of each notebook")
    for notebook, spent in seconds.most_common():
        terminalreporter.write_line(f"{spent:6.1f}  {notebook}")
