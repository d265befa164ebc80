"""The network of the CIFAR-10 speed record: few layers, each of which learns fast.

Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"
(arXiv:2404.00498), with the whitening of Page 2019, "How to Train Your ResNet"
(myrtle.ai). Departures: the whitening has no bias to train, so no gradient is needed
below the first group; its mirrored outputs are -x, not filters of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.common import scaled


def whitening_filters(images: Tensor, size: int = 2, noise: float = 5e-4) -> Tensor:
    """Filters whose outputs are uncorrelated and of variance 1 on these images.

    They are the principal directions of the patches, each divided by the standard
    deviation along it; `noise` is added to each variance, so that directions in which
    photos hardly vary are not blown up.

    Args:
        images: float (N, C, H, W), normalised; some thousand training images do.
        size: side of the patches, in pixels.

    Returns:
        (C * size * size, C, size, size), the direction of least variance first.
    """
    channels = images.shape[1]
    patches = images.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, y, x, size, size)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * size * size)
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = directions / (variances + noise).sqrt()  # one in each column
    return filters.T.reshape(-1, channels, size, size)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with a shift but no scale, and averages that follow fast.

    Source: Jordan 2024, Listing 2: 40 % of each batch goes into the running averages.
    """
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def dirac_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters copy their input; the others are random.

    Source: Jordan 2024, Sec. 3.3.
    """
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[:in_channels])
    return conv


class ConvGroup(nn.Module):
    """Two 3x3 convolutions with BatchNorm and GELU; the first is pooled.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H // 2, W // 2)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = dirac_conv(in_channels, out_channels)
        self.norm1 = batch_norm(out_channels)
        self.conv2 = dirac_conv(out_channels, out_channels)
        self.norm2 = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.gelu(self.norm1(x))
        return F.gelu(self.norm2(self.conv2(x)))


class SpeedrunNet(nn.Module):
    """Whitening, three groups, and a linear head on the largest value of each channel.

    Shape: (N, in_channels, 32, 32) -> (N, num_classes), logits
    """

    def __init__(self, num_classes: int, in_channels: int, widths: list[int]) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(in_channels, 4 * in_channels, 2, bias=False)
        sides = [8 * in_channels, *widths]
        self.groups = nn.Sequential(*map(ConvGroup, sides[:-1], sides[1:]))
        self.head = nn.Linear(sides[-1], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.whitening(x)  # (N, 12, 31, 31)
        x = F.gelu(torch.cat([x, -x], 1))  # (N, 24, 31, 31): GELU alone loses half
        x = self.groups(x)  # (N, 256, 3, 3)
        x = x.amax((2, 3))  # (N, 256)
        return self.head(x) / x.shape[1]  # scaled: training begins with small logits


def speedrun(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    width: float = 1.0,
    dirac: bool = True,
) -> SpeedrunNet:
    """The network for 32x32 images: 2.0 million parameters at full width.

    Call `whiten(net, images)` before training: until then its first filters are random.

    Args:
        width: multiplies the channels 64, 256 and 256 of the groups.
        dirac: begin with filters that copy; False draws all of them.
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
