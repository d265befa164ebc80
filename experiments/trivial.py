"""TrivialAugment as an augmentation of the course: torchvision's, image by image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torchvision.transforms import v2

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
