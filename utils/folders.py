"""Where photos lie: in folders by class, in parts of them, or in a zip."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from utils import download
from utils.course import CourseError
from utils.files import shown

STEMS = {  # in the order in which the parts lie in a file
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "lost+found", "system volume")
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
    """A folder, and the photos in it."""

    path: Path
    photos: list[Photo]


def of_system(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, an index, thumbnails.

    A NAS marks its folders with "@" or "#", Windows its own with "$".
    """
    marked = name[0] in "@#$" and len(name) > 1
    return name[0] == "." or marked or name.lower().startswith(SYSTEM)


def part_of(name: str) -> str | None:
    """The part that a folder's name speaks of: "seg_train", "Testing", "valSet"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    words = {re.sub(r"(set|data|images|imgs?)$", "", word.lower()) for word in words}
    parts = [part for part, stems in STEMS.items() if words & stems]
    return parts[0] if len(parts) == 1 else None


def inside(path: Path) -> dict[str, Path]:
    """The folders in a folder by name, sorted, without those of the system."""
    found = [e for e in path.iterdir() if e.is_dir() and not of_system(e.name)]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}


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
    """The photos of `path/<class>/...`, or of `path/train/<class>/...`; the classes.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name.
    """
    if not path.is_dir():
        raise CourseError(f"There is no folder {path}. Check it (here: {Path.cwd()}).")
    parts, photos = _parts(path), []
    classes = list(inside(parts["train"]))
    if len(classes) < 2:
        raise CourseError(
            f"{parts['train']} holds {len(classes)} folders. Put the images of each"
            " class, two or more, into a folder with its name."
        )
    for part, folder in parts.items():
        for name, kind in inside(folder).items():
            if name not in classes:
                raise CourseError(f"{kind} is a class that train lacks. Add it there.")
            files, label = listed(path, kind), classes.index(name)
            photos += [Photo(part, label, *file) for file in files]
            if part == "train" and not files:
                raise CourseError(f"{kind} holds no images. Add some, or remove it.")
    return Source(path, photos), tuple(classes)


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    parts: dict[str, Path] = {}
    others, named = [], []
    for name, folder in inside(path).items():
        if list(inside(folder)) == [name]:  # packed twice
            folder = folder / name
        part = part_of(name)
        named += [part] if part else []
        if part and inside(folder) and parts.setdefault(part, folder) != folder:
            raise CourseError(  # val and valid, or train and Train
                f"{path} holds two folders for {part}. Put their images into one."
            )
        others += [] if folder in parts.values() else [folder]
    if "train" not in parts:
        kinds = [{*map(part_of, inside(folder))} - {None} for folder in others]
        if len(named) > 1 or any(len(found) > 1 for found in kinds):
            raise CourseError(
                f"{path} has parts, but no train with a folder for each class. Put the"
                " parts first, and in each a folder for each class: train/cat."
            )
        return {"train": path}
    unknown = [f for f in others if inside(f).keys() & inside(parts["train"]).keys()]
    if unknown:
        raise CourseError(
            f"{unknown[0]} holds classes, but its name says neither train nor val nor"
            " test. Rename it, or move it elsewhere."
        )
    if others:
        names = ", ".join(folder.name for folder in others)
        print(shown(f"Passed over in {path}, since they hold no classes: {names}."))
    return parts


def dogs_vs_cats(root: Path, *, online: bool | None = None) -> Source:
    """The photos in `root`: of Kaggle's folders or zips, or Microsoft's, downloaded."""
    kaggle = "train.zip", "dogs-vs-cats.zip", "train.zip"  # which lies in the second
    for name in ("", *kaggle, MICROSOFT.name):
        archive = root / name
        if name == MICROSOFT.name:
            archive = download.fetch(MICROSOFT, root, online=online)
        if archive.is_file():
            download.unpack(archive)
        for holder in (part_of, "PetImages".__eq__):
            photos = [p for p in _named(root) if holder(Path(p.name).parts[0])]
            if any(photo.part == "train" for photo in photos):
                return Source(root, photos)
    raise CourseError(f"{archive} holds no photos of cats and dogs. Delete it.")


def _named(root: Path) -> list[Photo]:
    """Those in a folder that are named as `train/cat.0.jpg` or `PetImages/Cat/0.jpg`.

    Others, such as Kaggle's `test1/1.jpg`, have no known class.
    """
    photos = []
    for name, stamp in listed(root, root):
        *above, file = Path(name.lower()).parts
        part = next(filter(None, map(part_of, Path(name).parts[:-1])), "train")
        for label, kind in enumerate(("cat", "dog")):
            if file.startswith(f"{kind}.") or {*above[-1:]} & {kind, f"{kind}s"}:
                photos.append(Photo(part, label, name, stamp))
    return photos
