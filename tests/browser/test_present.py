"""A deck whose code runs; and the deck alone where no server starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from labserver import assert_private
from utils.course import ROOT

LECTURE = "02_augmentation"
COMMAND = [sys.executable, "-m", "tools.present", "02", "--no-browser"]
FIRST = "seven = ["  # what the slide of a mirrored 7 runs
# The slide that a playground, or a cell with this code, stands on.
WITH_PLAY = "Reveal.getSlides().findIndex(s => s.querySelector('[data-play=augment]'))"
WITH_CELL = f"LIVE.slides.findIndex(cells => cells[0]?.code.startsWith('{FIRST}'))"


@pytest.fixture(scope="module")
def show():
    """The address of a presentation."""
    env = os.environ | {"CNN_COURSE_SCALE": "tiny"}
    process = subprocess.Popen(
        COMMAND, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    )
    lines = iter(process.stderr.readline, "")
    yield next(line.strip() for line in lines if "    http://" in line)
    process.terminate()
    assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def page(show, browser):
    """The live deck, of which nothing has been clicked."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(120_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(show)
    page.wait_for_selector(".reveal.ready")
    yield page
    page.close()
    assert not errors


def panel(page, state: str = ""):
    """What the slide runs, once it is in a state."""
    shown = f'.live[data-state="{state}"]' if state else ".live"
    return page.locator(f".slides section.present {shown}:visible")


def test_the_server_is_for_this_machine_and_its_user_alone(show):
    parts = urlsplit(show)
    [token] = parse_qs(parts.query)["token"]
    assert parts.path == f"/static/{LECTURE}.html"
    assert_private(f"http://{parts.netloc}/", parts.port, token)


def test_shift_enter_runs_a_slides_cell_without_a_click(page):
    page.evaluate(f"Reveal.slide({WITH_CELL})")
    assert not panel(page).count()  # the slide as it is shown without a kernel
    page.keyboard.press("Shift+Enter")
    assert FIRST in panel(page, "running").locator("textarea").input_value()
    assert "running" in panel(page).locator(".state").inner_text()
    assert not panel(page).locator(".outputs > *").count()
    picture = panel(page, "done").locator(".outputs img")
    picture.wait_for()
    assert picture.evaluate("e => e.naturalWidth && e.clientHeight > 200")
    assert picture.evaluate("e => e.getBoundingClientRect().bottom") <= 690  # footer
    code = panel(page).locator("textarea")
    code.fill("print(len(digits.classes), run.scale)\nimage_that_is_none")
    code.press("Shift+Enter")
    outputs = panel(page, "failed").locator(".outputs")
    outputs.filter(has_text="NameError: name 'image_that_is_none'").wait_for()
    assert outputs.locator(".stdout").inner_text().strip() == "10 tiny"


def test_a_run_is_stopped_and_a_dead_kernel_told(page):
    """On the slide whose cell the test above ran."""
    code = panel(page).locator("textarea")
    code.fill("import time\nprint('begun')\ntime.sleep(600)")
    code.press("Shift+Enter")
    panel(page, "running").get_by_text("begun").wait_for()
    panel(page).get_by_role("button", name="Stop").click()
    panel(page, "failed").get_by_text("KeyboardInterrupt").wait_for()
    code.fill("import os\nos._exit(1)")
    code.press("Shift+Enter")
    panel(page, "failed").get_by_text("Python stopped").wait_for()
    code.fill("print(sum(range(5)))")
    code.press("Shift+Enter")
    panel(page, "done").get_by_text("10", exact=True).wait_for()


def test_a_playground_moves_and_keys_turn_slides(page):
    page.evaluate(f"Reveal.slide({WITH_PLAY})")
    play = page.locator("section.present [data-play=augment]")
    slider = play.locator("input[type=range]").first
    before = play.inner_html()
    slider.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('section.present [data-play]').innerHTML"
        " != before",
        arg=before,
    )
    slider.evaluate("e => e.blur()")
    at = page.evaluate("Reveal.getIndices().h")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("Reveal.getIndices().h") == at - 1


def test_without_a_server_the_deck_alone_is_shown(tmp_path):
    ends = "import os, sys\n"
    ends += "'jupyter_server' in sys.orig_argv and os._exit(os.write(2, b'no'))"
    (tmp_path / "sitecustomize.py").write_text(ends)
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("Jupyter's server has ended.")
    deck = re.search(r"\S+\.html", line)[0]
    assert f"{LECTURE}.html" in deck
    assert "Reveal.initialize" in (ROOT / deck).read_text(encoding="utf-8")
