"""Present a lecture: slides whose cells run, or the static deck where that fails.

python -m tools.present 04

The slides are a copy of the notebook in build/present: what is typed into them, or run,
changes no committed file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbformat.sign import NotebookNotary

from tools import build, deck, outputs, run, slides
from tools.outputs import SourceError

FOLDER = build.ROOT / "build" / "present"
LIVE = build.ROOT / "tools" / "slides" / "live"
# What jupyterlab-rise reads from the notebook: the deck's size, scaled to the screen.
RISE = {
    "width": 1280,
    "height": 720,
    "margin": 0,
    "minScale": 0.1,
    "center": False,
    "transition": "none",
    "slideNumber": "c/t",
    "theme": "white",
}
START_SECONDS = 60
LOG = "server.log"


def main(argv: list[str] | None = None) -> int:
    """Show one lecture; returns when it is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", nargs="?", default="", help="such as 04")
    parser.add_argument("--scale", help="tiny, small or full; default small")
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--no-browser", action="store_true", help="only say where")
    options = parser.parse_args(argv)
    scale = options.scale or os.environ.get("CNN_COURSE_SCALE") or "small"
    opens = (lambda address: None) if options.no_browser else webbrowser.open
    try:
        source = one(options.lecture)
        env = run.environment(options.data, scale)
        static = slides.write(deck.read(source))
        notebook = copied(source)
    except SourceError as error:
        sys.exit(f"present: {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        with show(notebook, build.ROOT, env) as shown:
            print(
                f"Live: {shown.address}\nCtrl-C ends it. Should it fail: {static}",
                flush=True,
            )
            opens(shown.redirect.as_uri())
            shown.process.wait()
    except NotLiveError as reason:
        print(f"Not live: {reason}. With the kept outputs: {static}")
        opens(static.as_uri())
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0


def one(lecture: str) -> Path:
    """The source of a lecture, as "04".

    Raises:
        SourceError: none is called so, or several.
    """
    found = build.lectures([lecture])
    if len(found) > 1:
        names = ", ".join(source.stem for source in found)
        raise SourceError(f"name one lecture; {lecture!r} could be: {names}")
    return found[0]


def copied(source: Path, folder: Path = FOLDER) -> Path:
    """A copy of a lecture's notebook that knows how slides look.

    Raises:
        SourceError: the notebook is missing or broken.
    """
    nb = outputs.load(build.target(source, solutions=False))
    if nb is None:
        raise SourceError(f"{source.stem}.ipynb is missing: run tools.build")
    nb.metadata.rise = RISE
    nb.cells = [c for c in nb.cells if "remove-cell" not in c.metadata.get("tags", [])]
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = build.LINK.sub(r"\1../../notebooks/\2", cell.source)
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    shutil.copy(LIVE / "hidden_cells.py", startup)
    shutil.copy(LIVE / "rise.css", folder)  # where jupyterlab-rise looks for it
    outputs.write(nb, folder / f"{source.stem}.ipynb")
    NotebookNotary().sign(nb)  # else JupyterLab shows none of its drawings
    return folder / f"{source.stem}.ipynb"


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


if __name__ == "__main__":
    raise SystemExit(main())
