"""Read images that lie in folders, one folder for each class."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from utils.course import CourseError
from utils.datasets.decoded import Part, decode
from utils.datasets.sources import PARTS, Folder, Photo, files, photo, visible


def read_folder(
    path: Path, size: int, *, skip_bad: bool = False, seed: int | None = None
) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Read `path/<class>/...`, or `path/train/<class>/...` with `val` and `test`.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name; hidden files, and those that Windows and macOS leave, do not count.
    Each file is decoded once, and then taken from the cache until it changes.

    Args:
        size: side of the square that each image is brought to, in pixels.
        skip_bad: leave out what cannot be read, and say so, in place of an error.
        seed: lay the training images in the order in which this seed divides them;
            None leaves them sorted by class and name.

    Returns:
        For each part that is there, and "train" always is, images, uint8
        (N, 3, size, size), and labels, int64 (N,); and the classes, sorted by name.

    Raises:
        CourseError: the folder or a class in it is missing or empty, there is but one
            class, or files are no images.
    """
    if not path.is_dir():
        raise CourseError(
            f"There is no folder {path}. Check the path (here is {Path.cwd()})."
        )
    folders = _parts(path)
    classes = tuple(folder.name for folder in visible(folders["train"], dirs=True))
    if len(classes) < 2:
        found = f"one class, {classes[0]}" if classes else "no folder"
        raise CourseError(
            f"{folders['train']} holds {found}. A classifier needs two classes or more:"
            " put each one's images into a folder with its name."
        )
    photos = [p for part in folders for p in _list(path, part, folders[part], classes)]
    # Another folder of the same name is another set.
    address = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape"))
    name = f"{path.resolve().name}_{address.hexdigest()[:8]}"
    decoded = decode(Folder(path, photos), size, name, seed=seed)
    decoded.findings.report(path, skip_bad=skip_bad)
    parts = decoded.parts(ordered=seed is not None)
    for part, folder in folders.items():
        labels = parts[part].labels if part in parts else np.empty(0, np.int64)
        require_all(classes, labels, folder, part)
    return parts, classes


def require_all(
    classes: tuple[str, ...], labels: np.ndarray, folder: Path, part: str
) -> None:
    """Refuse a part without images, and training images without those of a class.

    Raises:
        CourseError: it is such a part.
    """
    counts = np.bincount(labels, minlength=len(classes))
    empty = [name for name, n in zip(classes, counts, strict=True) if n == 0]
    if len(empty) == len(classes) or (empty and part == "train"):
        raise CourseError(
            f"{folder} holds no images of {', '.join(empty)}."
            " Add some, or remove the folder."
        )


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    folders = visible(path, dirs=True)
    every = {p: [f for f in folders if f.name.lower() in PARTS[p]] for p in PARTS}
    found = {part: some[0] for part, some in every.items() if some}
    if "train" in found and visible(found["train"], dirs=True):
        for part, some in every.items():
            if len(some) > 1:  # val and valid, or train and Train
                names = ", ".join(folder.name for folder in some)
                raise CourseError(
                    f"{path} holds {len(some)} folders for {part}: {names}."
                    " Put their images into one of them, and remove the others."
                )
        return found
    # One of them alone may be a class of that name: there are buses and trains.
    if len(found) > 1:
        raise CourseError(
            f"{path} has parts ({', '.join(found)}), but no folders for the classes in"
            " train. Put each class's images into a folder there, with its name."
        )
    return {"train": path}


def _list(path: Path, part: str, folder: Path, classes: tuple[str, ...]) -> list[Photo]:
    photos = []
    for class_folder in visible(folder, dirs=True):
        if class_folder.name not in classes:
            raise CourseError(
                f"{class_folder} is a class that the training images do not have"
                f" ({', '.join(classes)}). Rename it, or add it there."
            )
        label = classes.index(class_folder.name)
        photos += [photo(path, file, part, label) for file in files(class_folder)]
    return photos
