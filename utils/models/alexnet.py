"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012; and the slimmer form in one column of
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from torch import Tensor, nn

from utils.models.common import is_small, scaled


class LocalResponseNorm(nn.Module):
    """Divide by a measure of `size` nearby channels, Sec. 3.3; torch: alpha / size."""

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
    """A convolution and its ReLU; kernel size, stride, ... as `nn.Conv2d` has them."""
    # Paper, Sec. 5: weights from N(0, 0.01), some biases 1; here as torch draws them.
    conv = nn.Conv2d(in_channels, out_channels, *sizes, **options)
    return nn.Sequential(conv, nn.ReLU())


class AlexNetStem(nn.Sequential):
    """Convolution, LRN in the paper's form, and overlapping pooling, if not `small`.

    Shape: (N, in_channels, 224, 224) -> (N, channels, 27, 27); small: 32 -> 28, ours
    """

    def __init__(
        self, in_channels: int, channels: int, paper: bool = False, small: bool = False
    ) -> None:
        super().__init__()
        # Paper: images of 224x224; but 55x55 maps need 227x227, or this padding.
        sizes = (5, 1, 0) if small else (11, 4, 0 if paper else 2)
        self.conv = conv_relu(in_channels, channels, *sizes)  # 55x55 maps
        self.norm = LocalResponseNorm() if paper else nn.Identity()
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, stride=2)  # 27x27


def alexnet_features(
    c1: int = 64, c2: int = 192, c3: int = 384, c4: int = 256
) -> nn.Sequential:
    """Convolutions 2 to 5 of the form of 2014: (N, 64, 27, 27) -> (N, 256, 6, 6)."""
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


def alexnet_2012_features(
    c1: int = 96, c2: int = 256, c3: int = 384, *, groups: int = 2
) -> nn.Sequential:
    """Convolutions 2 to 5 of the paper: (N, 96, 27, 27) -> (N, 256, 6, 6)."""
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
    num_classes: int, features: int = 9216, hidden: int = 4096, dropout: float = 0.5
) -> nn.Sequential:
    """Three linear layers: (N, 256 * 6 * 6) -> (N, num_classes), logits."""
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
    """Three parts: (N, in_channels, 224, 224) -> logits; 227 in the paper's form."""

    def __init__(
        self, stem: nn.Module, features: nn.Module, classifier: nn.Module
    ) -> None:
        super().__init__()
        self.stem, self.features, self.classifier = stem, features, classifier

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(self.stem(x))  # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))  # (N, num_classes)


def alexnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    width: float = 1.0,
    dropout: float = 0.5,
    stem: str = "imagenet",
) -> AlexNet:
    """AlexNet in its form of 2014: 61,100,840 parameters, 0.714 G multiply-adds."""
    c1, c2, c3, c4, hidden = (scaled(c, width) for c in (64, 192, 384, 256, 4096))
    return AlexNet(
        AlexNetStem(in_channels, c1, small=is_small(stem)),
        alexnet_features(c1, c2, c3, c4),
        alexnet_classifier(num_classes, c4 * 36, hidden, dropout),
    )


def alexnet_2012(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    groups: int = 2,
    width: float = 1.0,
    dropout: float = 0.5,
    stem: str = "imagenet",
) -> AlexNet:
    """The paper's, for 227x227: 60,965,224 parameters, 0.724 G multiply-adds.

    Its two GPUs are `groups`; one column, groups=1, has 62,378,344 and 1.135 G.
    """
    # Its parts take the places of the other form's: a seed's weights depend on it.
    net = alexnet(num_classes, in_channels, width=width, dropout=dropout, stem=stem)
    c1, c2, c3 = (scaled(c, width, multiple=groups) for c in (96, 256, 384))
    net.stem = AlexNetStem(in_channels, c1, paper=True, small=is_small(stem))
    net.features = alexnet_2012_features(c1, c2, c3, groups=groups)
    hidden = scaled(4096, width)
    net.classifier = alexnet_classifier(num_classes, c2 * 36, hidden, dropout)
    return net
