"""In real JupyterLab a slider appears above its figure, and moving it redraws that."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import v4

from labserver import jupyterlab
from utils.course import ROOT

pytest.importorskip("jupyterlab")

CODE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import matplotlib.pyplot as plt
from teaching import sliders

def strip(width=2):
    if width > 3:
        raise ValueError("too wide")
    return plt.figure(figsize=(width, 1), dpi=100)

sliders.explore(strip, width=(1, 4))
"""
# A notebook may look idle before it has its kernel, and then asks for one.
RUN = """async () => {
  await jupyterapp.shell.currentWidget.sessionContext.ready;
  await jupyterapp.commands.execute("notebook:run-all-cells");
}"""
# Shown as large as it was drawn: not stretched, and not cut.
WIDTH = """width => {
  const image = document.querySelector(".jp-OutputArea img");
  return image && image.naturalWidth == width && image.clientWidth == width
    && image.clientHeight == image.naturalHeight;
}"""


@pytest.fixture
def lab(tmp_path):
    """JupyterLab in a folder with nothing but an empty folder of notebooks."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "home").mkdir()
    with jupyterlab(tmp_path, tmp_path / "home", "--expose-app-in-browser") as info:
        yield info


def test_a_slider_moves_the_picture(browser, lab, tmp_path):
    nb = v4.new_notebook(cells=[v4.new_code_cell(CODE)])
    nb.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(nb, tmp_path / "notebooks" / "widget.ipynb")
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{lab['url']}lab/tree/widget.ipynb?token={lab['token']}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.evaluate(RUN)
    page.wait_for_function(WIDTH, arg=200)
    slider = page.locator(".noUi-handle")
    slider.press("ArrowRight")
    page.wait_for_function(WIDTH, arg=300)
    slider.press("ArrowRight")
    page.get_by_text("ValueError: too wide").wait_for()
    assert page.evaluate(WIDTH, 300)
    page.close()
