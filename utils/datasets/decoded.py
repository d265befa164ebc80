"""Photos decoded once: a file of pixels in place of many JPEGs.

It holds the training images first, in the order in which they are divided into train
and validation: each is a slice, and nothing is copied, whatever its fraction. Labels,
the brightness that mean and std need, and what is to be said about files that are no
photos lie with the pixels: a second run opens no photo.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from utils.course import CourseError
from utils.datasets import cache, pixels
from utils.datasets.findings import Findings
from utils.datasets.loader import balanced_order
from utils.datasets.pixels import Stored
from utils.datasets.readers import decode_photo
from utils.datasets.sources import PARTS, Folder, Photo, Zip

BAR = {"desc": "Decoding", "unit": " photos", "delay": 1, "leave": False}
VERSION = 1  # of the file, and of what `decode_photo` makes; another one is not read


class Part(NamedTuple):
    """Images (N, C, H, W), labels (N,), and the moments (N, 2, C) of stored ones.

    Moments are each image's sum and sum of squares by channel, int64. Where there are
    some, training images lie in the order in which they are divided.
    """

    images: np.ndarray
    labels: np.ndarray
    moments: np.ndarray | None = None


@dataclass
class Decoded:
    """All photos of a set that can be read: pixels uint8 (N, size, size, 3)."""

    pixels: np.ndarray
    labels: np.ndarray
    moments: np.ndarray
    counts: np.ndarray  # of train, val and test; -1 of one that is not there
    findings: Findings

    @classmethod
    def of(cls, stored: Stored) -> Decoded:
        """What a file of pixels holds.

        Raises:
            Exception: it holds no such thing; which one depends on what is wrong.
        """
        about, n = dict(stored.about), len(stored.pixels)
        findings = Findings(**json.loads(about.pop("findings").tobytes()))
        lines = [*findings.problems, *findings.animations, *findings.denied]
        if not isinstance(findings.files, int) or set(map(type, lines)) - {str}:
            raise ValueError("findings of another kind")
        found = cls(stored.pixels, findings=findings, **about)
        shapes = found.labels.shape, found.moments.shape, found.counts.shape
        if shapes != ((n,), (n, 2, 3), (len(PARTS),)):
            raise ValueError(f"arrays of {shapes} for {n} photos")
        if found.counts.clip(0).sum() != n:
            raise ValueError(f"parts of {found.counts.tolist()} photos of {n}")
        return found

    def parts(self, *, ordered: bool) -> dict[str, Part]:
        """The parts, as views; `ordered`: train lies in the order of the division."""
        ends = self.counts.clip(0).cumsum()
        parts = {}
        for part, n, end in zip(PARTS, self.counts.tolist(), ends, strict=True):
            rows = slice(end - max(n, 0), end)
            moments = self.moments[rows] if ordered else None
            images = self.pixels[rows].transpose(0, 3, 1, 2)
            if n >= 0:
                parts[part] = Part(images, self.labels[rows], moments)
        return parts


def decode(source: Folder | Zip, size: int, name: str, *, seed: int | None) -> Decoded:
    """The photos of a source as squares, from the cache where they lie there.

    Args:
        size: of the squares, in pixels; see `read_photo`.
        name: of the set: in the cache, its newer file replaces the older one.
        seed: of the order in which training images are divided; None leaves them in
            the order of the source.

    Raises:
        CourseError: there is room neither on the disk nor in memory.
    """
    require_size(size)
    key = "\n".join([str((VERSION, size, seed)), *source.fingerprint()])
    version = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    slug = re.sub(r"\W+", "_", name, flags=re.ASCII)
    path = cache.place(f"photos-{slug}-{size}-{seed}", version, ".pixels")
    decoded = _kept(path, size)
    if decoded and not _readable_now(source, decoded.findings.denied):
        return decoded
    return _decode_all(source, size, path, seed)


def _kept(path: Path, size: int) -> Decoded | None:
    """What the cache holds; None where nothing does, or where it is damaged."""
    if stored := pixels.read(path, (size, size, 3)):
        with contextlib.suppress(Exception):  # anybody may have shared the file
            return Decoded.of(stored)
    return None


def require_size(size: int) -> None:
    """Raise a `CourseError` unless this is a side in pixels."""
    if not isinstance(size, int) or size < 1:
        raise CourseError(f"size={size!r} is no side in pixels. Use 1 or more.")


def _readable_now(source: Folder | Zip, names: list[str]) -> bool:
    """Whether the system lets us open a file by now that it did not let us open."""
    for name in names:
        with (
            contextlib.suppress(OSError, ValueError),  # a name may hold anything
            open(source.path / name, "rb"),
        ):
            return True
    return False


def _decode_all(
    source: Folder | Zip, size: int, path: Path, seed: int | None
) -> Decoded:
    photos = _in_order(source.photos, seed)
    findings, kept, moments = Findings(len(photos)), [], []
    with pixels.Writer(path, (len(photos), size, size, 3)) as writer:
        for photo, image, its_moments in _read(source, photos, size, findings):
            writer.add(image)
            moments.append(its_moments)
            kept.append(photo)
        there, counts = ([p.part for p in some] for some in (photos, kept))
        said = json.dumps(asdict(findings.sorted())).encode()
        about = {
            "labels": np.array([photo.label for photo in kept], np.int64),
            "moments": np.array(moments, np.int64).reshape(-1, 2, 3),
            "counts": np.array([counts.count(p) if p in there else -1 for p in PARTS]),
            "findings": np.frombuffer(said, np.uint8),
        }
        return Decoded.of(writer.finish(about))


def _in_order(photos: list[Photo], seed: int | None) -> list[Photo]:
    """Parts one after another, and train in the order in which it is divided."""
    train, val, test = ([p for p in photos if p.part == part] for part in PARTS)
    if seed is not None and train:
        labels = torch.tensor([photo.label for photo in train])
        train = [train[i] for i in balanced_order(labels, seed=seed).tolist()]
    return train + val + test


def _moments(image: np.ndarray) -> np.ndarray:
    """Sum and sum of squares of each channel of (H, W, 3): int64 (2, 3)."""
    counts = np.array(Image.fromarray(image).histogram(), np.int64).reshape(3, 256)
    levels = np.arange(256)
    return np.stack([counts @ levels, counts @ levels**2])


def _read(
    source: Folder | Zip, photos: list[Photo], size: int, findings: Findings
) -> Iterator[tuple[Photo, np.ndarray, np.ndarray]]:
    """Decode in threads, which Pillow lets run at once; note what is no photo."""

    def read(photo: Photo) -> tuple[Photo, np.ndarray | CourseError, Any, list[str]]:
        told: list[str] = []
        try:
            file = source.open(photo)
            image = decode_photo(file, photo.name, size=size, tell=told.append)
            return photo, image, _moments(image), told
        except CourseError as error:
            return photo, error, None, told

    Image.init()  # all formats: threads that do it at once miss some
    threads = min(16, _cores())
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(photos), file=sys.stderr, **BAR) as bar,
    ):
        warnings.simplefilter("ignore")  # what Pillow warns of is refused or harmless
        results = _map_ahead(pool, read, photos, ahead=4 * threads)
        for photo, image, moments, told in results:
            bar.update()
            findings.animations += told
            if isinstance(image, CourseError):
                findings.add(photo.name, image)
            else:
                yield photo, image, moments


def _map_ahead(
    pool: ThreadPoolExecutor, function: Callable, items: Iterable, *, ahead: int
) -> Iterator[Any]:
    """Results in the items' order; only so many wait in memory for their turn."""
    waiting: deque = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
