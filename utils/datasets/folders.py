"""Read images that lie in folders, one folder for each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.course import CourseError
from utils.datasets.readers import read_photo

PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
NO_CONTENT = {"thumbs.db", "desktop.ini", "__macosx"}  # what systems leave behind
SHOWN = 5  # problems that a message names


@dataclass
class Findings:
    """What a reader has to say once all files are read."""

    files: int = 0
    problems: list[str] = field(default_factory=list)
    animations: list[str] = field(default_factory=list)

    def report(self, path: Path, *, skip_bad: bool) -> None:
        """Print what was left out, in a line each; without `skip_bad`, refuse.

        Raises:
            CourseError: there are bad files, and `skip_bad` is False.
        """
        bad, more = len(self.problems), len(self.problems) - SHOWN
        named = self.problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        if bad and not skip_bad:
            listed = "".join(f"\n  {line}" for line in named)
            raise CourseError(
                f"{bad} of {self.files} files in {path} cannot be used:{listed}\n"
                "Repair or remove them, or pass skip_bad=True to leave them out."
            )
        if bad:
            print(f"Left out {bad} of {self.files} files: {'; '.join(named)}.")
        if self.animations:
            more = len(self.animations) - 1
            others = f" So it is with {more} more." if more else ""
            print(self.animations[0] + others)


def read_folder(
    path: Path, size: int, *, skip_bad: bool = False
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Read `path/<class>/...`, or `path/train/<class>/...` with `val` and `test`.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name; hidden files, and those that Windows and macOS leave, do not count.

    Args:
        size: side of the square that each image is brought to, in pixels.
        skip_bad: leave out what cannot be read, and say so, in place of an error.

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
    classes = tuple(folder.name for folder in _visible(folders["train"], dirs=True))
    if len(classes) < 2:
        found = f"one class, {classes[0]}" if classes else "no folder"
        raise CourseError(
            f"{folders['train']} holds {found}. A classifier needs two classes or more:"
            " put each one's images into a folder with its name."
        )
    findings = Findings()
    parts = {
        part: _read_part(folder, classes, size, findings)
        for part, folder in folders.items()
    }
    findings.report(path, skip_bad=skip_bad)
    for part, (_, labels) in parts.items():
        counts = np.bincount(labels, minlength=len(classes))
        empty = [name for name, n in zip(classes, counts, strict=True) if n == 0]
        if len(empty) == len(classes) or (empty and part == "train"):
            raise CourseError(
                f"{folders[part]} holds no images of {', '.join(empty)}."
                " Add some, or remove the folder."
            )
    return parts, classes


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    folders = {folder.name.lower(): folder for folder in _visible(path, dirs=True)}
    found = {
        part: folders[name]
        for part, names in PARTS.items()
        for name in names
        if name in folders
    }
    if "train" in found and _visible(found["train"], dirs=True):
        return found
    # One of them alone may be a class of that name: there are buses and trains.
    if len(found) > 1:
        raise CourseError(
            f"{path} has parts ({', '.join(found)}), but no folders for the classes in"
            " train. Put each class's images into a folder there, with its name."
        )
    return {"train": path}


def _read_part(
    folder: Path, classes: tuple[str, ...], size: int, findings: Findings
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = [], []
    for class_folder in _visible(folder, dirs=True):
        if class_folder.name not in classes:
            raise CourseError(
                f"{class_folder} is a class that the training images do not have"
                f" ({', '.join(classes)}). Rename it, or add it there."
            )
        for file in _files(class_folder):
            findings.files += 1
            try:
                image = read_photo(file, size=size, tell=findings.animations.append)
            except CourseError as error:
                findings.problems.append(str(error))
                continue
            images.append(image)
            labels.append(classes.index(class_folder.name))
    stacked = np.stack(images) if images else np.empty((0, size, size, 3), np.uint8)
    return stacked.transpose(0, 3, 1, 2), np.array(labels, np.int64)


def _files(folder: Path) -> Iterator[Path]:
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _files(entry)
        else:
            yield entry


def _visible(folder: Path, *, dirs: bool = False) -> list[Path]:
    """What lies in a folder, in an order that is the same on every system."""
    entries = (e for e in folder.iterdir() if e.name.lower() not in NO_CONTENT)
    shown = [e for e in entries if e.name[0] != "." and (e.is_dir() or not dirs)]
    return sorted(shown, key=lambda entry: entry.name)
