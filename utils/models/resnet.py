"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR
2016: the networks of Table 1 for ImageNet, and of section 4.2 for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from utils.course import CourseError
from utils.models.common import check_images, check_stem, scaled


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps height and width at stride 1, and its batch norm.

    Source: He et al. 2016, Sec. 3.4; initialisation: He et al. 2015, Sec. 2.2.
    """
    padding = kernel_size // 2
    # Without a bias: the batch norm would subtract it, and has its own, beta.
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding, bias=False
    )
    # Variance 2 / n_out, which keeps the gradients' size; 2 / n_in the activations'.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.BatchNorm2d(out_channels)


class PaddedShortcut(nn.Module):
    """Every stride-th row and column of the input, with channels of zeros appended.

    Shape: (N, C, H, W) -> (N, C + extra, H / stride, W / stride)
    Source: He et al. 2016, Sec. 3.3, option A: no parameters.
    """

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]  # (N, C, H / stride, W / stride)
        return functional.pad(x, (0, 0, 0, 0, 0, self.extra))  # (N, C + extra, ...)


def make_shortcut(
    in_channels: int, out_channels: int, stride: int, option: str | None
) -> nn.Module | None:
    """The path around a block, in one of the three ways of He et al. 2016, Sec. 4.1.

    Args:
        in_channels: of the block's input.
        out_channels: of the block's output.
        stride: of the block.
        option: "A" pads with zeros where the shape changes, "B" projects there with a
            1x1 convolution, "C" projects everywhere; None: no shortcut, a plain net.

    Raises:
        CourseError: there is no such option.
    """
    if option not in ("A", "B", "C", None):
        raise CourseError(f"shortcut={option!r}: choose 'A', 'B', 'C' or None, plain.")
    if option is None:
        return None
    if option != "C" and stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if option == "A":
        return PaddedShortcut(out_channels - in_channels, stride)
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride))


class Residual(nn.Module):
    """H(x) = F(x) + x, then ReLU; a block says in `residual` what its F is.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)
    Source: He et al. 2016, Eq. 1 and 2, Fig. 2.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: str | None
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.relu = nn.ReLU()
        # torchvision's name for the shortcut, so that its weights fit.
        self.downsample = make_shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)  # (N, out_channels, H / stride, W / stride)
        if self.downsample is not None:
            y = y + self.downsample(x)
        return self.relu(y)


class BasicBlock(Residual):
    """F is two 3x3 convolutions.

    Shape: (N, in_channels, H, W) -> (N, channels, H / stride, W / stride)
    Source: He et al. 2016, Fig. 5 left.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        shortcut: str | None = "B",
    ) -> None:
        super().__init__(in_channels, channels, stride, shortcut)
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 3, stride)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)

    def residual(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # (N, channels, H / stride, W / stride)
        return self.bn2(self.conv2(y))  # the ReLU follows after the sum


class Bottleneck(Residual):
    """F is a 1x1, a 3x3 and a 1x1 convolution; the 3x3 sees a quarter of the channels.

    Shape: (N, in_channels, H, W) -> (N, 4 * channels, H / stride, W / stride)
    Source: He et al. 2016, Fig. 5 right; there the stride is on the first "1x1".
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        shortcut: str | None = "B",
        stride_on: str = "3x3",
    ) -> None:
        super().__init__(in_channels, 4 * channels, stride, shortcut)
        first, second = place_stride(stride, stride_on)
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 1, first)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3, second)
        self.conv3, self.bn3 = conv_bn(channels, 4 * channels, 1)

    def residual(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.bn3(self.conv3(y))  # (N, 4 * channels, H / stride, W / stride)


def place_stride(stride: int, stride_on: str) -> tuple[int, int]:
    """Strides of a bottleneck's first 1x1 and of its 3x3 convolution.

    Paper: on the 1x1, which then never sees three of four positions. The later form,
    torchvision's too, has it on the 3x3, which sees them all and costs more.

    Raises:
        CourseError: there is no such place.
    """
    places = {"3x3": (1, stride), "1x1": (stride, 1)}
    if stride_on not in places:
        raise CourseError(
            f"stride_on={stride_on!r}: choose '3x3' or '1x1', the paper's."
        )
    return places[stride_on]


Block = Callable[..., Residual]


def make_layer(
    block: Block, in_channels: int, channels: int, blocks: int, stride: int = 1
) -> nn.Sequential:
    """A stage: `blocks` blocks, the first of which changes channels and resolution."""
    layers = [block(in_channels, channels, stride)]
    for _ in range(1, blocks):
        layers.append(block(layers[-1].out_channels, channels))
    return nn.Sequential(*layers)


def make_layers(
    block: Block, blocks: Sequence[int], channels: Sequence[int]
) -> list[nn.Sequential]:
    """The stages, one an entry; all but the first halve height and width."""
    layers: list[nn.Sequential] = []
    in_channels = channels[0]
    for number, out_channels in zip(blocks, channels, strict=True):
        stride = 2 if layers else 1
        layers.append(make_layer(block, in_channels, out_channels, number, stride))
        in_channels = layers[-1][-1].out_channels
    return layers


class ResNet(nn.Module):
    """A stem, four stages of blocks, global average pooling, one linear layer.

    Shape: (N, in_channels, H, W) -> (N, num_classes), logits. In the comments 224x224
        images and basic blocks; bottlenecks put out four times the channels.
    Source: He et al. 2016, Table 1. `imagenet_resnet` builds it.
    """

    def __init__(
        self, layers: list[nn.Sequential], in_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        channels, features = layers[0][0].in_channels, layers[3][-1].out_channels
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 7, stride=2)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, in_channels=self.conv1.in_channels, smallest=1)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, 56, 56)
        x = self.layer2(self.layer1(x))  # (N, 64, 56, 56), then (N, 128, 28, 28)
        x = self.layer4(self.layer3(x))  # (N, 256, 14, 14), then (N, 512, 7, 7)
        return self.fc(torch.flatten(self.avgpool(x), 1))  # (N, num_classes)


