"""The self-checks of lecture 00: the solution passes, known mistakes get their hint."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from utils.models import LeNet5, TwoLayerCNN
from utils.models.small import conv_pool


def softmax(logits):
    powers = (logits - logits.max(dim=1, keepdim=True).values).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def without_maximum(logits):
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


def maximum_of_batch(logits):
    powers = (logits - logits.max()).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def over_columns(logits):
    powers = (logits - logits.max(dim=0).values).exp()
    return powers / powers.sum(dim=0)


def over_everything(logits):
    powers = (logits - logits.max()).exp()
    return powers / powers.sum()


class ThreeLayerCNN(nn.Module):
    """The solution; `last` is what stands behind it."""

    def __init__(self, side=4, last=None):
        super().__init__()
        self.blocks = nn.Sequential(
            conv_pool(3, 8), conv_pool(8, 16), conv_pool(16, 32)
        )
        self.fc = nn.Linear(32 * side**2, 10)
        self.last = last or nn.Identity()

    def forward(self, x):
        return self.last(self.fc(torch.flatten(self.blocks(x), 1)))


def gradient_at_c1(activation, images, labels, layer="c1.0", size=torch.abs):
    torch.manual_seed(0)
    model = LeNet5(activation=activation)
    F.cross_entropy(model(images), labels).backward()
    return size(model.get_submodule(layer).weight.grad).mean().item()


def signed(activation, images, labels):
    return gradient_at_c1(activation, images, labels, size=lambda gradient: gradient)


def at_c5(activation, images, labels):
    return gradient_at_c1(activation, images, labels, layer="c5.0")


def always_tanh(activation, images, labels):
    return gradient_at_c1(nn.Tanh, images, labels)


def training_step(
    model, images, labels, lr, *, clear=True, size=1.0, layers=slice(None), late=False
):
    """The solution; the options plant mistakes."""
    if clear:
        model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    with torch.no_grad():
        for parameter in list(model.parameters())[layers]:
            parameter -= lr * size * parameter.grad
        if late:
            loss = F.cross_entropy(model(images), labels)
    return loss.item()


SOLUTIONS = {
    "00.1": (20, 6, 30),
    "00.2": 1216,
    "00.3": softmax,
    "00.4": training_step,
    "00.5": ThreeLayerCNN,
    "00.6": gradient_at_c1,
}
MISTAKES = [
    ("00.1", (18, 6, 30), r"\(a\) 18 pixels: the padding lies on both sides"),
    ("00.1", (19, 6, 30), r"\(a\) 19 pixels: .* the \+ 1 is missing"),
    ("00.1", (20, 11, 30), r"\(b\) 11 pixels: the stride is missing"),
    ("00.1", (20, 6, 31), r"\(c\) 31 pixels: round down"),
    ("00.1", (20, 6, 30.5), r"\(c\) 30.5 pixels: round down"),
    ("00.2", 1200, "a bias too"),
    ("00.2", 121_600, "another unit: a factor of 100"),
    ("00.2", (1200, 16), "A number is wanted here"),
    ("00.2", 416, "one for each input channel"),
    ("00.2", 1248, "not one for each of its kernels"),
    ("00.3", without_maximum, r"\[1000.0, 1001.0\] it returns \[nan, nan\]"),
    ("00.3", maximum_of_batch, "in one batch"),
    ("00.3", over_columns, "columns have the sum 1"),
    ("00.3", over_everything, "each row should"),
    ("00.4", partial(training_step, clear=False), "second step: .* clear it first"),
    ("00.4", partial(training_step, size=-1.0), "it went uphill"),
    ("00.4", partial(training_step, size=2.0), "learning rate is missing"),
    ("00.4", partial(training_step, size=8.0), "not a sum"),
    ("00.4", partial(training_step, layers=slice(2, None)), "only the last layer"),
    ("00.4", partial(training_step, size=0.2), "the step is 0.2 times"),
    ("00.4", partial(training_step, late=True), "the loss after the step"),
    ("00.5", TwoLayerCNN, r"missing: \(32, 16, 3, 3\)"),
    ("00.5", lambda: ThreeLayerCNN(last=nn.Softmax(dim=1)), "ends in a softmax"),
    ("00.5", lambda: ThreeLayerCNN(side=8), "fc expects"),
    ("00.6", signed, "both signs"),
    ("00.6", at_c5, "C5's"),
    ("00.6", always_tanh, "new LeNet5"),
]


class Stub(nn.Module):
    def forward(self, x): ...


ACCEPTED = [
    ("00.1", torch.tensor([20, 6, 30])),
    ("00.1", {"a": 20, "b": 6, "c": 30}),
    ("00.3", lambda z: (z - z.logsumexp(1, keepdim=True)).exp()),
]
STUBS = [("00.5", Stub), ("00.3", lambda logits: None), ("00.6", lambda a, b, c: None)]
