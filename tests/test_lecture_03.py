"""The self-checks of lecture 03: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

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


def no_conv_4(width):
    model = untouched(width)
    model.features[3] = nn.Identity()
    return model


def two_less(width):
    model = shallow(width)
    model.features[0] = nn.Identity()
    return model


def lrn(alpha=5e-4, k=2.0, size=5):
    return nn.LocalResponseNorm(size, alpha=alpha, beta=0.75, k=k)


SOLUTIONS = {
    "03.1": ((39, 19, 9, 4), 4096),
    "03.2": (153_856, 111_974_400),
    "03.3": grouped,
    "03.4": lrn(),
    "03.5": shift_colours,
    "03.6": (shallow, [1.5, -0.2]),
}
MISTAKES = [
    ("03.1", ((38, 18, 8, 3), 2304), "convolution 1: 38: that is without padding"),
    ("03.1", ((39, 20, 9, 4), 4096), "pool 1: 20: a window of 3"),
    ("03.1", ((39, 19, 10, 4), 4096), "pool 2: 10: round down"),
    ("03.1", ((39, 19, 9, 5), 4096), "pool 3: 5: round down"),
    ("03.1", ((39, 19, 9, 4), 16), "numbers: 16: that is one channel"),
    ("03.1", ((39, 19, 9, 4), 9216), "6 × 6"),
    ("03.2", (153_600, 111_974_400), "the biases are missing"),
    ("03.2", (307_456, 111_974_400), "two towers"),
    ("03.2", (38_656, 111_974_400), "only the inputs"),
    ("03.2", (153_856, 153_600), "27 × 27 places"),
    ("03.2", (153_856, 112_161_024), "a bias is added"),
    ("03.2", (153_856, 447_897_600), "one column"),
    ("03.3", lambda x, w, groups: grouped(x, w, groups, torch.cat), "dim=1"),
    ("03.3", lambda x, w, groups: grouped(x, w, groups, sum), "do not add them"),
    ("03.3", lambda x, w, n: F.conv2d(x, w, padding="same", groups=n), "No padding"),
    ("03.3", lambda x, w, n: F.conv2d(x.chunk(n, 1)[0], w), "read the first group"),
    ("03.3", every_second, "neighbouring channels"),
    ("03.4", lrn(alpha=1e-4), "torch divides it by size"),
    ("03.4", lrn(alpha=2e-5), "torch divides already"),
    ("03.4", lrn(k=1.0), "torch's default"),
    ("03.4", lrn(size=3), "torch's size"),
    ("03.5", partial(shift_colours, power=0.5), "not its root"),
    ("03.5", partial(shift_colours, power=0.0), "multiply by the variance"),
    ("03.5", partial(shift_colours, turn=lambda c: c), "as columns"),
    ("03.5", lambda x, draws: x + torch.randn_like(x), "from pixel to pixel"),
    ("03.5", in_place, "return new ones"),
    ("03.5", lambda images, draws: 1 * images, "Nothing is shifted"),
    ("03.6", (untouched, [1.0, 2.0]), "gives back what it gets"),
    ("03.6", (no_conv_4, [1.0, 2.0]), "RuntimeError|CourseError|raised"),
    ("03.6", (two_less, [1.0, 2.0]), "four are wanted"),
    ("03.6", (shallow, [1.0]), "two at least"),
    ("03.6", (shallow, 1.0), "points for each seed"),
]


STUBS = [
    ("03.1", (..., ...)),
    ("03.2", (..., 1)),
    ("03.3", lambda x, weight, groups: None),
    ("03.5", lambda images, draws: None),
    ("03.6", (lambda width: None, ...)),
]
ACCEPTED = [("03.5", shift_by_svd)]  # components in any order and with any sign


def test_one_convolution_less_tells_whether_the_seeds_agree(check, capsys):
    check("03.6", (shallow, [1.5, 0.5]))
    assert "+0.5 to +1.5 points lost: one sign" in capsys.readouterr().out
    check("03.6", (shallow, [1.5, -0.5]))
    assert "disagree" in capsys.readouterr().out
