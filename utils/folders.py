"""Where photos lie: in folders by class, in parts of them, or in a zip."""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from utils import download
from utils.course import CourseError
from utils.files import replacing, shown

STEMS = {  # in the order in which the parts lie in a file
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "lost+found"}
SYSTEM |= {"system volume information"}
MICROSOFT = download.Remote(
    "kagglecatsanddogs_5340.zip",
    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    ),
)


class Photo(NamedTuple):
    """A photo: part, class, name in its source, and what changes when it does."""

    part: str
    label: int
    name: str
    stamp: str


class Source(NamedTuple):
    """Photos in a folder, or in a zip; `open` gives what Pillow reads."""

    path: Path
    photos: list[Photo]
    open: Callable[[Photo], Path | IO[bytes]]


def of_system(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, an index, thumbnails.

    A NAS marks its folders with "@" or "#", Windows its own with "$".
    """
    marked = name[0] in "@#$" and len(name) > 1
    return name[0] == "." or marked or name.lower() in SYSTEM


def part_of(name: str) -> str | None:
    """The part that a folder's name speaks of: "seg_train", "Testing", "valSet"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    words = {re.sub(r"(set|data|images|imgs?)$", "", word.lower()) for word in words}
    parts = [part for part, stems in STEMS.items() if words & stems]
    return parts[0] if len(parts) == 1 else None


def inside(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without those of the system."""
    found = [e for e in path.iterdir() if e.is_dir() and not of_system(e.name)]
    return sorted(found, key=lambda entry: entry.name)


def listed(root: Path, path: Path) -> list[tuple[str, str]]:
    """All files in `path` and deeper, sorted: name from `root` on, size and time."""
    files = []
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not of_system(name)]
        for file in (Path(place, name) for name in names if not of_system(name)):
            found = file.stat() if file.exists() else file.lstat()
            stamp = f"{found.st_size} {found.st_mtime_ns}"
            files.append((str(file.relative_to(root)), stamp))
    return sorted(files, key=lambda file: Path(file[0]).parts)


def in_folder(path: Path) -> tuple[Source, tuple[str, ...]]:
    """The photos of `path/<class>/...`, or of `path/train/<class>/...` and other parts.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name.

    Returns:
        The photos, and the classes, sorted by name.

    Raises:
        CourseError: the folder is missing, or is not divided into classes.
    """
    if not path.is_dir():
        raise CourseError(
            f"There is no folder {path}. Check the path (here is {Path.cwd()})."
        )
    parts, photos = _parts(path), []
    classes = [folder.name for folder in inside(parts["train"])]
    if len(classes) < 2:
        found = f"one class, {classes[0]}" if classes else "no folder"
        raise CourseError(
            f"{parts['train']} holds {found}. A classifier needs two classes or more:"
            " put each one's images into a folder with its name."
        )
    for part, folder in parts.items():
        for kind in inside(folder):
            if kind.name not in classes:
                raise CourseError(
                    f"{kind} is a class that the training images do not have"
                    f" ({', '.join(classes)}). Rename it, or add it there."
                )
            files, label = listed(path, kind), classes.index(kind.name)
            photos += [Photo(part, label, *file) for file in files]
            if part == "train" and not files:
                raise CourseError(
                    f"{folder} holds no images of {kind.name}. Add some, or remove the"
                    " folder."
                )
    return Source(path, photos, lambda photo: path / photo.name), tuple(classes)


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    parts: dict[str, Path] = {}
    others, named = [], set()
    for folder in inside(path):
        inner = inside(folder)
        while len(inner) == 1 and inner[0].name == folder.name:  # packed twice
            folder, inner = inner[0], inside(inner[0])
        part = part_of(folder.name)
        named |= {part} - {None}
        if not part or not inner:
            others.append(folder)
        elif part in parts:  # val and valid, or train and Train
            raise CourseError(
                f"{path} holds two folders for {part}: {parts[part].name} and"
                f" {folder.name}. Put their images into one of them."
            )
        else:
            parts[part] = folder
    if "train" not in parts:
        if len(named) > 1:
            raise CourseError(
                f"{path} has parts ({', '.join(sorted(named))}), but no folders for the"
                " classes in train. Put each class's images into a folder there."
            )
        for folder in inside(path):
            if len({part_of(entry.name) for entry in inside(folder)} - {None}) > 1:
                raise CourseError(
                    f"{folder} is divided into parts. Put the parts first, and in each"
                    f" a folder for the class: train/{folder.name}."
                )
        return {"train": path}
    classes = {folder.name for folder in inside(parts["train"])}
    for folder in others:
        if classes & {entry.name for entry in inside(folder)}:
            raise CourseError(
                f"{folder} holds classes, but its name says neither train nor val nor"
                " test. Rename it, or move it elsewhere."
            )
    if others:
        names = ", ".join(folder.name for folder in others)
        print(shown(f"Passed over in {path}, since they hold no classes: {names}."))
    return parts


def dogs_vs_cats(root: Path, *, online: bool | None = None) -> Source:
    """The photos in `root`, or else those of Microsoft's zip, downloaded into it.

    Kaggle's folders come first, then its zips, Microsoft's zip, and its folder.

    Raises:
        DownloadError: there are none, and there is no download.
        CourseError: a zip is damaged.
    """
    files = listed(root, root) if root.is_dir() else []
    photos = _by_name(files)
    kaggle = [p for p in photos if part_of(Path(p.name).parts[0])]
    microsoft = [p for p in photos if Path(p.name).parts[0] == "PetImages"]
    if any(photo.part == "train" for photo in kaggle):
        return Source(root, kaggle, lambda photo: root / photo.name)
    for name in ("train.zip", "dogs-vs-cats.zip"):  # the first lies in the second, too
        if (root / name).is_file():
            return in_zip(root / name, inner="train.zip")
    if microsoft and not (root / MICROSOFT.name).is_file():
        return Source(root, microsoft, lambda photo: root / photo.name)
    return in_zip(download.fetch(MICROSOFT, root, online=online))


def _by_name(files: list[tuple[str, str]]) -> list[Photo]:
    """Those that are named as `train/cat.0.jpg` or `PetImages/Cat/0.jpg`.

    Others, such as Kaggle's `test1/1.jpg`, have no known class.
    """
    photos = []
    for name, stamp in files:
        *above, file = name.replace("\\", "/").split("/")
        if not file or any(of_system(entry) for entry in (*above, file) if entry):
            continue
        part = next(filter(None, map(part_of, above)), "train")
        for label, kind in enumerate(("cat", "dog")):
            holder = above[-1].lower() if above else ""
            if file.lower().startswith(f"{kind}.") or holder in (kind, f"{kind}s"):
                photos.append(Photo(part, label, name, stamp))
    return photos


def in_zip(path: Path, *, inner: str = "") -> Source:
    """The photos in a zip, which is read as it is; an inner zip is unpacked beside it.

    Raises:
        CourseError: no zip, or a damaged one.
    """
    try:
        archive = zipfile.ZipFile(path)
        if inner in archive.namelist():
            with archive.open(inner) as packed, replacing(path.parent / inner) as out:
                shutil.copyfileobj(packed, out, 2**20)
            return in_zip(path.parent / inner)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CourseError(
            f"{path} is no zip, or cannot be unpacked ({error}). Copy or download it"
            " again, or unpack it there: its folders are read as well."
        ) from error
    infos = sorted(archive.infolist(), key=lambda info: info.filename)
    photos = _by_name(
        [(info.filename, f"{info.file_size} {info.CRC}") for info in infos]
    )
    lock = threading.Lock()

    def read(photo: Photo) -> IO[bytes]:
        with lock:
            return io.BytesIO(archive.read(photo.name))

    return Source(path, photos, read)
