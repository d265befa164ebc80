"""How fast do photos come for training: from the cache, or decoded in every epoch?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from benchmarks.measure import Arm, Group, Target
from benchmarks.settings import Settings
from benchmarks.suites.input import reader
from benchmarks.work import Changed
from utils import augment, course, data
from utils.data import ImageSet
from utils.photos import dogs_vs_cats

BATCH, STORED, SIDE = 64, 256, 224  # examples; pixels in the cache and in a batch
OURS = "ours, from the cache"


def groups(settings: Settings) -> Iterator[Group]:
    """One group: training photos of Dogs vs. Cats, cropped at random and flipped."""
    stored = data.dogs_vs_cats(STORED, source="real", val_fraction=0.01).train
    stored = stored.subset(settings.pick(128, 2000))
    name = "tutorial folder and transforms"
    arms = [
        reader(arm, loader, len(stored), SIDE, settings)
        for arm, loader in {
            name: folder(stored, workers=0),
            f"{name}, 2 workers": folder(stored, workers=2),
            OURS: ours(stored, settings),
        }.items()
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
        default_loader,
        transforms.RandomResizedCrop(SIDE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(stored.mean, stored.std),
    ]
    train = [photo for photo in found.photos if photo.part == "train"][: len(stored)]
    paths, labels = [found.path / p.name for p in train], [p.label for p in train]
    files = Changed(paths, labels, *steps)
    return DataLoader(files, BATCH, shuffle=True, num_workers=workers)


def ours(stored: ImageSet, settings: Settings) -> Any:
    """The lectures' loader with the same crop and flip."""
    changes = [augment.RandomResizedCrop(SIDE), augment.HorizontalFlip()]
    loader = stored.loader(
        BATCH, augment=changes, shuffle=True, device=str(settings.device)
    )
    loader.memory_format = torch.channels_last  # as `fit` asks of it
    return loader
