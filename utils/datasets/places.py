"""Where the files of each data set lie: found on the disk, or else downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.datasets import download, manifest
from utils.datasets.cifar import CIFAR10_FILES, CIFAR10_FOLDER

CIFAR10_IMAGES = "cifar10"  # the folder of images by class


def idx(
    root: Path, name: str, files: Sequence[download.Remote], *, online: bool
) -> list[Path]:
    """The four files of MNIST, or of a set like it; each plain, or else gzipped.

    Args:
        root: the data folder.
        name: of the set's own folder in it, as torchvision calls it.
        online: whether what is not there may be downloaded.

    Raises:
        DownloadError: a file is not there, and there is no download.
        CourseError: it is damaged, in a bundle.
    """
    manifest.verify(f"{name}/raw")
    folder, found = root / name / "raw", []
    for file in files:
        plain = folder / file.name.removesuffix(".gz")
        found.append(
            plain if plain.is_file() else download.fetch(file, folder, online=online)
        )
    return found


def cifar10(root: Path, *, online: bool) -> Path:
    """The folder of batch files, else the archive, else the folder of images by class.

    Raises:
        DownloadError: there is none, and there is no download.
        CourseError: it is damaged, in a bundle.
    """
    name = download.CIFAR10.name
    manifest.verify(CIFAR10_FOLDER, name, CIFAR10_IMAGES)
    folder, images = root / CIFAR10_FOLDER, root / CIFAR10_IMAGES
    if all((folder / file).is_file() for file in CIFAR10_FILES):
        return folder
    if (images / "train").is_dir() and not (root / name).is_file():
        return images
    return download.fetch(download.CIFAR10, root, online=online)
