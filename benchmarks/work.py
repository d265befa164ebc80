"""The work of which every arm does the same: network, images and recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import transforms

from utils.data import ImageSet

CLASSES = 10
SIDE = 32
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
PADDING = 4
FAR = 10**9  # the generator reads 32 bits of a seed
CONTRAST = 64  # of the patterns, in steps of brightness: harder to see if lower


class Changed(Dataset):
    """Examples as torchvision's data sets give them: one at a time, each changed."""

    def __init__(
        self, items: Sequence, labels: Sequence[int], *steps: Callable
    ) -> None:
        self.items, self.labels = items, labels
        self.change = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.change(self.items[index]), self.labels[index]


@dataclass(frozen=True)
class Work:
    """What every arm of a comparison trains, on what, and how.

    Attributes:
        network: builds the network.
        train, test: the images.
        device: where.
        batch_size, test_batch: examples in a batch, to train and to evaluate.
        epochs: passes over the training images, each followed by an evaluation.
        lr, momentum: of stochastic gradient descent.
    """

    network: Callable[[], nn.Module]
    train: ImageSet
    test: ImageSet
    device: torch.device
    batch_size: int = 128
    test_batch: int = 512
    epochs: int = 2
    lr: float = 0.01
    momentum: float = 0.9

    def model(self, seed: int) -> nn.Module:
        """The network with the weights of this seed, on the device."""
        torch.manual_seed(seed)
        return self.network().to(self.device)

    @property
    def examples(self) -> int:
        """Images that are trained on in all."""
        return self.epochs * len(self.train)


def synthetic(n: int, *, seed: int = 0) -> ImageSet:
    """Noise over one coarse pattern a class: learnt soon, and made in no time.

    The patterns are those of seed 0 always, so that two sets share their classes.
    """
    coarse = torch.rand(CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    patterns = torch.nn.functional.interpolate(coarse * CONTRAST, SIDE).to(torch.uint8)
    # Far from the seeds of the loaders: with equal ones, who is flipped would follow
    # from the label.
    draws = torch.Generator().manual_seed(FAR + seed)
    labels = torch.randint(CLASSES, (n,), generator=draws)
    images = noise(n, draws, below=256 - CONTRAST)
    for some in range(0, n, 1000):  # in parts: large sets take the memory of one
        images[some : some + 1000] += patterns[labels[some : some + 1000]]
    return image_set(images, labels)


def noise(n: int, generator: torch.Generator, *, below: int = 256) -> Tensor:
    """Images of independent pixels: uint8 (N, 3, 32, 32), in channels_last order."""
    shape = (n, SIDE, SIDE, 3)
    pixels = torch.randint(below, shape, generator=generator, dtype=torch.uint8)
    return pixels.permute(0, 3, 1, 2)


def image_set(images: Tensor, labels: Tensor) -> ImageSet:
    """Images with the mean and deviation that all arms normalise by."""
    names = tuple(str(k) for k in range(CLASSES))
    return ImageSet(images, labels, names, MEAN, STD, name="synthetic", real=False)
