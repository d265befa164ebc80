"""In real JupyterLab a slider appears above its figure, and moving it redraws that."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from nbformat import v4

from utils.course import ROOT

pytest.importorskip("jupyterlab")

CODE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import matplotlib.pyplot as plt
from utils import interact

def strip(width=2):
    if width > 3:
        raise ValueError("too wide")
    return plt.figure(figsize=(width, 1), dpi=100)

interact.explore(strip, width=(1, 4))
"""
IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
# Shown as large as it was drawn: not stretched, and not cut.
WIDTH = """width => {
  const image = document.querySelector(".jp-OutputArea img");
  return image && image.naturalWidth == width && image.clientWidth == width
    && image.clientHeight == image.naturalHeight;
}"""


@pytest.fixture
def address(tmp_path):
    """A JupyterLab server in an empty folder; its address, token included."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    options = {
        "ServerApp.port": port,
        "ServerApp.root_dir": tmp_path,
        "ServerApp.open_browser": False,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, **quiet)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urlopen(f"{base}/api?token={token}", timeout=5).close()
                break
            except (URLError, TimeoutError):
                time.sleep(0.1)
        yield f"{base}/lab/tree/widget.ipynb?token={token}&reset"
    finally:
        server.terminate()
        server.wait(20)


def test_a_slider_moves_the_picture(browser, address, tmp_path):
    nb = v4.new_notebook(cells=[v4.new_code_cell(CODE)])
    nb.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(nb, tmp_path / "widget.ipynb")
    page = browser.new_page()
    page.set_default_timeout(30_000)
    page.goto(address)
    page.wait_for_selector(IDLE)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(WIDTH, arg=200)
    slider = page.locator(".noUi-handle")
    slider.press("ArrowRight")
    page.wait_for_function(WIDTH, arg=300)
    slider.press("ArrowRight")
    page.get_by_text("ValueError: too wide").wait_for()
    assert page.evaluate(WIDTH, 300)
    page.close()
