"""The self-checks of lecture 03: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from utils.history import History
from utils.models.alexnet import alexnet


def grouped(x, weight, groups, join=lambda parts: torch.cat(parts, dim=1)):
    parts = zip(x.chunk(groups, dim=1), weight.chunk(groups), strict=True)
    return join([F.conv2d(part, kernels) for part, kernels in parts])


def every_second(x, weight, groups):
    kernels = enumerate(weight.chunk(groups))
    return torch.cat([F.conv2d(x[:, i::groups], part) for i, part in kernels], dim=1)


def components_of(images):
    rows = images.movedim(1, -1).reshape(-1, 3)
    return torch.linalg.eigh(rows.T.cov())


def shift_colours(images, draws, power=1.0, turn=torch.t):
    variances, components = components_of(images)
    steps = (draws * variances**power) @ turn(components)
    return images + steps[:, :, None, None]


def shift_by_svd(images, draws):
    rows = images.movedim(1, -1).reshape(-1, 3)
    rows = rows - rows.mean(dim=0)
    _, lengths, components = torch.linalg.svd(rows, full_matrices=False)
    variances = lengths**2 / (len(rows) - 1)
    return images - ((draws * variances) @ components)[:, :, None, None]


def in_place(images, draws):
    images += 0.1
    return images


def shallow(width):
    model = alexnet(10, width=width, stem="cifar", dropout=0.2)
    model.features[4] = nn.Identity()
    return model


def untouched(width):
    return alexnet(10, width=width, stem="cifar")


def two_less(width):
    model = shallow(width)
    model.features[0] = nn.Identity()
    return model


def lrn(alpha=5e-4, k=2.0, size=5):
    return nn.LocalResponseNorm(size, alpha=alpha, beta=0.75, k=k)


def history(*accuracies):
    """A run with these validation accuracies."""
    rows = [{"epoch": i, "val_loss": 1.0, "val_accuracy": a} for i, a in accuracies]
    return History("run", rows)


def vote(logits):
    return logits.softmax(dim=2).mean(dim=0).argmax(dim=1)


PAIRS = [(history((1, a)), history((1, b))) for a, b in ((0.40, 0.385), (0.41, 0.405))]
SOLUTIONS = {
    "03.1": ((39, 19, 9, 4), 4096),
    "03.2": (54, 290_400, 2178, 6400),
    "03.3": grouped,
    "03.4": lrn(),
    "03.5": shift_colours,
    "03.6": (shallow, PAIRS),
    "03.7": vote,
}
MISTAKES = [
    ("03.1", ((38, 18, 8, 3), 2304), "convolution 1: 38: that is without"),
    ("03.1", ((39, 20, 9, 4), 4096), "pool 1: 20: a window of 3"),
    ("03.1", ((39, 19, 9, 4), 2048), r"not 4 \+ 4"),
    ("03.2", (55, 290_400, 2178, 6400), r"\(a\) 55: that needs 227 pixels"),
    ("03.2", (54, 253_440, 2178, 6400), r"\(b\).*as printed"),
    ("03.2", (54, 290_400, 2048, 6400), r"\(c\).*33 places"),
    ("03.2", (54, 290_400, 2178, 9216), r"\(d\).*227 pixels"),
    ("03.3", lambda x, w, groups: grouped(x, w, groups, torch.cat), "dim=1"),
    ("03.3", lambda x, w, groups: grouped(x, w, groups, sum), "join all results"),
    ("03.3", lambda x, w, n: grouped(F.pad(x, [1] * 4), w, n), "No padding"),
    ("03.3", lambda x, w, n: F.conv2d(x, w, groups=n), "Without the argument groups"),
    ("03.3", lambda x, w, n: grouped(x, w, n, torch.stack), "makes a new axis"),
    ("03.3", every_second, "neighbouring channels"),
    ("03.4", lrn(alpha=1e-4), "torch divides it by size"),
    ("03.4", lrn(k=1.0), "torch's default"),
    ("03.4", nn.LocalResponseNorm(2, 5, 1e-4, 0.75), "the order is size, alpha"),
    ("03.5", partial(shift_colours, power=0.5), "not its root"),
    ("03.5", partial(shift_colours, power=0.0), "multiply by the variance"),
    ("03.5", partial(shift_colours, turn=lambda c: c), "as columns"),
    ("03.5", lambda x, draws: x + torch.randn_like(x), "from pixel to pixel"),
    ("03.5", in_place, "return new ones"),
    ("03.6", (untouched, PAIRS), "gives back what it gets"),
    ("03.6", (lambda width: shallow(1 / 8), PAIRS), "use `width`"),
    ("03.6", (two_less, PAIRS), "four are wanted"),
    ("03.6", (shallow, PAIRS[:1]), "two at least"),
    ("03.6", (shallow, [1.5, -0.2]), "Give two histories"),
    ("03.6", (shallow, [PAIRS[0][:1] * 2] * 2), "are one run"),
    ("03.7", lambda x: x.mean(0).argmax(1), "mean of the logits"),
    ("03.7", lambda x: x.argmax(2).mode(0).values, "most frequent"),
    ("03.7", lambda x: x.softmax(1).mean(0).argmax(1), "not over the classes"),
    ("03.7", lambda x: x.softmax(2).mean(0), "not 200 classes"),
]


STUBS = [
    ("03.1", (..., ...)),
    ("03.3", lambda x, weight, groups: None),
    ("03.5", lambda images, draws: None),
    ("03.6", (lambda width: None, ...)),
    ("03.7", lambda logits: None),
]
ACCEPTED = [("03.5", shift_by_svd)]  # components in any order and with any sign
