"""The data sets of the course, each as `Splits(train, val, test)` of uint8 images.

A set is taken from the disk (`course.data_dir()`), or downloaded, or, where there is no
network, replaced by a stand-in, which one printed line says. `data/README.md` tells
where the sets come from and how they lie on the disk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from utils import course, download, folders, photos
from utils.course import CourseError
from utils.download import DownloadError
from utils.images import ImageSet, Loader, Splits, balanced_order
from utils.photos import Part

__all__ = ["DATASETS", "ImageSet", "Loader", "Splits", "balanced_order", "cifar10"]
__all__ += ["dogs_vs_cats", "fashion_mnist", "image_folder", "load", "mnist"]

SOURCES = ("auto", "real", "embedded")
SHEETS = course.ROOT / "data" / "stand-ins"  # drawn by tools/stand_ins.py
DIGITS = tuple("0123456789")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer")
OBJECTS += ("dog", "frog", "horse", "ship", "truck")
ANIMALS = ("cat", "dog")
SCANS_TEST = 297  # of scikit-learn's 1,797 digits
Parts = dict[str, Part]  # of "train", "test", and "val" if it comes apart


class Images(NamedTuple):
    """A set of images: its name, its classes, and the function that reads it."""

    name: str
    classes: tuple[str, ...]
    read: Callable[[], Parts]


def mnist(*, source: str = "auto", val_fraction: float = 0.1, seed: int = 0) -> Splits:
    """Handwritten digits, 28x28, grey: 60,000 to train on, 10,000 for the test.

    Args:
        source: "auto" takes the real images where it can get them and else the
            stand-in, at scale tiny always; "real" refuses the stand-in; "embedded"
            asks for it.
        val_fraction: the fraction of the training images that validate.
        seed: which of them do.

    Raises:
        CourseError: the real images are damaged, or asked for and not to be had.

    Source: LeCun et al. 1998.
    """
    real = Images("MNIST", DIGITS, partial(_read_torchvision, "MNIST"))
    return _load(real, _scans(), source, {"val": val_fraction}, seed)


def fashion_mnist(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Articles of clothing, as many and as large as MNIST's digits.

    The arguments are those of `mnist`. The stand-in shows digits, with their classes.

    Source: Xiao et al. 2017.
    """
    from torchvision.datasets import FashionMNIST

    garments = tuple(FashionMNIST.classes)
    real = Images("Fashion-MNIST", garments, partial(_read_torchvision, "FashionMNIST"))
    return _load(real, _scans(), source, {"val": val_fraction}, seed)


