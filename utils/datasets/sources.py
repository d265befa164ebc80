"""Where photos lie: as files in a folder, or in a zip, which is read as it is."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from utils.course import CourseError

PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
NO_CONTENT = {"thumbs.db", "desktop.ini", "__macosx"}  # what systems leave behind
LARGEST = 200 * 2**20  # bytes of a photo, as a file
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without a limit
DENSEST = 100  # times that a zip makes a photo smaller; photos hardly shrink at all


class Photo(NamedTuple):
    """A photo: its part and class, its name in the source, what changes when it does.

    The stamp is the file's size and time of change, or the size and CRC in the zip.
    """

    part: str
    label: int
    name: str
    stamp: str


Sort = Callable[[str], "tuple[str, int] | None"]  # a name's part and label; None: no


@dataclass
class Folder:
    """Files of a folder: their names begin at `path`."""

    path: Path
    photos: list[Photo]

    def fingerprint(self) -> list[str]:
        """What changes when any of the photos does."""
        return ["\0".join(map(str, photo)) for photo in self.photos]

    def open(self, photo: Photo) -> Path:
        """What to read the photo from."""
        return self.path / photo.name


def visible(folder: Path, *, dirs: bool = False) -> list[Path]:
    """What lies in a folder, in an order that is the same on every system.

    Raises:
        CourseError: the system does not let us look into it.
    """
    try:
        entries = [e for e in folder.iterdir() if e.name.lower() not in NO_CONTENT]
    except OSError as error:
        raise CourseError(
            f"{folder} cannot be looked into ({error.strerror}). Change its"
            " permissions, or move it elsewhere."
        ) from error
    shown = [e for e in entries if e.name[0] != "." and (e.is_dir() or not dirs)]
    return sorted(shown, key=lambda entry: entry.name)


def files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All visible files in a folder and in the folders in it.

    A link to a folder that holds it is not followed: it would lead round for ever. A
    pipe, a socket or a device is no file: reading one may wait for ever.

    Args:
        above: the folders on the way here, with no links in their paths.

    Raises:
        CourseError: the system does not let us look into a folder.
    """
    above = (*above, folder.resolve())
    for entry in visible(folder):
        if entry.is_dir():
            real = entry.resolve()
            if not any(outer.is_relative_to(real) for outer in above):
                yield from files(entry, above)
        elif entry.is_file() or not entry.exists():  # a broken link is named later
            yield entry


def photo(root: Path, file: Path, part: str, label: int) -> Photo:
    """A file as a photo of the source that begins at `root`."""
    try:
        found = file.stat()
        stamp = f"{found.st_size} {found.st_mtime_ns}"
    except OSError:  # a link that leads nowhere: reading it says so
        stamp = "none"
    return Photo(part, label, str(file.relative_to(root)), stamp)


class Zip:
    """Members of a zip, or of a zip in it (Kaggle packs `train.zip` once more).

    Nothing is unpacked into a folder, so no member's path leads anywhere. Only an inner
    zip lies in a temporary file while it is read.

    Args:
        sort: gives a member's part and label; None for one that is no photo of the set.
        inner: name of a zip that may lie in the zip, and then holds the photos.

    Raises:
        CourseError: no zip, or a damaged one.
    """

    def __init__(self, path: Path, sort: Sort, inner: str = "") -> None:
        self.path, self.sort = path, sort
        self._lock = threading.Lock()  # a ZipFile counts its readers without one
        self._outer = self._directory(path)
        self.inner = inner if inner in self._outer.namelist() else ""

    def fingerprint(self) -> list[str]:
        """What changes when any of the photos does."""
        if self.inner:  # its own list is compressed, but its checksum is here
            return [self.inner, str(self._outer.getinfo(self.inner).CRC)]
        return ["\0".join(map(str, photo)) for photo in self.photos]

    @property
    def photos(self) -> list[Photo]:
        """The photos, sorted by name."""
        return sorted(self._members, key=lambda photo: photo.name)

    def open(self, photo: Photo) -> IO[bytes]:
        """The bytes of a member, once its path and its size are those of a photo.

        Raises:
            CourseError: they are not, or it is damaged.
        """
        info = self._members[photo]
        if problem := _suspicion(info):
            raise CourseError(f"{photo.name}: {problem}; leave it out")
        try:
            # `ZipFile.read` would unpack it as a whole, whatever size it declares.
            with self._lock, self._archive.open(info) as member:
                return io.BytesIO(member.read(info.file_size + 1))
        # Damaged, encrypted, packed in an unknown way: zipfile raises what it likes.
        except Exception as error:
            raise CourseError(f"{photo.name}: damaged in the zip ({error})") from error

    @cached_property
    def _members(self) -> dict[Photo, zipfile.ZipInfo]:
        members = {}
        for info in self._archive.infolist():
            named = info.filename and not info.is_dir()
            sorted_in = self.sort(info.filename) if named else None
            if sorted_in:  # two members may have one name, but not one place
                stamp = f"{info.file_size} {info.CRC} {info.header_offset}"
                members[Photo(*sorted_in, info.filename, stamp)] = info
        return members

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        if not self.inner:
            return self._outer
        writable = os.access(self.path.parent, os.W_OK)
        try:
            folder = self.path.parent if writable else None
            unpacked = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (stays open)
            info = self._outer.getinfo(self.inner)
            if info.compress_type not in PACKED:
                raise zipfile.BadZipFile("its compression method is not supported")
            if _dense(info):  # it would fill the disk
                raise zipfile.BadZipFile("no photos are packed so densely")
            with self._outer.open(self.inner) as packed:
                shutil.copyfileobj(packed, unpacked, 2**20)
        except Exception as error:  # as of a member, it can be any
            raise CourseError(
                f"{self.inner} cannot be read out of {self.path} ({error}). Unpack it"
                f" there: {self.path.parent / self.inner} is read as it is."
            ) from error
        return self._directory(unpacked)

    def _directory(self, file: Path | IO[bytes]) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(file)
        except Exception as error:  # of a version that zipfile does not know, say
            raise CourseError(
                f"{self.path} is no zip, or is damaged ({error})."
                " Copy or download it again, or delete it."
            ) from error


def _suspicion(info: zipfile.ZipInfo) -> str:
    """What no photo of an honest zip has; empty for an honest one."""
    place = PurePosixPath(info.filename.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        return "its path leads out of the zip's folder"
    if info.file_size > LARGEST or _dense(info):
        return f"it would unpack to {info.file_size / 1e6:,.0f} MB"
    if info.compress_type not in PACKED:
        return "its compression method is not supported"
    return ""


def _dense(info: zipfile.ZipInfo) -> bool:
    return info.file_size > max(DENSEST * info.compress_size, 2**20)
