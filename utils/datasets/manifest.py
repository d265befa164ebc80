"""The checksums of a bundle, in a file `SHA256SUMS` that `sha256sum` checks, too.

A data folder with such a file is a bundle. What is listed there is verified before its
first use, and a file that is missing or differs in a byte is refused by its name. What
was verified is remembered with size and time of change, in this process and, where the
folder can be written to, in `cache/`: a start need not read hundreds of megabytes
again. A byte that flips later, and leaves both as they are, is found by
`python -m utils.data check FOLDER`, which reads everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pooch

from utils import course, files
from utils.course import CourseError
from utils.datasets import cache

NAME = "SHA256SUMS"
SHOWN = 5  # problems that a message names
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_verified: dict[Path, dict[str, str]] = {}  # by folder, for those that take no file

Sums = dict[str, str]  # name -> SHA-256; names as `MNIST/raw/...`, on every system


def read(folder: Path) -> Sums | None:
    """The list of a bundle; None where the folder is none.

    Raises:
        CourseError: the list is damaged.
    """
    path = folder / NAME
    try:
        if not path.is_file():
            return None
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read ({error.strerror}). Correct the path, or change its"
            " permissions."
        ) from error
    sums = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")  # an editor on Windows may leave it
        found = LINE.fullmatch(line)
        if found and _inside(found[2]):
            sums[found[2]] = found[1]
        elif line and line[0] != "#":
            raise CourseError(
                f"{path} is damaged: line {number} is no checksum with a name. Copy the"
                " bundle again, or remove this file: then nothing is verified."
            )
    return sums


def write(folder: Path, sums: Sums) -> None:
    """Replace the list in one step.

    Raises:
        CourseError: the folder takes no file, or a name has more than one line.
    """
    head = (
        "# Data of the course on convolutional networks. CNN_COURSE_DATA=<this folder>"
        " uses it,\n# `python -m utils.data check <this folder>` verifies it.\n"
    )
    for name in sums:
        if "\n" in name:
            raise CourseError(f"The name {name!r} has a line break. Rename that file.")
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())]
    text = "".join([head, *lines]).encode("utf-8", "surrogateescape")
    try:
        with files.replacing(folder / NAME) as file:
            file.write(text)
    except OSError as error:
        raise CourseError(
            f"{folder / NAME} cannot be written ({error.strerror}). What is packed"
            " stays: make room, and pack once more."
        ) from error


def verify(*places: str) -> None:
    """Refuse what is damaged of a data set, if the data folder is a bundle.

    Args:
        places: files, or folders with all that lies in them, as `MNIST/raw`.

    Raises:
        CourseError: a listed file is missing, or differs.
    """
    folder = course.data_dir()
    sums = read(folder)
    if sums is None:
        return
    wanted = {
        name: sha256
        for name, sha256 in sums.items()
        if any(name == place or name.startswith(f"{place}/") for place in places)
    }
    memory = _memory(folder, sums)
    known = _known(memory)
    stamps = {name: _stamp(folder / name) for name in wanted}
    new = [name for name, stamp in stamps.items() if known.get(name, "") != stamp]
    if bad := problems(folder, {name: wanted[name] for name in new}):
        raise CourseError(
            f"The bundle {folder} is damaged: {_listed(bad)}. Copy the bundle again, or"
            " these files, from where it came."
        )
    if new:
        _remember(memory, known | stamps)


def problems(folder: Path, sums: Sums) -> list[str]:
    """What is wrong with listed files: a line each, beginning with the name."""
    found = []
    for name, sha256 in sums.items():
        path, shown = folder / name, files.shown(name)
        try:
            if not path.is_file():
                found.append(f"{shown} is missing")
            elif sha256_of(path) != sha256:
                found.append(f"{shown} is not as it was packed (its SHA-256 differs)")
        except OSError as error:
            found.append(f"{shown} cannot be read ({error.strerror or error})")
    return found


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    return pooch.file_hash(str(path))


def _inside(name: str) -> bool:
    """Whether a name leads to a file in the bundle's folder, and not out of it."""
    place = PurePosixPath(name.replace("\\", "/"))  # as Windows reads it
    outside = place.is_absolute() or ".." in place.parts
    return bool(place.parts) and not outside and ":" not in place.parts[0]


def _listed(lines: Iterable[str]) -> str:
    lines = list(lines)
    more = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN] + ([f"and {more} more"] if more > 0 else []))


def _stamp(path: Path) -> str:
    """What changes when a file does; of a missing one it is never known."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return "none"
    return f"{found.st_size} {found.st_mtime_ns}"


def _memory(folder: Path, sums: Sums) -> Path:
    """Where it lies which files are verified: another list begins anew."""
    text = json.dumps([sums, str(folder.resolve())])
    version = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache.place("verified", version, ".json")


def _known(memory: Path) -> Sums:
    """Name -> stamp of the files that were verified before."""
    known = _verified.get(memory, {})
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            known = {n: s for n, s in found.items() if isinstance(s, str)} | known
    return known


def _remember(memory: Path, stamps: Sums) -> None:
    _verified[memory] = stamps
    with contextlib.suppress(OSError), cache.writing(memory) as file:
        file.write(json.dumps(stamps, ensure_ascii=True).encode())