def cifar10(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Photos of ten kinds of objects, 32x32: 50,000 to train on, 10,000 for the test.

    The arguments are those of `mnist`. The stand-in is drawn: 5,000 and 1,000.

    Source: Krizhevsky 2009.
    """
    real = Images("CIFAR-10", OBJECTS, partial(_read_torchvision, "CIFAR10"))
    read = partial(_drawings, "cifar10", 32)
    drawn = Images("6,000 drawings of its classes", OBJECTS, read)
    return _load(real, drawn, source, {"val": val_fraction}, seed)


def dogs_vs_cats(
    size: int = 256,
    *,
    source: str = "auto",
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Photos of cats and of dogs, about 12,500 each, brought to one size.

    The shorter side of each photo becomes `size` pixels, and its central square is
    kept. That is done once: later runs map the squares, 4.9 GB at 256 pixels, from a
    file in the data folder's `cache`. Files that are no photos are left out, and one
    line says so. The stand-in is drawn, 64 pixels wide: 1,600 and 400.

    Args:
        size: side of the squares, in pixels.
        source: as for `mnist`.
        val_fraction, test_fraction: the fractions of the training photos that validate
            and test; the second one where no test photos come with a class.
        seed: which of them do.

    Raises:
        CourseError: the photos are damaged, or asked for and not to be had.

    Source: Elson et al. 2007.
    """
    real = Images("Dogs vs. Cats", ANIMALS, partial(_read_dogs_vs_cats, size, seed))
    read = partial(_drawings, "cats_and_dogs", size)
    drawn = Images("2,000 drawings of cats and dogs", ANIMALS, read)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _load(real, drawn, source, fractions, seed)


def image_folder(
    path: str | Path,
    size: int = 64,
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
    skip_bad: bool = False,
) -> Splits:
    """Your own images, in a folder for each class: `path/<class>/...`.

    Or `path/train/<class>/...`, with `path/val` and `path/test` if you like; a part
    that is not there is taken from the training images, the same one every time. Each
    image is resized, and its central square kept; that is done once, and then taken
    from the cache until a file changes.

    Args:
        size: side of the square, in pixels.
        val_fraction, test_fraction: what such a part gets of the training images.
        seed: which of them.
        skip_bad: leave files out that cannot be read, and say so.

    Raises:
        CourseError: the folder or a class is missing or empty, or files are no images.
    """
    path = course.expanded(path).resolve()
    found, classes = folders.in_folder(path)
    # Another folder of the same name is another set.
    address = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
    slug = re.sub(r"\W", "_", path.name, flags=re.ASCII)
    name = f"{slug}_{address[:8]}"
    parts = photos.decoded(found, size, name, seed=seed, skip_bad=skip_bad)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _split(Images(path.name, classes, lambda: parts), fractions, seed)


DATASETS: dict[str, Callable[..., Splits]] = {
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "dogs_vs_cats": dogs_vs_cats,
}


def load(name: str, **options) -> Splits:
    """A data set by its name, however it is spelt: "cifar10", "CIFAR-10"; see `mnist`.

    Raises:
        CourseError: there is none of that name.
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    for known, function in DATASETS.items():
        if known.replace("_", "") == plain:
            return function(**options)
    raise CourseError(
        f"There is no data set {name!r}. Choose one of {', '.join(DATASETS)}, or use"
        " image_folder(path) for images of your own."
    )


def _load(
    real: Images, drawn: Images, source: str, fractions: dict[str, float], seed: int
) -> Splits:
    """The real set or its stand-in, as `source` and the scale say."""
    if source not in SOURCES:
        raise CourseError(
            f"source={source!r} is none of {', '.join(SOURCES)}. Leave it out for the"
            " real images where they can be had."
        )
    if source == "embedded":
        why = 'source="embedded"; source="auto" takes the real images'
    elif source == "auto" and course.scale() == "tiny":
        why = "scale tiny; CNN_COURSE_SCALE=small takes the real images"
    else:
        try:
            return _split(real, fractions, seed)
        except DownloadError as error:
            if source == "real":
                raise
            why = f"{error.reason}; data/README.md says how to get the real images"
    print(f"Stand-in: {drawn.name} in place of {real.name} ({why}).")
    drawn = drawn._replace(name=f"{real.name} (stand-in)")
    return _split(drawn, fractions, seed, real=False)


def _split(
    images: Images, fractions: dict[str, float], seed: int, *, real: bool = True
) -> Splits:
    """Take the parts that are not there from train, and measure mean and std on it."""
    parts = images.read()
    sets = {part: _image_set(images, arrays, real) for part, arrays in parts.items()}
    train, moments = sets["train"], parts["train"].moments
    order = balanced_order(train.labels, seed=seed)
    if moments is not None:  # they lie in their order already
        order = torch.arange(len(train))
    for part, fraction in fractions.items():
        if part in parts:
            continue
        if not 0 < fraction < 1:
            raise CourseError(
                f"{part}_fraction={fraction} is no fraction of the training images."
                " Use a number between 0 and 1, such as 0.1."
            )
        n = max(1, round(len(train) * fraction))
        sets[part], order = train.take(order[:n]), order[n:]
    counts = train.labels[order].bincount(minlength=len(images.classes)).tolist()
    lost = [name for name, n in zip(images.classes, counts, strict=True) if not n]
    if lost:
        raise CourseError(
            f"{images.name}: of {len(train)} images, too few are left to train on: none"
            f" of {', '.join(lost)}. Add some, or lower the fractions for validation"
            " and test."
        )
    train = sets["train"] = train.take(order)
    moments = _moments(train.images) if moments is None else moments[order]
    mean, std = _mean_std(moments, train.images[:, 0].numel())
    return Splits(**{p: replace(data, mean=mean, std=std) for p, data in sets.items()})


def _image_set(images: Images, arrays: Part, real: bool) -> ImageSet:
    """A part as an image set, its mean and std not yet measured."""
    pixels = torch.from_numpy(arrays.images)
    pixels = pixels.contiguous(memory_format=torch.channels_last)  # a map is so already
    labels = torch.from_numpy(arrays.labels).long()
    zero, one = ((x,) * pixels.shape[1] for x in (0.0, 1.0))
    return ImageSet(pixels, labels, images.classes, zero, one, images.name, real)


def _moments(images: Tensor) -> np.ndarray:
    """Sum and sum of squares of each channel: (1, 2, C)."""
    levels = torch.arange(256)
    counts = [c.flatten().bincount(minlength=256) for c in images.unbind(1)]
    sums = [[n @ levels**power for n in counts] for power in (1, 2)]
    return np.array([sums], np.int64)


def _mean_std(
    moments: np.ndarray, pixels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each channel, of values in [0, 1], from sums (N, 2, C) over so many pixels."""
    total = moments.sum(0) / pixels
    mean = total[0] / 255
    std = np.sqrt((total[1] / 255**2 - mean**2).clip(0)).round(4)
    # Of one value only: there is nothing to scale.
    return tuple(mean.round(4).tolist()), tuple(s or 1.0 for s in std.tolist())


# Reading them


def _read_torchvision(name: str) -> Parts:
    from torchvision import datasets

    verified = name == "CIFAR10"  # by torchvision itself
    root, parts = download.bring(name, verify=not verified), {}
    for part in ("train", "test"):
        try:
            found = getattr(datasets, name)(root, train=part == "train")
        except RuntimeError:
            download.bring(name)  # says which file it is
            raise
        images = np.asarray(found.data)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        parts[part] = Part(images, np.asarray(found.targets, np.int64))
    return parts


def _read_dogs_vs_cats(size: int, seed: int) -> Parts:
    found = folders.dogs_vs_cats(course.data_dir() / "dogs_vs_cats")
    return photos.decoded(found, size, "dogs_vs_cats", seed=seed, skip_bad=True)


def _scans() -> Images:
    return Images("1,797 scanned digits of scikit-learn", DIGITS, _digits)


def _digits() -> Parts:
    """scikit-learn's 1,797 scans of handwritten digits, brought into MNIST's shape.

    Each scan of 8x8 pixels fills the central 20x20 of 28x28, as MNIST's digits do.

    Source: Alpaydin and Kaynak 1998; the scans are the test part of UCI's Optdigits.
    """
    from sklearn.datasets import load_digits  # takes most of a second to import

    scans = load_digits()
    ink = np.round(scans.images * (255 / 16)).astype(np.uint8)  # 0 to 16 in the file
    images = np.zeros((len(ink), 1, 28, 28), np.uint8)
    for image, scan in zip(images, ink, strict=True):
        large = Image.fromarray(scan).resize((20, 20), Image.Resampling.BICUBIC)
        image[0, 4:24, 4:24] = large
    labels = scans.target.astype(np.int64)
    order = balanced_order(torch.from_numpy(labels)).numpy()
    parts = {"train": order[SCANS_TEST:], "test": order[:SCANS_TEST]}
    return {part: Part(images[i], labels[i]) for part, i in parts.items()}


def _drawings(name: str, size: int) -> Parts:
    """Drawings, row by row on the sheet of a part, brought to a size if need be."""
    parts = {}
    for part in ("train", "test"):
        path = SHEETS / f"{name}-{part}.webp"
        try:
            digits = json.loads((SHEETS / "labels.json").read_text())[path.stem]
            with Image.open(path) as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
        except (OSError, ValueError, KeyError) as error:
            raise CourseError(
                f"{path} cannot be read ({error}). It comes with the course: get the"
                " course's folder data/stand-ins again."
            ) from error
        side = int((pixels[..., 0].size / len(digits)) ** 0.5)
        rows, columns = (extent // side for extent in pixels.shape[:2])
        drawn = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
        drawn = drawn.reshape(-1, side, side, 3)
        if side != size:
            small = [Image.fromarray(image) for image in drawn]
            how = Image.Resampling.BILINEAR
            drawn = np.stack([np.asarray(x.resize((size, size), how)) for x in small])
        labels = np.array(list(digits), np.int64)
        parts[part] = Part(drawn.transpose(0, 3, 1, 2), labels)
    return parts
