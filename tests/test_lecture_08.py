"""The self-checks of lecture 08: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn

from teaching import zoo


def swap(net, classes):
    net.requires_grad_(False)
    net.classifier[6] = nn.Linear(4096, classes)
    return net


def with_mistake(first=True, last=True, place="last", outputs=None):
    """The swap, with a wrong order of freezing, place or size of the new layer."""

    def function(net, classes):
        net.requires_grad_(not first)
        new = nn.Linear(25088 if place == "all" else 4096, outputs or classes)
        if place == "all":
            net.classifier = new
        elif place == "none":
            net.classifier[6].out_features = classes
        else:
            net.classifier[6] = new
        return net.requires_grad_(False) if not last else net

    return function


def moving(part):
    return [p for p in part.parameters() if p.requires_grad]


def groups(network, lr, low=0.1, high=1):
    parts = ((network.body, lr * low), (network.head, lr * high))
    return [{"params": moving(p), "lr": rate} for p, rate in parts if moving(p)]


def pairs(*choose):
    """Groups of what functions choose from the network, with shares of the rate."""
    return lambda network, lr: [
        {"params": of(network), "lr": lr * share} for of, share in choose
    ]


def body(network):
    return moving(network.body)


def head(network):
    return moving(network.head)


class Moving(nn.Module):
    """The exercise's class before its repair; the tests put `train` methods in."""

    def __init__(self, body, head):
        super().__init__()
        self.body, self.head = body.requires_grad_(False).eval(), head

    def forward(self, x):
        return self.head(self.body(x))


class Frozen(Moving):
    def train(self, mode=True):
        super().train(mode)
        self.body.eval()
        return self


class ReturnsNothing(Moving):
    def train(self, mode=True):
        super().train(mode)
        self.body.eval()


class ReturnsTheBody(Moving):
    def train(self, mode=True):
        super().train(mode)
        return self.body.eval()


BY_SIDE, KNOWN = {32: 0.68, 64: 0.78, 96: 0.87}, {64: 0.79}
HEAD, WHOLE = 8194, 57_012_034
SOLUTIONS = {
    "08.1": (HEAD, 0, WHOLE),
    "08.2": swap,
    "08.3": groups,
    "08.4": Frozen,
    "08.5": "code_c",
    "08.6": ("frozen", "fine-tuned", "scratch", "fine-tuned"),
    "08.7": (BY_SIDE.get, BY_SIDE, KNOWN),
}
MISTAKES = [
    ("08.1", (8192, 0, WHOLE), r"\(a\) 8,192: each output has a bias"),
    ("08.1", (0, 0, WHOLE), r"\(a\) 0: the new layer comes after"),
    ("08.1", (HEAD, HEAD, WHOLE), r"\(b\) 8,194: the new layer is a parameter"),
    ("08.2", with_mistake(last=False), "freeze first, then swap"),
    ("08.2", with_mistake(place="none"), "an attribute changes no tensor"),
    ("08.2", with_mistake(first=False), "besides the new layer's train"),
    ("08.3", pairs((moving, 0.1), (head, 1)), "stands in two groups"),
    ("08.3", partial(groups, low=1, high=0.1), "This is the head's rate"),
    ("08.3", pairs((lambda net: net.body.parameters(), 0.1), (head, 1)), "is frozen,"),
    ("08.4", Moving, "its statistics move"),
    ("08.4", ReturnsNothing, "return self"),
    ("08.4", ReturnsTheBody, "return self"),
    ("08.5", "code_a", "nothing is loaded"),
    ("08.5", "code_b", "leaves the network as it was"),
    ("08.6", ("fine-tuned",) * 4, r"\(a\) 60 photos are few"),
    ("08.6", ("frozen", "scratch", "scratch", "frozen"), r"\(b\) It may get there"),
    ("08.6", ("frozen", "fine-tuned", "fine-tuned", "frozen"), r"\(c\) 12 channels"),
    ("08.7", lambda: (BY_SIDE.get, {32: 0.68, 64: 0.9}, KNOWN), "head has learned"),
    (
        "08.7",
        lambda: (BY_SIDE.get, {32: 0.68, 64: 1.0}, KNOWN),
        "on the validation photos",
    ),
    ("08.7", lambda: (BY_SIDE.get, {32: 0.68, 64: 0.68}, KNOWN), "Is side used"),
]


class Stub(Moving):
    def train(self, mode=True): ...


STUBS = [
    ("08.1", (HEAD, ..., ...)),
    ("08.2", lambda net, classes: None),
    ("08.3", lambda network, lr: None),
    ("08.4", Stub),
    ("08.6", ("frozen", ..., ..., ...)),
    ("08.7", (lambda side: None, ..., KNOWN)),
]


def test_code_c_is_the_one_that_loads():
    trained, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    table = nn.DataParallel(trained).state_dict()
    nn.DataParallel(fresh).load_state_dict(table)
    assert torch.equal(trained.weight, fresh.weight)


def test_the_zoo_holds_one_network_with_two_recipes():
    networks = zoo.entries()
    old, new = networks["ResNet-50"], networks["ResNet-50, V2"]
    assert old[:3] == new[:3]
    assert new.top1 - old.top1 > 4
    assert zoo.table().count("\n") == len(networks)
    plt.close(zoo.figure("title").figure)
