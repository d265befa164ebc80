"""How fast do photos come for training: from the cache, or decoded in every epoch?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from benchmarks import equal
from benchmarks.measure import Arm, Group, Target, Watch
from benchmarks.settings import Settings
from utils import augment, course, data
from utils.data import ImageSet
from utils.photos import Photo, dogs_vs_cats

BATCH, STORED, SIDE = 64, 256, 224  # examples; pixels in the cache and in a batch
OURS = "ours, from the cache"


class Files(Dataset):
    """Photos as torchvision's `ImageFolder` gives them: decoded when asked for."""

    def __init__(self, path: Path, found: list[Photo], transform: Any) -> None:
        self.path, self.found, self.transform = path, found, transform

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        photo = self.found[index]
        return self.transform(default_loader(self.path / photo.name)), photo.label


def groups(settings: Settings) -> Iterator[Group]:
    """One group: training photos of Dogs vs. Cats, cropped at random and flipped."""
    stored = data.dogs_vs_cats(STORED, source="real", val_fraction=0.01).train
    stored = stored.subset(settings.pick(128, 2000))
    name = "tutorial folder and transforms"
    arms = [
        reader(name, folder(stored, workers=0), len(stored), settings),
        reader(f"{name}, 2 workers", folder(stored, workers=2), len(stored), settings),
        reader(OURS, ours(stored, settings), len(stored), settings),
    ]
    if settings.clock == "cpu":
        arms[1] = Arm(
            arms[1].name, arms[1].run, "its processes are not on the cpu clock"
        )
    timings = settings.compare(arms, repeats=3)
    title = (
        f"{len(stored):,} photos, resized crops of {SIDE} pixels, flipped, normalised"
    )
    targets = [Target(OURS, f"{name}, 2 workers", 5)]
    yield Group(title, timings, targets)


def folder(stored: ImageSet, *, workers: int) -> DataLoader:
    """As many photos from their files, through PIL and the tutorial transforms."""
    found = dogs_vs_cats(course.data_dir() / "dogs_vs_cats")
    steps = [
        transforms.RandomResizedCrop(SIDE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(stored.mean, stored.std),
    ]
    train = [photo for photo in found.photos if photo.part == "train"]
    files = Files(found.path, train[: len(stored)], transforms.Compose(steps))
    return DataLoader(files, BATCH, shuffle=True, num_workers=workers)


def ours(stored: ImageSet, settings: Settings) -> Any:
    """The lectures' loader with the same crop and flip."""
    changes = [augment.RandomResizedCrop(SIDE), augment.HorizontalFlip()]
    loader = stored.loader(
        BATCH, augment=changes, shuffle=True, device=str(settings.device)
    )
    loader.memory_format = torch.channels_last  # as `fit` asks of it
    return loader


def reader(name: str, loader: Any, n: int, settings: Settings) -> Arm:
    """An arm that reads one epoch; the turn that does not count fills the caches."""

    def run(watch: Watch, turn: int) -> int:
        seen = 0
        with watch:
            for images, labels in loader:
                seen += len(labels.to(settings.device))
                images = images.to(settings.device)
        shape = tuple(images.shape[1:])
        equal.require(seen == n, name, f"it gave {seen} photos of {n}")
        equal.require(shape == (3, SIDE, SIDE), name, f"it gave images of {shape}")
        return seen

    return Arm(name, run)
