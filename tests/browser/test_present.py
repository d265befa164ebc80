"""A lecture as slides whose cells run; and the static deck where that fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from labserver import assert_private
from utils.course import ROOT

LECTURE = "04_vgg"
COMMAND = [sys.executable, "-m", "tools.present", "04", "--no-browser"]
CODE = ".slides section.present section.present .jp-CodeCell .cm-content:visible"


@pytest.fixture(scope="module")
def show():
    """The address of a presentation."""
    pytest.importorskip("jupyterlab_rise")
    env = os.environ | {"CNN_COURSE_SCALE": "tiny"}
    process = subprocess.Popen(
        COMMAND, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    assert line.startswith("Live: "), line
    yield line.split()[1]
    process.terminate()
    assert process.wait(timeout=20) == 0


def test_the_server_is_for_this_machine_and_its_user_alone(show):
    parts = urlsplit(show)
    [token] = parse_qs(parts.query)["token"]
    assert parts.path == f"/rise/build/present/{LECTURE}.ipynb"
    assert_private(f"http://{parts.netloc}/", parts.port, token)


def test_a_cell_on_a_slide_runs_with_what_no_slide_shows(show, browser):
    committed = (ROOT / f"notebooks/{LECTURE}.ipynb").read_bytes()
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(show)
    page.wait_for_selector(".reveal .slides section.present", timeout=60_000)
    page.wait_for_timeout(1000)
    for _ in range(30):
        if page.locator(CODE).count():
            break
        page.keyboard.press("Space")
        page.wait_for_timeout(300)
    code = page.locator(CODE).first
    assert code.evaluate("e => getComputedStyle(e).fontSize") == "22px"
    code.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("print(math.factorial(5), run.scale, 'live')")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector("text=120 tiny live", timeout=60_000)
    page.close()
    assert (ROOT / f"notebooks/{LECTURE}.ipynb").read_bytes() == committed


def test_without_rise_the_static_deck_takes_its_place(tmp_path):
    (tmp_path / "jupyterlab_rise.py").write_text("raise ImportError('no RISE here')")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("Not live: no RISE here; `pip install jupyterlab-rise`")
    deck = re.search(r"\S+\.html", line)[0]
    assert f"{LECTURE}.html" in deck
    assert "Reveal.initialize" in (ROOT / deck).read_text(encoding="utf-8")
