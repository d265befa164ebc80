"""The self-checks of lecture 07: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from torch import nn

from utils.history import History
from utils.models import build
from utils.models.resnet import cifar_resnet, conv_bn, make_shortcut


class Block(nn.Module):
    """The exercise's block; the tests put wrong forward passes in."""

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 3, stride)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)
        self.shortcut = make_shortcut(in_channels, channels, stride, "B")

    def f(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))

    def forward(self, x):
        return (self.f(x) + self.shortcut(x)).relu()


def block(forward):
    return type("Other", (Block,), {"forward": forward})


class OtherLayers(Block):
    def __init__(self, *shape):
        super().__init__(*shape)
        self.conv3 = nn.Conv2d(1, 1, 1)


def add_shortcut(x, out, project):
    if x.size() != out.size():
        x = project(x)
    return out + x


def is_not(x, out, project):
    if x.size() is not out.size():
        x = project(x)
    return out + x


def project_if(differ, keep=1):
    return lambda x, out, project: out + (project(x) if differ(x, out) else keep * x)


def pair(depth, width=0.25):
    n = (depth - 2) // 6
    plain = cifar_resnet(6 * n + 2, width=width, shortcut=None)
    residual = cifar_resnet(6 * n + 2, width=width)
    plain.load_state_dict(residual.state_dict())
    return plain, residual


def other_weights(depth):
    return build(f"plain{max(depth, 20)}"), build(f"resnet{max(depth, 20)}")


def same_depth_other_weights(depth):
    return cifar_resnet(depth, shortcut=None), cifar_resnet(depth)


def projections(depth):
    return cifar_resnet(depth, shortcut=None), cifar_resnet(depth, shortcut="B")


def swapped(depth):
    return pair(depth)[::-1]


def run_of(accuracy, epochs=2):
    rows = [
        {
            "epoch": i,
            "lr": 0.1 / i,
            "train_accuracy": accuracy - 0.1 / i,
            "train_loss": i - accuracy,
        }
        for i in range(1, epochs + 1)
    ]
    return History("own", rows)


RUNS = {8: (run_of(0.60), run_of(0.62)), 32: (run_of(0.3), run_of(0.6))}
SOLUTIONS = {
    "07.1": (33_280, 0, 14),
    "07.2": Block,
    "07.3": add_shortcut,
    "07.4": lambda channels, side: 17 * channels**2 * side**2,
    "07.5": (pair, RUNS),
    "07.6": (4, 1, 1),
}
MISTAKES = [
    ("07.1", (32_768, 0, 14), r"\(a\) 32,768: .* batch norm is missing"),
    ("07.1", (33_024, 0, 14), "two numbers a channel"),
    ("07.1", (294_912, 0, 14), "the shortcut's is 1x1"),
    ("07.1", (33_280, 33_280, 14), r"\(b\) 33,280: that is option B"),
    ("07.1", (33_280, 0, 28), r"\(c\) 28: the block steps by two"),
    ("07.2", block(lambda b, x: b.f(x) + b.shortcut(x)), "After the sum stands a ReLU"),
    ("07.2", block(lambda b, x: b.f(x).relu() + b.shortcut(x)), "belongs behind the"),
    ("07.2", block(lambda b, x: (b.f(x).relu() + b.shortcut(x)).relu()), "free to"),
    (
        "07.2",
        block(lambda b, x: (b.bn2(b.conv2(b.bn1(b.conv1(x)))) + b.shortcut(x)).relu()),
        "Between the two convolutions",
    ),
    ("07.2", block(lambda b, x: b.f(x).relu()), "The shortcut is missing"),
    (
        "07.2",
        block(lambda b, x: (b.conv2(b.conv1(x).relu()) + b.shortcut(x)).relu()),
        "bn1 is not used. bn2 is not used",
    ),
    ("07.2", block(lambda b, x: (b.f(x) + x).relu()), "RuntimeError"),
    ("07.2", block(lambda b, x: (b.f(x) - b.shortcut(x)).relu()), "added, not"),
    ("07.2", OtherLayers, "write forward alone"),
    ("07.3", is_not, "though the shapes are equal"),
    ("07.3", project_if(lambda x, out: False), "has not its projected shape"),
    ("07.3", project_if(lambda x, out: x.size(1) != out.size(1)), "whole shapes"),
    ("07.3", project_if(lambda x, out: x.size() == out.size()), "though the shapes"),
    ("07.3", project_if(lambda x, out: x.size() != out.size(), 0), "not the sum"),
    ("07.4", lambda: lambda c, n: 17 * c * c, "side × side places"),
    ("07.4", lambda: lambda c, n: 18 * c * c * n * n, "basic block"),
    ("07.4", lambda: lambda c, n: 11 * c * c * n * n, "wide side"),
    ("07.4", lambda: lambda c, n: 33 * c * c * n * n, "projection"),
    ("07.4", lambda: lambda c, n: 64 * 17 * c * n * n, "not"),
    ("07.5", lambda: (other_weights, RUNS), "20 layers"),
    ("07.5", lambda: (same_depth_other_weights, RUNS), "different weights"),
    ("07.5", lambda: (projections, RUNS), "different layers"),
    ("07.5", lambda: (swapped, RUNS), "The first one has no shortcuts"),
    ("07.5", lambda: (pair, {8: RUNS[8]}), "the depths 8 and 32"),
    ("07.5", lambda: (pair, {8: 1.5, 32: 30.0}), "plain, residual"),
    ("07.5", lambda: (pair, {8: (40, 38), 32: (70, 40)}), "not what learn returns"),
    ("07.5", lambda: (pair, {**RUNS, 8: RUNS[8][:1] * 2}), "one run twice"),
    ("07.5", lambda: (pair, {**RUNS, 8: (run_of(0.6), run_of(0.6, 3))}), "number of"),
    ("07.6", (8, 1, 1), r"\(a\) 8: three stages halve 32"),
    ("07.6", (1, 1, 1), "with the stem for ImageNet"),
    ("07.6", (4, 4, 1), r"\(b\) 4: this stem divides by four"),
    ("07.6", (4, 2, 1), "both have stride 2"),
    ("07.6", (4, 1, 9), r"\(c\) 9: around a map of one place"),
]


STUBS = [
    ("07.1", (33_280, ..., 14)),
    ("07.2", block(lambda b, x: None)),
    ("07.3", lambda x, out, project: None),
    ("07.4", lambda channels, side: None),
    ("07.5", (lambda depth: None, RUNS)),
    ("07.6", (4, ..., 1)),
]
