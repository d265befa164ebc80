"""Files mapped into memory, whose pages go back to the system once they were read.

A page of a map that was looked at counts as memory of the process, though the system
could take it back: after an epoch, the whole file does. So every READ bytes the pages
are let go. Their content stays in the system's own cache, and is mapped again at the
next look, which takes microseconds.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import sys
import weakref

import numpy as np

READ = 2**28  # bytes that are read until pages go back
BLOCK = 2**26  # bytes of a map that go back together, if nobody wrote to any of them
# Linux maps no file that could be written to and is larger than the memory, unless it
# is told that nobody will. Python names the flag from 3.13 on.
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
# What Linux tells of a page, in the upper three bits: not there, or the file's own.
ABSENT, OF_FILE = 0b000, 0b101

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_count = 0


def map_file(file: io.BufferedReader, length: int) -> np.ndarray:
    """The first bytes of a file as an array: a private map, copied where written to.

    Of a map that is read-only, torch would make a tensor with a warning only, since a
    write to it would end the process.
    """
    if length == 0:
        return np.empty(0, np.uint8)
    if hasattr(mmap, "MAP_PRIVATE"):
        flags, access = mmap.MAP_PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
        mapped = mmap.mmap(file.fileno(), length, flags=flags, prot=access)
    else:
        mapped = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY)
    _maps.add(mapped)
    return np.frombuffer(mapped, np.uint8)


def was_read(length: int) -> None:
    """Count bytes that were read of some map; every READ of them, let pages go."""
    global _count
    _count += length
    if _count >= READ:
        _count = 0
        # Linux alone tells which pages are safe to let go; elsewhere they stay.
        with contextlib.suppress(OSError), open("/proc/self/pagemap", "rb", 0) as table:
            for mapped in list(_maps):
                _release(mapped, table)


def _release(mapped: mmap.mmap, table: io.FileIO) -> None:
    """Let the pages go, but for blocks that were written to: they have no other copy.

    Who writes in another thread while a loader runs has to expect that it is lost.
    """
    address = np.frombuffer(mapped, np.uint8).ctypes.data
    for start in range(0, len(mapped), BLOCK):
        length = min(BLOCK, len(mapped) - start)
        table.seek((address + start) // mmap.PAGESIZE * 8)
        pages = np.frombuffer(table.read(-(-length // mmap.PAGESIZE) * 8), np.uint64)
        kinds = pages >> np.uint64(61)
        of_file = kinds == OF_FILE
        if of_file.any() and (of_file | (kinds == ABSENT)).all():
            mapped.madvise(mmap.MADV_DONTNEED, start, length)
