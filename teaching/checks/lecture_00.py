"""Self-checks of lecture 00: sizes, parameters, softmax, a step, gradients."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching.checks import (
    Wrong,
    call,
    describe,
    exercise,
    expect_module,
    expect_number,
    expect_numbers,
    expect_value,
)
from utils.models import LeNet5


@exercise("00.1")
def three_sizes(answer: Any) -> str:
    """Output sizes of two convolutions and a pooling."""
    both = "the padding lies on both sides of the image, so it counts twice."
    first = "count the window's first place too: the + 1 is missing."
    stride = "the stride is missing: divide the way by it."
    floor = "round down: a step that does not fit is not taken."
    hint = "The formula: (n + 2p − k) / s, rounded down, + 1."
    parts = (
        (20, {18: both, 16: both, 19: first, 40: stride, 20.5: floor}, hint),
        (6, {5: first, 11: stride}, hint),
        (30, {29: first, 60: stride, 30.5: floor, 31: floor}, hint),
    )
    expect_numbers(answer, parts, unit="pixels")
    return "(a) 39 / 2 and (c) 59 / 2 are rounded down; (b) needs no rounding."


@exercise("00.2")
def convolution_parameters(answer: Any) -> str:
    """Parameters of a convolution from 3 to 16 channels with 5x5 kernels."""
    expect_number(
        answer,
        1216,
        unit="parameters",
        misconceptions={
            1200: "these are the weights; each output channel has a bias too.",
            416: "one kernel a filter? It has one for each input channel.",
            400: "a filter has a kernel for each input channel, and a bias.",
            1248: "a filter has one bias, not one for each of its kernels.",
            1201: "each of the 16 output channels has its own bias.",
            76: "this is one filter; there are as many as output channels.",
        },
        hint="One filter: 3 kernels of 5 × 5 and a bias. How many filters are there?",
    )
    return "16 filters of 3 × 25 weights and a bias each."


@exercise("00.3")
def stable_softmax(function: Any) -> str:
    """A softmax over each row, for logits of any size."""
    torch.manual_seed(0)
    logits = torch.randn(4, 10)
    got = _tensor(call(function, logits))
    if got.shape == logits.shape and torch.allclose(got, logits.softmax(0), atol=1e-5):
        raise Wrong(
            "Your columns have the sum 1: the classes of an example stand in its row.",
            "Sum over dim=1, with keepdim=True so that the shapes still fit.",
        )
    if got.shape == logits.shape and torch.allclose(got * got.sum(), got, atol=1e-6):
        raise Wrong(
            "All numbers of the batch have the sum 1 together: each row should.",
            "Sum over dim=1, with keepdim=True so that the shapes still fit.",
        )
    expect_value(got, logits.softmax(1), what="softmax(logits)")
    _survives(function, torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]]))
    return "right, and 1,000 is no problem: only differences of logits count."


def _survives(function: Any, logits: Tensor) -> None:
    """Each row alone, then both at once: its own maximum is what a row needs."""
    for row in logits:
        got = _tensor(call(function, row[None]))
        if not got.isfinite().all() or not torch.allclose(got, row[None].softmax(1)):
            raise Wrong(
                f"For the logits {row.tolist()} it returns {_short(got)}.",
                "Adding the same number to a whole row changes no probability. Which"
                " one makes the largest exponent 0?",
            )
    if not torch.allclose(_tensor(call(function, logits)), logits.softmax(1)):
        raise Wrong(
            "A row of large and a row of small logits in one batch go wrong together.",
            "Subtract from each row its own maximum, not that of the batch.",
        )


def _tensor(value: Any) -> Tensor:
    if not torch.is_tensor(value):
        raise Wrong(f"softmax(logits) is {describe(value)}, not a tensor.")
    return value.detach()


def _short(row: Tensor) -> str:
    return str([round(value, 3) for value in row.flatten().tolist()])


@exercise("00.4")
def training_step(function: Any) -> str:
    """Two steps of gradient descent on a network of two layers."""
    hint = "The order: zero_grad, loss, backward, then p -= lr * p.grad for all p."
    for name, expected, found in _two_steps(function):
        if not torch.allclose(expected["right"], found, atol=1e-6):
            for reason, wrong in expected.items():
                if reason != "right" and torch.allclose(wrong, found, atol=1e-6):
                    raise Wrong(f"{name}: {reason}", hint, reason=reason)
            gap = (expected["right"] - found).abs().max()
            raise Wrong(f"{name}: the parameters are off by up to {gap:.2g}.", hint)
    return "two steps, both equal to those of torch.optim.SGD."


def _two_steps(function: Any) -> Iterator[tuple[str, dict[str, Tensor], Tensor]]:
    """After each step: right parameters, those of known mistakes, those found."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    double, lr, kept = copy.deepcopy(model), 0.5, torch.zeros(())
    for name in ("first step", "second step"):
        images, labels = torch.randn(8, 1, 2, 3), torch.randint(3, (8,))
        start = _flat(double.parameters())
        loss = F.cross_entropy(double(images), labels)
        gradient = _flat(torch.autograd.grad(loss, list(double.parameters())))
        returned = call(function, model, images, labels, lr, copied=False)
        _returns_loss(returned, loss, F.cross_entropy(model(images), labels))
        last = torch.cat([torch.zeros(35), torch.ones(18)])  # of the second layer
        yield (
            name,
            {
                "right": start - lr * gradient,
                "no parameter has moved.": start,
                "it went uphill: subtract the gradient.": start + lr * gradient,
                "the learning rate is missing.": start - gradient,
                "the loss is a mean over the batch, not a sum.": start
                - lr * 8 * gradient,
                "only the last layer has moved.": start - lr * last * gradient,
                "only the first layer has moved.": start - lr * (1 - last) * gradient,
                "the gradient of the step before is still in it: clear it first.": start
                - lr * (gradient + kept),
            },
            _flat(model.parameters()),
        )
        with torch.no_grad():
            for p, moved in zip(double.parameters(), model.parameters(), strict=True):
                p.copy_(moved)
        kept = gradient


