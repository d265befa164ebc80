"""What the course makes and keeps: files under `data_dir()/cache`.

A file's name is `<what it is>-<its version><suffix>`. It appears complete or not at
all, another version never overwrites it, and it takes the older versions' place. All of
it may be deleted at any time: it is then made again.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from utils import course

ABANDONED = 3600  # seconds after which nobody writes an unfinished file any more


def place(name: str, version: str, suffix: str) -> Path:
    """Where this version of a file lies, whether it is there or not."""
    return course.data_dir() / "cache" / f"{name}-{version}{suffix}"


class Unfinished:
    """A file that appears under its name once it is complete, and not before.

    Attributes:
        file: opened to be written and read, without a buffer: what is written is there.

    Raises:
        OSError: the folder takes no file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unique = f"{os.getpid()}-{secrets.token_hex(4)}"  # two may write at once
        self.path, self.part = path, path.with_name(f"{path.name}.{unique}.part")
        self.file = self.part.open("w+b", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """Write every byte."""
        write_all(self.file, data)

    def complete(self) -> None:
        """Give the file its name, and remove the older versions."""
        self.file.close()
        try:
            _publish(self.part, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Close the file, and remove what has no name yet."""
        self.file.close()
        self.part.unlink(missing_ok=True)


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write every byte; of a nearly full disk, a plain write would take a part."""
    view = memoryview(data).cast("B")
    while view:
        view = view[file.write(view) :]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that appears under its name once the block is left well.

    Raises:
        OSError: the disk is full, or the folder takes no file.
    """
    unfinished = Unfinished(path)
    try:
        with io.BufferedWriter(unfinished.file) as file:
            yield file
        unfinished.complete()
    finally:
        unfinished.discard()


def _publish(part: Path, path: Path) -> None:
    try:
        part.replace(path)
    except OSError:
        # Windows replaces no file that is open. Then another process was faster, and
        # its file is as good.
        if not path.is_file():
            raise
    _remove_older(path)


def _remove_older(path: Path) -> None:
    """Remove other versions of a file, and what killed processes have left of it."""
    name, suffix = path.name.rsplit("-", 1)[0], path.suffix
    for other in path.parent.glob(f"{name}-*{suffix}*"):
        version = other.name[len(name) + 1 :].split(".")[0]
        if "-" in version or other == path:
            continue  # a file of a longer name, or the new one itself
        # One that is still open cannot be deleted on Windows: the next time will do.
        with contextlib.suppress(OSError):
            unfinished = other.suffix == ".part"
            if not unfinished or time.time() - other.stat().st_mtime > ABANDONED:
                other.unlink()
