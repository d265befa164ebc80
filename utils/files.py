"""Files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` once the block is left well.

    By then it is on the disk: a kill or a power cut at any moment leaves the old file
    or the new one, and at most a `<name>.part`, which the next writing takes over.
    """
    path = path.resolve()  # a link stays, what it leads to is replaced
    part = Path(f"{path}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if os.name != "nt":  # the folder's entry, too
        entries = os.open(path.parent, os.O_RDONLY)
        os.fsync(entries)
        os.close(entries)
