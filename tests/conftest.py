"""Let the tests import `utils`, and the two scripts of `notebooks/`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT)]

os.environ.setdefault("CNN_COURSE_SCALE", "tiny")  # no test downloads anything

# Started in the background, a shell hands down that Ctrl-C is to be ignored; the tests
# that press it need what a terminal or a notebook has.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--thorough` ask for all rounds of tests/reliability and tests/browser."""
    parser.addoption(
        "--thorough", action="store_true", help="all rounds: minutes for each file"
    )


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether to take the many rounds whose figures RELIABILITY.md reports."""
    return request.config.getoption("--thorough")


@pytest.fixture
def check(monkeypatch):
    """A fresh `check`, as at the beginning of a notebook."""
    from teaching.check import Checker

    monkeypatch.delenv("CNN_COURSE_STRICT", raising=False)
    return Checker()
