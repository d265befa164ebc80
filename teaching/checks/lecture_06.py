"""Self-checks of lecture 06: BatchNorm by hand, its memory, folding, modes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from teaching.checks import (
    Wrong,
    call,
    describe,
    exercise,
    expect_number,
    expect_numbers,
    expect_value,
)


@exercise("06.1")
def batch_by_hand(answer: Any) -> str:
    """The batch 3, 9, 11, 17: normalised, scaled, and remembered."""
    unbiased = "this is the unbiased variance: the forward pass divides by 4, not 3."
    swapped = "torch's momentum is the weight of the new batch, not of the old value."
    squared = "divide by the standard deviation, not by the variance."
    parts: tuple[tuple[float, Mapping[float, str], str], ...] = (
        (
            1.4,
            {7 / (100 / 3) ** 0.5: unbiased, 7 / 25: squared, 7.0: "divide by σ too."},
            "The mean is 10; the squares are 49, 1, 1, 49.",
        ),
        (
            -12.0,
            {
                2 - 70 / (100 / 3) ** 0.5: unbiased,
                2 - 70 / 25: squared,
                -14.0: "β is added at the end.",
                16.0: "3 lies below the mean: its normalised value is negative.",
                6.0: "multiply by γ first, then add β.",
            },
            "The 3 becomes -1.4; then γ times it, plus β.",
        ),
        (
            1.0,
            {9.0: swapped, 10.0: "this forgets the old value at once."},
            "0.9 of the old value, 0.1 of the batch's mean.",
        ),
        (
            0.9 + 10 / 3,
            {
                3.4: "the running variance is the unbiased one: 100 / 3.",
                0.1 + 30: swapped,
                0.1 + 22.5: swapped,
                100 / 3: "this forgets the old value at once.",
                10 / 3: "0.9 of the old value, 1, remain.",
            },
            "0.9 of 1, and 0.1 of the unbiased variance.",
        ),
    )
    expect_numbers(answer, parts)
    return "σ is 5: -1.4, -0.2, 0.2, 1.4."


def normalised(x: Tensor, axes: tuple[int, ...], correction: int = 0) -> Tensor:
    """Mean 0, variance 1 over these axes."""
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / x.var(axes, correction=correction, keepdim=True).sqrt()


def _mistaken_norms(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> dict[str, Callable[[], Tensor]]:
    """What known mistakes put out for (N, C, H, W), by the hint that they get."""
    g, b = gamma[:, None, None], beta[:, None, None]
    axes = (0, 2, 3)
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    unbiased = x.var(axes, keepdim=True)
    centred = x - mean
    return {
        "the variance is the unbiased one: divide by the number of values, not by one"
        " less (torch's var does that unless told correction=0).": lambda: (
            g * centred / (unbiased + eps).sqrt() + b
        ),
        "ε stands outside the root: it is added to the variance.": lambda: (
            g * centred / (var.sqrt() + eps) + b
        ),
        "ε is not used.": lambda: g * centred / var.sqrt() + b,
        "the root is missing: divide by the standard deviation.": lambda: (
            g * centred / (var + eps) + b
        ),
        "γ and β are not used, or not both.": lambda: centred / (var + eps).sqrt(),
        "γ and β are exchanged.": lambda: b * centred / (var + eps).sqrt() + g,
        "the mean is taken over the batch alone: height and width belong to it.": (
            lambda: _over(x, (0,), g, b, eps)
        ),
        "each photo is normalised by itself: average over the batch too.": (
            lambda: _over(x, (2, 3), g, b, eps)
        ),
        "the mean is taken over the channels: each channel has its own.": (
            lambda: _over(x, (1, 2, 3), g, b, eps)
        ),
        "one mean is taken over everything: each channel has its own.": (
            lambda: _over(x, (0, 1, 2, 3), g, b, eps)
        ),
    }


def _over(x: Tensor, axes: tuple[int, ...], g: Tensor, b: Tensor, eps: float) -> Tensor:
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    return g * (x - mean) / (var + eps).sqrt() + b


@exercise("06.2")
def batch_norm(function: Any) -> str:
    """BatchNorm for (N, C, H, W) as in training mode."""
    for channels, eps in ((3, 0.3), (4, 0.3)):
        x = torch.randn(5, channels, 4, 6, dtype=torch.double) * 2 + 1
        x = x * torch.arange(1, channels + 1)[:, None, None]
        gamma = torch.linspace(0.5, 2, channels, dtype=torch.double)
        beta = torch.linspace(-3, 1, channels, dtype=torch.double)
        got = call(function, x, gamma, beta, eps)
        right = _over(x, (0, 2, 3), gamma[:, None, None], beta[:, None, None], eps)
        if torch.is_tensor(got) and got.shape == right.shape:
            for hint, mistake in _mistaken_norms(x, gamma, beta, eps).items():
                if torch.allclose(got.double(), mistake()):
                    raise Wrong(f"Close: {hint}")
        expect_value(got, right, what="batch_norm(x, gamma, beta, eps)")
    return "one mean and one variance for each channel, from N × H × W values."


@exercise("06.3")
def remember(function: Any) -> str:
    """The running statistics after one more batch."""
    for examples, momentum in ((3, 0.1), (8, 0.3)):
        x = torch.randn(examples, 4, dtype=torch.double) * 3 + 2
        old = torch.linspace(-1, 1, 4).double(), torch.linspace(1, 3, 4).double()
        got = call(function, *old, x, momentum)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong(f"Return two tensors, mean and variance, not {describe(got)}.")
        expect_shapes(got)
        right = _remembered(*old, x, momentum, 1)
        if _same(got, right):
            continue
        if _same(got, _remembered(*old, x, 1 - momentum, 1)):
            raise Wrong(
                "The momentum is the other way round.",
                "In torch it is the weight of the new batch.",
            )
        if _same(got[:1], right[:1]) and _same(
            got[1:], _remembered(*old, x, momentum, 0)[1:]
        ):
            raise Wrong(
                "The mean is right; the variance is the biased one.",
                "The running variance divides by N - 1.",
            )
        if _same(got, _remembered(*old, x, 1 - momentum, 0)):
            raise Wrong(
                "The momentum is the other way round, and the variance is biased."
            )
        for name, one, wanted in zip(("mean", "variance"), got, right, strict=True):
            expect_value(one, wanted, what=f"The running {name}")
    return "biased in the forward pass, unbiased in the memory."


def expect_shapes(pair: Any) -> None:
    """Refuse what is no pair of one value for each of four channels."""
    for one in pair:
        if not torch.is_tensor(one) or one.shape != (4,):
            raise Wrong(
                f"Both have one value for each channel, (4,), not {describe(one)}."
            )


def _remembered(
    mean: Tensor, var: Tensor, x: Tensor, momentum: float, correction: int
) -> tuple[Tensor, Tensor]:
    new = x.var(0, correction=correction)
    return torch.lerp(mean, x.mean(0), momentum), torch.lerp(var, new, momentum)


def _same(got: Any, wanted: Any) -> bool:
    return all(torch.allclose(a.double(), b) for a, b in zip(got, wanted, strict=True))


@exercise("06.4")
def fold_linear(function: Any) -> str:
    """One linear layer in place of a linear layer and the BatchNorm behind it."""
    for bias in (True, False):
        linear, norm = _layers(bias)
        before = [t.clone() for t in (*linear.parameters(), *norm.parameters())]
        got = _call_uncopied(function, linear, norm)
        after = [*linear.parameters(), *norm.parameters()]
        if not all(map(torch.equal, before, after)):
            raise Wrong(
                "The layers that were passed in are changed themselves.",
                "Build a new nn.Linear, or begin with copy.deepcopy.",
            )
        if not isinstance(got, nn.Linear):
            raise Wrong(f"Return an nn.Linear, not {describe(got)}.")
        _check_folded(got, linear, norm)
    return "right, with and without a bias in the old layer."


def _call_uncopied(function: Any, *args: Any) -> Any:
    """Call without copying, so that changes of the arguments show."""

    def run() -> Any:
        return function(*args)

    run.__name__ = getattr(function, "__name__", "The function")
    return call(run)


def _layers(bias: bool) -> tuple[nn.Linear, nn.BatchNorm1d]:
    """Layers whose every constant matters: a large ε, no statistic at 0 or 1."""
    linear, norm = nn.Linear(5, 3, bias=bias), nn.BatchNorm1d(3, eps=0.5)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.5, 3.0]))
        norm.bias.copy_(torch.tensor([-1.0, 0.7, 2.0]))
        norm.running_mean.copy_(torch.tensor([1.0, -2.0, 0.4]))
        norm.running_var.copy_(torch.tensor([0.3, 2.5, 6.0]))
    return linear.eval(), norm.eval()


@torch.no_grad()
def _check_folded(got: nn.Linear, linear: nn.Linear, norm: nn.BatchNorm1d) -> None:
    """Compare a folded layer with the two; name the mistake where it is known."""
    x = torch.randn(20, 5)
    right = norm(linear(x))
    y = call(got, x)
    if y.shape == right.shape and torch.allclose(y, right, atol=1e-5):
        return
    b = torch.zeros(3) if linear.bias is None else linear.bias
    gamma, beta, mu = norm.weight, norm.bias, norm.running_mean
    s = (norm.running_var + norm.eps).sqrt()
    bare = norm.running_var.sqrt()
    weight = linear.weight
    mistakes = {
        "ε is missing: it stands with the variance, inside the root.": (
            gamma / bare,
            gamma / bare * (b - mu) + beta,
        ),
        "the root is missing: divide by the standard deviation.": (
            gamma / s**2,
            gamma / s**2 * (b - mu) + beta,
        ),
        "γ is missing.": (1 / s, (b - mu) / s + beta),
        "the running mean is not subtracted from the bias.": (
            gamma / s,
            gamma / s * b + beta,
        ),
        "the mean is added; it is subtracted.": (
            gamma / s,
            gamma / s * (b + mu) + beta,
        ),
        "the old bias and the mean are not scaled by γ / s.": (
            gamma / s,
            b - mu + beta,
        ),
        "the old bias is not scaled, the mean is.": (
            gamma / s,
            b - gamma / s * mu + beta,
        ),
        "β is missing.": (gamma / s, gamma / s * (b - mu)),
    }
    for hint, (scale, bias) in mistakes.items():
        wrong = nn.functional.linear(x, weight * scale[:, None], bias)
        if y.shape == wrong.shape and torch.allclose(y, wrong, atol=1e-5):
            raise Wrong(f"Close: {hint}")
    expect_value(y, right, what="The folded layer's output", tolerance=1e-4)


@exercise("06.5")
def accuracy(function: Any) -> str:
    """An accuracy measured in evaluation mode, over uneven batches."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3)
    )
    model.append(nn.Flatten()).append(nn.Linear(6 * 4, 5))
    x, y = torch.randn(30, 1, 4, 4) * 2 + 1, torch.randint(0, 5, (30,))
    with torch.no_grad():
        model[1].running_mean.fill_(0.5)
        y[:20] = model.eval()(x[:20]).argmax(dim=1)  # right for the larger batch
        right = (model(x).argmax(dim=1) == y).double().mean().item()
    loader = [(x[:20], y[:20]), (x[20:27], y[20:27]), (x[27:], y[27:])]
    for training in (True, False):
        mine = copy.deepcopy(model).train(training)
        statistics = [buffer.clone() for buffer in mine.buffers()]
        got = _call_uncopied(function, mine, loader)
        if not all(map(torch.equal, statistics, mine.buffers())):
            raise Wrong(
                "The running statistics have moved: the network was asked in training"
                " mode.",
                "Call model.eval() before the loop.",
            )
        _check_share(got, model, loader, right)
        if mine.training != training:
            was, now = ("training", "evaluation")[:: 1 if training else -1]
            raise Wrong(
                f"The model came in {was} mode and is left in {now} mode.",
                "Keep model.training before the loop, and put it back after it.",
            )
    return f"{right:.0%} right, and the model is as it was."


