"""A notebook run twice in one kernel: the same results, and no growing memory.

"Run all" a second time gives every output again: each printed line and table, and each
figure byte for byte, but for the seconds in a history's table and for the cells whose
tag "timed" says that they tell of the clock. A cell that is run twice in a row may draw
other random numbers, or train its model further; what does not depend on a draw stays:
outputs that nbval compares, the signs of exercises, and errors that are meant.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tools import outputs, run
from tools.execute import running

NOTEBOOKS = run.wanted([], run.ROOT)
SECONDS = 300  # for one cell
GROWTH = 1.10
SIGNS = "✓✗○"
FIGURES: dict[str, Twice] = {}

Shown = list[dict[str, str]]  # of one cell: kind -> content, for each output


class Twice(NamedTuple):
    """What came of a notebook."""

    all: list[list[Shown]]  # the outputs of all cells, for each "run all"
    memory: list[int]  # bytes of the kernel after each "run all"
    cells: list[tuple[Shown, Shown]]  # of each cell, run twice in a row


async def execute_twice(path: Path) -> tuple[list[NotebookNode], Twice]:
    """Run all, run all, and then each cell twice in a row; in one kernel."""
    nb, twice = run.read(path), Twice([], [], [])
    env = run.environment(None, "tiny") | {"CNN_COURSE_STRICT": "unanswered"}
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    async with running(nb, path.parent, env, SECONDS) as client:
        kernel = psutil.Process(client.km.provisioner.pid)
        for _ in range(2):
            twice.all.append([await shown(client, i) for i in code])
            twice.memory.append(kernel.memory_info().rss)
        for i in code:
            twice.cells.append((await shown(client, i), await shown(client, i)))
    return [nb.cells[i] for i in code], twice


async def shown(client: NotebookClient, number: int) -> Shown:
    """Run a cell: what it shows, in a form to be compared."""
    cell = client.nb.cells[number]
    await client.async_execute_cell(cell, number)
    alone = nbformat.v4.new_notebook(cells=[cell])
    outputs.merge_streams(alone)
    found = []
    for output in cell.outputs:
        parts = output.get("data") or {
            output.get("name", "error"): output.get("text", output.get("ename"))
        }
        found.append({kind: timeless(str(text)) for kind, text in parts.items()})
    return found


def timeless(text: str) -> str:
    """A table of a history without its last two columns: seconds, images a second."""
    if "images/s" not in text:
        return text
    number = r"(?:[\d.,]+|seconds|images/s)"
    text = re.sub(rf"(?:<t[dh]>{number}</t[dh]>){{2}}</tr>", "</tr>", text)
    return re.sub(rf" +{number} +{number}$", "", text, flags=re.M)


def signs(cell: Shown) -> list[str]:
    """How exercises turned out, as "○ 00.1"."""
    text = "\n".join(part.get("stdout", "") for part in cell)
    return re.findall(rf"^[{SIGNS}] \d\d\.\d+", text, re.M)


def tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_twice(path, thorough, keep):
    if not thorough and path.stem != "04_vgg":
        pytest.skip("one notebook stands for all; --thorough takes each")
    cells, twice = asyncio.run(execute_twice(path))
    first, second = twice.all
    for cell, one, two in zip(cells, first, second, strict=True):
        assert one == two or tagged(cell, "timed"), cell.source
    for cell, (one, two) in zip(cells, twice.cells, strict=True):
        assert signs(one) == signs(two), cell.source
        if tagged(cell, "nbval-check-output") or tagged(cell, "raises-exception"):
            assert one == two, cell.source
    if sys.platform == "linux":  # others count what they have compressed, or not
        assert twice.memory[1] <= GROWTH * twice.memory[0]
    FIGURES[path.stem] = twice
    if len(FIGURES) == len(NOTEBOOKS):
        keep("run_twice", **figures())


def figures() -> dict:
    """Of all notebooks together."""
    every = FIGURES.values()
    shown = sum(len(cell) for twice in every for cell in twice.all[0])
    growth = max(twice.memory[1] / twice.memory[0] for twice in every) - 1
    figure = (
        f"{len(FIGURES)} notebooks with {shown} outputs: the same in the second run but"
        f" for the clock, memory at most {100 * growth:+.1f} %; no cell fails that is"
        " run twice in a row"
    )
    return {"figure": figure, "outputs": shown, "growth": round(growth, 4)}
