"""One run at a time trains into a checkpoint."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from filelock import FileLock, Timeout

from utils.course import CourseError
from utils.training import distributed

Fit = TypeVar("Fit", bound=Callable[..., Any])

# A killed kernel's workers, which hold its claim too, notice after seconds.
PATIENCE = 10


def sole_run(fit: Fit) -> Fit:
    """Let `fit` refuse a `checkpoint` that another run trains into."""

    @functools.wraps(fit)
    def alone(*args: Any, checkpoint: str | Path | None = None, **settings: Any) -> Any:
        if checkpoint is None or not distributed.is_first():
            return fit(*args, checkpoint=checkpoint, **settings)
        with claimed(Path(checkpoint).expanduser()):
            return fit(*args, checkpoint=checkpoint, **settings)

    return cast(Fit, alone)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep every other run on this machine from a file, as long as the block lasts.

    The system itself ends the claim of a process that is killed. It is a lock in the
    temporary folder: the file's own may lie on a drive without locks, or on one where
    they outlive the machine, as Colab's do not.

    Raises:
        CourseError: another run has claimed it.
    """
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"cnn-course-{name}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise CourseError(
            f"Another run trains into {path} now, perhaps this notebook in another tab."
            " Stop it or shut its kernel down, or choose another file."
        ) from None
    except (OSError, NotImplementedError):
        pass  # a system without locks, or another user's lock: go without
    try:
        yield
    finally:
        lock.release()
