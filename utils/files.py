"""Files that are replaced as a whole, and text from outside on any terminal."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Seconds until a file that is open elsewhere, in a virus scanner say, is tried again.
PAUSES = (0.1, 0.3, 1.0, 2.0, 0.0) if os.name == "nt" else (0.0,)
LONGEST = 500  # characters that a line shows of a text from outside


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` once the block is left well.

    By then it is on the disk: a kill or a power cut at any moment leaves the old file
    or the new one, and at most a `<name>.part`, which the next writing takes over.

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
        for pause in PAUSES:
            try:
                part.replace(path)
                break
            except PermissionError:
                if not pause:
                    raise
                time.sleep(pause)
    finally:
        part.unlink(missing_ok=True)
    if os.name != "nt":  # the folder's entry, too
        entries = os.open(path.parent, os.O_RDONLY)
        os.fsync(entries)
        os.close(entries)


def replaceable(path: Path) -> tuple[Path, Path]:
    """The file that would be replaced, at the end of a link, and its `.part`.

    Raises:
        OSError: one of them is there and is no regular file, but a folder or a device.
    """
    path = path.resolve() if path.is_symlink() else path
    both = path, Path(f"{path}.part")
    for each in both:
        if each.exists() and not each.is_file():
            raise OSError(errno.EEXIST, "what is there is no regular file", str(each))
    return both


def shown(text: str) -> str:
    """A text from outside in one line: no terminal acts on it, and it is not long."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_anything() -> None:
    """Let stdout print "?" for what its encoding lacks, such as ✓ on Windows."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")
