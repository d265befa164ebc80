"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; its form with
batch normalization is torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from utils.models.alexnet import LocalResponseNorm
from utils.models.common import check_images, check_stem, scaled

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Widths:
    """Channels along the four branches of an Inception module: a row of Table 1."""

    out_1x1: int
    reduce_3x3: int
    out_3x3: int
    reduce_5x5: int
    out_5x5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        """Channels of the four branches together."""
        return self.out_1x1 + self.out_3x3 + self.out_5x5 + self.pool_proj

    def times(self, width: float) -> Widths:
        """The row with each number times `width`."""
        return Widths(*(scaled(channels, width) for channels in astuple(self)))


TABLE_1 = {
    # columns: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj; then output channels
    "3a": Widths(64, 96, 128, 16, 32, 32),  # 256
    "3b": Widths(128, 128, 192, 32, 96, 64),  # 480
    "4a": Widths(192, 96, 208, 16, 48, 64),  # 512
    "4b": Widths(160, 112, 224, 24, 64, 64),  # 512
    "4c": Widths(128, 128, 256, 24, 64, 64),  # 512
    "4d": Widths(112, 144, 288, 32, 64, 64),  # 528
    "4e": Widths(256, 160, 320, 32, 128, 128),  # 832
    "5a": Widths(256, 160, 320, 32, 128, 128),  # 832
    "5b": Widths(384, 192, 384, 48, 128, 128),  # 1024
}


@dataclass(frozen=True)
class Form:
    """What sets the paper's network and torchvision's apart.

    Attributes:
        batch_norm: one after each convolution, whose bias goes, as do both LRNs.
        third_kernel: of the branch that the paper calls 5x5. torchvision has 3 there,
            a known fault (pytorch/vision issue 906), kept because the published
            weights were trained so.
        pool4_kernel: of the pooling after module 4e; torchvision has 2.
    """

    batch_norm: bool = False
    third_kernel: int = 5
    pool4_kernel: int = 3


PAPER = Form()
TORCHVISION = Form(batch_norm=True, third_kernel=3, pool4_kernel=2)


class BasicConv(nn.Sequential):
    """A convolution that keeps the size at stride 1, batch norm if wanted, and ReLU.

    Shape: (N, in_channels, H, W) -> (N, channels, H / stride, W / stride)
    """

    def __init__(
        self, in_channels: int, channels: int, *kernel_stride: int, norm: bool = False
    ) -> None:
        super().__init__()
        padding = kernel_stride[0] // 2
        self.conv = nn.Conv2d(
            in_channels, channels, *kernel_stride, padding=padding, bias=not norm
        )
        # Paper: no word on the first weights. He's keep 22 layers without batch norm
        # alive: the variance stays as it is, whatever a 1x1 kernel reduces.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if norm:
            self.bn = nn.BatchNorm2d(channels, eps=1e-3)  # torchvision's epsilon
        self.relu = nn.ReLU()


class NaiveInception(nn.Module):
    """Three kernel sizes and pooling side by side: the module that costs too much.

    Shape: (N, C, H, W) -> (N, out_1x1 + out_3x3 + out_5x5 + C, H, W)
    Source: Szegedy et al. 2015, Fig. 2(a).
    """

    def __init__(self, in_channels: int, widths: Widths) -> None:
        super().__init__()
        self.branch_1x1 = BasicConv(in_channels, widths.out_1x1, 1)
        self.branch_3x3 = BasicConv(in_channels, widths.out_3x3, 3)
        self.branch_5x5 = BasicConv(in_channels, widths.out_5x5, 5)
        self.branch_pool = nn.MaxPool2d(3, stride=1, padding=1)  # all C channels

    def forward(self, x: Tensor) -> Tensor:
        wide = [self.branch_1x1(x), self.branch_3x3(x), self.branch_5x5(x)]
        return torch.cat([*wide, self.branch_pool(x)], dim=1)


