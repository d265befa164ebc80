"""A data folder with a few images of each set, as small as they can be."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image

RNG = np.random.default_rng(0)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def idx(values: np.ndarray) -> bytes:
    """An array as an IDX file."""
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return struct.pack(">I", 0x0800 + values.ndim) + shape + values.tobytes()


def mnist(root: Path, name: str = "MNIST", n: int = 100) -> None:
    """MNIST's four files, unpacked."""
    for part, count in (("train", n), ("t10k", n // 5)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write(root / name / "raw" / f"{part}-images-idx3-ubyte", idx(images))
        write(root / name / "raw" / f"{part}-labels-idx1-ubyte", idx(labels))


def cifar10(root: Path, n: int = 20) -> None:
    """CIFAR-10's six batch files."""
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        data = RNG.integers(0, 256, (n, 3072), dtype=np.uint8)
        batch = {"data": data, "labels": [i % 10 for i in range(n)]}
        write(root / "cifar-10-batches-py" / name, pickle.dumps(batch))


def photos(root: Path, n: int = 10) -> None:
    """Photos of cats and dogs, in Kaggle's folder."""
    for kind in ("cat", "dog"):
        for i in range(n):
            path = root / "dogs_vs_cats" / "train" / f"{kind}.{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)


def weights(root: Path, name: str = "squeezenet1_1") -> None:
    """Weights that someone has placed by hand."""
    path = root / "weights" / f"{name}-imagenet.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weight": torch.arange(3.0)}, path)


def everything(root: Path) -> Path:
    """All of it."""
    mnist(root)
    mnist(root, "FashionMNIST")
    cifar10(root)
    photos(root)
    weights(root)
    return root
