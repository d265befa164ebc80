"""Execute the lectures, show their results in one table, and keep what they showed.

    python -m tools.run                          all lectures, seconds each
    python -m tools.run 00 --scale small --data ~/images

Executed notebooks go to `build/`; `tools.render` writes into `notebooks/`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

from nbformat import NotebookNode

from tools import outputs
from tools.execute import Outcome, execute

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = {"tiny": 120, "small": 1800, "full": 3600}


async def run_all(paths: list[Path], env: dict, scale: str, out: Path) -> list[Outcome]:
    """Execute notebooks, at scale tiny two at a time, and write them into `out`."""
    at_once = min(2, os.cpu_count() or 1) if scale == "tiny" else 1
    turn = asyncio.Semaphore(at_once)
    out.mkdir(parents=True, exist_ok=True)

    async def one(path: Path) -> Outcome:
        async with turn:
            print(f"{path.stem} ...", file=sys.stderr)
            started, nb = time.perf_counter(), read(path)
            failure = await execute(nb, path.parent, env, CELL_SECONDS[scale])
            outputs.write(nb, out / path.name)
            return Outcome(path.stem, nb, time.perf_counter() - started, failure)

    return await asyncio.gather(*map(one, paths))


def read(path: Path) -> NotebookNode:
    """A notebook without its outputs, to be executed."""
    nb = outputs.load(path)
    for cell in outputs.code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    return nb


def wanted(names: list[str], root: Path) -> list[Path]:
    """The notebooks of these lectures, as "00"; all for none."""
    paths = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise outputs.SourceError("there are no notebooks yet; tools.build makes them")
    return outputs.chosen(paths, names)


def table(outcomes: list[Outcome], seconds: float) -> str:
    """One row for each lecture: seconds and headline; then the time of them all."""
    rows = [("lecture", "seconds", "headline")]
    rows += [(o.name, f"{o.seconds:.1f}", o.headline) for o in outcomes]
    rows.append(("together", f"{seconds:.1f}", ""))
    name, spent = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{name}}  {b:>{spent}}  {c}".rstrip() for a, b, c in rows)


def environment(data: str | None, scale: str) -> dict[str, str]:
    """The kernels' environment: scale and data folder, as an absolute path."""
    env = os.environ | {"CNN_COURSE_SCALE": scale}
    env.pop("CNN_COURSE_STRICT", None)
    env.pop("MPLBACKEND", None)  # figures belong into the notebook
    if scale == "tiny":  # small tensors, two notebooks: more threads slow both down
        env |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    folder = data or env.get("CNN_COURSE_DATA")
    if folder:
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise outputs.SourceError(f"the data folder does not exist: {path}")
        env["CNN_COURSE_DATA"] = str(path)
    return env


def options(text: str, default: str, argv: list[str] | None) -> argparse.Namespace:
    """The command line of `run` and `render`: lectures, a scale, and the data."""
    parser = argparse.ArgumentParser(description=text)
    scales = ", ".join(CELL_SECONDS)
    parser.add_argument("lecture", nargs="*", help="as 00; without any: all of them")
    parser.add_argument("--scale", help=f"{scales}; default {default}")
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--out", type=Path, help="a folder; default build")
    args = parser.parse_args(argv)
    args.scale = args.scale or os.environ.get("CNN_COURSE_SCALE") or default
    if args.scale not in CELL_SECONDS:
        parser.error(f"{args.scale!r} is no scale; there are {scales}")
    return args


def finish(outcomes: list[Outcome], started: float) -> int:
    """Print failures and the table; the exit status."""
    for outcome in outcomes:
        if outcome.failure:
            print(f"\n{outcome.name}: {outcome.failure}", file=sys.stderr)
    print(table(outcomes, time.perf_counter() - started))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; returns the exit status."""
    args = options(__doc__.split("\n")[0], "tiny", argv)
    started, out = time.perf_counter(), args.out or root / "build"
    try:
        env = environment(args.data, args.scale)
        work = run_all(wanted(args.lecture, root), env, args.scale, out)
        return finish(complete(work), started)
    except outputs.SourceError as error:
        sys.exit(f"run: {error}")


def complete(work: Coroutine) -> list[Outcome]:
    """Wait for what talks to kernels, which Windows' default event loop cannot."""
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    return asyncio.run(work)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a console without × or ✓
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