class Inception(nn.Module):
    """Four branches side by side; 1x1 convolutions reduce what large kernels get.

    Shape: (N, in_channels, H, W) -> (N, w.out_channels, H, W)
    Source: Szegedy et al. 2015, Fig. 2(b), and a row `w` of Table 1.
    """

    def __init__(self, in_channels: int, w: Widths, form: Form = PAPER) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=form.batch_norm)
        self.branch_1x1 = conv(in_channels, w.out_1x1, 1)
        self.branch_3x3 = nn.Sequential(
            conv(in_channels, w.reduce_3x3, 1), conv(w.reduce_3x3, w.out_3x3, 3)
        )
        self.branch_5x5 = nn.Sequential(
            conv(in_channels, w.reduce_5x5, 1),
            conv(w.reduce_5x5, w.out_5x5, form.third_kernel),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, w.pool_proj, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = self.branch_1x1, self.branch_3x3, self.branch_5x5, self.branch_pool
        return torch.cat([branch(x) for branch in branches], dim=1)


class GoogLeNetStem(nn.Module):
    """Three convolutions, two normalisations, two poolings, before the first module.

    Shape: (N, in_channels, 224, 224) -> (N, 192, 28, 28)
    Source: Szegedy et al. 2015, Table 1, Fig. 3. "cifar" is ours: a first kernel of 3x3
    with stride 1, and no pooling, so that 32x32 images give 32x32 maps.
    """

    def __init__(self, in_channels: int, width: float, stem: str, form: Form) -> None:
        super().__init__()
        conv, small = partial(BasicConv, norm=form.batch_norm), stem == "cifar"
        c1, c2 = scaled(64, width), scaled(192, width)
        self.conv1 = conv(in_channels, c1, *((3, 1) if small else (7, 2)))
        self.conv2, self.conv3 = conv(c1, c1, 1), conv(c1, c2, 3)
        self.pool = nn.Identity() if small else max_pool(3)
        # Paper: no word on its constants; these are AlexNet's.
        self.norm = nn.Identity() if form.batch_norm else LocalResponseNorm()
        self.in_channels, self.smallest = in_channels, 1

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, in_channels=self.in_channels, smallest=self.smallest)
        x = self.norm(self.pool(self.conv1(x)))  # (N, 64, 56, 56)
        x = self.norm(self.conv3(self.conv2(x)))  # (N, 192, 56, 56)
        return self.pool(x)  # (N, 192, 28, 28)


def max_pool(kernel_size: int) -> nn.MaxPool2d:
    """Pooling that halves the sides and rounds up: 112 -> 56, 7 -> 4."""
    return nn.MaxPool2d(kernel_size, stride=2, ceil_mode=True)


