"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from utils.models.alexnet import LocalResponseNorm
from utils.models.common import is_small, scaled

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
        return self.out_1x1 + self.out_3x3 + self.out_5x5 + self.pool_proj


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
    """What sets the paper's network and torchvision's apart."""

    batch_norm: bool = False  # after each convolution, whose bias goes, as do both LRNs
    # torchvision: 3, a fault that its weights need (pytorch/vision issue 906).
    third_kernel: int = 5
    pool4_kernel: int = 3  # of the pooling after module 4e; torchvision has 2


PAPER = Form()
TORCHVISION = Form(batch_norm=True, third_kernel=3, pool4_kernel=2)


class BasicConv(nn.Sequential):
    """A convolution that keeps the size at stride 1, batch norm if wanted, and ReLU."""

    def __init__(
        self, in_channels: int, channels: int, *kernel_stride: int, norm: bool = False
    ) -> None:
        super().__init__()
        size = {"padding": kernel_stride[0] // 2, "bias": not norm}
        self.conv = nn.Conv2d(in_channels, channels, *kernel_stride, **size)
        # Paper: no word on first weights. He's keep 22 layers without norm alive.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if norm:
            self.bn = nn.BatchNorm2d(channels, eps=1e-3)  # torchvision's epsilon
        self.relu = nn.ReLU()


class NaiveInception(nn.Module):
    """Fig. 2(a), naive: (N, C, H, W) -> (N, out_1x1 + out_3x3 + out_5x5 + C, H, W)."""

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
    """Fig. 2(b), reduced: (N, in_channels, H, W) -> (N, w.out_channels, H, W)."""

    def __init__(self, in_channels: int, w: Widths, form: Form = PAPER) -> None:
        super().__init__()
        conv, third = partial(BasicConv, norm=form.batch_norm), form.third_kernel
        self.branch_1x1 = conv(in_channels, w.out_1x1, 1)
        reduce = conv(in_channels, w.reduce_3x3, 1)
        self.branch_3x3 = nn.Sequential(reduce, conv(w.reduce_3x3, w.out_3x3, 3))
        reduce = conv(in_channels, w.reduce_5x5, 1)
        self.branch_5x5 = nn.Sequential(reduce, conv(w.reduce_5x5, w.out_5x5, third))
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.branch_pool = nn.Sequential(pool, conv(in_channels, w.pool_proj, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = self.branch_1x1, self.branch_3x3, self.branch_5x5, self.branch_pool
        return torch.cat([branch(x) for branch in branches], dim=1)


def max_pool(kernel_size: int) -> nn.MaxPool2d:
    """Pooling that halves the sides and rounds up: 112 -> 56, 7 -> 4."""
    return nn.MaxPool2d(kernel_size, stride=2, ceil_mode=True)


class GoogLeNetStem(nn.Module):
    """All before 3a: (N, in_channels, 224, 224) -> (N, c2, 28, 28); small: 32 -> 32."""

    def __init__(
        self, in_channels: int, c1: int, c2: int, form: Form, *, small: bool = False
    ) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=form.batch_norm)
        self.conv1 = conv(in_channels, c1, *((3, 1) if small else (7, 2)))
        self.conv2, self.conv3 = conv(c1, c1, 1), conv(c1, c2, 3)
        self.pool = nn.Identity() if small else max_pool(3)
        self.norm = nn.Identity() if form.batch_norm else LocalResponseNorm()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool(self.conv1(x)))  # (N, 64, 56, 56)
        return self.pool(self.norm(self.conv3(self.conv2(x))))  # (N, 192, 28, 28)


class Head(nn.Sequential):
    """An auxiliary classifier, Sec. 5: (N, in_channels, 14, 14) -> logits."""

    def __init__(
        self, in_channels: int, maps: int, hidden: int, num_classes: int, form: Form
    ) -> None:
        super().__init__()
        # torchvision has its own windows here: 4x4 ones, where the paper's are 5x5.
        self.pool = nn.Identity() if form.batch_norm else nn.AvgPool2d(5, stride=3)
        self.fit = nn.AdaptiveAvgPool2d(4)  # changes nothing at the paper's 4x4
        self.conv = BasicConv(in_channels, maps, 1, norm=form.batch_norm)
        self.flatten = nn.Flatten()  # (N, maps * 4 * 4)
        self.fc1 = nn.Linear(maps * 16, hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(hidden, num_classes)


STAGES = ("3a 3b pool", "4a", "4b 4c 4d", "4e pool 5a 5b")


def inception_stage(
    names: str, in_channels: int, form: Form, table: dict[str, Widths] = TABLE_1
) -> nn.Sequential:
    """Modules of Table 1 in a row, such as "3a 3b pool"; "pool" halves the sides."""
    stage = nn.Sequential()
    for name in names.split():
        if name == "pool":
            stage.add_module(name, max_pool(form.pool4_kernel if "4e" in names else 3))
            continue
        stage.add_module(f"inception{name}", Inception(in_channels, table[name], form))
        in_channels = table[name].out_channels
    stage.out_channels = in_channels
    return stage


class GoogLeNet(nn.Module):
    """A stem, nine modules, a linear layer: (N, in_channels, 224, 224) -> logits."""

    def __init__(self, *parts: nn.Module, fc: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.stem, self.stage3, self.stage4a, self.stage4d, self.stage5 = parts
        self.pool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(dropout)
        self.fc, self.heads = fc, nn.ModuleList()
        self.aux_logits: tuple[Tensor, ...] = ()  # of the last batch; `googlenet_loss`

    def forward(self, x: Tensor) -> Tensor:
        x4a = self.stage4a(self.stage3(self.stem(x)))  # (N, 512, 14, 14)
        x4d = self.stage4d(x4a)  # (N, 528, 14, 14)
        maps = (x4a, x4d) if self.training else ()  # only training needs the heads
        self.aux_logits = tuple(h(m) for h, m in zip(self.heads, maps, strict=False))
        x = self.pool(self.stage5(x4d)).flatten(1)  # (N, 1024, 7, 7), then (N, 1024)
        return self.fc(self.dropout(x))  # (N, num_classes)


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
    """6,998,552 parameters, 1.583 G multiply-adds; `aux`: with both auxiliary heads.

    They change nothing that it returns; `googlenet_loss` adds their losses.
    """
    rows = {n: [scaled(c, width) for c in astuple(w)] for n, w in TABLE_1.items()}
    table = {name: Widths(*row) for name, row in rows.items()}
    c1, channels = scaled(64, width), scaled(192, width)
    parts = [GoogLeNetStem(in_channels, c1, channels, form, small=is_small(stem))]
    for names in STAGES:
        parts.append(inception_stage(names, channels, form, table))
        channels = parts[-1].out_channels
    net = GoogLeNet(*parts, fc=nn.Linear(channels, num_classes), dropout=dropout)
    net.form = form
    maps, hidden = scaled(128, width), scaled(1024, width)
    for stage in (net.stage4a, net.stage4d) if aux else ():
        net.heads.append(Head(stage.out_channels, maps, hidden, num_classes, form))
    return net


googlenet_bn = partial(googlenet, form=Form(batch_norm=True))
googlenet_torchvision = partial(googlenet, form=TORCHVISION, dropout=0.2)


def googlenet_loss(
    model: GoogLeNet, loss_function: Loss = cross_entropy, *, weight: float = 0.3
) -> Loss:
    """The loss with both heads: main + weight * (first + second), in training.

    It takes the heads' logits, once, from where the forward pass left them.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        # Taken away, or the maps of this batch would stay in memory.
        heads, model.aux_logits = model.aux_logits, ()
        others = sum(loss_function(head.float(), labels) for head in heads)
        return loss_function(logits, labels) + weight * others

    return loss
