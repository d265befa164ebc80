"""Self-checks of lecture 06: a batch by hand, backward, folding, modes, memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
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
    expect_parts,
    expect_value,
    labelled,
)
from utils.train import evaluate


@exercise("06.1")
def batch_by_hand(answer: Any) -> str:
    """The batch 3, 9, 11, 17: normalised, scaled, and remembered."""
    unbiased = "this is the unbiased variance: the forward pass divides by 4, not 3."
    swapped = "torch's momentum is the weight of the new batch, not of the old value."
    squared = "divide by the standard deviation, not by the variance."
    parts: tuple[tuple[float, Mapping[float, str], str], ...] = (
        (
            1.4,
            {
                7 / (100 / 3) ** 0.5: unbiased,
                7 / 25: squared,
                7.0: "divide by σ too.",
                16.0: "this is after γ and β.",
                0.5: "σ is a deviation, not the range.",
                17 / 5: "subtract the mean, 10, first.",
            },
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
                7.2: "γ is 10 and multiplies, β is 2 and is added.",
                32.0: "γ multiplies the normalised value, not the 3 itself.",
            },
            "The 3 becomes -1.4; then γ times it, plus β.",
        ),
        (
            1.0,
            {
                9.0: swapped,
                10.0: "this forgets the old value at once.",
                1.9: "the running mean began at 0; the variance at 1.",
            },
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
                1 + 10 / 3: "0.9 of the old value remains, not all of it.",
                1.4: "it remembers the variance, not its root.",
                0.9 + (1 / 3) ** 0.5: "it remembers the variance, not its root.",
            },
            "0.9 of 1, and 0.1 of the unbiased variance.",
        ),
    )
    expect_numbers(answer, parts)
    return "σ is 5: -1.4, -0.2, 0.2, 1.4."


def _backward(
    dy: Tensor, x: Tensor, gamma: Tensor, eps: float, mistake: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of layer normalisation, (N, C), right or with one mistake."""
    axis = 0 if mistake == "axis" else 1
    variance = x.var(axis, correction=int(mistake == "unbiased"), keepdim=True)
    eps = 0.0 if mistake == "no eps" else eps
    sigma = (variance + eps).sqrt()
    sigma = variance.sqrt() + eps if mistake == "eps" else sigma
    normalised = (x - x.mean(axis, keepdim=True)) / sigma
    g = dy if mistake in ("gamma", "no gamma") else gamma * dy
    over = 0 if mistake == "batch" else axis
    size = x.shape[1] if mistake == "sums" else 1
    dx = g
    if mistake not in ("mean", "constants"):
        dx = dx - size * g.mean(over, keepdim=True)
    if mistake not in ("sigma", "constants"):
        sign = -1 if mistake == "sign" else 1
        dx = dx - sign * size * normalised * (g * normalised).mean(over, keepdim=True)
    dx = dx if mistake == "undivided" else dx / sigma
    dx = dx / sigma if mistake == "squared" else dx
    dx = gamma * dx if mistake == "gamma" else dx
    return dx, (dy * normalised).sum(0), dy.sum(0)


BACKWARD = {
    "axis": "these are BatchNorm's axes: here each example has its own mean and σ.",
    "gamma": "γ stands outside the means. It differs from feature to feature, so"
    " multiply dy by it first.",
    "no gamma": "γ is missing: the gradient by x̂ is γ dy.",
    "mean": "the road through the mean is missing.",
    "sigma": "the road through σ is missing.",
    "undivided": "divide by σ at the end.",
    "constants": "the mean and σ depend on x, too: two more roads.",
    "batch": "the means of g run over the features of one example.",
    "sums": "these are sums; take means.",
    "sign": "the road through σ is subtracted.",
    "squared": "divide by σ, not by its square.",
    "unbiased": "the variance is the biased one: divide by C, not by C - 1.",
    "eps": "ε stands inside the root, with the variance.",
    "no eps": "ε is missing: it stands with the variance, inside the root.",
}


@exercise("06.2")
def layer_norm_backward(function: Any) -> str:
    """Gradients of layer normalisation by x, gamma and beta."""
    for examples, features in ((6, 4), (5, 7)):
        x = torch.randn(examples, features, dtype=torch.double) * 2 + 1
        dy = torch.randn(examples, features, dtype=torch.double)
        gamma = torch.linspace(0.5, 2, features, dtype=torch.double)
        told = "x is (N, C); x.mean(1, keepdim=True) is (N, 1), and fits it."
        got = call(function, dy, x, gamma, 0.3, hint=told)
        expect_parts(got, 3, "Return dx, dγ and dβ")
        for name, one, value in zip(
            ("dx", "dγ", "dβ"), got, _backward(dy, x, gamma, 0.3), strict=True
        ):
            if name == "dx":
                _expect_dx(one, value, (dy, x, gamma, 0.3))
            else:
                _expect_sum(name, one, value, (dy, x, gamma))
            expect_value(one, value, what=name)
    return "each example for itself, with γ inside the means."


