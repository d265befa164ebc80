"""Pack all data sets and weights of the course into a folder, for a classroom."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from utils import course
from utils.course import CourseError
from utils.datasets import download, manifest, photos, places
from utils.datasets.sources import Zip, files
from utils.files import replacing

RESERVE = 2**20  # bytes for the list of checksums
# Whose weights for ImageNet the lectures use, at one of the scales.
IMAGENET = ("squeezenet1_1", "alexnet", "vgg16", "resnet34", "googlenet")


class Item(NamedTuple):
    """One data set, or the weights of one network.

    `find` gives its files, all below the data folder. It takes that folder, and whether
    it may download what is not there.
    """

    name: str
    find: Callable[[Path, bool], list[Path]]


def _idx(name: str, files: Sequence[download.Remote], root: Path, online: bool):
    return places.idx(root, name, files, online=online)


def _cifar10(root: Path, online: bool) -> list[Path]:
    found = places.cifar10(root, online=online)
    return sorted(files(found)) if found.is_dir() else [found]


def _dogs_vs_cats(root: Path, online: bool) -> list[Path]:
    manifest.verify(photos.FOLDER)
    source = photos.find(root / photos.FOLDER, online=online)
    if isinstance(source, Zip):
        return [source.path]
    return [source.open(photo) for photo in source.photos]


def _imagenet(name: str, root: Path, online: bool) -> list[Path]:
    from utils.models import weights  # here: it takes a second to import

    return [weights.find_imagenet(name, root / weights.FOLDER, online=online)]


def items() -> list[Item]:
    """All that the lectures use beside what comes with the course itself."""
    mnist, fashion = download.MNIST, download.FASHION_MNIST
    return [
        Item("MNIST", partial(_idx, "MNIST", mnist)),
        Item("Fashion-MNIST", partial(_idx, "FashionMNIST", fashion)),
        Item("CIFAR-10", _cifar10),
        Item("Dogs vs. Cats", _dogs_vs_cats),
        *(Item(f"ImageNet: {name}", partial(_imagenet, name)) for name in IMAGENET),
    ]


def pack(dest: Path, *, online: bool = True) -> dict[str, CourseError]:
    """Pack everything that can be had into a bundle, and say so line by line.

    Each file is copied whole or not at all, and the list of checksums is written after
    each data set. So a bundle that was interrupted is completed by packing once more,
    and one that is there is brought up to date. Files that are no part of it stay.

    Args:
        dest: a new or empty folder, or a bundle.
        online: whether what is not on the disk may be downloaded, into the data folder.

    Returns:
        What could not be had -> why.

    Raises:
        CourseError: `dest` holds other things, has too little room, or takes no file.
    """
    root, dest = course.data_dir().absolute(), course.expanded(dest).absolute()
    sums = _open(dest, root)
    found, missing = _collect(root, online)
    _require_room(dest, root, [path for paths in found.values() for path in paths])
    manifest.write(dest, sums)
    for name, paths in found.items():
        new = 0
        for path in tqdm(paths, name, file=sys.stderr, delay=1, leave=False):
            place = path.relative_to(root).as_posix()
            sums[place], copied = _place(path, dest / place, sums.get(place))
            new += copied
        manifest.write(dest, sums)
        _say(name, f"{_amount(paths)}{'' if new else ', there already'}")
    for name, error in missing.items():
        _say(name, f"MISSING: {getattr(error, 'reason', str(error))}")
    return missing


def check(folder: Path) -> list[str]:
    """What is wrong with a bundle, each line beginning with a file's name.

    Everything is read, whatever was verified before.

    Raises:
        CourseError: the folder is no bundle.
    """
    sums = manifest.read(folder)
    if sums is None:
        raise CourseError(
            f"{folder} is no bundle: it has no {manifest.NAME}. Make one:"
            f" python -m utils.data bundle {folder}"
        )
    found = manifest.problems(folder, sums)
    right = len(sums) - len(found)
    print(f"{right:,} of {len(sums):,} files in {folder} are as they were packed.")
    return found


def _open(dest: Path, root: Path) -> manifest.Sums:
    """Make the folder, if need be; the list of what it has already.

    Raises:
        CourseError: it is no place for a bundle.
    """
    if dest.resolve() == root.resolve():
        raise CourseError(
            f"{dest} is the data folder itself, which is what is packed. Name another."
        )
    try:
        dest.mkdir(parents=True, exist_ok=True)
        sums = manifest.read(dest)
        killed = f"{manifest.NAME}.part"  # what the first writing may have left
        if sums is None and any(path.name != killed for path in dest.iterdir()):
            raise CourseError(
                f"{dest} holds other things, and no bundle. Nothing was changed: name a"
                " new or an empty folder."
            )
    except OSError as error:
        raise CourseError(
            f"{dest} takes no bundle ({error.strerror}). Name another folder."
        ) from error
    return sums or {}


def _collect(
    root: Path, online: bool
) -> tuple[dict[str, list[Path]], dict[str, CourseError]]:
    """The files of each item, downloaded where they must be; and why others are not."""
    found, missing = {}, {}
    for item in items():
        try:
            found[item.name] = item.find(root, online)
        except CourseError as error:
            missing[item.name] = error
    return found, missing


def _require_room(dest: Path, root: Path, paths: list[Path]) -> None:
    needed = RESERVE
    for path in paths:
        there, size = dest / path.relative_to(root), path.stat().st_size
        needed += size * (not there.is_file() or there.stat().st_size != size)
    free = shutil.disk_usage(dest).free
    if needed > free:
        raise CourseError(
            f"The bundle needs {needed / 1e6:,.0f} MB more in {dest}, and"
            f" {free / 1e6:,.0f} MB are free there. Free some space, or name a folder"
            " on another disk. Nothing was changed."
        )


def _place(source: Path, target: Path, listed: str | None) -> tuple[str, bool]:
    """Copy a file, unless it is there; its SHA-256, and whether it was copied.

    Raises:
        CourseError: another file is in its place, or the disk takes no more.
    """
    digest = hashlib.sha256()
    if target.is_file():
        sha256 = manifest.sha256_of(source)
        if manifest.sha256_of(target) == sha256:
            return sha256, False
        if listed is None:  # nobody packed it
            raise CourseError(
                f"{target} is in the way: it is another file than {source}, and no part"
                " of the bundle. Move it elsewhere, and pack once more."
            )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original, replacing(target) as copy:
            while block := original.read(2**20):
                digest.update(block)
                copy.write(block)
    except OSError as error:
        raise CourseError(
            f"{source} cannot be copied to {target} ({error.strerror}). What is packed"
            " stays: make room, or name another folder, and pack once more."
        ) from error
    return digest.hexdigest(), True


def _amount(paths: list[Path]) -> str:
    size = sum(path.stat().st_size for path in paths)
    return (
        f"{len(paths):>7,} file{'s' if len(paths) > 1 else ' '}{size / 1e6:>9,.1f} MB"
    )


def _say(name: str, text: str) -> None:
    print(f"{name:24}{text}", flush=True)
