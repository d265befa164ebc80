"""The self-checks of lecture 04: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import nn

from utils.models.vgg import vgg

E = (2 * (64,), 2 * (128,), 4 * (256,), 4 * (512,), 4 * (512,))
OTHERS = {
    "D": (2 * (64,), 2 * (128,), 3 * (256,), 3 * (512,), 3 * (512,)),
    "four blocks": E[:4],
    "19 convolutions": (*E[:4], 7 * (512,)),
    "short": (*E[:4], 3 * (512,)),
    "wide": (*E[:4], 4 * (1024,)),
}
HE_IN, HE_OUT = (2 / 2304) ** 0.5, (2 / 4608) ** 0.5


def windows(n, out):
    return [(i * n // out, math.ceil((i + 1) * n / out)) for i in range(out)]


def slides_windows(n, out):
    stride = max(n // out, 1)
    return [(i * stride, i * stride + n - (out - 1) * stride) for i in range(out)]


def floors(n, out):
    starts = [i * n // out for i in range(out)]
    return [(a, max((i + 1) * n // out, a + 1)) for i, a in enumerate(starts)]


def pool_by(rule, reduce=torch.mean):
    def pool(maps, size):
        rows, columns = rule(maps.shape[2], size[0]), rule(maps.shape[3], size[1])
        means = [
            reduce(maps[:, :, a:b, c:d].flatten(2), dim=2)
            for a, b in rows
            for c, d in columns
        ]
        return torch.stack(means, dim=2).unflatten(2, size)

    return pool


def turned(maps, size):
    return pool_by(windows)(maps.mT, size)


def borrow(deep, shallow, blocks=3, classifier=True, parts=("weight", "bias")):
    pairs = zip(deep.features[:blocks], shallow.features[:blocks], strict=True)
    for new, old in pairs:
        for target, source in zip(new, old, strict=False):
            if isinstance(source, nn.Conv2d):
                for part in parts:
                    getattr(target, part).data.copy_(getattr(source, part))
    if classifier:
        deep.classifier.load_state_dict(shallow.classifier.state_dict())
    return deep


def spoil(deep, shallow):
    deep = borrow(deep, shallow)
    deep.features[4][0].weight.data.zero_()
    return deep


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
    "04.2": (HE_IN, HE_OUT),
    "04.3": lambda: (one(), three()),
    "04.4": pool_by(windows),
    "04.5": borrow,
    "04.6": (E, RUNS),
}
MISTAKES = [
    ("04.1", (4, 45 * 4096, 121 * 4096), r"\(a\) 4: four see 9"),
    ("04.1", (5, 45, 121), r"\(b\) 45: multiply by 64"),
    ("04.1", (5, 45 * 64, 121), r"\(b\).*kernel for each input channel"),
    ("04.1", (5, 9 * 4096, 121), "the stack has five"),
    ("04.1", (5, 45 * 4096, 121), r"\(c\) 121: multiply by 64"),
    ("04.1", (5, 45 * 4096, 121 * 4096 + 64), "no biases"),
    ("04.2", (2 / 2304, HE_OUT), r"\(a\).*the variance"),
    ("04.2", ((2 / 2304) ** 0.25, HE_OUT), "the slides' slip"),
    ("04.2", (HE_OUT, HE_IN), "the other side's channels"),
    ("04.2", ((2 / 256) ** 0.5, HE_OUT), "3 × 3 weights for each"),
    ("04.2", (HE_IN, (1 / 4608) ** 0.5), r"\(b\).*ReLU halves"),
    ("04.2", (HE_IN, (2 / 6912) ** 0.5), "Xavier"),
    ("04.3", lambda: (three(), three()), r"\(a\) It has"),
    ("04.3", lambda: (one(stem="imagenet"), three()), r"\(a\).*expects 7x7 maps"),
    ("04.3", lambda: (one(num_classes=1000), three()), r"\(a\).*ten"),
    ("04.3", lambda: (vgg("A", 10, stem="cifar"), three()), "where one is wanted"),
    ("04.3", lambda: (one(), three(hidden=())), r"\(b\).*where three are wanted"),
    ("04.3", lambda: (one(), three(dropout=0.65)), r"0\.65, not 0\.5"),
    ("04.4", lambda: pool_by(slides_windows), "the slides' rule"),
    ("04.4", lambda: pool_by(floors), "rounded up"),
    ("04.4", lambda: pool_by(windows, torch.amax), "these are maxima"),
    ("04.4", lambda: turned, "rows and columns"),
    ("04.4", lambda: lambda maps, size: maps, "not of shape"),
    ("04.5", lambda: lambda e, a: borrow(e, a, classifier=False), "still E's own"),
    ("04.5", lambda: lambda e, a: borrow(e, a, parts=("weight",)), "The bias of"),
    ("04.5", lambda: lambda e, a: borrow(e, a, blocks=5), "first three blocks alone"),
    ("04.5", lambda: spoil, "neither what it was nor A's"),
    ("04.5", lambda: lambda e, a: a, "Return the deep network"),
    ("04.6", ("E", RUNS), "Write the list yourself"),
    ("04.6", (OTHERS["D"], RUNS), "This is D"),
    ("04.6", (OTHERS["four blocks"], RUNS), "4 blocks"),
    ("04.6", (OTHERS["19 convolutions"], RUNS), "19 counts the three linear"),
    ("04.6", (OTHERS["short"], RUNS), "18 layers with weights"),
    ("04.6", (OTHERS["wide"], RUNS), "channels are others"),
    ("04.6", ((64, 128), RUNS), "one tuple of channels for each block"),
    ("04.6", (E, [2.3, 1.9]), "2.3 is no run.*what fit"),
    ("04.6", (E, [RUNS[0], trained(2.0, 1.5, 1.2)]), "3 epochs: two"),
    ("04.6", (E, [trained(2.3, 2.3, lr=0.1), RUNS[1]]), "lr=0.1: take Adam"),
    ("04.6", (E, [RUNS[0]] * 2), "Both are one run.*batch_norm"),
    ("04.1", 4, "Give 3 values.*Asked for: How many 3x3"),
]


STUBS = [
    ("04.1", (5, ..., 3)),
    ("04.2", (..., ...)),
    ("04.3", (..., ...)),
    ("04.4", lambda maps, size: None),
    ("04.5", lambda deep, shallow: None),
    ("04.6", (..., ...)),
]
