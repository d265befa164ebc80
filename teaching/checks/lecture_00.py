"""Self-checks of lecture 00: sizes, parameters, softmax, a step, gradients."""

from __future__ import annotations

import copy
import math
import re
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
    expect_parameters,
    expect_value,
    expect_weights,
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
    side = "the question is for the side, not for side × side."
    a = {18: both, 16: both, 19: first, 40: stride, 20.5: floor, 21: floor, 400: side}
    b = {5: first, 11: stride, 36: side, 900: side}
    b |= {7: "a window of 3 does not lie over the border: (13 − 3) / 2 + 1."}
    b |= {
        4: "the stride is 2, not the window's 3.",
        13: "the stride of 2 is missing.",
    }
    c = {29: first, 60: stride, 30.5: floor, 31: floor, 900: side}
    c |= {32: "the kernel of 5 fits 64 − 5 steps further, not 64."}
    parts = ((20, a, hint), (6, b, hint), (30, c, hint))
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
            75: "these are one filter's weights; there are 16, each with a bias.",
            256: "a kernel has 5 × 5 weights, not 5.",
            496: "a kernel has 5 × 5 weights, not 5 + 5.",
            1203: "a bias belongs to an output channel, not to an input channel.",
            448: "the kernels are 5 × 5; 3 is the number of input channels.",
            12544: "these are outputs; parameters do not depend on the image.",
            491: "there is a kernel for each pair of channels: multiply them.",
            475: "there is a kernel for each pair of channels: multiply them.",
            48: "these are the kernels; count the weights in them.",
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
    powers = logits.exp()
    known = {
        "These are logarithms of the probabilities: take exp().": logits.log_softmax(1),
        "The powers are not divided by their sum.": powers,
        "The powers are not yet divided by their sum.": (
            logits - logits.amax(1, keepdim=True)
        ).exp(),
        "Each logit is taken alone: divide by the sum over the row.": logits.sigmoid(),
        "The power is missing: e to the logit, then divide by the sum.": (
            logits / logits.sum(1, keepdim=True)
        ),
        "The base is e, not 2.": (logits * math.log(2)).softmax(1),
        "All goes to the largest; the others get their share too.": (
            F.one_hot(logits.argmax(1), 10).float()
        ),
        "Subtract the largest logit, do not divide by it.": (
            logits / logits.amax(1, keepdim=True)
        ).softmax(1),
        "Subtract the largest logit in the sum, too.": (
            (logits - logits.amax(1, keepdim=True)).exp() / powers.sum(1, keepdim=True)
        ),
    }
    for reason, other in known.items():
        if got.shape == other.shape and torch.allclose(got, other, atol=1e-5):
            raise Wrong(reason)
    expect_value(got, logits.softmax(1), what="softmax(logits)")
    _survives(function, torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]]))
    return "right, and 1,000 is no problem: only differences of logits count."


def _survives(function: Any, logits: Tensor) -> None:
    """Each row alone, then both at once: its own maximum is what a row needs."""
    for row in logits:
        got = _tensor(call(function, row[None]))
        if not got.isfinite().all() or not _close(got, row[None]):
            raise Wrong(
                f"For the logits {row.tolist()} it returns {_short(got)}.",
                "Adding the same number to a whole row changes no probability. Which"
                " one makes the largest exponent 0?",
            )
    wide = torch.tensor([[1000.0, -1000.0]])
    if not _close(_tensor(call(function, wide)), wide):
        raise Wrong(
            "For the logits [1000.0, -1000.0] it is no probability: some power is inf.",
            "Subtract the largest logit of a row, not its mean or its smallest.",
        )
    if not _close(_tensor(call(function, logits)), logits):
        raise Wrong(
            "A row of large and a row of small logits in one batch go wrong together.",
            "Subtract from each row its own maximum, not that of the batch.",
        )


