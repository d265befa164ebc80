"""A file of pixels, mapped into memory, with arrays about them behind it.

The file may be larger than the memory: the system reads what is looked at, and takes
the memory back when it is wanted. Images lie there channels last, row by row. A disk
that takes no more is no loss: what it has taken moves to memory, if that has room.
"""

from __future__ import annotations

import io
import math
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from utils.course import CourseError
from utils.datasets.cache import Unfinished
from utils.datasets.maps import map_file
from utils.datasets.store import free_memory

END = struct.Struct("<QQ8s")  # images, bytes of the arrays, and the sign of the format
SIGN = b"pixels 1"
ZIP_END = struct.Struct("<10xHII2x")  # how many entries; bytes and place of their list
RESERVE = 2**28  # bytes that are left free on the disk: others need some, too


class Stored(NamedTuple):
    """Images, uint8 (N, H, W, C), and named arrays about them."""

    pixels: np.ndarray
    about: dict[str, np.ndarray]


def read(path: Path, shape: tuple[int, ...]) -> Stored | None:
    """Map a file of images of one shape; None if there is none, or a damaged one.

    Of the pixels themselves only the number is checked: to read them all would take as
    long as the map saves. They may be written to, and the file does not change.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - END.size))
            n, length, sign = END.unpack(file.read(END.size))
            pixels = n * math.prod(shape)
            if sign != SIGN or size != pixels + length + END.size:
                return None
            file.seek(pixels)
            packed = file.read(length)
            with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
                about = dict(arrays)
            # A zip has a checksum of each array, but its reader does not mind other
            # bytes before it, nor an entry that seems to go on over the next.
            count, listed, before = ZIP_END.unpack(packed[-ZIP_END.size :])
            if (len(about), length) != (count, before + listed + ZIP_END.size):
                return None
            if not all(isinstance(x, np.ndarray) for x in about.values()):
                return None  # bytes: of what does not begin as an array
            return Stored(map_file(file, pixels).reshape(n, *shape), about)
    except Exception:  # of a damaged zip, NumPy and Python raise whatever they meet
        return None


class Writer:
    """Takes images one by one: into a file, or into memory once the disk refuses.

    A context: left early, it leaves nothing behind.

    Args:
        path: where the file appears once it is complete.
        shape: (N, H, W, C) with as many images as may come.

    Raises:
        CourseError: there is room neither on the disk nor in memory.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self.n = path, shape, 0
        self.memory: np.ndarray | None = None
        self.file: Unfinished | None = None
        try:
            self.file = Unfinished(path)
            if shutil.disk_usage(path.parent).free < math.prod(shape) + RESERVE:
                raise OSError(28, "not enough free space")
        except OSError as error:
            self._move_to_memory(error)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.discard()

    def add(self, image: np.ndarray) -> None:
        """Take one image, uint8 (H, W, C)."""
        self._write(np.ascontiguousarray(image).data)
        if self.memory is not None:
            self.memory[self.n] = image
        self.n += 1

    def finish(self, about: dict[str, np.ndarray]) -> Stored:
        """Take the arrays, and give everything back as `read` does.

        Raises:
            CourseError: the file is complete, but cannot get its name.
        """
        packed = io.BytesIO()
        np.savez(packed, **about)
        end = END.pack(self.n, packed.tell(), SIGN)
        self._write(packed.getvalue() + end)
        if self.memory is not None:
            return Stored(self.memory[: self.n], about)
        remedy = "Let CNN_COURSE_DATA name a folder on a local disk."
        try:
            self.file.complete()
        except OSError as error:
            problem = f"{self.path} cannot get its name ({error.strerror})"
            raise CourseError(f"{problem}. {remedy}") from error
        stored = read(self.path, self.shape[1:])
        if stored is None:
            raise CourseError(f"{self.path} cannot be mapped into memory. {remedy}")
        return stored

    def _write(self, data: memoryview | bytes) -> None:
        if self.memory is None:
            try:
                self.file.write(data)
            except OSError as error:
                self._move_to_memory(error)

    def _move_to_memory(self, error: OSError) -> None:
        """Go on in memory, with what the file has taken; there, it is given up."""
        needed, free = math.prod(self.shape), free_memory(torch.device("cpu"))
        folder, reason = self.path.parent, error.strerror or error
        if needed > free / 2:
            self.__exit__()
            raise CourseError(
                f"{needed / 1e9:.1f} GB of pixels fit neither into {folder} ({reason})"
                f" nor into half of the free memory ({free / 1e9:.1f} GB). Free some"
                " disk space, let CNN_COURSE_DATA name a folder on another disk, or ask"
                " for a smaller size."
            ) from error
        self.memory = np.empty(self.shape, np.uint8)
        if self.file:
            self.file.file.seek(0)
            taken = memoryview(self.memory[: self.n]).cast("B") if self.n else b""
            while taken:
                taken = taken[self.file.file.readinto(taken) :]
            self.file.discard()
        print(
            f"No room in {folder} ({reason}): the decoded photos stay in memory, and"
            " the next run decodes them again."
        )
