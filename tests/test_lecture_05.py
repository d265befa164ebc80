"""The self-checks of lecture 05: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from teaching.checks.lecture_05 import MISPRINTED, _price
from utils.look import totals
from utils.models.googlenet import TABLE_1, Inception, Widths


def conv(inputs, outputs, k, relu=True):
    layer = nn.Conv2d(inputs, outputs, k, padding=k // 2)
    return nn.Sequential(layer, nn.ReLU()) if relu else layer


class MyInception(nn.Module):
    """The solution; subclasses change one thing each."""

    order = (0, 1, 2, 3)
    inner = outer = True
    third = 5

    def __init__(self, in_channels, w):
        super().__init__()
        a, b = w.reduce_3x3, w.reduce_5x5
        three = conv(in_channels, a, 1, self.inner), conv(a, w.out_3x3, 3)
        five = conv(in_channels, b, 1), conv(b, w.out_5x5, self.third)
        self.a = conv(in_channels, w.out_1x1, 1, self.outer)
        self.b, self.c = nn.Sequential(*three), nn.Sequential(*five)
        self.d = nn.Sequential(self.pooling(), conv(in_channels, w.pool_proj, 1))

    def pooling(self):
        return nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x):
        parts = self.a(x), self.b(x), self.c(x), self.d(x)
        return torch.cat([parts[i] for i in self.order], dim=1)


def other(**change):
    return type("Other", (MyInception,), change)


class Pool(nn.Module):
    def forward(self, x):
        return nn.functional.max_pool2d(x, 3, 1, 1)


class Stub(nn.Module):
    """Figure 2(b)."""


class HalfStub(nn.Module):
    def __init__(self, in_channels, w):
        super().__init__()

    def forward(self, x): ...


def matrix(layer):
    return layer.weight[:, :, 0, 0]


def merge(first, second, bias=None):
    one = nn.Conv2d(first.in_channels, second.out_channels, 1)
    with torch.no_grad():
        one.weight.copy_((matrix(second) @ matrix(first))[:, :, None, None])
        right = matrix(second) @ first.bias + second.bias
        one.bias.copy_(right if bias is None else bias)
    return one


def forgets_first_bias(first, second):
    return merge(first, second, second.bias)


def wrong_order(first, second):
    one = nn.Conv2d(first.in_channels, second.out_channels, 1)
    if first.weight.shape == second.weight.shape:
        with torch.no_grad():
            one.weight.copy_((matrix(first) @ matrix(second))[:, :, None, None])
            one.bias.copy_(matrix(second) @ first.bias + second.bias)
        return one
    return merge(first, second)


def class_map(maps, weight, bias, label):
    return (maps * weight[label][:, None, None]).sum(dim=1) + bias[label]


M4E = TABLE_1["4e"]


def counted(modules, side, biases=False):
    weights = [p for m in modules for p in m.parameters() if biases or p.dim() > 1]
    count = sum(w.numel() for w in weights)
    return count / 1024, count * side**2 / 1e6


def in_thousands(modules, side):
    return counted(modules, side)[0] * 1.024, counted(modules, side)[1]


SOLUTIONS = {
    "05.1": (512, 960, 9_934_848),
    "05.2": MyInception,
    "05.3": Widths(256, 80, 320, 32, 128, 128),
    "05.4": merge,
    "05.5": class_map,
    "05.6": (counted, MISPRINTED),
}
MISTAKES = [
    ("05.1", (648, 960, 9_934_848), r"\(a\) 648: the reductions are inside"),
    ("05.1", (960, 960, 9_934_848), r"\(a\) 960: that is the naive module"),
    ("05.1", (512, 512, 9_934_848), r"\(b\) 512: the naive pooling has no projection"),
    ("05.1", (512, 960, 7_526_400), r"\(c\) 7,526,400: that is the 5×5 alone"),
    ("05.1", (512, 960, 50_688), r"\(c\) 50,688: that is for one position"),
    ("05.2", other(order=(0, 2, 1, 3)), "3×3 branch see 5×5 pixels"),
    ("05.2", other(third=3), "third branch has a 5×5"),
    ("05.2", other(pooling=lambda module: nn.AvgPool2d(3, 1, 1)), "not their mean"),
    ("05.2", other(pooling=lambda module: nn.Identity()), "pooling branch see 1×1"),
    ("05.2", other(inner=False), "In the 3×3 branch no ReLU follows the reduction"),
    ("05.2", other(outer=False), "1×1 branch puts out negative"),
    ("05.2", nn.Identity(), "Give the class itself"),
    ("05.3", M4E, r"170.0 million .* over the budget"),
    ("05.3", replace(M4E, reduce_3x3=32, reduce_5x5=16), "less than 110"),
    ("05.3", replace(M4E, reduce_3x3=100, reduce_5x5=8), "both at least 16"),
    ("05.3", replace(M4E, out_1x1=64), "The outputs are"),
    ("05.3", replace(M4E, reduce_3x3=96.5, reduce_5x5=16), "whole numbers"),
    ("05.4", forgets_first_bias, "the bias is not. W₂b₁ is missing"),
    ("05.4", wrong_order, "W₁W₂ applies the second one first"),
    ("05.4", lambda: lambda a, b: nn.Sequential(a, b), "Return one convolution"),
    ("05.5", lambda m, w, b, k: class_map(m, w, 0 * b, k), "without its bias"),
    ("05.5", lambda m, w, b, k: class_map(m, w, b, k).mean((1, 2)), "Sum over the"),
    (
        "05.5",
        lambda m, w, b, k: class_map(m, w, b, k) / m[0, 0].numel(),
        "do not divide by the positions",
    ),
    ("05.5", lambda m, w, b, k: m.sum(dim=1) + b[k], "without their weights"),
    ("05.6", (lambda m, n: counted(m, n, True), MISPRINTED), "the weights alone"),
    ("05.6", (in_thousands, MISPRINTED), "not 1,000"),
    ("05.6", (lambda m, n: counted(m, 1), MISPRINTED), "used at every position"),
    ("05.6", (counted, MISPRINTED | {"3b"}), "of 3b is printed right"),
    ("05.6", (counted, set()), "is off by more"),
    ("05.6", (counted, "5a"), "a set of names"),
    ("05.6", (counted, {"conv 7x7", "5a"}), "No row is called 'conv 7x7'"),
]


STUBS = [
    ("05.1", (..., ..., ...)),
    ("05.2", Stub),
    ("05.2", HalfStub),
    ("05.4", lambda first, second: None),
    ("05.5", lambda maps, weight, bias, label: None),
    ("05.6", (counted, ...)),
    ("05.6", (lambda modules, side: None, MISPRINTED)),
]
ACCEPTED = [
    ("05.2", other(pooling=lambda module: Pool())),
    *(
        ("05.3", replace(M4E, reduce_3x3=three, reduce_5x5=five))
        for three, five in ((96, 16), (64, 48), (88, 24))
    ),
]


def test_the_price_of_a_channel_is_what_one_more_costs():
    def cost(w):
        return totals(Inception(528, w), (528, 14, 14))[1]

    more = replace(M4E, reduce_3x3=161), replace(M4E, reduce_5x5=33)
    assert [cost(w) - cost(M4E) for w in more] == [_price(3, 320), _price(5, 128)]
