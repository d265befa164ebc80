"""Execute freshly built notebooks, and keep their outputs with a stamp.

python -m tools.render 00 --scale small --data ~/images
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from nbformat import NotebookNode, v4

from tools import build, outputs, run
from tools.execute import Outcome, run_cells, running
from utils import course


async def render_all(
    names: list[str], env: dict, scale: str, root: Path
) -> list[Outcome]:
    """Execute freshly built notebooks and their solutions; commit their outputs."""
    done = []
    for source in build.lectures(names, root):
        paths = [build.target(source, solutions=x) for x in (False, True)]
        new = [build.notebook(source, solutions=x, root=root) for x in (False, True)]
        # As it is when the kernel imports it.
        utils = [outputs.utils_hash(nb, root, source.name[:2]) for nb in new]
        outcomes = await both(paths, new, env, scale)
        for path, outcome, used in zip(paths, outcomes, utils, strict=True):
            bad = [] if outcome.failure else outputs.bad_outputs(outcome.nb)
            if bad:
                outcome.failure = "\n    ".join(["its outputs are not kept:", *bad])
            if not outcome.failure:
                keep(outcome, path, scale, used)
        done += outcomes
    return done


async def both(
    paths: list[Path], notebooks: list[NotebookNode], env: dict, scale: str
) -> list[Outcome]:
    """Execute a student's notebook, and then its solutions in the same kernel.

    What comes before the first exercise is the same code in both, and runs once.
    """
    student, solved = notebooks
    names = [path.relative_to(paths[0].parent).as_posix() for path in paths]
    print(f"{paths[0].stem} ...", file=sys.stderr)
    start, clock = time.perf_counter(), []

    def lap(told: str) -> str:
        clock.append(time.perf_counter() - start)
        return told

    seconds, strict = run.CELL_SECONDS[scale], {"CNN_COURSE_STRICT": "unanswered"}
    async with running(student, paths[0].parent, env | strict, seconds) as client:
        pairs = enumerate(zip(student.cells, solved.cells, strict=True))
        differ = [n for n, (a, b) in pairs if a.source != b.source and "outputs" in a]
        shared = range(min([*differ, len(student.cells)]))
        rest = range(len(shared), len(student.cells))
        failed = lap(await run_cells(client, student, shared))
        outputs.carry_outputs(solved, student)
        told = [failed := lap(failed or await run_cells(client, student, rest))]
        failed = failed or await run_cells(client, change_to(paths[1].parent))
        told += [lap(failed or await run_cells(client, solved, rest))]
    for number, cell in enumerate(outputs.code_cells(solved), start=1):
        cell.execution_count = number
    spent = (clock[1], clock[0] + clock[2] - clock[1])
    return [Outcome(*one) for one in zip(names, notebooks, spent, told, strict=True)]


def change_to(folder: Path) -> NotebookNode:
    """A notebook whose one cell makes the kernel that of the solutions."""
    code = (
        "import os as _os\n_os.environ['CNN_COURSE_STRICT'] = 'right'\n"
        f"_os.chdir({str(folder)!r})"
    )
    return v4.new_notebook(cells=[v4.new_code_cell(code)])


def keep(outcome: Outcome, path: Path, scale: str, utils: str) -> None:
    """Write an executed notebook with its stamp, if anything but the time changed."""
    drawn = any(line.startswith("Stand-in:") for line in outcome.lines())
    device = course.device().type
    nb, old = outcome.nb, outputs.load(path)
    outputs.shrink_figures(nb)
    nb.metadata.language_info = outputs.LANGUAGE  # a kernel adds its version
    nb.metadata.course = {
        "code": outputs.code_hash(nb),
        "utils": utils,
        "scale": scale,
        "data": "stand-in" if drawn else "real",
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "date": build.today(),
        "seconds": round(outcome.seconds),
    }
    stamp = nb.metadata.course
    if old and "course" in old.metadata:
        when = {key: old.metadata.course.get(key) for key in ("date", "seconds")}
        nb.metadata.course = stamp | when
    if old is None or outputs.text_of(old) != outputs.text_of(nb):
        nb.metadata.course = stamp
        outputs.write(nb, path)


def main(argv: list[str] | None = None, root: Path = build.ROOT) -> int:
    """Run the command line; returns the exit status."""
    args = run.options(__doc__.split("\n")[0], "small", argv)
    started = time.perf_counter()
    try:
        env = run.environment(args.data, args.scale)
        outcomes = run.complete(render_all(args.lecture, env, args.scale, root))
    except outputs.SourceError as error:
        sys.exit(f"render: {error}")
    return run.finish(outcomes, started)


if __name__ == "__main__":
    sys.exit(main())
