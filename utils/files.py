"""Files that are replaced as a whole: a reader finds the old one or the new."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PATIENT = os.name == "nt"  # it replaces no file that is open elsewhere
PAUSES = (0.1, 0.3, 1.0, 2.0)  # seconds until such a file is tried again


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` once the block is left well.

    By then it is on the disk, and so is its folder's entry: a kill or a power cut at
    any moment leaves the old file or the new one, and at most a `<name>.part`, which
    the next writing takes over. One process at a time writes to a path. A symbolic link
    stays, and the file that it leads to is replaced.

    Raises:
        OSError: the disk is full, the folder takes no file, or what is there is no
            regular file; `path` is as it was.
    """
    path, part = replaceable(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    _force(path.parent)


def replaceable(path: Path) -> tuple[Path, Path]:
    """The file that would be replaced, at the end of all links, and its `.part`.

    Raises:
        OSError: one of them is there and is no regular file, or has no possible name.
            A folder cannot be replaced, and a device, which an administrator can
            replace, is needed by others.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    _require_regular(path)
    part = path.with_name(f"{path.name}.part")
    _require_regular(part)
    return path, part


def _require_regular(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        text = "what is there is no regular file"
        raise OSError(errno.EEXIST, text, str(path))


def _replace(part: Path, path: Path) -> None:
    """Give the file its name.

    What opens files on Windows, such as a virus scanner or a client that copies a
    folder to the cloud, lets go of them in moments.
    """
    for pause in PAUSES if PATIENT else ():
        try:
            part.replace(path)
            return
        except PermissionError:
            time.sleep(pause)
    part.replace(path)


def _force(folder: Path) -> None:
    """Put the entries of a folder on the disk, where the system lets us open one."""
    with contextlib.suppress(OSError):
        entries = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entries)
        finally:
            os.close(entries)
