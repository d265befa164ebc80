"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR
2016: the networks of Table 1 for ImageNet, and of section 4.2 for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from utils.course import CourseError, choose
from utils.models.common import is_small, scaled


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps height and width at stride 1, and its batch norm."""
    sizes = kernel_size, stride, kernel_size // 2
    # Without a bias: the batch norm would subtract it, and has its own, beta.
    conv = nn.Conv2d(in_channels, out_channels, *sizes, bias=False)
    # Variance 2 / n_out, which keeps the gradients' size; 2 / n_in the activations'.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.BatchNorm2d(out_channels)


class PaddedShortcut(nn.Module):
    """Option A, Sec. 3.3: (N, C, H, W) -> (N, C + extra, H / stride, W / stride)."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]  # (N, C, H / stride, W / stride)
        return functional.pad(x, (0, 0, 0, 0, 0, self.extra))  # (N, C + extra, ...)


Option = str | None  # of a shortcut: "A", "B", "C", or None, a plain network


def make_shortcut(
    in_channels: int, out_channels: int, stride: int, option: Option
) -> nn.Module | None:
    """Around a block, Sec. 4.1: None, a plain net, or one of three options.

    Where the shape changes "A" pads with zeros, "B" projects; "C" projects everywhere.
    """
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
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: Option
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.relu = nn.ReLU()
        # The shortcut by torchvision's name, so that its weights fit.
        self.downsample = make_shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)  # (N, out_channels, H / stride, W / stride)
        if self.downsample is not None:
            y = y + self.downsample(x)
        return self.relu(y)


class BasicBlock(Residual):
    """F is two 3x3 convolutions, which give `channels`: Fig. 5 left."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, shortcut: Option = "B"
    ) -> None:
        super().__init__(in_channels, channels, stride, shortcut)
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 3, stride)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)

    def residual(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # (N, channels, H / stride, W / stride)
        return self.bn2(self.conv2(y))  # the ReLU follows after the sum


class Bottleneck(Residual):
    """F is a 1x1, a 3x3 and a 1x1 convolution, which give `4 * channels`."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, shortcut: Option = "B"
    ) -> None:
        super().__init__(in_channels, 4 * channels, stride, shortcut)
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 1)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3, stride)
        self.conv3, self.bn3 = conv_bn(channels, 4 * channels, 1)

    def residual(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.bn3(self.conv3(y))  # (N, 4 * channels, H / stride, W / stride)


Block = Callable[..., Residual]


def make_layers(
    block: Block, blocks: Sequence[int], channels: Sequence[int]
) -> list[nn.Sequential]:
    """The stages, one an entry; all but the first halve height and width."""
    layers: list[nn.Sequential] = []
    in_channels = channels[0]
    for number, out_channels in zip(blocks, channels, strict=True):
        layers.append(nn.Sequential())
        for i in range(number):  # the first block changes channels and resolution
            stride = 2 if i == 0 and len(layers) > 1 else 1
            layers[-1].append(block(in_channels, out_channels, stride))
            in_channels = layers[-1][-1].out_channels
    return layers


class ResNet(nn.Module):
    """A stem, four stages of blocks: (N, in_channels, 224, 224) -> logits; Table 1."""

    def __init__(
        self, layers: list[nn.Sequential], in_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        channels = layers[0][0].in_channels
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 7, stride=2)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(layers[-1][-1].out_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, 56, 56)
        x = self.layer2(self.layer1(x))  # (N, 64, 56, 56), then (N, 128, 28, 28)
        x = self.layer4(self.layer3(x))  # (N, 256, 14, 14), then (N, 512, 7, 7)
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


class CifarResNet(nn.Module):
    """A convolution, three stages: (N, in_channels, 32, 32) -> logits; Sec. 4.2."""

    def __init__(
        self, layers: list[nn.Sequential], in_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(in_channels, layers[0][0].in_channels, 3)
        self.relu = nn.ReLU()
        self.layer1, self.layer2, self.layer3 = layers
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(layers[-1][-1].out_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.layer2(self.layer1(x))  # (N, 16, 32, 32), then (N, 32, 16, 16)
        x = self.layer3(x)  # (N, 64, 8, 8)
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


def zero_residuals(network: nn.Module) -> None:
    """Start each block as relu(x): the last gamma of its F is 0 (Goyal et al. 2017)."""
    for block in network.modules():
        if isinstance(block, Residual):
            if block.downsample is None:
                raise CourseError("zero_init_residual needs shortcuts, or F stays 0.")
            nn.init.zeros_(block.bn2.weight)


SHORTCUTS = ("A", "B", "C", None)
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
    shortcut: Option = "B",
    stride_on: str = "3x3",
) -> ResNet:
    """A network of Table 1; see also `make_shortcut`.

    `stride_on`: of a bottleneck, "1x1" as in the paper or "3x3" as in torchvision.
    """
    choose("depth", depth, IMAGENET)
    choose("shortcut", shortcut, SHORTCUTS)
    choose("stride_on", stride_on, ("3x3", "1x1"))
    block, blocks = IMAGENET[depth]
    channels = [scaled(c, width) for c in (64, 128, 256, 512)]
    layers = make_layers(partial(block, shortcut=shortcut), blocks, channels)
    network = ResNet(layers, in_channels, num_classes)
    if is_small(stem):
        network.conv1, network.bn1 = conv_bn(in_channels, channels[0], 3)
        network.maxpool = nn.Identity()
    for block in network.modules() if stride_on == "1x1" else ():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return network


def cifar_resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    width: float = 1.0,
    shortcut: Option = "A",
    zero_init_residual: bool = False,
) -> CifarResNet:
    """A network of section 4.2: 6 n + 2 layers, n blocks in each of three stages."""
    n, rest = divmod(depth - 2, 6)
    if n < 1 or rest:
        raise CourseError(f"Depth {depth} is not 6 n + 2: try {6 * max(n, 1) + 2}.")
    choose("shortcut", shortcut, SHORTCUTS)
    channels = [scaled(c, width) for c in (16, 32, 64)]
    layers = make_layers(partial(BasicBlock, shortcut=shortcut), (n, n, n), channels)
    network = CifarResNet(layers, in_channels, num_classes)
    if zero_init_residual:
        zero_residuals(network)
    return network


plain = partial(cifar_resnet, shortcut=None)
