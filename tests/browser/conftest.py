"""A browser, for the tests of what a reader sees; without one they are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.browser import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as play:
        try:
            found = play.chromium.launch(
                executable_path=chromium(), args=["--no-sandbox"]
            )
        except api.Error as error:
            pytest.skip(f"needs Chromium: {str(error).splitlines()[0]}")
        yield found
        found.close()