def _expect_dx(got: Any, right: Tensor, given: tuple[Any, ...]) -> None:
    """Name the mistake in dx where it is known."""
    if not torch.is_tensor(got) or got.shape != right.shape:
        return
    if torch.allclose(got.double(), right):
        return
    for mistake, hint in BACKWARD.items():
        if torch.allclose(got.double(), _backward(*given, mistake)[0]):
            raise Wrong(f"Close: {hint}", reason=hint)


def _expect_sum(name: str, got: Any, right: Tensor, given: tuple[Any, ...]) -> None:
    """Name the mistake in dγ or dβ where it is known."""
    dy, x, gamma = given
    if not torch.is_tensor(got):
        return
    if got.shape in ((len(x),), ()):
        raise Wrong(f"{name}: sum over the examples; each feature has its own.")
    known = {
        "sum over the batch, do not average.": right / len(x),
        "it takes dy, not γ dy.": right * gamma,
        "dγ takes the normalised x.": (dy * x).sum(0),
        "dγ comes before dβ.": dy.sum(0),
    }
    for hint, value in known.items():
        same = got.shape == value.shape and torch.allclose(got.double(), value)
        if same and not torch.allclose(value, right):
            raise Wrong(f"{name}: {hint}", reason=hint)


@exercise("06.3")
def fold_linear(function: Any) -> str:
    """One linear layer in place of a linear layer and the BatchNorm behind it."""
    for bias in (True, False):
        linear, norm = _layers(bias)
        before = [t.clone() for t in (*linear.parameters(), *norm.parameters())]
        told = "This linear layer was built with bias=False."
        if bias:
            told = "The weight is (3, 5): scale[:, None] has a factor for each row."
        got = call(function, linear, norm, copied=False, hint=told)
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
    if got.weight.shape != linear.weight.shape:
        shapes = (tuple(layer.weight.shape) for layer in (got, linear))
        raise Wrong("The new weight is {}, the old one {}.".format(*shapes))
    if got.bias is None:
        raise Wrong("The new layer has no bias; b' has to stand somewhere.")
    x = torch.randn(20, 5)
    right = norm(linear(x))
    y = call(got, x)
    if y.shape == right.shape and torch.allclose(y, right, atol=1e-5):
        return
    b = torch.zeros(3) if linear.bias is None else linear.bias
    gamma, beta, mu = norm.weight, norm.bias, norm.running_mean
    s = (norm.running_var + norm.eps).sqrt()
    bare = norm.running_var.sqrt()
    weight, g, e = linear.weight, gamma / s, gamma / (bare + norm.eps)
    mistakes = {
        "ε is missing: it stands with the variance, inside the root.": (
            gamma / bare,
            gamma / bare * (b - mu) + beta,
        ),
        "the root is missing: divide by the standard deviation.": (
            g / s,
            g / s * (b - mu) + beta,
        ),
        "γ is missing.": (1 / s, (b - mu) / s + beta),
        "the running mean is not subtracted from the bias.": (g, g * b + beta),
        "the mean is added; it is subtracted.": (g, g * (b + mu) + beta),
        "the old bias and the mean are not scaled by γ / s.": (g, b - mu + beta),
        "the old bias is not scaled, the mean is.": (g, b - g * mu + beta),
        "β is missing.": (g, g * (b - mu)),
        "ε stands inside the root, with the variance.": (e, e * (b - mu) + beta),
        "the old bias is missing.": (g, beta - g * mu),
        "the mean is not scaled by γ / s, the old bias is.": (g, g * b - mu + beta),
        "β is added at the end, without a factor.": (g, g * (b - mu + beta)),
        "divide by σ; do not multiply.": (gamma * s, gamma * s * (b - mu) + beta),
        "the weights are scaled by γ / s, too.": (torch.ones(3), g * (b - mu) + beta),
        "this is the old layer; the BatchNorm's work is missing.": (torch.ones(3), b),
    }
    for hint, (scale, bias) in mistakes.items():
        wrong = nn.functional.linear(x, weight * scale[:, None], bias)
        if y.shape == wrong.shape and torch.allclose(y, wrong, atol=1e-5):
            raise Wrong(f"Close: {hint}", reason=hint)
    expect_value(y, right, what="The folded layer's output", tolerance=1e-4)