def _close(got: Tensor, logits: Tensor) -> bool:
    """Near enough for float32, which holds 1,000 to 4 digits behind the point."""
    return torch.allclose(got, logits.softmax(1), atol=1e-3)


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
            start, right = expected["no parameter has moved."], expected["right"]
            times = (found - start) @ (right - start) / (right - start).square().sum()
            if torch.allclose(found - start, times * (right - start), atol=1e-6):
                told = f"the step is {times:.3g} times what lr · gradient gives."
                raise Wrong(f"{name}: {told}", "Take the lr that is handed over.")
            off = (right - found).abs() > 1e-6
            told = f"{off.sum()} of {len(off)} numbers in the parameters are wrong,"
            raise Wrong(
                f"{name}: {told} by up to {(right - found).abs().max():.2g}.", hint
            )
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
        after = F.cross_entropy(model(images), labels)
        others = {
            "this is the sum over the batch; the loss is its mean.": 8 * loss,
            "cross_entropy takes logits and applies the softmax itself.": (
                F.cross_entropy(double(images).softmax(1), labels)
            ),
            "this is the loss of a second step; make one in a call.": _after_one(
                double, images, labels, lr
            ),
            "this is the loss after the step; return the one before.": after,
        }
        _returns_loss(returned, loss, others)
        last = torch.cat([torch.zeros(35), torch.ones(18)])  # of the second layer
        bias = [p.ndim == 1 for p in double.parameters() for _ in range(p.numel())]
        weight = 1 - torch.tensor(bias).float()
        alone = torch.cat([torch.ones(30), torch.zeros(23)])
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
                "only the weights have moved: biases are parameters too.": start
                - lr * weight * gradient,
                "only the first parameter has moved.": start - lr * alone * gradient,
                "the step replaced the parameters: subtract it from them.": -lr
                * gradient,
                "the step has the gradient's sign alone, not its size.": start
                - lr * gradient.sign(),
                "cross_entropy is a mean already: do not divide by the batch.": start
                - lr / 8 * gradient,
                "the gradient of the step before is still in it: clear it first.": start
                - lr * (gradient + kept),
            },
            _flat(model.parameters()),
        )
        with torch.no_grad():
            for p, moved in zip(double.parameters(), model.parameters(), strict=True):
                p.copy_(moved)
        kept = gradient


def _after_one(model: nn.Module, images: Tensor, labels: Tensor, lr: float) -> Tensor:
    """The loss of the batch after one right step of a copy."""
    model = copy.deepcopy(model)
    loss = F.cross_entropy(model(images), labels)
    weights = list(model.parameters())
    with torch.no_grad():
        for p, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            p -= lr * slope
    return F.cross_entropy(model(images), labels)


def _returns_loss(returned: Any, before: Tensor, others: dict[str, Tensor]) -> None:
    """Accept the loss before the step, as a number or a tensor of one element."""
    if isinstance(returned, (str, bool, type)) or callable(returned):
        raise Wrong(f"It returns {describe(returned)}, not the loss.")
    known = {loss.item(): reason for reason, loss in others.items()}
    expect_number(returned, before.item(), unit="nats", misconceptions=known)


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


BUILT_OTHERWISE = {
    16_282: "the third block is built, and not used.",
    33_834: "the blocks have 8, 16 and 32 filters, not 16, 32 and 64.",
    6_282: "the third block has 32 filters, not 16.",
    25_578: "that is two blocks; three are asked for.",
    49_974: "one linear layer follows the blocks, not two.",
    26_522: "the third block halves the map too: conv_pool(16, 32).",
    5_130: "torch does not see layers in a Python list: nn.Sequential.",
}


@exercise("00.5")
def three_layers(answer: Any) -> str:
    """A CNN of three blocks that returns logits."""
    model = call(answer) if isinstance(answer, type) else answer
    hint = (
        "Each block halves the side: 32 → 16 → 8 → 4. So 32 × 4 × 4 numbers enter the"
        " linear layer."
    )
    try:
        expect_module(model, (2, 3, 32, 32), (2, 10), hint=hint)
    except Wrong as wrong:
        sizes = re.search(r"\((\d+)x(\d+) and (\d+)x10\)", wrong.hints[0])
        rows, numbers, wanted = map(int, sizes.groups()) if sizes else (2, 0, 0)
        if sizes and rows != 2:
            reason = "Flatten the channels and places, not the batch: flatten(x, 1)."
        elif sizes:
            reason = f"{numbers} numbers leave the blocks, and fc expects {wanted}."
        raise Wrong(reason, hint, reason=hint) if sizes else wrong from None
    count = sum(weight.numel() for weight in model.parameters())
    if count in BUILT_OTHERWISE:
        raise Wrong(f"{count:,} parameters: {BUILT_OTHERWISE[count]}", hint)
    widths = ((8, 3), (16, 8), (32, 16))
    expect_weights(model, [*((*pair, 3, 3) for pair in widths), (10, 512)], hint)
    expect_parameters(model, 11_162, hint)
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        output = call(model, x)
        right = _of_three_blocks(model, x)
        known = {
            "Its rows have the sum 1: it ends in a softmax.": right.softmax(1),
            "No logit is negative: a ReLU follows the linear layer.": right.relu(),
            "No ReLU stands in the blocks.": _of_three_blocks(model, x, lambda m: m),
            "The blocks take the mean of four values, not the largest.": (
                _of_three_blocks(model, x, pool=F.avg_pool2d)
            ),
        }
    if torch.allclose(output, right, atol=1e-4):
        known = {}
    for reason, other in known.items():
        if torch.allclose(output, other, atol=1e-4):
            raise Wrong(
                reason, "conv_pool has a ReLU and a maximum; logits stay as they are."
            )
    if known:
        raise Wrong("It is not conv_pool three times, then a linear layer.", hint)
    return "11,162 parameters: one layer more and 480 fewer, since the map is smaller."


