"""Present a lecture: slides whose cells run, or the static deck where that fails.

python notebooks/present.py 04

The slides are a copy of the notebook in build/present: what is typed into them, or run,
changes no committed file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import webbrowser
from pathlib import Path

from nbformat.sign import NotebookNotary

from tools import build
from tools import run
from tools import slides
from tools import live, outputs
from tools.outputs import SourceError

FOLDER = build.ROOT / "build" / "present"
LIVE = build.ROOT / "slides" / "live"
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
        deck = slides.write(source)
        notebook = copied(source)
    except SourceError as error:
        sys.exit(f"present.py: {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        with live.show(notebook, build.ROOT, env) as show:
            print(
                f"Live: {show.address}\nCtrl-C ends it. Should it fail: {deck}",
                flush=True,
            )
            opens(show.redirect.as_uri())
            show.process.wait()
    except live.NotLiveError as reason:
        print(f"Not live: {reason}. With the kept outputs: {deck}")
        opens(deck.as_uri())
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
        raise SourceError(f"{source.stem}.ipynb is missing: run build.py")
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


if __name__ == "__main__":
    raise SystemExit(main())
