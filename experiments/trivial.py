"""Augmentations of our own runs alone: TrivialAugment, and a flip by turns."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torchvision.transforms import v2

from utils.augment import mirror

TRIVIAL = v2.TrivialAugmentWide()


def trivial_augment(images: Tensor, generator: Generator) -> Tensor:
    """Do one of fourteen operations to each image, at a strength drawn evenly.

    Shape: (N, C, H, W) -> (N, C, H, W), uint8 or float in [0, 1]
    Source: Müller and Hutter 2021, Sec. 3, with Table 1's wide ranges.
    """
    seed = torch.randint(2**31, (), generator=generator, device=generator.device)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global one
        torch.default_generator.manual_seed(int(seed))
        return torch.stack([TRIVIAL(image) for image in images])


class AlternatingFlip:
    """Mirror a random half of the set in even epochs, the other half in odd ones.

    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", Sec. 3.6.
    """

    by_epoch = True  # the loader gives it places and epoch

    def __call__(self, images: Tensor, i: Tensor, epoch: int) -> Tensor:
        """Mirror those of a batch (N, C, H, W) whose turn it is; places int64 (N,)."""
        mixed = i * 0x9E3779B1 % 2**32  # a hash: one random bit of each place
        mixed = (mixed ^ (mixed >> 15)) * 0x2C1B3C6D % 2**32
        return mirror(images, ((mixed >> 16) + epoch) % 2 == 1)
