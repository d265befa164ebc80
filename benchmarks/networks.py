"""The networks of the comparison: one for which the input is all, two that compute."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from utils.models import resnet20


def tiny(num_classes: int = 10) -> nn.Module:
    """Two strided convolutions and a linear layer.

    Shape: (N, 3, 32, 32) -> (N, num_classes), logits
    """
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 8 * 8, num_classes),
    )


def small(num_classes: int = 10) -> nn.Module:
    """Three convolutions with batch normalisation and pooling, and a linear layer.

    Shape: (N, 3, 32, 32) -> (N, num_classes), logits
    """
    return nn.Sequential(
        *conv_norm_pool(3, 32),
        *conv_norm_pool(32, 64),
        *conv_norm_pool(64, 128),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, num_classes),
    )


def conv_norm_pool(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 3x3 convolution, normalised, ReLU, and pooling that halves the side."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    ]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "tiny": tiny,
    "small": small,
    "resnet20": resnet20,
}