@exercise("06.4")
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
        recorded: list[bool] = []
        mine.register_forward_hook(
            lambda *_, seen=recorded: seen.append(torch.is_grad_enabled())
        )
        told = "Logits are (N, classes): the class is their argmax(dim=1)."
        got = call(function, mine, loader, copied=False, hint=told)
        if not all(map(torch.equal, statistics, mine.buffers())):
            raise Wrong(
                "The running statistics have moved: the network was asked in training"
                " mode.",
                "Call model.eval() before the loop; give the old mode back after it.",
            )
        _check_share(got, model, loader, right)
        if any(recorded):
            raise Wrong(
                "Autograd recorded every forward pass: eval() does not switch it off.",
                "Put the loop under torch.no_grad().",
            )
        if mine.training != training:
            was, now = ("training", "evaluation")[:: 1 if training else -1]
            raise Wrong(
                f"The model came in {was} mode and is left in {now} mode.",
                "Keep model.training before the loop, and put it back after it.",
            )
        if any(part.training != training for part in mine.modules()):
            raise Wrong(
                "The outer module has its mode back, the layers in it do not.",
                "model.train(mode) reaches them all; .training = mode does not.",
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
            10 * right: "divide by the number of examples, not of batches.",
            30 * right / 9: "the batches differ in size: count the examples.",
            30 * right / 60: "the batches differ in size: count the examples.",
            shares[0]: "this is the first batch alone.",
            shares[-1]: "this is the last batch alone: add up with +=.",
            0.0: "an integer division, or int(), rounds down to 0.",
        },
        hint="Add up right answers and examples; divide once, at the end.",
    )


@exercise("06.5")
def recalibrate(answer: Any) -> str:
    """Running statistics measured anew, and what a momentum of 0.001 costs."""
    function, *accuracies, late, loader, val_loader = answer
    _check_recalibration(function)
    if any(layer.momentum != 0.001 for layer in _norms(late)):
        raise Wrong(
            "late itself was recalibrated, so nobody can measure it any more.",
            "Train it again, and pass copy.deepcopy(late) to recalibrate.",
        )
    after = call(function, late, loader)
    right = [evaluate(model, val_loader).accuracy for model in (late, after)]
    for name, one, value in zip(("before", "after"), accuracies, right, strict=True):
        with labelled(f"{name}:"):
            known = {100 * value: "give a fraction, not percent.", right[0]: OTHER}
            known |= {right[1]: OTHER}
            model = late if name == "before" else after
            known |= {
                evaluate(model, val_loader).loss: "this is a loss.",
                evaluate(model, loader).accuracy: "measure on val_loader.",
            }
            expect_number(one, value, misconceptions=known, hint="Measure it again.")
    return f"{right[0]:.1%} before, {right[1]:.1%} after, with the same weights."


OTHER = "this is the accuracy of the other one."


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def _check_recalibration(function: Any) -> None:
    """Recalibrate a small network whose statistics are known."""
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 2)
    )
    model.append(nn.BatchNorm2d(3, momentum=0.001))
    model.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten())  # logits: fit can use it
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


def _measured(
    model: nn.Module, batches: list[Tensor], *momenta: float | None
) -> nn.Module:
    """The reference: statistics from these batches alone, or with two momenta."""
    for layer, momentum in zip(_norms(model), momenta or (None, None), strict=True):
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
    fresh = [torch.zeros_like(w) for w in wanted]
    if _same(mine, [w.double() for w in fresh]):
        raise Wrong(
            "The statistics are reset, and nothing is measured.",
            "They move in training mode alone, by the momentum: model.train(), then"
            " the forward passes.",
        )
    others = {
        "During the passes each momentum was as before.": (0.1, 0.001),
        "With momentum 0.001 the new statistics hardly move.": (0.001, 0.001),
        "With momentum 0.1 late batches weigh more.": (0.1, 0.1),
        "The last batch counts alone: momentum 1, or a reset in the loop.": (1.0, 1.0),
    }
    for why, momenta in others.items():
        one = _measured(copy.deepcopy(reference), batches, *momenta)
        if _same(mine, [one[1].running_mean.double(), one[4].running_mean.double()]):
            cure = "Before the loop: reset_running_stats(), and momentum = None."
            raise Wrong(why, cure)
    first = _measured(copy.deepcopy(reference), batches[:1])
    if _same(mine, [first[1].running_mean.double(), first[4].running_mean.double()]):
        raise Wrong("This measures the first batch alone.")
    raise Wrong(
        "The batches do not all weigh the same, or the old statistics take part.",
        "reset_running_stats() clears the old ones, momentum = None weighs alike.",
    )


def _same(got: Any, wanted: Any) -> bool:
    return all(torch.allclose(a.double(), b) for a, b in zip(got, wanted, strict=True))
