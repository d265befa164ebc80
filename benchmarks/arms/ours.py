"""The course: its loader and its `fit`."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.measure import Watch
from benchmarks.work import PADDING, Work
from utils import recipe
from utils.augment import HorizontalFlip, RandomCrop
from utils.data import ImageSet, Loader
from utils.train import fit


def loader(
    data: ImageSet,
    batch_size: int,
    *,
    seed: int = 0,
    augment: bool = True,
    device: str | None = None,
) -> Loader:
    """The lectures' loader, with their crop and flip or with nothing at all."""
    changes = [RandomCrop(PADDING), HorizontalFlip()] if augment else []
    made = data.loader(
        batch_size, augment=changes, shuffle=augment, seed=seed, device=device
    )
    made.memory_format = torch.channels_last  # as `fit` asks for
    return made


def loaders(work: Work, seed: int) -> tuple[Loader, Loader]:
    """The training images, and the test images in larger batches."""
    where = str(work.device)
    return (
        loader(work.train, work.batch_size, seed=seed, device=where),
        loader(work.test, work.test_batch, augment=False, device=where),
    )


def train(
    work: Work, model: nn.Module, seed: int, watch: Watch, *, precision: str = "float32"
) -> None:
    """Train and evaluate with one call."""
    with watch, recipe.use_precision(precision):
        fit(
            model,
            *loaders(work, seed),
            epochs=work.epochs,
            lr=work.lr,
            keep_best=False,
            progress=False,
        )
