"""Bring a file from an address to the disk; go on where an earlier try broke off."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from utils.datasets.cache import write_all

if TYPE_CHECKING:
    from requests import Response

CONNECT, ANSWER = 5, 20  # seconds to wait for a connection, and for the next bytes
PATIENCE, SLOW = 15, 100_000  # after so many seconds, fewer bytes a second are too few
CRAWL = 1_000  # bytes a second that are too few even where there is no other mirror
QUIET = 3 * ANSWER  # after so many seconds without a byte, nobody writes to a part
CHUNK = 2**16


class TransferError(Exception):
    """A mirror does not give the file; the message says why, in a few words."""


class Broken(TransferError):
    """A mirror stopped before the end: what has come may be gone on from."""


class TooSlow(TransferError):
    """A mirror sends so little that another one is worth a try."""


class Part:
    """What has arrived of a file, in a file of its own until it is whole.

    Meanwhile its name holds this process, so that two that download one file do not
    meet. A try that fails leaves `NAME.part`, and the next one goes on from there; so
    it does from a copy of another process's part, once that has not grown for a minute.

    Args:
        path: where the whole file will lie.

    Raises:
        OSError: the folder takes no file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        unique = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.own = path.with_name(f"{path.name}.{unique}.part")
        for other in self._left_behind():
            with contextlib.suppress(OSError):  # another process was faster
                if other == self.left:
                    other.rename(self.own)
                else:  # its process may only sleep, and write on once it wakes up
                    shutil.copyfile(other, self.own)
                break
        self.file = self.own.open("ab", buffering=0)

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.own.stat().st_size

    def add(self, data: bytes) -> None:
        """Write every byte."""
        write_all(self.file, data)

    def restart(self) -> None:
        """Forget what has arrived."""
        self.file.truncate(0)

    def complete(self) -> None:
        """Give the file its name: at once, whole, in place of whatever lies there."""
        self.file.close()
        try:
            self.own.replace(self.path)
        except PermissionError:
            # Windows replaces no open file: then another process was faster.
            if not self.path.is_file():
                raise
        for other in [self.own, *self._left_behind()]:
            with contextlib.suppress(OSError):
                other.unlink()

    def leave(self) -> None:
        """Keep what has arrived for the next try, unless an older part is longer."""
        self.file.close()
        with contextlib.suppress(OSError):
            kept = self.left.stat().st_size if self.left.is_file() else 0
            if self.size > kept:
                self.own.replace(self.left)
        self.discard()

    def discard(self) -> None:
        """Remove what has arrived, if it has no other name by now."""
        self.file.close()
        self.own.unlink(missing_ok=True)

    def _left_behind(self) -> list[Path]:
        """Parts that nobody writes to, the longest first."""
        found = []
        for other in self.path.parent.glob(f"{glob.escape(self.path.name)}.*part"):
            with contextlib.suppress(OSError):
                state = other.stat()
                if other == self.left or time.time() - state.st_mtime > QUIET:
                    found.append((state.st_size, other))
        return [other for _, other in sorted(found, reverse=True)]


def transfer(url: str, part: Part, *, size: int | None, hurry: bool) -> None:
    """Add to a part what it lacks of the file at `url`.

    A server that sends the whole file again, in place of what is lacking, is taken at
    its word. Whether the bytes of several tries make one file, a checksum must tell.

    Args:
        size: of the whole file in bytes, if it is known.
        hurry: give up a mirror that sends less than `SLOW`.

    Raises:
        TransferError: the mirror gives nothing, another file, or breaks off.
        OSError: the disk takes no more.
    """
    with contextlib.closing(_ask(url, part, size)) as answer:
        begin = part.size if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdecimal() else size
        if size is not None and total != size:
            raise TransferError("sends another file (its size differs)")
        if begin != part.size:
            part.restart()
        _require_room(part, total)
        with _Progress(part, total, hurry) as progress:
            for data in _blocks(answer):
                part.add(data)
                progress.update(len(data))
        if total is not None and part.size != total:
            raise Broken(f"breaks off after {part.size:,} of {total:,} bytes")


def _ask(url: str, part: Part, size: int | None) -> Response:
    """What a server answers: the rest of the file, or else the whole; body unread.

    Raises:
        TransferError: it gives neither.
    """
    answer = _get(url, part.size)
    wrong = answer.status_code == 206 and _first_byte(answer) != part.size
    # Or it has nothing beyond what has arrived, which is not the file.
    beyond = answer.status_code == 416 and part.size >= (size or 1)
    if wrong or beyond:
        answer.close()
        answer = _get(url, 0)
    if answer.ok:
        return answer
    answer.close()
    raise TransferError(f"answers {answer.status_code} {answer.reason}")


def _get(url: str, begin: int) -> Response:
    """Ask a server for a file, from a byte on.

    Raises:
        TransferError: no connection, or an answer that is none.
    """
    import requests  # here, since most runs find their files on the disk

    # A server that unpacks .gz files on the way would spoil the checksum.
    headers = {"Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    try:
        return requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT, ANSWER)
        )
    except requests.Timeout as error:
        raise TransferError("does not answer in time") from error
    except requests.TooManyRedirects as error:
        raise TransferError("redirects without end") from error
    except requests.ConnectionError as error:
        raise TransferError("no connection") from error
    except (requests.RequestException, ValueError) as error:
        raise TransferError(f"breaks off ({type(error).__name__})") from error


def _first_byte(answer: Response) -> int:
    """Where in the file a part of it begins; -1 where the server does not say."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _blocks(answer: Response) -> Iterator[bytes]:
    """The body as it was sent, in pieces as they arrive."""
    import urllib3

    read = getattr(answer.raw, "read1", answer.raw.read)  # does not wait for a full one
    while True:
        try:
            data = read(CHUNK, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Broken(f"breaks off ({type(error).__name__})") from error
        if not data:
            return
        yield data


def _require_room(part: Part, total: int | None) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free:
        needed = f"{total / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} are free"
        raise OSError(errno.ENOSPC, needed)


class _Progress(tqdm):
    """A bar on stderr that gives up a download that is too slow."""

    def __init__(self, part: Part, total: int | None, hurry: bool) -> None:
        look = {"unit": "B", "unit_scale": True, "leave": False, "delay": 0.5}
        look |= {"initial": part.size, "total": total, "desc": part.path.name}
        super().__init__(file=sys.stderr, **look)
        self.hurry, self.began = hurry, time.monotonic()

    def update(self, n: float = 1) -> None:
        super().update(n)
        seconds = time.monotonic() - self.began
        arrived = self.n - self.initial
        if seconds < PATIENCE or self.n == self.total:
            return
        if arrived < CRAWL * seconds:
            raise TransferError("sends next to nothing")
        if self.hurry and arrived < SLOW * seconds:
            raise TooSlow(f"sends less than {SLOW // 1000} kB a second")
