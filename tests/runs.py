"""Short runs of `fit`, of all its loaders, optimizers and schedules: to be stopped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from utils import train
from utils.augment import MixUp, RandomCrop
from utils.data import ImageSet, Loader
from utils.train import History

EPOCHS = 5


class Shuffled:
    """As the course's own loader: each pass is drawn from its seed and epoch."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.epoch = 16, 0

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(100 + self.epoch)
        self.epoch += 1
        order = torch.randperm(len(self.images), generator=generator)
        for some in order.split(self.batch_size):
            # draws from NumPy's and Python's generators, as some augmentations do
            noise = float(np.random.rand()) + random.random()  # noqa: NPY002
            yield self.images[some] + 0.01 * noise, self.labels[some]


def examples(n: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 1, 8, 8, generator=generator)
    return images, images.mean((1, 2, 3)).gt(0).long()


def net(width: int = 4) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, width, 3),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(width * 36, 2),
    )


def course_loader(images: Tensor, labels: Tensor) -> Loader:
    """The course's own loader, with augmentations that draw for every example."""
    pixels = (images * 40 + 128).clamp(0, 255).to(torch.uint8)
    data = ImageSet(pixels, labels, ("dark", "bright"), (0.5,), (0.2,))
    augment = [RandomCrop(padding=1), MixUp(0.2)]
    return data.loader(16, augment=augment, shuffle=True, device="cpu")


def set_seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


RUNS: dict[str, dict[str, Any]] = {
    "epoch-sgd": {"optimizer": "sgd", "lr": 0.05, "schedule": "onecycle"},
    "shuffle-adam": {"optimizer": "adam", "lr": 0.01, "schedule": "plateau"},
    "generator-sgd": {"optimizer": "sgd", "lr": 0.05, "schedule": "step"},
    "course-adam": {"optimizer": "adam", "lr": 0.01, "schedule": "onecycle"},
    "shuffle-adamw": {"optimizer": "adamw", "lr": 0.01, "schedule": "cosine"},
}


def run(
    kind: str, file: Path | None, *, seed: int = 0, n: int = 64, **changes: Any
) -> tuple[nn.Module, History]:
    """One of the runs on `n` examples, the same whenever the seed is."""
    torch.set_num_threads(1)
    set_seed(seed)
    model, data = net(), examples(n)
    if kind.startswith("epoch"):
        loader: Any = Shuffled(*data)
    elif kind.startswith("course"):
        loader = course_loader(*data)
    else:
        own = torch.Generator().manual_seed(seed) if "generator" in kind else None
        loader = DataLoader(TensorDataset(*data), 16, shuffle=True, generator=own)
    images, labels = examples(n * 5 // 8, seed=1)
    history = train.fit(
        model,
        loader,
        list(zip(images.split(40), labels.split(40), strict=True)),
        checkpoint=file,
        **{"epochs": EPOCHS, "progress": False, **RUNS[kind], **changes},
    )
    return model, history


def assert_equal_runs(one: tuple[nn.Module, History], two: tuple[nn.Module, History]):
    for (name, a), b in zip(
        one[0].state_dict().items(), two[0].state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
        assert one[1][column] == two[1][column]
