"""Present a lecture: its deck, whose code runs, or the deck alone where that fails.

python -m tools.present 04

A Jupyter server on this machine gives the browser the deck and a kernel. What is typed
into a slide stays in that page.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import webbrowser
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from nbformat import NotebookNode

from tools import build, deck, drawn, outputs, run, slides
from tools.deck import Deck, Slide
from tools.needs import Cell, Needs
from tools.outputs import command

FOLDER = build.ROOT / "build" / "present"
LIVE = build.ROOT / "tools" / "slides" / "live"
RARE = 3  # what more cells call tells nothing of what a cell shows
CALL = re.compile(r"\b[a-z]\w*\.\w+(?=\()")


def main() -> None:
    """Show one lecture; returns when it is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", help="such as 04")
    parser.add_argument("--scale", help="tiny, small or full; default small")
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--no-browser", action="store_true", help="only say where")
    options = parser.parse_args()
    scale = options.scale or os.environ.get("CNN_COURSE_SCALE") or "small"
    source = build.lectures([options.lecture])[0]
    env = run.environment(options.data, scale)
    lesson = deck.read(source)
    static = slides.write(lesson)
    page = live(lesson, static)
    env["CNN_COURSE_PRESENTED"] = str(build.target(source, solutions=False))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    opens = not options.no_browser
    print(f"Ctrl-C ends it. Should it fail: {static}", flush=True)
    if serve(page, env, opens=opens):
        print(f"Jupyter's server has ended. With the kept outputs: {static}")
        if opens:
            webbrowser.open(static.as_uri())


def live(lesson: Deck, static: Path, folder: Path = FOLDER) -> Path:
    """Write the deck with what its slides run; returns the file.

    Args:
        lesson: the deck.
        static: its page as it is shown without a kernel.
        folder: where it goes, in `deck`, beside the settings of its kernel.
    """
    startup = folder / "ipython" / "profile_default" / "startup"
    (folder / "deck").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "ipython", ignore_errors=True)
    startup.mkdir(parents=True)
    (startup / "needs.py").write_text("import tools.needs\n\ntools.needs.watch()\n")
    source = build.ROOT / "notebooks" / "source" / f"{lesson.name}.py"
    notebook = outputs.load(build.target(source, solutions=False))
    data = json.dumps(what_runs(lesson, notebook)).replace("</", "<\\/")
    style = (LIVE / "live.css").read_text(encoding="utf-8")
    script = (LIVE / "live.js").read_text(encoding="utf-8")
    added = f"<style>{style}</style>\n<script>const LIVE = {data};</script>\n"
    before, end, after = static.read_text(encoding="utf-8").rpartition("</body>")
    path = folder / "deck" / static.name
    page = f"{before}{added}<script>{script}</script>\n{end}{after}"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def what_runs(lesson: Deck, notebook: NotebookNode) -> dict[str, list]:
    """For the page: every cell with its section, and for each slide what it runs."""
    cells, section, needs = {}, "", Needs(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            section = cell.source.partition("\n")[0].removeprefix("## ")
        elif cell.cell_type == "code" and not outputs.is_setup(cell):
            cells[cell.id] = {"id": cell.id, "code": cell.source, "section": section}
    here = {"id": "", "section": "On this slide"}
    shown = []
    for slide in lesson.slides:
        found = [cells[i] | here | {"id": i} for i in cells_of(slide, lesson, notebook)]
        # Code that leans on names of no cell is there to be read.
        runs = [code for code in slide.code if not needs.unknown(Cell("", code))]
        shown.append([here | {"code": code} for code in runs] + found)
    return {"cells": list(cells.values()), "slides": shown}


def cells_of(slide: Slide, lesson: Deck, notebook: NotebookNode) -> list[str]:
    """What a slide runs: ids of the cells whose pictures and numbers it shows.

    For a picture that the deck draws itself, it is the cell of the notebook that calls
    the same function, and most like it.
    """
    code = outputs.code_cells(notebook)
    known = {cell.id: cell for cell in code if not outputs.is_setup(cell)}
    found = []
    for picture in slide.pictures:
        cell = lesson.cell(picture["what"]) if picture["kind"] == "run" else None
        if cell and cell.id in known:
            found.append(cell.id)
        elif cell or picture["kind"] == "draw":
            found.append(alike(cell.text if cell else picture["what"], known))
    for pattern in said(slide.text):
        printed = (id for id in known if re.search(pattern, words(known[id])))
        found.append(next(printed, ""))
    return [id for id in dict.fromkeys(found) if id]


def alike(code: str, known: dict[str, NotebookNode]) -> str:
    """The cell most like this code that calls a rare function of it; or none."""
    shows = {
        id: cell
        for id, cell in known.items()
        if cell.outputs and "course.start(" not in cell.source
    }
    calls = {id: set(CALL.findall(cell.source)) for id, cell in shows.items()}
    often = Counter(call for found in calls.values() for call in found)
    rare = {call for call in CALL.findall(code) if 0 < often[call] <= RARE}
    share = {
        id: SequenceMatcher(None, code, shows[id].source, autojunk=False).ratio()
        for id in shows
        if calls[id] & rare
    }
    return max(share, key=share.get, default="")


def said(text: str) -> Iterator[str]:
    """The patterns with which a slide finds numbers in what the notebook printed."""
    for value in deck.VALUE.findall(text):
        for node in ast.walk(ast.parse(value.strip(), mode="eval")):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "said":
                yield ast.literal_eval(node.args[0])


def words(cell: NotebookNode) -> str:
    """What a cell printed in the run that is kept."""
    return "\n".join(map(drawn.words, cell.outputs))


def serve(page: Path, env: dict[str, str], *, opens: bool) -> int:
    """Show a page, on this machine only, until Ctrl-C; the server's exit status.

    Jupyter prints the address with a token, which no option here takes away, and opens
    it by a file that leads there: the command line of a browser shows no token.

    Args:
        page: the live deck, in a folder of its own.
        env: environment variables of the server and its kernels.
        opens: whether to open a browser.
    """
    folder = page.parent.parent
    private = {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_NO_CONFIG": "1",  # no extensions: it starts sooner
        "JUPYTER_DATA_DIR": str(folder / "data"),  # this Python's kernel, no other
        "JUPYTER_RUNTIME_DIR": str(folder / "data" / "runtime"),
        "PYTHONPATH": os.pathsep.join([str(build.ROOT), env.get("PYTHONPATH", "")]),
    }
    in_container = getattr(os, "geteuid", lambda: 1)() == 0
    words = [
        *(sys.executable, "-m", "jupyter_server", "--ip=127.0.0.1"),
        "--ServerApp.log_level=CRITICAL",  # the address alone
        f"--ServerApp.open_browser={opens}",
        f"--ServerApp.default_url=/static/{page.name}",
        f"--ServerApp.extra_static_paths={page.parent}",
        f"--ServerApp.root_dir={build.ROOT}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it without a question
        *(["--allow-root"] if in_container else []),
    ]
    process = subprocess.Popen(words, env=env | private)
    try:
        return process.wait()
    except KeyboardInterrupt:  # the way to end it
        return 0
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    command(main)
