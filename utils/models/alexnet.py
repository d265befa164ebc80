"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012; and the slimmer form in one column of
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from utils.models.common import check_images, check_stem, scaled


class LocalResponseNorm(nn.Module):
    """Divide each value by a measure of its neighbours in `size` nearby channels.

    Shape: (N, C, H, W) -> the same
    Source: Krizhevsky et al. 2012, Sec. 3.3. `nn.LocalResponseNorm` divides alpha by
    size, the paper does not: torch's alpha must be `size` times this one.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        channels, half = x.shape[1], self.size // 2
        # Beyond the first and the last channel stand zeros: they add nothing.
        squares = nn.functional.pad(x.pow(2), (0, 0, 0, 0, half, half))
        total = sum(squares[:, i : i + channels] for i in range(self.size))
        return x / (self.k + self.alpha * total) ** self.beta


def conv_relu(
    in_channels: int, out_channels: int, *sizes: int, **options: int
) -> nn.Sequential:
    """A convolution and its ReLU; kernel size, stride, ... as `nn.Conv2d` takes them.

    Paper, Sec. 5: weights from N(0, 0.01), some biases 1; here as torch draws them.
    """
    conv = nn.Conv2d(in_channels, out_channels, *sizes, **options)
    return nn.Sequential(conv, nn.ReLU())


class AlexNetStem(nn.Module):
    """The first convolution, normalisation if wanted, and overlapping pooling.

    Shape: (N, in_channels, 224, 224) -> (N, channels, 27, 27); 227 for the paper's
    Source: Krizhevsky et al. 2012, Sec. 3.5. "cifar" is ours: a 5x5 kernel with stride
    1 and no pooling turn 32x32 images into 28x28 maps; all that follows is unchanged.
    """

    def __init__(
        self, in_channels: int, channels: int, *, stem: str, paper: bool = False
    ) -> None:
        super().__init__()
        small, padding = check_stem(stem) == "cifar", 0 if paper else 2
        # Paper: images of 224x224; but 55x55 maps need 227x227, or this padding.
        sizes = (5, 1, 0) if small else (11, 4, padding)  # kernel, stride, padding
        self.conv = conv_relu(in_channels, channels, *sizes)  # (N, channels, 55, 55)
        self.norm = LocalResponseNorm() if paper else nn.Identity()
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, stride=2)
        self.in_channels = in_channels
        self.smallest = 11 if small else 67 - 2 * padding  # else pooling gets nothing

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, in_channels=self.in_channels, smallest=self.smallest)
        return self.pool(self.norm(self.conv(x)))  # (N, channels, 27, 27)


def alexnet_features(width: float = 1.0) -> nn.Sequential:
    """Convolutions 2 to 5 of the form of 2014, with overlapping pooling.

    Shape: (N, 64, 27, 27) -> (N, 256, 6, 6)
    """
    c1, c2, c3, c4 = (scaled(c, width) for c in (64, 192, 384, 256))
    return nn.Sequential(
        conv_relu(c1, c2, 5, padding=2),  # (N, 192, 27, 27)
        nn.MaxPool2d(3, stride=2),  # (N, 192, 13, 13)
        conv_relu(c2, c3, 3, padding=1),  # (N, 384, 13, 13)
        conv_relu(c3, c4, 3, padding=1),  # (N, 256, 13, 13)
        conv_relu(c4, c4, 3, padding=1),  # (N, 256, 13, 13)
        nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
        # Papers: no such layer. It changes nothing at 6x6 and lets other sizes in.
        nn.AdaptiveAvgPool2d(6),
    )


def alexnet_2012_features(width: float = 1.0, groups: int = 2) -> nn.Sequential:
    """Convolutions 2 to 5 of the paper; two groups are its two GPUs.

    Shape: (N, 96, 27, 27) -> (N, 256, 6, 6)
    """
    c1, c2, c3 = (scaled(c, width, multiple=groups) for c in (96, 256, 384))
    return nn.Sequential(
        conv_relu(c1, c2, 5, padding=2, groups=groups),  # (N, 256, 27, 27)
        LocalResponseNorm(),  # Over all channels, as if both GPUs saw each other's.
        nn.MaxPool2d(3, stride=2),  # (N, 256, 13, 13)
        conv_relu(c2, c3, 3, padding=1),  # (N, 384, 13, 13); the GPUs meet here
        conv_relu(c3, c3, 3, padding=1, groups=groups),  # (N, 384, 13, 13)
        conv_relu(c3, c2, 3, padding=1, groups=groups),  # (N, 256, 13, 13)
        nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
        nn.AdaptiveAvgPool2d(6),  # Not in the paper, see `alexnet_features`.
    )


def alexnet_classifier(
    num_classes: int, *, width: float = 1.0, dropout: float = 0.5, multiple: int = 1
) -> nn.Sequential:
    """Three linear layers: (N, 256 * 6 * 6) -> (N, num_classes), logits.

    `multiple` rounds the channels that come in, as groups do.
    """
    features, hidden = scaled(256, width, multiple=multiple) * 36, scaled(4096, width)
    return nn.Sequential(
        # Paper, Sec. 4.2: dropout on what the first two give out; here, as torchvision
        # has it, on what they get: the pooled maps too, and the last one's input not.
        nn.Dropout(dropout),
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, num_classes),
    )


class AlexNet(nn.Module):
    """Five convolutions and three linear layers: the form of 2014, in one column.

    Shape: (N, in_channels, 224, 224) -> (N, num_classes), logits
    Source: Krizhevsky 2014, arXiv:1404.5997; 61,100,840 parameters.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        self.stem = AlexNetStem(in_channels, scaled(64, width), stem=stem)
        self.features = alexnet_features(width)
        self.classifier = alexnet_classifier(num_classes, width=width, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(self.stem(x))  # (N, 256, 6, 6)
        return self.classifier(torch.flatten(x, 1))  # (N, num_classes)


def alexnet(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> AlexNet:
    """AlexNet in its form of 2014: 61,100,840 parameters, 0.714 G multiply-adds.

    Args:
        num_classes: how many logits.
        in_channels: of the images.
        **options: `width`, a factor on all channels; `dropout`, a fraction; `stem`,
            "imagenet" for 224x224 images, or "cifar" for 32x32, which changes the first
            convolution and its pooling alone.
    """
    return AlexNet(num_classes, in_channels, **options)


def alexnet_2012(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    groups: int = 2,
    width: float = 1.0,
    dropout: float = 0.5,
    stem: str = "imagenet",
) -> AlexNet:
    """The paper's network, for 227x227 images: 96 first channels, groups, and LRN.

    Args:
        num_classes: how many logits.
        in_channels: of the images.
        groups: 2 as on the paper's two GPUs (60,965,224 parameters, 0.724 G
            multiply-adds), or 1, one column (62,378,344 and 1.135 G).
        width, dropout, stem: as for `alexnet`.
    """
    net = AlexNet(num_classes, in_channels, width=width, dropout=dropout, stem=stem)
    channels = scaled(96, width, multiple=groups)
    net.stem = AlexNetStem(in_channels, channels, stem=stem, paper=True)
    net.features = alexnet_2012_features(width, groups)
    net.classifier = alexnet_classifier(
        num_classes, width=width, dropout=dropout, multiple=groups
    )
    return net
