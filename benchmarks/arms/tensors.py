"""torchvision's second version of the transforms: one uint8 tensor at a time."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.work import PADDING, Changed
from utils.data import ImageSet


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
    images = Changed(data.images.contiguous(), data.labels.tolist(), *changes)
    return DataLoader(images, batch_size, shuffle=True)
