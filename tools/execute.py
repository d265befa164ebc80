"""Execute a notebook in place, and say what became of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tools import outputs


@dataclass
class Outcome:
    """What became of one notebook."""

    name: str
    nb: NotebookNode
    seconds: float
    failure: str = ""

    def lines(self) -> list[str]:
        """Everything that it printed."""
        cells = outputs.code_cells(self.nb)
        streams = [
            o.text for c in cells for o in c.outputs if o.get("name") == "stdout"
        ]
        return "\n".join(streams).split("\n")

    @property
    def headline(self) -> str:
        """Its result in one line."""
        if self.failure:
            return "FAILED"
        found = [x[10:] for x in self.lines() if x.startswith("Headline: ")]
        return found[-1] if found else "-"


class ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs this, whatever else is installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """ipykernel's own, instead of one that is found by its name."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


@asynccontextmanager
async def running(
    nb: NotebookNode, folder: Path, env: dict, seconds: int
) -> AsyncIterator[NotebookClient]:
    """A client whose kernel has started, and is gone afterwards.

    Args:
        nb: whose cells the client can execute.
        folder: the working directory.
        env: environment variables of the kernel.
        seconds: allowed for one cell.
    """
    client = NotebookClient(
        nb,
        timeout=seconds,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        kernel_manager_class=ThisPython,
    )
    kernel = client.create_kernel_manager()
    try:
        await client.async_start_new_kernel(env=env)
        await client.async_start_new_kernel_client()
        yield client
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if kernel.has_kernel:
            await kernel.shutdown_kernel(now=True)


async def execute(nb: NotebookNode, folder: Path, env: dict, seconds: int) -> str:
    """Run all cells in order, in place; the arguments are those of `running`.

    Returns:
        Why and where it failed; empty where it did not.
    """
    try:
        async with running(nb, folder, env, seconds) as client:
            return await run_cells(client, nb)
    except Exception as error:
        return f"no kernel could be started: {error}"


async def run_cells(
    client: NotebookClient, nb: NotebookNode, some: range | None = None
) -> str:
    """Run all cells, or some, in place; why and where it failed, or empty."""
    client.nb = nb
    number = 0
    try:
        for number in range(len(nb.cells)) if some is None else some:
            await client.async_execute_cell(nb.cells[number], number)
    except Exception as error:  # of the student's code, or the kernel died
        return explain(error, number + 1, nb)
    finally:
        outputs.merge_streams(nb)
        outputs.describe_figures(nb)
    return ""


def explain(error: Exception, number: int, nb: NotebookNode) -> str:
    """Where a notebook failed: the cell's source and the end of its traceback."""
    trace = error.traceback if isinstance(error, CellExecutionError) else str(error)
    trace = re.sub(r"\x1b\[[0-9;]*m", "", trace).rstrip().split("\n")[-8:]
    source = nb.cells[number - 1].source.split("\n")
    shown = [*source[:12], "..."] if len(source) > 12 else source
    text = [f"cell {number}, {type(error).__name__}"]
    return "\n".join(
        [*text, *(f"    | {x}" for x in shown), *(f"    {x}" for x in trace)]
    )