class Head(nn.Sequential):
    """An auxiliary classifier on the maps of a module in the middle.

    Shape: (N, in_channels, 14, 14) -> (N, num_classes), logits
    Source: Szegedy et al. 2015, Sec. 5.
    """

    def __init__(
        self, in_channels: int, num_classes: int, width: float, form: Form
    ) -> None:
        super().__init__()
        maps, hidden = scaled(128, width), scaled(1024, width)
        # torchvision has its own windows here: 4x4 ones, where the paper's are 5x5.
        self.pool = nn.Identity() if form.batch_norm else nn.AvgPool2d(5, stride=3)
        self.fit = nn.AdaptiveAvgPool2d(4)  # changes nothing at the paper's 4x4
        self.conv = BasicConv(in_channels, maps, 1, norm=form.batch_norm)
        self.flatten = nn.Flatten()  # (N, 128 * 4 * 4)
        self.fc1 = nn.Linear(maps * 16, hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(hidden, num_classes)


def inception_stage(
    names: str, in_channels: int, width: float, form: Form
) -> nn.Sequential:
    """Modules of Table 1 in a row, such as "3a 3b pool"; "pool" halves the sides."""
    stage = nn.Sequential()
    for name in names.split():
        if name == "pool":
            stage.add_module(name, max_pool(form.pool4_kernel if "4e" in names else 3))
            continue
        widths = TABLE_1[name].times(width)
        stage.add_module(f"inception{name}", Inception(in_channels, widths, form))
        in_channels = widths.out_channels
    stage.out_channels = in_channels
    return stage


STAGES = ("3a 3b pool", "4a", "4b 4c 4d", "4e pool 5a 5b")


class GoogLeNet(nn.Module):
    """A stem, nine Inception modules, global average pooling, one linear layer.

    Shape: (N, in_channels, 224, 224) -> (N, num_classes), logits
    Source: Szegedy et al. 2015, Table 1, Fig. 3; built by `googlenet`.
    """

    def __init__(self, *parts: nn.Module, fc: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.stem, self.stage3, self.stage4a, self.stage4d, self.stage5 = parts
        self.pool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(dropout)
        self.fc, self.heads = fc, nn.ModuleList()
        self.aux_logits: tuple[Tensor, ...] = ()  # of the last batch; `googlenet_loss`

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stem(x))  # (N, 480, 14, 14)
        x4a = self.stage4a(x)  # (N, 512, 14, 14)
        x4d = self.stage4d(x4a)  # (N, 528, 14, 14)
        x = self.stage5(x4d)  # (N, 1024, 7, 7)
        maps = (x4a, x4d) if self.training else ()  # only training needs the heads
        self.aux_logits = tuple(h(m) for h, m in zip(self.heads, maps, strict=False))
        return self.fc(self.dropout(torch.flatten(self.pool(x), 1)))  # (N, num_classes)


def googlenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    aux: bool = False,
    form: Form = PAPER,
    width: float = 1.0,
    dropout: float = 0.4,
    stem: str = "imagenet",
) -> GoogLeNet:
    """GoogLeNet: 6,998,552 parameters, 1.583 G multiply-adds.

    Args:
        num_classes: how many logits.
        in_channels: of the images.
        aux: with both auxiliary heads. The network returns its own logits with or
            without; `googlenet_loss` adds the heads' losses in training.
        form: `PAPER`, `TORCHVISION`, or another; see `Form`.
        width: a factor on all channels and hidden features.
        dropout: fraction of the 1024 averaged maps.
        stem: "imagenet" for 224x224 images; "cifar" for 32x32, all else unchanged.

    Raises:
        CourseError: an unknown stem, or a width that leaves no channels.
    """
    first = GoogLeNetStem(in_channels, width, check_stem(stem), form)
    stages, channels = [], scaled(192, width)
    for names in STAGES:
        stages.append(inception_stage(names, channels, width, form))
        channels = stages[-1].out_channels
    fc = nn.Linear(channels, num_classes)
    net = GoogLeNet(first, *stages, fc=fc, dropout=dropout)
    net.form = form
    if aux:
        for stage in (net.stage4a, net.stage4d):
            net.heads.append(Head(stage.out_channels, num_classes, width, form))
    # Sides that the modules 3a and 3b need, so that each later pooling gets something.
    side = 10 if aux and not form.batch_norm else 4 if form.pool4_kernel == 3 else 2
    first.smallest = side if stem == "cifar" else 8 * side - 1
    return net


googlenet_bn = partial(googlenet, form=Form(batch_norm=True))
googlenet_torchvision = partial(googlenet, form=TORCHVISION, dropout=0.2)


def googlenet_loss(
    model: GoogLeNet, loss_function: Loss = cross_entropy, *, weight: float = 0.3
) -> Loss:
    """The loss with both heads: main + weight * (first + second), in training.

    Args:
        model: built with `aux=True`. Its forward pass in train mode leaves the heads'
            logits in `model.aux_logits`; this loss takes them from there, once.
        loss_function: of logits (N, num_classes) and labels.
        weight: of each head; 0.3 in Sec. 5.

    Returns:
        A loss of logits and labels, such as `train_epoch` takes. After a pass in eval
        mode it is `loss_function` alone.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        # Taken away, or the maps of this batch would stay in memory.
        heads, model.aux_logits = model.aux_logits, ()
        others = sum(loss_function(head.float(), labels) for head in heads)
        return loss_function(logits, labels) + weight * others

    return loss
