"""Execute freshly built notebooks, and keep their outputs with a stamp.

python -m tools.render 00 --scale small --data ~/images
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from tools import build, outputs, run
from tools.execute import Outcome
from utils import course


async def render_all(
    names: list[str], env: dict, scale: str, root: Path
) -> list[Outcome]:
    """Execute freshly built notebooks and their solutions; commit their outputs."""
    done = []
    for source in build.lectures(names, root):
        for solutions in (False, True):
            path = build.target(source, solutions=solutions)
            nb = build.notebook(source, solutions=solutions, root=root)
            # As it is when the kernel imports it.
            utils = outputs.utils_hash(nb, root, source.name[:2])
            expected = {"CNN_COURSE_STRICT": "right" if solutions else "unanswered"}
            outcome = await run.run_one(path, env | expected, scale, nb)
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
    return run.finish(outcomes, started, None)


if __name__ == "__main__":
    sys.exit(main())