def _of_three_blocks(
    model: nn.Module, x: Tensor, bend: Any = F.relu, pool: Any = F.max_pool2d
) -> Tensor:
    """Logits of three blocks and a linear layer with the model's parameters."""
    weights = list(model.parameters())
    pairs = zip(weights[::2], weights[1::2], strict=True)
    *blocks, last = sorted(pairs, key=lambda pair: (pair[0].ndim == 2, len(pair[0])))
    for weight, bias in blocks:
        x = pool(bend(F.conv2d(x, weight, bias, padding=1)), 2)
    return F.linear(x.flatten(1), *last)


@exercise("00.6")
def gradient_at_c1(function: Any) -> str:
    """Mean gradient of C1 under three activations, on a batch of noise."""
    torch.manual_seed(1)
    images, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    found = {}
    for kind in (nn.Sigmoid, nn.Tanh, nn.ReLU):
        got = call(function, kind, images, labels)
        many = torch.is_tensor(got) and got.numel() != 1
        if isinstance(got, (str, bool, type, tuple, list)) or callable(got) or many:
            raise Wrong(f"It returns {describe(got)}, not a number.")
        found[kind] = float(got)
        _compare(found[kind], kind, images, labels)
    ratio = found[nn.Tanh] / found[nn.Sigmoid]
    return f"on noise, tanh brings {ratio:.0f} times as much to C1 as the sigmoid."


def _compare(got: float, activation: type, images: Tensor, labels: Tensor) -> None:
    """Accept the mean size of C1's gradient; name what else the number may be."""
    torch.manual_seed(0)
    model = LeNet5(activation=activation)
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    right = model.c1[0].weight.grad

    def of(other: Tensor) -> Tensor:
        """Mean size of C1's gradient of another loss."""
        [found] = torch.autograd.grad(other, model.c1[0].weight)
        return found.abs().mean()

    single = F.cross_entropy(model(images[:1]), labels[:1])
    others = {
        "gradients have both signs: take .abs() before .mean().": right.mean(),
        "take .abs() before .mean(), not after it.": right.mean().abs(),
        "this is the loss itself.": loss,
        "this is the sum; divide by the number of weights.": right.abs().sum(),
        "this is C3's; C1 stands further from the loss.": _size(model.c3[0]),
        "this is C5's; C1 stands further from the loss.": _size(model.c5[0]),
        "this is the output layer's; read model.c1[0].": _size(model.output),
        "these are the weights; their gradient is .grad.": _size(model.c1[0], False),
        "this is the bias's; read .weight.grad.": model.c1[0].bias.grad.abs().mean(),
        "this is the largest; take the mean.": right.abs().max(),
        "this is the norm; take the mean of the sizes.": right.norm(),
        "this is the root mean square; take .abs().mean().": (
            right.square().mean().sqrt()
        ),
        "this is of the loss summed over the batch; take its mean.": (
            len(images) * right.abs().mean()
        ),
        "backward ran twice: gradients are added.": 2 * right.abs().mean(),
        "cross_entropy takes logits and applies the softmax itself.": of(
            F.cross_entropy(model(images).softmax(1), labels)
        ),
        "this is of one example; take the whole batch.": of(single),
        "this is of the mean of the logits; take the loss.": of(model(images).mean()),
    }
    for kind in (nn.Sigmoid, nn.Tanh, nn.ReLU):
        if kind is not activation:
            torch.manual_seed(0)
            other = LeNet5(activation=kind)
            F.cross_entropy(other(images), labels).backward()
            reason = f"this is with {kind.__name__}: pass activation=activation."
            others[reason] = _size(other.c1[0])
    misconceptions = {value.item(): reason for reason, value in others.items()}
    hint = "A new LeNet5(activation=activation), the loss, .backward(), then"
    hint += " model.c1[0].weight.grad.abs().mean()."
    expect_number(
        got, right.abs().mean().item(), misconceptions=misconceptions, hint=hint
    )


def _size(layer: nn.Module, gradient: bool = True) -> Tensor:
    return (layer.weight.grad if gradient else layer.weight).abs().mean()
