"""The self-checks of lecture 04: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from utils import data
from utils.models.vgg import vgg
from utils.train import predict

E = (2 * (64,), 2 * (128,), 4 * (256,), 4 * (512,), 4 * (512,))
OTHERS = {
    "D": (2 * (64,), 2 * (128,), 3 * (256,), 3 * (512,), 3 * (512,)),
    "19 convolutions": (*E[:4], 7 * (512,)),
}


def windows(n, out):
    return [(i * n // out, math.ceil((i + 1) * n / out)) for i in range(out)]


def one_stride(n, out):
    stride = max(n // out, 1)
    return [(i * stride, i * stride + n - (out - 1) * stride) for i in range(out)]


def floors(n, out):
    starts = [i * n // out for i in range(out)]
    return [(a, max((i + 1) * n // out, a + 1)) for i, a in enumerate(starts)]


def pool_by(rule):
    def pool(maps, size):
        rows, columns = rule(maps.shape[2], size[0]), rule(maps.shape[3], size[1])
        means = [maps[:, :, a:b, c:d].mean((2, 3)) for a, b in rows for c, d in columns]
        return torch.stack(means, dim=2).unflatten(2, size)

    return pool


def he(layer, std=(2 / 1600) ** 0.5, bias=0.0):
    layer.weight.data.normal_(0, std)
    layer.bias.data.fill_(bias)
    return layer


def by_kaiming(layer):
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def published(classes=10, width=256, inputs=4096):
    blocks = vgg((3 * (64,), 3 * (128,), 3 * (width,)), 10, batch_norm=True, hidden=())
    pool = nn.AdaptiveAvgPool2d(1 if inputs == 256 else 4)
    layers = [blocks.features, pool, nn.Flatten()]
    for a in (inputs, 4096):
        layers += [nn.Linear(a, 4096), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(4096, classes))


def few_relus(sizes, relu=-1, norm=True):
    """Three blocks of three convolutions; `relu` is the place of a block's ReLUs."""
    layers, inputs = [], 3
    for width in (16, 32, 64):
        for i, k in enumerate(sizes):
            layers.append(nn.Conv2d(inputs, width, k, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width)] * norm
            layers += [nn.ReLU()] * (relu in (i, i - len(sizes), "all"))
            inputs = width
        layers.append(nn.MaxPool2d(2))
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(inputs, 10))


def run_of(net, wrong=False, loss=2.0):
    """An untrained network, a history of it, and which photos it recognises."""
    logits, labels = predict(net, data.cifar10().val.subset(60).loader(60))
    return net, trained(loss), (logits.argmax(1) == labels) ^ wrong


def one(**options):
    return vgg("A", **{"num_classes": 10, "stem": "cifar", "hidden": (), **options})


def three(**options):
    return vgg("D", **{"num_classes": 10, "stem": "cifar", **options})


def trained(*losses, lr=1e-3):
    """The history of a run with these training losses."""
    rows = [{"epoch": i + 1, "train_loss": x, "lr": lr} for i, x in enumerate(losses)]
    return SimpleNamespace(rows=rows)


RUNS = [trained(2.31, 2.3), trained(2.1, 1.9)]
SOLUTIONS = {
    "04.1": (5, 45 * 4096, 121 * 4096),
    "04.2": lambda: he,
    "04.3": lambda: (one(), three()),
    "04.4": pool_by(windows),
    "04.5": lambda: published,
    "04.6": lambda: (few_relus, [run_of(few_relus([3] * 3), loss=x) for x in (2, 1)]),
    "04.7": (E, RUNS),
}
MISTAKES = [
    ("04.1", (4, 45 * 4096, 121 * 4096), r"\(a\) 4: four see 9"),
    ("04.1", (5, 45, 121), r"\(b\) 45: multiply by 64"),
    ("04.1", (5, 45 * 4096, 121), r"\(c\) 121: multiply by 64"),
    ("04.2", lambda: lambda layer: he(layer, 2 / 1600), "this is the variance"),
    ("04.2", lambda: lambda layer: he(layer, (2 / 1600) ** 0.25), "taken twice"),
    ("04.2", lambda: lambda layer: he(layer, (2 / 2400) ** 0.5), "counts the outputs"),
    ("04.2", lambda: lambda layer: he(layer, (1 / 1600) ** 0.5), "ReLU halves"),
    ("04.2", lambda: by_kaiming, "No nn.init.kaiming"),
    ("04.2", lambda: lambda layer: he(layer, bias=0.1), "biases are not 0"),
    ("04.3", lambda: (three(), three()), r"\(a\).*the network of \(b\)"),
    ("04.3", lambda: (one(stem="imagenet"), three()), r"\(a\).*expects 7x7 maps"),
    ("04.3", lambda: (one(), three(hidden=())), r"\(b\).*where three are wanted"),
    ("04.3", lambda: (one(), three(dropout=0.65)), r"0\.65, not 0\.5"),
    ("04.4", lambda: pool_by(one_stride), "one stride"),
    ("04.4", lambda: pool_by(floors), "rounded up"),
    ("04.4", lambda: lambda maps, size: maps, "not of shape"),
    ("04.4", lambda: lambda m, s: F.interpolate(m, s, mode="area"), "F.interpolate"),
    ("04.5", lambda: lambda n: published(n, 512, 8192), "list stays as it is"),
    ("04.5", lambda: lambda n: published(n, inputs=8192), "still expects 512"),
    ("04.5", lambda: lambda n: published(n, inputs=256), "a map has 4 × 4"),
    ("04.5", lambda: lambda n: published(), "Pass num_classes on"),
    ("04.6", lambda: (few_relus, [run_of(few_relus([3] * 3))]), "One run shows"),
    ("04.6", lambda: (lambda k: few_relus(k, 0), [0.64]), "last one, before"),
    ("04.6", lambda: (lambda k: few_relus(k, norm=False), [0.64]), "BatchNorm stays"),
    ("04.6", lambda: (few_relus, [run_of(few_relus([3] * 3, "all"))]), "No ReLU is"),
    ("04.6", lambda: (few_relus, [run_of(few_relus([3] * 3), True)]), "run again"),
    ("04.7", ("E", RUNS), "Write the list yourself"),
    ("04.7", (OTHERS["D"], RUNS), "This is D"),
    ("04.7", (OTHERS["19 convolutions"], RUNS), "19 counts the three linear"),
    ("04.7", (E, [2.3, 1.9]), "2.3 is no run.*what fit"),
    ("04.7", (E, [RUNS[0], trained(2.0, 1.5, 1.2)]), "3 epochs: two"),
    ("04.7", (E, [trained(2.3, 2.3, lr=0.1), RUNS[1]]), "lr=0.1: take Adam"),
    ("04.7", (E, [RUNS[0]] * 2), "Both are one run.*batch_norm"),
    ("04.1", 4, "Give 3 values.*Asked for: How many 3x3"),
]


STUBS = [
    ("04.1", (5, ..., 3)),
    ("04.3", (..., ...)),
    ("04.4", lambda maps, size: None),
    ("04.7", (..., ...)),
]