class CifarResNet(nn.Module):
    """A 3x3 convolution, three stages of basic blocks, pooling, one linear layer.

    Shape: (N, in_channels, 32, 32) -> (N, num_classes), logits
    Source: He et al. 2016, Sec. 4.2. `cifar_resnet` builds it.
    """

    def __init__(
        self, layers: list[nn.Sequential], in_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        channels, features = layers[0][0].in_channels, layers[2][-1].out_channels
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 3)
        self.relu = nn.ReLU()
        self.layer1, self.layer2, self.layer3 = layers
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, in_channels=self.conv1.in_channels, smallest=1)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.layer1(x)  # (N, 16, 32, 32)
        x = self.layer2(x)  # (N, 32, 16, 16)
        x = self.layer3(x)  # (N, 64, 8, 8)
        return self.fc(torch.flatten(self.avgpool(x), 1))  # (N, num_classes)


def use_cifar_stem(network: ResNet) -> None:
    """Fit it to 32x32 images: a 3x3 convolution with stride 1, and no pooling.

    Departure from the paper, whose stem would leave 8x8 of 32x32 and the last stage
    1x1. Nothing else changes.
    """
    conv = network.conv1
    network.conv1, network.bn1 = conv_bn(conv.in_channels, conv.out_channels, 3)
    network.maxpool = nn.Identity()


def zero_residuals(network: nn.Module) -> None:
    """Start each block as relu(x): the last gamma of its F is 0.

    Departure from the paper: Goyal et al. 2017, Sec. 5.1.

    Raises:
        CourseError: a block has no shortcut; it would put out zeros for ever.
    """
    for block in network.modules():
        if isinstance(block, Residual):
            if block.downsample is None:
                raise CourseError(
                    "zero_init_residual needs shortcuts: a plain network would put out"
                    " zeros and never learn. Leave one of the two away."
                )
            last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
            nn.init.zeros_(last.weight)


IMAGENET: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def imagenet_resnet(
    depth: int,
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    width: float = 1.0,
    stem: str = "imagenet",
    zero_init_residual: bool = False,
    **options: Any,
) -> ResNet:
    """A network of Table 1.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        num_classes: how many logits.
        in_channels: of the images.
        width: factor for the channels of all stages.
        stem: "imagenet", or "cifar" for 32x32 images, see `use_cifar_stem`.
        zero_init_residual: start each block as the identity, see `zero_residuals`.
        **options: of each block: `shortcut` ("B", the default, "A", "C", or None for a
            plain network) and, from 50 layers on, `stride_on` ("3x3" or "1x1").

    Raises:
        CourseError: the table has no such depth, or an option is none.
    """
    if depth not in IMAGENET:
        raise CourseError(f"There is no ResNet-{depth}: choose of {list(IMAGENET)}.")
    block, blocks = IMAGENET[depth]
    channels = [scaled(c, width) for c in (64, 128, 256, 512)]
    layers = make_layers(partial(block, **options), blocks, channels)
    network = ResNet(layers, in_channels, num_classes)
    if check_stem(stem) == "cifar":
        use_cifar_stem(network)
    if zero_init_residual:
        zero_residuals(network)
    return network


def cifar_resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    width: float = 1.0,
    shortcut: str | None = "A",
    zero_init_residual: bool = False,
) -> CifarResNet:
    """A network of section 4.2: 6 n + 2 layers, n blocks in each of three stages.

    Args:
        depth: 20, 32, 44, 56, 110, or another 6 n + 2.
        num_classes: how many logits.
        in_channels: of the images.
        width: factor for the channels of all stages.
        shortcut: "A" (no parameters), "B", "C", or None for a plain network.
        zero_init_residual: start each block as the identity, see `zero_residuals`.

    Raises:
        CourseError: the depth is not 6 n + 2, or there is no such shortcut.
    """
    n, rest = divmod(depth - 2, 6)
    if n < 1 or rest:
        raise CourseError(f"Depth {depth} is not 6 n + 2: try {6 * max(n, 1) + 2}.")
    channels = [scaled(c, width) for c in (16, 32, 64)]
    layers = make_layers(partial(BasicBlock, shortcut=shortcut), (n, n, n), channels)
    network = CifarResNet(layers, in_channels, num_classes)
    if zero_init_residual:
        zero_residuals(network)
    return network


# All take what the two functions above take: resnet50(num_classes=10, width=0.5).
resnet18, resnet34 = partial(imagenet_resnet, 18), partial(imagenet_resnet, 34)
resnet50, resnet101 = partial(imagenet_resnet, 50), partial(imagenet_resnet, 101)
resnet152 = partial(imagenet_resnet, 152)
resnet20, resnet32 = partial(cifar_resnet, 20), partial(cifar_resnet, 32)
resnet44, resnet56 = partial(cifar_resnet, 44), partial(cifar_resnet, 56)
resnet110 = partial(cifar_resnet, 110)
plain20, plain32 = partial(resnet20, shortcut=None), partial(resnet32, shortcut=None)
plain44, plain56 = partial(resnet44, shortcut=None), partial(resnet56, shortcut=None)
plain110 = partial(resnet110, shortcut=None)
