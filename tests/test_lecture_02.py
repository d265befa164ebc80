"""The self-checks of lecture 02: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from utils import data
from utils.models import LeNet5
from utils.train import evaluate


def sideways(images, generator, most=3, missing=0):
    n, width = len(images), images.shape[3]
    places = torch.rand(n, generator=generator) * (2 * most + 1 - missing)
    windows = F.pad(images, [most, most]).unfold(3, width, 1)
    return windows[torch.arange(n), :, :, places.long()]


def own_randomness(images, generator, most=3):
    fresh = torch.Generator().manual_seed(int(torch.randint(10**6, (1,))))
    return sideways(images, fresh, most)


def in_a_loop(images, generator, most=3):
    result = torch.zeros_like(images)
    for i, image in enumerate(images):
        k = int(torch.randint(-most, most + 1, (1,), generator=generator))
        result[i] = F.pad(image, [k, -k])
    return result


def one_for_all(images, generator, most=3):
    k = int(torch.randint(-most, most + 1, (1,), generator=generator))
    return F.pad(images, [k, -k])


def rolled(images, generator, most=3):
    steps = torch.randint(-most, most + 1, (len(images),), generator=generator)
    moved = [x.roll(int(k), 2) for x, k in zip(images, steps, strict=True)]
    return torch.stack(moved)


LABEL = [0, 0, 0, 0.7, 0, 0.3, 0, 0, 0, 0]
KEEPS = {
    "digits": ["shift", "any hue"],
    "traffic signs": ["shift"],
    "satellite": ["shift", "mirror", "quarter turn"],
}


class AnyTurn(LeNet5):
    def forward(self, x):
        return sum(super(AnyTurn, self).forward(x.rot90(k, (2, 3))) for k in range(4))


def measured(change=lambda r: r, shared=False, angles=range(0, 181, 15), build=AnyTurn):
    """Untrained networks by degrees, and what they read, or what was made of it."""
    torch.manual_seed(0)
    networks, given, upright = {}, {}, data.mnist().val.loader(500)
    for degrees in angles:
        networks[degrees] = networks[0] if shared and networks else build()
        given[degrees] = change(evaluate(networks[degrees], upright).accuracy)
    return networks, given


SOLUTIONS = {
    "02.1": 50,
    "02.2": LABEL,
    "02.3": sideways,
    "02.4": KEEPS,
    "02.5": measured(),
}
MISTAKES = [
    ("02.1", 25, "may be mirrored too"),
    ("02.1", 4, "the flip is missing"),
    ("02.1", 32, "one place more than steps"),
    ("02.1", 51, "is one of the crops"),
    ("02.1", 162, "with a padding of 4"),
    ("02.2", [0, 0, 0, 0.3, 0, 0.7, 0, 0, 0, 0], "exchanged"),
    ("02.2", [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "one class alone"),
    ("02.2", [0, 0, 0.7, 0, 0.3, 0, 0, 0, 0, 0], "counted from 0"),
    ("02.2", [0, 0, 0, 0.7, 0, 0.7, 0, 0, 0, 0], "sum 1"),
    ("02.2", [0.7, 0.3], "here are 2"),
    ("02.2", [0, 0, 0, 0.5, 0, 0.5, 0, 0, 0, 0], "unequal shares"),
    ("02.3", one_for_all, "one draw for the batch"),
    ("02.3", lambda images, generator, most=3: images, "Nothing moves"),
    ("02.3", rolled, "comes back on the other"),
    ("02.3", lambda x, g, most=3: sideways(x.mT, g, most).mT, "up and down"),
    ("02.3", partial(sideways, missing=1), r"2 × 3 \+ 1 = 7 places"),
    ("02.3", own_randomness, "draw came from elsewhere"),
    ("02.3", lambda x, g, most=3: sideways(x, g), "use `most`"),
    ("02.3", lambda x, g, most=3: sideways(x.float() / 255, g, most), "torch.float32"),
    ("02.3", lambda x, g, most=3: F.pad(x, [most, most]), "the size must stay"),
    ("02.3", lambda images, generator, most=3: images.flip(-1), "mirrored"),
    ("02.4", KEEPS | {"digits": ["shift", "mirror", "any hue"]}, "mirrored 2 or 7"),
    ("02.4", KEEPS | {"traffic signs": ["shift", "any hue"]}, "a red disc forbids"),
    ("02.4", KEEPS | {"digits": ["shift"]}, "grey has no hue"),
    ("02.4", KEEPS | {"satellite": ["shift"]}, "left and right are alike"),
    ("02.4", KEEPS | {"satellite": ["shift", "blur"]}, "satellite: give a list"),
    ("02.4", {"digits": ["shift"]}, "Give a list for each"),
    ("02.5", lambda: measured(lambda right: 100 * right), "This is percent"),
    ("02.5", lambda: measured(build=LeNet5), "reads unequally"),
    ("02.4", {task: {"shift": True} for task in KEEPS}, "give a list with words"),
    ("02.5", lambda: measured(shared=True), "a new one trained"),
    ("02.5", lambda: measured(lambda right: right + 0.02), "without augment="),
    ("02.5", lambda: measured(angles=(0, 180)), "Measure for each"),
    ("02.5", {0: 0.9, 180: 0.8}, "Give networks and accuracies"),
]
ACCEPTED = [
    ("02.2", torch.tensor(LABEL)),
    ("02.2", torch.tensor([LABEL])),
    ("02.3", in_a_loop),
    ("02.4", {task: set(changes) for task, changes in KEEPS.items()}),
]
STUBS = [("02.3", lambda images, generator, most=3: None)]
STUBS += [("02.4", dict.fromkeys(KEEPS, ...))]
