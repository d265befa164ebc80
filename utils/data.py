"""The data sets of the course, each as `Splits(train, val, test)` of uint8 images.

A set is taken from the disk (`course.data_dir()`), or downloaded, or, where there is no
network, replaced by a stand-in, which one printed line says. `data/README.md` tells
where the sets come from and how they lie on the disk. `python -m utils.data` packs them
for a room without network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils import course
from utils.datasets import download, manifest, photos, places, standins
from utils.datasets.cifar import read_cifar10
from utils.datasets.decoded import Part, decode, require_size
from utils.datasets.folders import read_folder, require_all
from utils.datasets.loader import ImageSet, Splits, balanced_order
from utils.datasets.readers import read_idx
from utils.datasets.standins import Images, Parts

SOURCES = ("auto", "real", "embedded")
GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


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
    real = Images("MNIST", standins.DIGITS.classes, _read_mnist)
    return _load(real, standins.DIGITS, source, {"val": val_fraction}, seed)


def fashion_mnist(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Articles of clothing, as many and as large as MNIST's digits.

    The arguments are those of `mnist`. The stand-in shows digits, with their classes.

    Source: Xiao et al. 2017.
    """
    real = Images("Fashion-MNIST", GARMENTS, _read_fashion_mnist)
    return _load(real, standins.DIGITS, source, {"val": val_fraction}, seed)


