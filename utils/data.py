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
from torchvision import datasets

from utils import course, download, photos
from utils.course import CourseError, choose
from utils.download import DownloadError
from utils.images import ImageSet, Loader, Splits, balanced_order
from utils.photos import Part

__all__ = ["DATASETS", "ImageSet", "Loader", "Splits", "balanced_order", "cifar10"]
__all__ += ["dogs_vs_cats", "fashion_mnist", "image_folder", "mnist"]

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


def mnist(**options) -> Splits:
    """Handwritten digits, 28x28, grey: 60,000 to train on, 10,000 for the test.

    The options, all with a default, are those of every set here:
        source: "auto" takes the real images where it can get them and else the
            stand-in, at scale tiny always; "real" refuses the stand-in; "embedded"
            asks for it.
        val_fraction: the fraction of the training images that validate, 0.1.
        seed: which of them do, 0.

    Source: LeCun et al. 1998.
    """
    return _load(_torchvision("MNIST", "MNIST", DIGITS), SCANS, **options)


def fashion_mnist(**options) -> Splits:
    """Articles of clothing, as many and as large as MNIST's digits; see `mnist`.

    The stand-in shows digits, with their classes.

    Source: Xiao et al. 2017.
    """
    classes = tuple(datasets.FashionMNIST.classes)
    real = _torchvision("Fashion-MNIST", "FashionMNIST", classes)
    return _load(real, SCANS, **options)


def cifar10(**options) -> Splits:
    """Photos of ten kinds of objects, 32x32: 50,000 to train on, 10,000 for the test.

    The options are those of `mnist`. The stand-in is drawn: 5,000 and 1,000.

    Source: Krizhevsky 2009.
    """
    read = partial(_drawings, "cifar10", 32)
    drawn = Images("6,000 drawings of its classes", OBJECTS, read)
    return _load(_torchvision("CIFAR-10", "CIFAR10", OBJECTS), drawn, **options)


def dogs_vs_cats(size: int = 256, **options) -> Splits:
    """Photos of cats and of dogs, about 12,500 each, as squares of `size` pixels.

    The shorter side of each photo becomes `size` pixels, and its central square is
    kept. That is done once: later runs map the squares, 4.9 GB at 256 pixels, from a
    file in the data folder's `cache`. Files that are no photos are left out, and one
    line says so. The stand-in is drawn, 64 pixels wide: 1,600 and 400.

    The options are those of `mnist`, and `test_fraction`, 0.1, the fraction of the
    training photos that test where no test photos come with a class.

    Source: Elson et al. 2007.
    """
    seed = options.get("seed", 0)

    def read() -> Parts:
        found = photos.dogs_vs_cats(course.data_dir() / "dogs_vs_cats")
        return photos.decoded(found, size, "dogs_vs_cats", seed=seed, skip_bad=True)

    real = Images("Dogs vs. Cats", ANIMALS, read)
    drawings = partial(_drawings, "cats_and_dogs", size)
    drawn = Images("2,000 drawings of cats and dogs", ANIMALS, drawings)
    return _load(real, drawn, **{"test_fraction": 0.1, **options})


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
    """
    path = course.expanded(path).resolve()
    found, classes = photos.in_folder(path)
    # Another folder of the same name is another set.
    address = hashlib.sha256(repr(path).encode()).hexdigest()[:8]
    name = re.sub(r"\W", "_", path.name, flags=re.ASCII) + f"_{address}"
    more = {"seed": seed, "skip_bad": skip_bad}
    read = partial(photos.decoded, found, size, name, **more)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _split(Images(path.name, classes, read), fractions, seed)


DATASETS = {f.__name__: f for f in (mnist, fashion_mnist, cifar10, dogs_vs_cats)}


def _load(
    real: Images,
    drawn: Images,
    *,
    source: str = "auto",
    val_fraction: float = 0.1,
    test_fraction: float = 0,
    seed: int = 0,
) -> Splits:
    """The real set or its stand-in, as `source` and the scale say."""
    fractions = {"val": val_fraction, "test": test_fraction}
    choose("source", source, ("auto", "real", "embedded"))
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
    sets, moments, begin = {}, None, 0
    for part, found in images.read().items():
        zero = (0.0,) * found.images.shape[1]  # mean and std are not yet measured
        labels, more = torch.from_numpy(found.labels).long(), (images.name, real)
        pixels = torch.from_numpy(found.images)
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # a map is so
        sets[part] = ImageSet(pixels, labels, images.classes, zero, zero, *more)
        moments = found.moments if part == "train" else moments
    train = sets["train"]
    if moments is None:  # photos lie in this order already
        train = train.take(balanced_order(train.labels, seed=seed))
    missing = {part: x for part, x in fractions.items() if part not in sets}
    for part, fraction in missing.items():
        if not 0 < fraction < 1:
            raise CourseError(
                f"{part}_fraction={fraction} is no fraction of the training images."
                " Use a number between 0 and 1, such as 0.1."
            )
        end = begin + max(1, round(len(train) * fraction))
        sets[part], begin = train.take(torch.arange(begin, end)), end
    counts = train.labels[begin:].bincount(minlength=len(images.classes)).tolist()
    lost = [name for name, n in zip(images.classes, counts, strict=True) if not n]
    if lost:
        raise CourseError(
            f"{images.name}: of {len(train)} images, too few are left to train on: none"
            f" of {', '.join(lost)}. Add some, or lower the fractions for validation"
            " and test."
        )
    sets["train"] = train = train.take(torch.arange(begin, len(train)))
    mean, std = _mean_std(train.images, None if moments is None else moments[begin:])
    return Splits(**{p: replace(data, mean=mean, std=std) for p, data in sets.items()})


def _mean_std(
    images: Tensor, moments: np.ndarray | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each channel, of values in [0, 1]; from moments (N, 2, C) if known."""
    if moments is None:
        levels = torch.arange(256)
        counts = [c.flatten().bincount(minlength=256) for c in images.unbind(1)]
        moments = np.array([[[n @ levels**p for n in counts] for p in (1, 2)]])
    total = moments.sum(0) / images[:, 0].numel()
    mean = total[0] / 255
    std = np.sqrt((total[1] / 255**2 - mean**2).clip(0)).round(4)
    # Of one value only: there is nothing to scale.
    return tuple(mean.round(4).tolist()), tuple(s or 1.0 for s in std.tolist())


