"""What stands in for a real data set where there is no network, and in CI."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from tools import stand_ins
from utils.datasets import cache
from utils.datasets.loader import balanced_order

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 (N, C, H, W), labels (N,)
Parts = dict[str, Arrays]  # of "train", "test", and "val" if it comes apart
SCANS_TEST = 297  # of 1,797
DRAWN = {"train": (5_000, 0), "test": (1_000, 1)}  # how many, from which seed
DRAWN_ANIMALS = {"train": (1_600, 0), "test": (400, 1)}


class Images(NamedTuple):
    """A set of images: its name, its classes, and the function that reads it."""

    name: str
    classes: tuple[str, ...]
    read: Callable[[], Parts]


def digits() -> Parts:
    """scikit-learn's 1,797 scans of handwritten digits, brought into MNIST's shape.

    Each scan of 8x8 pixels fills the central 20x20 of 28x28, as MNIST's digits do.

    Returns:
        "train" and "test", images (N, 1, 28, 28).

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
    return {part: (images[i], labels[i]) for part, i in parts.items()}


def drawings() -> Parts:
    """Drawings of CIFAR-10's classes: 5,000 for training, 1,000 for the test.

    They are kept under `data_dir()/cache`, since drawing takes seconds.

    Returns:
        "train" and "test", images (N, 3, 32, 32).
    """
    return {part: _drawn("cifar10", *which) for part, which in DRAWN.items()}


def cats_and_dogs(size: int) -> Parts:
    """Drawings of cats and dogs, 64 pixels wide, brought to `size`: 1,600 and 400.

    They are kept as `drawings` are.

    Returns:
        "train" and "test", images (N, 3, size, size).
    """
    parts = {}
    for part, which in DRAWN_ANIMALS.items():
        drawn, labels = _drawn("cats_and_dogs", *which)
        images = np.empty((len(drawn), size, size, 3), np.uint8)
        for image, drawing in zip(images, drawn.transpose(0, 2, 3, 1), strict=True):
            sheet = Image.fromarray(np.ascontiguousarray(drawing))
            image[...] = sheet.resize((size, size), Image.Resampling.BILINEAR)
        parts[part] = images.transpose(0, 3, 1, 2), labels
    return parts


def _drawn(name: str, n: int, seed: int) -> Arrays:
    # Other code draws other images, so its hash is a part of the name.
    code = hashlib.sha256(Path(stand_ins.__file__).read_bytes()).hexdigest()[:12]
    path = cache.place(f"sketches-{name}-{n}-{seed}", code, ".npz")
    # No cache, a damaged one, a folder that takes no file: whatever it is, draw again.
    with contextlib.suppress(Exception):
        with np.load(path, allow_pickle=False) as kept:
            images, labels = kept["images"], kept["labels"]
        if images.shape[:2] == (n, 3) and labels.shape == (n,):
            return images, labels
    images, labels = (
        tensor.numpy() for tensor in getattr(stand_ins, name)(n, seed=seed)
    )
    with contextlib.suppress(OSError), cache.writing(path) as file:
        np.savez(file, images=images, labels=labels)
    return images, labels


DIGITS = Images("1,797 scanned digits of scikit-learn", tuple("0123456789"), digits)
DRAWINGS = Images("6,000 drawings of its classes", tuple(stand_ins.CLASSES), drawings)
CATS_AND_DOGS = Images(
    "2,000 drawings of cats and dogs", stand_ins.CATS_AND_DOGS, cats_and_dogs
)