def _check_share(got: Any, model: nn.Module, loader: list, right: float) -> None:
    """Reject an accuracy that is averaged over batches, or in percent."""
    with torch.no_grad():
        shares = [(model(x).argmax(1) == y).double().mean().item() for x, y in loader]
    expect_number(
        got,
        right,
        misconceptions={
            sum(shares) / len(shares): "the last batch is short, and counts as much as"
            " a full one. Count right answers and examples.",
            100 * right: "give a fraction, not percent.",
            30 * right: "divide by the number of examples.",
        },
        hint="Add up right answers and examples; divide once, at the end.",
    )


@exercise("06.6")
def recalibrate(answer: Any) -> str:
    """Running statistics measured anew, and what a momentum of 0.001 costs."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise Wrong(f"Give the function and two accuracies, not {describe(answer)}.")
    function, before, after = answer
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 2)
    )
    model.append(nn.BatchNorm2d(3, momentum=0.001))
    batches = [torch.randn(6, 1, 6, 6) * (i + 1) + i for i in range(4)]
    for layer in (model[1], model[4]):
        layer.running_mean.fill_(7.0)
        layer.running_var.fill_(50.0)
        layer.num_batches_tracked.fill_(90)
    weights = [w.clone() for w in model.parameters()]
    reference = _measured(copy.deepcopy(model), batches)
    loader = [(x, torch.zeros(6, dtype=torch.long)) for x in batches]
    got = call(function, model, loader)
    if not isinstance(got, nn.Module):
        raise Wrong(f"Return the model, not {describe(got)}.")
    if not all(map(torch.equal, weights, got.parameters())):
        raise Wrong("The weights have changed: forward passes are all it takes.")
    _check_statistics(got, reference, batches)
    if got.training:
        raise Wrong("The model is left in training mode.", "End with model.eval().")
    for value in (before, after):
        if isinstance(value, (str, bool)) or not 0 <= float(value) <= 1:
            raise Wrong(
                f"An accuracy is a fraction from 0 to 1, not {describe(value)}."
            )
    return (
        f"{float(before):.1%} before, {float(after):.1%} after, with the same weights."
    )


def _measured(model: nn.Module, batches: list[Tensor], momentum=None) -> nn.Module:
    """The reference: statistics from these batches alone, or with a momentum."""
    for layer in (model[1], model[4]):
        if momentum is None:
            layer.reset_running_stats()
        layer.momentum = momentum
    with torch.no_grad():
        for x in batches:
            model.train()(x)
    return model.eval()


def _check_statistics(got: nn.Module, reference: nn.Module, batches: list) -> None:
    """Compare the running means; say what kept them from being measured anew."""
    mine, wanted = ([m[1].running_mean, m[4].running_mean] for m in (got, reference))
    if _same(mine, [w.double() for w in wanted]):
        return
    if all(bool((mean == 7).all()) for mean in mine):
        raise Wrong(
            "The running statistics are as they were.",
            "They move in training mode alone: model.train(), then the forward passes.",
        )
    if bool((mine[0] - 7).abs().max() < 0.5) or bool((mine[1] - 7).abs().max() < 0.5):
        raise Wrong(
            "The new statistics still remember the old ones.",
            "reset_running_stats(), then momentum = None, in every BatchNorm.",
        )
    raise Wrong(
        "The batches do not all weigh the same, or the old statistics take part.",
        "reset_running_stats() clears the old ones, momentum = None weighs alike.",
    )
