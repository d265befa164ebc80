"""Execute a student's notebook again, in its own process and with a time limit."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from nbformat import NotebookNode

from utils.course import ROOT

NOTEBOOKS = ROOT / "notebooks"
CELL_SECONDS = 60


def execute_again(nb: NotebookNode, seconds: int) -> list[str]:
    """Execute all cells in place, at scale tiny; a cell that fails stops no other.

    It runs with the rights of whoever calls this.

    Args:
        nb: its outputs are replaced.
        seconds: allowed in all; a single cell is interrupted after a minute.

    Returns:
        What went wrong: nothing, or one line.
    """
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
            cell.metadata.pop("executionInfo", None)
    if sys.platform == "win32":  # its default event loop cannot talk to kernels
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    # Inside the course, where the notebook's first cell finds it.
    with tempfile.TemporaryDirectory(dir=build, ignore_cleanup_errors=True) as folder:
        return asyncio.run(_execute(nb, Path(folder), seconds))


async def _execute(nb: NotebookNode, folder: Path, seconds: int) -> list[str]:
    if str(NOTEBOOKS) not in sys.path:  # the tools lie beside the notebooks
        sys.path.append(str(NOTEBOOKS))
    from tools.execute import execute

    env = os.environ | {"CNN_COURSE_SCALE": "tiny", "OMP_NUM_THREADS": "1"}
    for name in ("CNN_COURSE_STRICT", "MPLBACKEND"):
        env.pop(name, None)
    limit = min(CELL_SECONDS, seconds)
    work = asyncio.ensure_future(execute(nb, folder, env, limit, forgiving=True))
    _, late = await asyncio.wait({work}, timeout=seconds)
    if late:
        work.cancel()  # it ends its kernel, whatever it then returns
        await asyncio.wait({work})
        return [f"stopped after {seconds} s"]
    failure = work.result()
    return [f"stopped in {failure.splitlines()[0]}"] if failure else []