# Reading them


def _torchvision(name: str, kind: str, classes: tuple[str, ...]) -> Images:
    """A set that torchvision's class of this kind reads, once its files are there."""

    def read() -> Parts:
        root, parts = download.bring(kind), {}
        for part in ("train", "test"):
            found = getattr(datasets, kind)(root, train=part == "train")
            images = np.asarray(found.data)
            images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
            parts[part] = Part(images, np.asarray(found.targets))
        return parts

    return Images(name, classes, read)


def _scans() -> Parts:
    """scikit-learn's 1,797 scans of handwritten digits, brought into MNIST's shape.

    Each scan of 8x8 pixels fills the central 20x20 of 28x28, as MNIST's digits do.

    Source: Alpaydin and Kaynak 1998; the scans are the test part of UCI's Optdigits.
    """
    from sklearn.datasets import load_digits  # takes most of a second to import

    scans = load_digits()
    ink = np.round(scans.images * (255 / 16)).astype(np.uint8)  # 0 to 16 in it
    images = np.zeros((len(ink), 1, 28, 28), np.uint8)
    for image, scan in zip(images, ink, strict=True):
        large = Image.fromarray(scan).resize((20, 20), Image.Resampling.BICUBIC)
        image[0, 4:24, 4:24] = large
    order = balanced_order(torch.from_numpy(scans.target).long()).numpy()
    parts = {"train": order[SCANS_TEST:], "test": order[:SCANS_TEST]}
    return {part: Part(images[i], scans.target[i]) for part, i in parts.items()}


SCANS = Images("1,797 scanned digits of scikit-learn", DIGITS, _scans)


def _drawings(name: str, size: int) -> Parts:
    """Drawings, row by row on the sheet of a part, brought to a size if need be."""
    parts, known = {}, json.loads((SHEETS / "labels.json").read_text())
    for part in ("train", "test"):
        labels = np.array(list(known[f"{name}-{part}"]), np.int64)
        with Image.open(SHEETS / f"{name}-{part}.webp") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        side = int((pixels[..., 0].size / len(labels)) ** 0.5)
        rows, columns = (extent // side for extent in pixels.shape[:2])
        drawn = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
        drawn = drawn.reshape(-1, side, side, 3)
        if side != size:
            small = [Image.fromarray(image) for image in drawn]
            how = Image.Resampling.BILINEAR
            drawn = np.stack([np.asarray(x.resize((size, size), how)) for x in small])
        parts[part] = Part(drawn.transpose(0, 3, 1, 2), labels)
    return parts