def _returns_loss(returned: Any, before: Tensor, after: Tensor) -> None:
    """Accept the loss before the step, as a number or a tensor of one element."""
    if isinstance(returned, (str, bool, type)) or callable(returned):
        raise Wrong(f"It returns {describe(returned)}, not the loss.")
    known = {after.item(): "this is the loss after the step; return the one before."}
    expect_number(returned, before.item(), unit="nats", misconceptions=known)


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


@exercise("00.5")
def three_layers(answer: Any) -> str:
    """A CNN of three blocks that returns logits."""
    model = call(answer) if isinstance(answer, type) else answer
    hint = (
        "Each block halves the side: 32 → 16 → 8 → 4. So 32 × 4 × 4 numbers enter the"
        " linear layer."
    )
    expect_module(model, (2, 3, 32, 32), (2, 10), parameters=11_162, hint=hint)
    torch.manual_seed(0)
    with torch.no_grad():
        output = call(model, torch.randn(4, 3, 32, 32))
    if torch.allclose(output.sum(dim=1), torch.ones(4), atol=1e-4):
        raise Wrong(
            "Its rows have the sum 1: it ends in a softmax.",
            "Return the logits; F.cross_entropy applies the softmax.",
        )
    return "11,162 parameters: one layer more and 480 fewer, since the map is smaller."


@exercise("00.6")
def gradient_at_c1(function: Any) -> str:
    """Mean gradient of C1 under three activations, on a batch of noise."""
    torch.manual_seed(1)
    images, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    found = {}
    for kind in (nn.Sigmoid, nn.Tanh, nn.ReLU):
        got = call(function, kind, images, labels)
        if isinstance(got, (str, bool, type)) or callable(got):
            raise Wrong(f"It returns {describe(got)}, not a number.")
        found[kind] = float(got)
        _compare(found[kind], kind, images, labels)
    ratio = found[nn.Tanh] / found[nn.Sigmoid]
    return f"on noise, tanh brings {ratio:.0f} times as much to C1 as the sigmoid."


def _compare(got: float, activation: type, images: Tensor, labels: Tensor) -> None:
    """Accept the mean size of C1's gradient; name what else the number may be."""
    torch.manual_seed(0)
    model = LeNet5(activation=activation)
    F.cross_entropy(model(images), labels).backward()
    right = model.c1[0].weight.grad
    others = {
        "gradients have both signs: take .abs() before .mean().": right.mean(),
        "this is the sum; divide by the number of weights.": right.abs().sum(),
        "this is C3's; C1 stands further from the loss.": _size(model.c3[0]),
        "this is C5's; C1 stands further from the loss.": _size(model.c5[0]),
        "this is the output layer's; read model.c1[0].": _size(model.output),
        "these are the weights; their gradient is .grad.": _size(model.c1[0], False),
    }
    misconceptions = {value.item(): reason for reason, value in others.items()}
    hint = "A new LeNet5(activation=activation), the loss, .backward(), then"
    hint += " model.c1[0].weight.grad.abs().mean()."
    expect_number(
        got, right.abs().mean().item(), misconceptions=misconceptions, hint=hint
    )


def _size(layer: nn.Module, gradient: bool = True) -> Tensor:
    return (layer.weight.grad if gradient else layer.weight).abs().mean()
