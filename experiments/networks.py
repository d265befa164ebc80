"""Networks that only our own runs train: the speed record's, kernels, linear layers.

The one of the CIFAR-10 speed record has few layers, each of which learns fast.
Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"
(arXiv:2404.00498), with the whitening of Page 2019, "How to Train Your ResNet".
Departures: the whitening has no bias; its mirrored outputs are -x, not own filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.common import scaled


def whitening_filters(images: Tensor, size: int = 2, noise: float = 5e-4) -> Tensor:
    """Filters whose outputs are uncorrelated and of variance 1 on these images.

    They are the patches' principal directions, by the standard deviation along each;
    `noise`, added to each variance, keeps those small in which photos hardly vary.

    Shape: (N, C, H, W) -> (C * size * size, C, size, size), least variance first
    """
    channels = images.shape[1]
    patches = images.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, y, x, size, size)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * size * size)
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = directions / (variances + noise).sqrt()  # one in each column
    return filters.T.reshape(-1, channels, size, size)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with a shift but no scale, and averages that follow fast: Listing 2."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def dirac_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters copy their input: Sec. 3.3."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[:in_channels])
    return conv


class ConvGroup(nn.Module):
    """Two convolutions: (N, C, H, W) -> (N, out_channels, H // 2, W // 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = dirac_conv(in_channels, out_channels)
        self.norm1 = batch_norm(out_channels)
        self.conv2 = dirac_conv(out_channels, out_channels)
        self.norm2 = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the sides by the first convolution's pooling."""
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.gelu(self.norm1(x))
        return F.gelu(self.norm2(self.conv2(x)))


class SpeedrunNet(nn.Module):
    """Whitening, three groups, a linear head: (N, in_channels, 32, 32) -> logits."""

    def __init__(self, num_classes: int, in_channels: int, widths: list[int]) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(in_channels, 4 * in_channels, 2, bias=False)
        sides = [8 * in_channels, *widths]
        self.groups = nn.Sequential(*map(ConvGroup, sides[:-1], sides[1:]))
        self.head = nn.Linear(sides[-1], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The logits; sizes are those at full width and 32x32 pixels."""
        x = self.whitening(x)  # (N, 12, 31, 31)
        x = F.gelu(torch.cat([x, -x], 1))  # (N, 24, 31, 31): GELU alone loses half
        x = self.groups(x)  # (N, 256, 3, 3)
        x = x.amax((2, 3))  # (N, 256)
        return self.head(x) / x.shape[1]  # scaled: training begins with small logits


def speedrun(
    num_classes: int = 10, in_channels: int = 3, *, width: float = 1, dirac: bool = True
) -> SpeedrunNet:
    """The network; call `whiten(net, images)` before it is trained.

    `dirac`: begin with filters that copy; False draws all of them.
    """
    widths = [scaled(channels, width) for channels in (64, 256, 256)]
    net = SpeedrunNet(num_classes, in_channels, widths)
    nn.init.normal_(net.head.weight)
    for layer in () if dirac else net.groups.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    return net


def whiten(net: SpeedrunNet, images: Tensor) -> None:
    """Make the first filters whiten these images, and keep them so from then on."""
    with torch.no_grad():
        net.whitening.weight.copy_(whitening_filters(images))
    net.whitening.requires_grad_(False)


def kernel_net(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    kernels: Sequence[int] = (3, 3),
    widths: Sequence[int] = (32, 64, 128),
) -> nn.Sequential:
    """Networks that differ in kernels alone: do three 3x3 replace a 7x7 (VGG, 2.3)?"""
    layers: list[nn.Module] = []
    for width in widths:  # each block ends at half the side
        for size in kernels:
            conv = nn.Conv2d(in_channels, width, size, padding=size // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
            in_channels = width
        layers.append(nn.MaxPool2d(kernel_size=2))
    head = nn.Linear(in_channels, num_classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    *,
    image_size: int = 28,
    hidden: Sequence[int] = (32, 32),
    dropout: float = 0.0,
) -> nn.Sequential:
    """Linear layers, with ReLU and dropout after all but the last; of lecture 01."""
    sizes = [in_channels * image_size**2, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], num_classes))


OWN = {"speedrun": speedrun, "kernel_net": kernel_net, "mlp": mlp}
