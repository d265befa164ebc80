"""Runs in the kernel of a presentation: cells that no slide shows run by themselves.

Set-up and imports are on no slide, so nobody can run them there. Before a cell runs,
those of them above it run that have not yet.
"""

import json
import os
from pathlib import Path

from IPython import get_ipython
from IPython.utils.capture import capture_output


def cells_above(name: str | None) -> list[dict]:
    """The notebook's cells before the one with this id; none if it is not there."""
    notebook = json.loads(Path(os.environ["CNN_COURSE_PRESENTED"]).read_text("utf-8"))
    names = [cell["id"] for cell in notebook["cells"]]
    return notebook["cells"][: names.index(name)] if name in names else []


def is_hidden(cell: dict) -> bool:
    """Whether the cell is code that no slide shows; exercises' checks may wait."""
    kind = cell["metadata"].get("slideshow", {}).get("slide_type")
    code = cell["cell_type"] == "code" and kind == "skip"
    return code and not "".join(cell["source"]).startswith("check")


def run_hidden(info) -> None:
    """Run what the cell that is about to run may need; show only what goes wrong."""
    for cell in cells_above(getattr(info, "cell_id", None)):
        if is_hidden(cell) and cell["id"] not in done:
            done.add(cell["id"])
            with capture_output() as shown:
                result = shell.run_cell("".join(cell["source"]), store_history=False)
            if not result.success:
                done.discard(cell["id"])
                shown.show()
                return


shell = get_ipython()
done: set[str] = set()
shell.events.register("pre_run_cell", run_hidden)