def cifar10(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Photos of ten kinds of objects, 32x32: 50,000 to train on, 10,000 for the test.

    The arguments are those of `mnist`. The stand-in is drawn: 5,000 and 1,000.

    Source: Krizhevsky 2009.
    """
    real = Images("CIFAR-10", standins.DRAWINGS.classes, _read_cifar10)
    return _load(real, standins.DRAWINGS, source, {"val": val_fraction}, seed)


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
    kept. That is done once: later runs take the squares from the cache, which holds 4.9
    GB at 256 pixels, and map it into memory. Files that are no photos are left out, and
    one line says so. The stand-in is drawn, 64 pixels wide: 1,600 and 400.

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
    require_size(size)
    read = partial(_read_dogs_vs_cats, size, seed)
    drawings = standins.CATS_AND_DOGS
    drawings = drawings._replace(read=partial(drawings.read, size))
    fractions = {"val": val_fraction, "test": test_fraction}
    real = Images("Dogs vs. Cats", photos.CLASSES, read)
    return _load(real, drawings, source, fractions, seed)


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
    path = course.expanded(path)
    parts, classes = read_folder(path, size, skip_bad=skip_bad, seed=seed)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _split(Images(path.resolve().name, classes, lambda: parts), fractions, seed)


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
    raise course.CourseError(
        f"There is no data set {name!r}. Choose one of {', '.join(DATASETS)}, or use"
        " image_folder(path) for images of your own."
    )


def _load(
    real: Images,
    stand_in: Images,
    source: str,
    fractions: dict[str, float],
    seed: int,
) -> Splits:
    """The real set or its stand-in, as `source` and the scale say."""
    if source not in SOURCES:
        raise course.CourseError(
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
        except download.DownloadError as error:
            if source == "real":
                raise
            why = f"{error.reason}; data/README.md says how to get the real images"
    print(f"Stand-in: {stand_in.name} in place of {real.name} ({why}).")
    stand_in = stand_in._replace(name=f"{real.name} (stand-in)")
    return _split(stand_in, fractions, seed, real=False)


def _read_mnist() -> Parts:
    return _read_idx("MNIST", download.MNIST)


def _read_fashion_mnist() -> Parts:
    return _read_idx("FashionMNIST", download.FASHION_MNIST)


def _read_idx(name: str, files: Sequence[download.Remote]) -> Parts:
    """Training and test images with their labels, out of four files."""
    paths = places.idx(course.data_dir(), name, files, online=_online())
    arrays = [read_idx(path, n) for path, n in zip(paths, (3, 1, 3, 1), strict=True)]
    train, train_labels, test, test_labels = arrays
    for path, images in zip(paths[::2], (train, test), strict=True):
        if images.shape[1:] != (28, 28) or not len(images):
            raise course.CourseError(
                f"{path} holds {' x '.join(map(str, images.shape))} pixels, where"
                " images of 28 x 28 belong. Delete it: it is then downloaded."
            )
    train, test = train[:, None], test[:, None]  # (N, 1, H, W)
    return {"train": (train, train_labels), "test": (test, test_labels)}


def _read_cifar10() -> Parts:
    """The batch files, or the archive, or images by class."""
    path = places.cifar10(course.data_dir(), online=_online())
    if path.name != places.CIFAR10_IMAGES:
        return read_cifar10(path)
    parts, classes = read_folder(path, 32)
    if classes != standins.DRAWINGS.classes or "test" not in parts:
        raise course.CourseError(
            f"{path} is not CIFAR-10: it needs the folders train and test, and in each"
            f" of them {', '.join(standins.DRAWINGS.classes)}. Complete it, or remove"
            " it: the set is then downloaded."
        )
    return parts


def _read_dogs_vs_cats(size: int, seed: int) -> Parts:
    """The photos that are there, or Microsoft's; what is no photo is left out."""
    manifest.verify(photos.FOLDER)
    found = photos.find(course.data_dir() / photos.FOLDER, online=_online())
    decoded = decode(found, size, "dogs_vs_cats", seed=seed)
    decoded.findings.report(found.path, skip_bad=True)
    parts = decoded.parts(ordered=True)
    for part, arrays in parts.items():
        require_all(photos.CLASSES, arrays.labels, found.path, part)
    return parts


def _online() -> bool:
    """Whether what is not on the disk may be downloaded."""
    return course.scale() != "tiny"


def _split(
    images: Images, fractions: dict[str, float], seed: int, *, real: bool = True
) -> Splits:
    """Take the parts that are not there from train, and measure mean and std on it."""
    parts = {part: Part(*arrays) for part, arrays in images.read().items()}
    fractions = {part: f for part, f in fractions.items() if part not in parts}
    sets = {part: _image_set(images, arrays, real) for part, arrays in parts.items()}
    train, moments = sets["train"], parts["train"].moments
    order = balanced_order(train.labels, seed=seed)
    if moments is not None:  # they lie in their order already
        order = torch.arange(len(train))
    for part, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise course.CourseError(
                f"{part}_fraction={fraction} is no fraction of the training images."
                " Use a number between 0 and 1, such as 0.1."
            )
        n = max(1, round(len(train) * fraction))
        sets[part], order = train.take(order[:n]), order[n:]
    if len(order) == 0:
        raise course.CourseError(
            f"{images.name}: {len(train)} images are too few to train, validate and"
            " test on. Add some, or lower the fractions for validation and test."
        )
    sets["train"] = train.take(order)
    if moments is None:
        mean, std = _measure(sets["train"].images)
    else:
        mean, std = _from_moments(moments[order], train.images[0, 0].numel())
    return Splits(**{p: replace(data, mean=mean, std=std) for p, data in sets.items()})


def _image_set(images: Images, arrays: Part, real: bool) -> ImageSet:
    """A part as an image set, its mean and std not yet measured."""
    pixels = torch.from_numpy(arrays.images)
    pixels = pixels.contiguous(memory_format=torch.channels_last)  # a map is so already
    labels = torch.from_numpy(arrays.labels).long()
    zero, one = ((x,) * pixels.shape[1] for x in (0.0, 1.0))
    return ImageSet(pixels, labels, images.classes, zero, one, images.name, real)


def _measure(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of values in [0, 1], exactly."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        counts = torch.bincount(channel.flatten(), minlength=256)
        mean = (counts * values).sum() / counts.sum()
        std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
        means.append(round(mean.item(), 4))
        stds.append(round(std.item(), 4) or 1.0)  # of one value only: nothing to scale
    return tuple(means), tuple(stds)


def _from_moments(
    moments: np.ndarray, pixels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `_measure` gives, from each image's sums (N, 2, C) over so many pixels."""
    total = moments.sum(0) / (len(moments) * pixels)
    mean = total[0] / 255
    std = np.sqrt((total[1] / 255**2 - mean**2).clip(0))
    return tuple(mean.round(4).tolist()), tuple(
        round(s, 4) or 1.0 for s in std.tolist()
    )
