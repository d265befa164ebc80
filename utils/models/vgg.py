"""VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, configurations A to E of Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from utils.course import CourseError
from utils.models.alexnet import LocalResponseNorm
from utils.models.common import is_small, scaled

Block = Sequence["int | str"]

# Table 1, a tuple for what stands between two max poolings: 64 is its conv3-64.
CONFIGS: dict[str, tuple[Block, ...]] = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "A-LRN": ((64, "LRN"), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "C": (
        (64, 64),
        (128, 128),
        (256, 256, "conv1-256"),
        (512, 512, "conv1-512"),
        (512, 512, "conv1-512"),
    ),
    "D": ((64, 64), (128, 128), 3 * (256,), 3 * (512,), 3 * (512,)),
    "E": ((64, 64), (128, 128), 4 * (256,), 4 * (512,), 4 * (512,)),
}


def read_layer(layer: int | str) -> tuple[int, int]:
    """Kernel size and channels of a convolution in Table 1: 64 is (3, 64)."""
    text = f"conv3-{layer}" if isinstance(layer, int) else layer
    kernel, channels = text.removeprefix("conv").split("-")
    return int(kernel), int(channels)


class VGGBlock(nn.Sequential):
    """Convolutions, pooling: (N, C, H, W) -> (N, out_channels, H // 2, W // 2)."""

    def __init__(self, in_channels: int, block: Block, *, norm: bool = False) -> None:
        super().__init__()
        for layer in block:
            if layer == "LRN":
                self.append(LocalResponseNorm())
                continue
            kernel, channels = read_layer(layer)
            # torchvision keeps the bias before the batch norm, which takes it away.
            self.append(nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2))
            self.extend([nn.BatchNorm2d(channels)] if norm else [])
            self.append(nn.ReLU())
            in_channels = channels
        self.append(nn.MaxPool2d(kernel_size=2))
        self.out_channels = in_channels


def vgg_features(
    config: Sequence[Block], in_channels: int = 3, *, norm: bool = False
) -> nn.Sequential:
    """The blocks of a configuration, one an entry."""
    blocks = nn.Sequential()
    for block in config:
        blocks.append(VGGBlock(in_channels, block, norm=norm))
        in_channels = blocks[-1].out_channels
    return blocks


def vgg_classifier(
    in_features: int, hidden: Sequence[int], num_classes: int, dropout: float
) -> nn.Sequential:
    """Linear layers: (N, in_features) -> (N, num_classes), logits."""
    layers: list[nn.Module] = []
    for features in hidden:
        layers += [nn.Linear(in_features, features), nn.ReLU(), nn.Dropout(dropout)]
        in_features = features
    return nn.Sequential(*layers, nn.Linear(in_features, num_classes))


def initialize(module: nn.Module) -> None:
    """He's weights for a convolution, N(0, 0.01**2) for a linear layer: torchvision's.

    Paper, Sec. 3.1: A from N(0, 0.01), a *variance*; deeper ones began with its layers.
    """
    if isinstance(module, nn.Conv2d):
        # Variance 2 / n_out, which keeps the gradients' size; n_in the activations'.
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if getattr(module, "bias", None) is not None:
        nn.init.zeros_(module.bias)


class VGG(nn.Module):
    """Blocks of small convolutions, linear layers: (N, C, 224, 224) -> logits."""

    def __init__(
        self, features: nn.Sequential, classifier: nn.Sequential, *, map_size: int = 7
    ) -> None:
        super().__init__()
        self.features = features
        # Changes nothing at the paper's 7x7 maps, and lets images of other sizes in.
        self.pool = nn.AdaptiveAvgPool2d(map_size)
        self.classifier = classifier
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.features(x))  # (N, 512, 7, 7)
        return self.classifier(x.flatten(1))  # (N, num_classes)


def scaled_config(config: str | Sequence[Block], width: float) -> list[Block]:
    """A configuration, or the one of a letter, with each number of channels scaled."""
    try:
        blocks = CONFIGS[config] if isinstance(config, str) else config
        read = [[x if x == "LRN" else read_layer(x) for x in block] for block in blocks]
    except (KeyError, ValueError, AttributeError) as error:
        raise CourseError(
            f"VGG has no configuration {config!r}: choose one of {', '.join(CONFIGS)},"
            " or give tuples of 64, a 3x3 convolution, 'conv1-64' for a 1x1 one, 'LRN'."
        ) from error
    return [
        [x if x == "LRN" else f"conv{x[0]}-{scaled(x[1], width)}" for x in block]
        for block in read
    ]


def vgg(
    config: str | Sequence[Block],
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    batch_norm: bool = False,
    width: float = 1.0,
    hidden: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
    stem: str = "imagenet",
) -> VGG:
    """VGG of a configuration, "A" to "E", "A-LRN", or tuples like those of `CONFIGS`.

    `hidden`: features of the hidden linear layers; () leaves one linear layer in all.
    `stem`: "cifar" averages to the 1x1 maps that five poolings leave of 32x32 images.
    """
    features = vgg_features(scaled_config(config, width), in_channels, norm=batch_norm)
    map_size = 1 if is_small(stem) else 7
    in_features = features[-1].out_channels * map_size**2
    hidden = [scaled(features, width) for features in hidden]
    classifier = vgg_classifier(in_features, hidden, num_classes, dropout)
    return VGG(features, classifier, map_size=map_size)


vgg_bn = partial(vgg, batch_norm=True)
