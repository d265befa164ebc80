"""torchvision's second version of the transforms: one uint8 tensor at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.work import PADDING
from utils.data import ImageSet


class Images(Dataset):
    """The images one by one, each through the transforms."""

    def __init__(self, data: ImageSet, transform: v2.Transform) -> None:
        self.images, self.labels = data.images.contiguous(), data.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def loader(data: ImageSet, batch_size: int, *, seed: int = 0) -> DataLoader:
    """The same changes as the tutorial's loader makes, under a `DataLoader`.

    Called on a whole batch the transforms would be faster, and wrong: v2 draws once a
    call, so that all images would share one crop.
    """
    torch.manual_seed(seed)
    changes = [
        v2.RandomCrop(data.images.shape[-1], padding=PADDING),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(data.mean, data.std),
    ]
    return DataLoader(Images(data, v2.Compose(changes)), batch_size, shuffle=True)
