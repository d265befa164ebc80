"""JupyterLab as the Makefile starts it, for tests that open it in a browser."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from utils.course import ROOT

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def recipe(target: str) -> list[str]:
    """The last command of a target of the Makefile, for this Python."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    command = ["make", "--no-print-directory", "-n", target, "OS=Linux"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    python, *rest = shlex.split(done.stdout.strip().splitlines()[-1])
    assert python.endswith("python")
    return [sys.executable, *rest]


@contextmanager
def jupyterlab(folder: Path, home: Path, *options: str) -> Iterator[dict]:
    """`make lab` in a folder; yields what the server says about itself.

    Args:
        folder: the course, or a copy of it.
        home: a folder for settings and runtime files.
        options: more of them for the command line.
    """
    private = {f"JUPYTER_{x}_DIR": str(home / x) for x in ("CONFIG", "DATA", "RUNTIME")}
    env = os.environ | private | {"CNN_COURSE_SCALE": "tiny", "OMP_NUM_THREADS": "1"}
    command = [*recipe("lab"), *options, "--no-browser"]
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stderr=log)
    try:
        end = time.monotonic() + 60
        while not (found := list((home / "RUNTIME").glob("jpserver-*.html"))):
            assert server.poll() is None, (home / "log").read_text("utf-8")
            assert time.monotonic() < end
            time.sleep(0.2)
        file = found[0].with_name(found[0].name.replace("-open.html", ".json"))
        info = json.loads(file.read_text("utf-8"))
        while not listens(info["port"]):
            assert time.monotonic() < end
            time.sleep(0.2)
        yield info
    finally:
        server.terminate()
        server.wait()


def listens(port: int) -> bool:
    """Whether a server answers on this machine's port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def status(address: str) -> int:
    """The HTTP status of an address, for somebody without cookies."""
    try:
        return DIRECT.open(address, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def assert_private(address: str, port: int, token: str) -> None:
    """The server answers on 127.0.0.1 alone, and to those alone who know the token."""
    assert len(token) >= 32
    assert status(f"{address}api/contents?token={token}") == 200
    assert status(f"{address}api/contents") == 403
    assert status(f"{address}api/contents?token=guess") == 403
    if sys.platform != "linux":  # 127.0.0.2 is this machine there alone
        return
    # What listens on all addresses answers there, too.
    with pytest.raises(OSError):  # noqa: PT011 (each system words it differently)
        socket.create_connection(("127.0.0.2", port), timeout=5)
