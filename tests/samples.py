"""A data folder with a few images of each set, as small as they can be."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from utils import download

RNG = np.random.default_rng(0)
IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(values: np.ndarray) -> bytes:
    """An array as an IDX file."""
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return struct.pack(">I", 0x0800 + values.ndim) + shape + values.tobytes()


def mnist(root: Path, name: str = "MNIST", n: int = 100) -> dict[str, np.ndarray]:
    """MNIST's four files, gzipped and unpacked."""
    arrays = {}
    for part, count in (("train", n), ("t10k", n // 5)):
        pixels = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-images-idx3-ubyte"] = pixels
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for file, values in arrays.items():
        write(root / name / "raw" / file, idx(values))
        packed = gzip.compress(idx(values), mtime=0)
        write(root / name / "raw" / f"{file}.gz", packed)
    return arrays


def cifar10(root: Path, n: int = 20) -> np.ndarray:
    """CIFAR-10's batch files: the pixels, (6, n, 3072), the last ones for the test."""
    folder = root / "cifar-10-batches-py"
    every = RNG.integers(0, 256, (6, n, 3072), dtype=np.uint8)
    for name, data in zip(BATCHES, every, strict=True):
        batch = {"data": data, "labels": [i % 10 for i in range(n)]}
        write(folder / name, pickle.dumps(batch))
    write(folder / "batches.meta", pickle.dumps({"label_names": list("0123456789")}))
    return every


def archive(root: Path) -> Path:
    """CIFAR-10's archive, of the batch files that are there."""
    path = root / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    return path


def publish(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checksums of these few images be the published ones."""
    for name in ("MNIST", "FashionMNIST"):
        raw = root / name / "raw"
        if raw.is_dir():
            files = [raw / f"{file}-ubyte" for file in IDX]
            packed = [(f"{p.name}.gz", md5(Path(f"{p}.gz"))) for p in files]
            monkeypatch.setattr(getattr(datasets, name), "resources", packed)
            monkeypatch.setitem(download.PLAIN, name, " ".join(map(md5, files)))
    folder, kind = root / "cifar-10-batches-py", datasets.CIFAR10
    if folder.is_dir():
        files = [[name, md5(folder / name)] for name in BATCHES]
        meta = {**kind.meta, "md5": md5(folder / "batches.meta")}
        monkeypatch.setattr(kind, "train_list", files[:5])
        monkeypatch.setattr(kind, "test_list", files[5:])
        monkeypatch.setattr(kind, "meta", meta)
        monkeypatch.setattr(kind, "tgz_md5", md5(archive(root)))
        archive(root).unlink()


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


def everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of it."""
    mnist(root)
    mnist(root, "FashionMNIST")
    cifar10(root)
    photos(root)
    weights(root)
    publish(root, monkeypatch)
    return root
