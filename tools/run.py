"""Execute the lectures, show their results in one table, and keep their pages.

    python notebooks/run.py                          all lectures, seconds each
    python notebooks/run.py 00 --scale small --data ~/images
    python notebooks/run.py --render 00              keep the outputs in the notebook

Pages and executed notebooks go to `build/`; `--render` writes into `notebooks/`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import sys
import time
from pathlib import Path

from nbformat import NotebookNode

from tools import outputs, pages
from tools.execute import Outcome, execute

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = {"tiny": 120, "small": 1800, "full": 3600}


async def run_one(path: Path, env: dict, scale: str, nb: NotebookNode) -> Outcome:
    """Execute one notebook at a scale and time it."""
    print(f"{path.stem} ...", file=sys.stderr)
    started = time.perf_counter()
    failure = await execute(nb, path.parent, env, CELL_SECONDS[scale])
    return Outcome(path.stem, nb, time.perf_counter() - started, failure)


async def run_all(paths: list[Path], env: dict, scale: str, out: Path) -> list[Outcome]:
    """Execute notebooks, at scale tiny two at a time, and write their pages."""
    at_once = min(2, os.cpu_count() or 1) if scale == "tiny" else 1
    turn = asyncio.Semaphore(at_once)
    out.mkdir(parents=True, exist_ok=True)

    async def one(path: Path) -> Outcome:
        async with turn:
            outcome = await run_one(path, env, scale, read(path))
            outputs.write(outcome.nb, out / path.name)
            page = out / f"{path.stem}.html"
            await asyncio.to_thread(pages.write, outcome.nb, page, path.parent)
            return outcome

    return await asyncio.gather(*map(one, paths))


async def render_all(names: list[str], env: dict, scale: str, root: Path) -> list:
    """Execute freshly built notebooks and their solutions; commit their outputs."""
    import build  # needs jupytext, which a student does not have

    done = []
    for source in build.lectures(names, root):
        for solutions in (False, True):
            path = build.target(source, solutions=solutions)
            nb = build.notebook(source, solutions=solutions, root=root)
            # As it is when the kernel imports it.
            utils = outputs.utils_hash(nb, root, source.name[:2])
            expected = {"CNN_COURSE_STRICT": "right" if solutions else "unanswered"}
            outcome = await run_one(path, env | expected, scale, nb)
            bad = [] if outcome.failure else outputs.bad_outputs(nb)
            if bad:
                outcome.failure = "\n    ".join(["its outputs are not kept:", *bad])
            if not outcome.failure:
                keep(outcome, path, scale, utils)
            outcome.name = path.relative_to(root / "notebooks").as_posix()
            done.append(outcome)
    return done


def keep(outcome: Outcome, path: Path, scale: str, utils: str) -> None:
    """Write an executed notebook with its stamp, if anything but the time changed."""
    sys.path.insert(0, str(ROOT))
    import torch

    from utils import course

    drawn = any(line.startswith("Stand-in:") for line in outcome.lines())
    device = course.device().type
    nb, old = outcome.nb, outputs.load(path)
    outputs.shrink_figures(nb)
    nb.metadata.language_info = {"name": "python"}  # a kernel adds its version
    nb.metadata.course = {
        "code": outputs.code_hash(nb),
        "utils": utils,
        "scale": scale,
        "data": "stand-in" if drawn else "real",
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "date": today(),
        "seconds": round(outcome.seconds),
    }
    stamp = nb.metadata.course
    if old and "course" in old.metadata:
        when = {key: old.metadata.course.get(key) for key in ("date", "seconds")}
        nb.metadata.course = stamp | when
    if old is None or outputs.text_of(old) != outputs.text_of(nb):
        nb.metadata.course = stamp
        outputs.write(nb, path)


def today() -> str:
    """The date, as 2025-01-31."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


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
        raise outputs.SourceError("there are no notebooks yet; build.py makes them")
    for name in names:
        if not any(path.stem.startswith(name) for path in paths):
            there = ", ".join(path.stem for path in paths)
            raise outputs.SourceError(f"no lecture {name!r}; there are: {there}")
    return [p for p in paths if not names or p.stem.startswith(tuple(names))]


def table(outcomes: list[Outcome], seconds: float, out: Path | None) -> str:
    """One row for each lecture: seconds, headline, page; then the time of them all."""
    rows = [("lecture", "seconds", "headline", "page" if out else "")]
    for outcome in outcomes:
        page = shown(out / f"{outcome.name}.html") if out else ""
        rows.append((outcome.name, f"{outcome.seconds:.1f}", outcome.headline, page))
    rows.append(("together", f"{seconds:.1f}", "", ""))
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{name:<{wide[0]}}  {spent:>{wide[1]}}  {text:<{wide[2]}}  {page}".rstrip()
        for name, spent, text, page in rows
    ]
    return "\n".join(lines)


def shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


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


def arguments(argv: list[str] | None, root: Path) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    scales = ", ".join(CELL_SECONDS)
    parser.add_argument("lecture", nargs="*", help="as 00; without any: all of them")
    parser.add_argument("--scale", help=f"{scales}; default tiny, to render small")
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=root / "build", help="for pages")
    parser.add_argument("--render", action="store_true", help="keep outputs and stamp")
    args = parser.parse_args(argv)
    default = "small" if args.render else "tiny"
    args.scale = args.scale or os.environ.get("CNN_COURSE_SCALE") or default
    if args.scale not in CELL_SECONDS:
        parser.error(f"{args.scale!r} is no scale; there are {scales}")
    return args


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; returns the exit status."""
    args = arguments(argv, root)
    started = time.perf_counter()
    if sys.platform == "win32":  # its default event loop cannot talk to kernels
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    try:
        env = environment(args.data, args.scale)
        if args.render:
            work = render_all(args.lecture, env, args.scale, root)
        else:
            work = run_all(wanted(args.lecture, root), env, args.scale, args.out)
        outcomes = asyncio.run(work)
    except outputs.SourceError as error:
        sys.exit(f"run.py: {error}")
    for outcome in outcomes:
        if outcome.failure:
            print(f"\n{outcome.name}: {outcome.failure}", file=sys.stderr)
    spent = time.perf_counter() - started
    print(table(outcomes, spent, None if args.render else args.out))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a console without × or ✓
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
