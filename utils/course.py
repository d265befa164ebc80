"""The one place that knows where a notebook runs: device, scale, seed, data folder."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

# glibc is to keep what is freed: new pages cost a ResNet-20 a sixth of its step.
if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
    libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    _ = libc.mallopt(-3, 2**30) or libc.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
SCALES = ("tiny", "small", "full")


class CourseError(ValueError):
    """Something outside the code is wrong; the message says what, and what to do."""


def choose(what: str, value: object, options: Collection[object]) -> None:
    """Raise a `CourseError` unless `value` is one of the options."""
    if value not in options:
        names = ", ".join(map(repr, options))
        raise CourseError(f"There is no {what} {value!r}: choose one of {names}.")


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
    """The scale: `CNN_COURSE_SCALE`, or `full` on a GPU and `small` elsewhere."""
    name = os.environ.get("CNN_COURSE_SCALE", "").strip().lower()
    if not name:
        return "full" if device().type == "cuda" else "small"
    choose("CNN_COURSE_SCALE", name, SCALES)
    return name


def pick(*, tiny: T, small: T, full: T) -> T:
    """The value for this scale: seconds in CI, minutes on a laptop, a GPU."""
    return {"tiny": tiny, "small": small, "full": full}[scale()]


def data_dir() -> Path:
    """The folder of the data sets: `CNN_COURSE_DATA`, or `data/` of the course."""
    # Windows' `set NAME="D:\data"` makes the quotes a part of the value.
    named = os.environ.get("CNN_COURSE_DATA", "").strip().strip("\"'")
    folder = expanded(named or ROOT / "data", "CNN_COURSE_DATA: " if named else "")
    if named and not folder.is_dir():
        cure = "Create it or correct the path; unset, the course uses its own data/."
        raise CourseError(f"CNN_COURSE_DATA does not exist: {str(folder)!r}. {cure}")
    return folder


def expanded(path: str | Path, what: str = "") -> Path:
    """A path without `~`, there or not; a `CourseError` if it is closed to us."""
    try:
        path = Path(path).expanduser()
        os.scandir(path).close()  # of a closed folder, too, this fails
    except (FileNotFoundError, NotADirectoryError):
        pass  # who needs it says so
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        text = f"{what}{str(path)!r} cannot be looked into: {why}: correct the path."
        raise CourseError(text) from error
    return path


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
    """Seed everything, set the figures' style, and say in one line where we are."""
    run = Run(device=device(), scale=scale(), seed=seed)
    data_dir()  # a wrong one is named before the work begins
    set_seed(seed)
    use_style()
    where = run.device.type
    where = torch.cuda.get_device_name() if where == "cuda" else where
    versions = f"Python {platform.python_version()} · torch {torch.__version__}"
    print(f"{versions} · {where} · scale {run.scale} · seed {seed}")
    return run
