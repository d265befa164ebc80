"""A JupyterLab that shows a notebook as slides with running cells, through RISE."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
LOG = "server.log"


class NotLiveError(RuntimeError):
    """Live slides cannot be shown; the message says why, and what would help."""


@dataclass(frozen=True)
class Show:
    """A server that shows slides."""

    process: subprocess.Popen
    address: str  # with the token
    redirect: Path  # a page that leads there; a browser's command line shows no token


@contextmanager
def show(notebook: Path, root: Path, env: dict[str, str]) -> Iterator[Show]:
    """Show a notebook as slides, on this machine only, until the block is left.

    Args:
        notebook: what to show; its folder is written to.
        root: the folder that the server may read, with the notebook somewhere in it.
        env: environment variables of the kernel.

    Raises:
        NotLiveError: RISE is missing, or JupyterLab does not start or show slides.
    """
    try:
        import jupyterlab_rise  # noqa: F401 (is it there, and whole?)
    except ImportError as error:
        raise NotLiveError(f"{error}; `pip install jupyterlab-rise` helps") from error
    folder, page = notebook.parent, f"rise/{notebook.relative_to(root).as_posix()}"
    temporary = tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)
    with temporary as runtime, open(Path(runtime) / LOG, "wb") as log:
        private = {
            "CNN_COURSE_PRESENTED": str(notebook),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),  # no dark theme, no surprise
            "JUPYTER_RUNTIME_DIR": runtime,
        }
        process = subprocess.Popen(command(page, root), env=env | private, stderr=log)
        try:
            yield wait(process, Path(runtime), page)
        finally:
            process.terminate()
            process.wait()


def command(page: str, root: Path) -> list[str]:
    """What starts the server. It makes a token, which no option here takes away."""
    in_container = getattr(os, "geteuid", lambda: 1)() == 0
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
        f"--LabApp.default_url=/{page}",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it without a question
        *(["--allow-root"] if in_container else []),
    ]


def wait(process: subprocess.Popen, runtime: Path, page: str) -> Show:
    """Wait until the server answers with the page.

    Raises:
        NotLiveError: it ended, answers with an error, or takes too long.
    """
    end = time.monotonic() + START_SECONDS
    while not (opens := list(runtime.glob("jpserver-*-open.html"))):
        if process.poll() is not None:
            log = (runtime / LOG).read_text("utf-8", "replace").strip()
            raise NotLiveError(f"JupyterLab ended: {log.rpartition(chr(10))[2]}")
        if time.monotonic() > end:
            raise NotLiveError(f"JupyterLab did not start in {START_SECONDS} s")
        time.sleep(0.1)
    about = next(runtime.glob("jpserver-*[0-9].json")).read_text("utf-8")
    info = json.loads(about)
    address = f"{info['url']}{page}?token={info['token']}"
    # Whatever proxy this machine uses, it is not between here and here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            opener.open(address, timeout=START_SECONDS).close()
            return Show(process, address, opens[0])
        except OSError as error:
            # Its files are written a moment before it listens.
            listens = isinstance(error, urllib.error.HTTPError)
            if listens or process.poll() is not None or time.monotonic() > end:
                said = f"JupyterLab does not show slides ({error})"
                raise NotLiveError(said) from error
        time.sleep(0.1)
