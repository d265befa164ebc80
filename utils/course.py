"""The one place that knows where a notebook runs: device, scale, seed, data folder."""

from __future__ import annotations

import os
import platform
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

# Lets torch ask Linux for pages of 2 MB, from its first tensor on. The kernel clears
# fewer of them: a batch of 64 photos becomes float in 12 ms in place of 21.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SCALES = ("tiny", "small", "full")
SHARED_MEMORY = Path("/dev/shm")  # where processes on Linux hand batches over
SHARED = 2**30  # bytes that must be free there; a container may have 64 MB in all


class CourseError(ValueError):
    """Something outside the code is wrong; the message says what, and what to do."""


@dataclass(frozen=True)
class Run:
    """What `start` found: where this notebook runs, and at which scale."""

    device: torch.device
    scale: str
    seed: int

    def headline(self, text: str) -> None:
        """Print the lecture's result in one line; `make run` puts it into its table."""
        print(f"Headline: {text}")


def device() -> torch.device:
    """The fastest device here: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def scale() -> str:
    """The scale: `CNN_COURSE_SCALE`, or `full` on a GPU and `small` elsewhere.

    Raises:
        CourseError: the variable names no scale.
    """
    name = os.environ.get("CNN_COURSE_SCALE", "").strip().lower()
    if not name:
        return "full" if device().type == "cuda" else "small"
    if name not in SCALES:
        raise CourseError(
            f"CNN_COURSE_SCALE={name!r} is no scale. Set it to {', '.join(SCALES)},"
            " or leave it unset: full on a GPU, small elsewhere."
        )
    return name


def pick(*, tiny: T, small: T, full: T) -> T:
    """The value for this scale: seconds in CI, minutes on a laptop, a GPU."""
    return {"tiny": tiny, "small": small, "full": full}[scale()]


def data_dir() -> Path:
    """The folder of the data sets: `CNN_COURSE_DATA`, or `data/` of the course.

    Raises:
        CourseError: the variable names no folder, or one that is closed to us.
    """
    # Windows' `set NAME="D:\data"` makes the quotes a part of the value.
    named = os.environ.get("CNN_COURSE_DATA", "").strip().strip("\"'")
    if not named:
        return expanded(ROOT / "data", "The data folder")
    folder = expanded(named, "CNN_COURSE_DATA")
    if not folder.is_dir():
        raise CourseError(
            f"CNN_COURSE_DATA names a folder that does not exist: {str(folder)!r}."
            " Create it or correct the path; unset, the course uses its own data/."
        )
    return folder


def expanded(path: str | Path, what: str = "The path") -> Path:
    """A path without `~`, whether something is there or not.

    Args:
        what: how a message calls the path.

    Raises:
        CourseError: it leads through a folder that is closed to us, into the home of
            nobody, or is none at all.
    """
    try:
        path = Path(path).expanduser()
        os.stat(f"{path}{os.sep}.")  # the dot: of a closed folder, too, this fails
    except (FileNotFoundError, NotADirectoryError):
        pass  # who needs it says so
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise CourseError(
            f"{what} {str(path)!r} cannot be looked into ({reason}). Correct the path,"
            " or change the permissions of the folders on it."
        ) from error
    return path


def num_workers() -> int:
    """How many processes a `DataLoader` may start.

    None where processes are spawned (Windows, macOS): a notebook's own classes cannot
    be sent to them, and the loader would hang. And none where the shared memory that
    batches pass through is small, as in a container: they would fail in mid-epoch.
    """
    if platform.system() != "Linux":
        return 0
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < SHARED:
        return 0
    return min(4, os.cpu_count() or 1)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and torch; with one seed a run on a CPU repeats exactly."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries still draw from it)
    torch.manual_seed(seed)


def use_style() -> None:
    """Set the figures' style; in a notebook also PNG figures of exactly their size."""
    from matplotlib import style  # here: not every script draws

    style.use(ROOT / "utils" / "course.mplstyle")
    ipython = sys.modules.get("IPython")
    if ipython and hasattr(ipython.get_ipython(), "kernel"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # The default crops a figure to what is drawn, so that sizes vary.
        set_matplotlib_formats("png", bbox_inches=None)


def start(seed: int = 0) -> Run:
    """Seed everything, set the figures' style, and say in one line where we are.

    Args:
        seed: what every random draw of the notebook follows from.

    Returns:
        The device, the scale and the seed.

    Raises:
        CourseError: `CNN_COURSE_SCALE` or `CNN_COURSE_DATA` names nothing usable.
    """
    run = Run(device=device(), scale=scale(), seed=seed)
    data_dir()  # a wrong one is named before the work begins
    set_seed(seed)
    use_style()
    where = (
        torch.cuda.get_device_name() if run.device.type == "cuda" else run.device.type
    )
    print(
        f"Python {platform.python_version()} · torch {torch.__version__} · {where}"
        f" · scale {run.scale} · seed {seed}"
    )
    return run
