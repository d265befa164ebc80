"""Self-checks of lecture 11: steps and rates, Muon, whitening, views, one trick."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from teaching import kept
from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_numbers,
    expect_parts,
)
from utils.history import History


@exercise("11.1")
def steps_photos_rates(answer: Any) -> str:
    """Steps of 10 epochs, photos seen both ways after three, the head's rate."""
    steps = {
        90: "that is one epoch.",
        4500: "that is one photo of a hundred in each batch: divide by 500.",
        450_000: "those are photos; a step takes 500 of them.",
        9000: "45,000 / 500 is 90: ten times less.",
        910: "500 divides 45,000: no epoch has a smaller last batch.",
        22.5: "batches are divided by, epochs multiplied with.",
    }
    both = {
        22_500: "that is after two epochs.",
        11_250: "these had one form three times; the others are asked for.",
        30_000: "each epoch draws anew: count the eight ways of three draws.",
        67_500: "no more than all 45,000 photos can have been seen so.",
        45_000: "that is certain only with alternating flips.",
        39_375: "that is after four epochs.",
        5625: "these are one form three times, of two; the others are asked for.",
        0.75: "the share is right; give photos.",
        75: "the share is right; give photos.",
    }
    rate = {
        1340: "smaller batches have more steps: each must be smaller.",
        335: "a photo would count four times as much.",
        167.5: "that is the root of the factor; the rule is linear.",
        0.67: "that is the rate for one photo of a batch.",
    }
    hints = (
        "45,000 / 500 steps are one epoch.",
        "In one form three times: twice one half to the third power.",
        "The rate divided by the batch stays.",
    )
    parts = zip((900, 33_750, 83.75), (steps, both, rate), hints, strict=True)
    expect_numbers(answer, tuple(parts))
    return "10 × 90 = 900; 45,000 × (1 − 2/8) = 33,750; 335 / 4 = 83.75."


def _matrix(shape: tuple[int, int], values: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix with these singular values, and its U V^T."""
    u, v = (torch.linalg.qr(torch.randn(n, len(values)))[0] for n in shape)
    return u @ torch.diag(values) @ v.T, u @ v.T


@exercise("11.2")
def orthogonal(function: Any) -> str:
    """U V^T of tall and wide matrices, by 1.5 s - 0.5 s^3."""
    values = torch.tensor([30.0, 8.0, 3.0, 1.0])
    for shape in ((4, 7), (7, 4), (4, 4)):
        matrix, nearest = _matrix(shape, values)
        before = matrix.clone()
        told = "x @ x.T @ x fits matrices of any shape."
        got = call(function, matrix, 30, copied=False, hint=told)
        if not isinstance(got, Tensor):
            raise Wrong(f"A matrix is wanted, not {describe(got)}.")
        if not torch.equal(matrix, before):
            raise Wrong("The matrix that was passed in is changed itself.")
        if got.shape != matrix.shape:
            raise Wrong(f"For {shape} the result has shape {tuple(got.shape)}.")
        if torch.allclose(got, nearest, atol=1e-3):
            continue
        if not got.isfinite().all():
            raise Wrong(
                "The values grow without end: no norm, or a wrong sign?",
                "Divide by matrix.norm() first, which is at least the largest value.",
            )
        values_now = torch.linalg.svdvals(got)[:4]
        found = ", ".join(f"{s:.2f}" for s in values_now)
        if torch.allclose(values_now, torch.ones(4), atol=1e-3):
            raise Wrong(
                f"For {shape} the singular values are 1, the directions others.",
                "Divide the whole matrix by one number, matrix.norm(): not by rows,"
                " and not by less.",
            )
        raise Wrong(
            f"For {shape} the singular values are {found}; all should be 1.",
            "x = 1.5 * x - 0.5 * x @ x.T @ x, as often as steps says.",
        )
    matrix, nearest = _matrix((4, 6), values)
    once = call(function, matrix, 1)
    x = matrix / matrix.norm()
    if torch.allclose(once, nearest, atol=1e-3):
        raise Wrong("After one step it is finished: an SVD, or `steps` is not used?")
    if not torch.allclose(once, 1.5 * x - 0.5 * x @ x.T @ x, atol=1e-4):
        raise Wrong("After one step it is not 1.5 s − 0.5 s³: take `steps` steps.")
    return "30, 8, 3 and 1 all became 1, for tall and for wide matrices."


@exercise("11.3")
def turned_back(function: Any) -> str:
    """The symmetric W (D, D) that makes patches uncorrelated, with variance 1."""
    mix = torch.randn(5, 5, dtype=torch.float64)
    patches = 0.05 * torch.randn(400, 5, dtype=torch.float64) @ mix
    patches -= patches.mean(0)
    got = call(function, patches)
    if not isinstance(got, Tensor) or got.shape != (5, 5):
        told = f"W has shape (5, 5) for patches (400, 5), not {describe(got)}."
        hint = "The covariance of the 5 columns is patches.T @ patches / len(patches)."
        if isinstance(got, Tensor) and got.shape == patches.shape:
            hint = "Return W alone, not patches @ W."
        raise Wrong(told, hint)
    values, v = torch.linalg.eigh(patches.T @ patches / len(patches))
    right = v / values.sqrt() @ v.T
    known = {
        "These are the directions alone, divided: turn back with V^T at the right.": (
            v / values.sqrt()
        ),
        "These are the lecture's filters: turn back with V at the left.": (
            (v / values.sqrt()).T
        ),
        "Divide by the standard deviations, the roots of the variances.": v
        / values
        @ v.T,
        "This multiplies by the standard deviations; divide.": v * values.sqrt() @ v.T,
        "This is the covariance: divide by the roots of its values.": v * values @ v.T,
        "V V^T alone is the identity: Λ^(-1/2) is missing.": v @ v.T,
        "This divides each column by its deviation; correlations stay.": torch.diag(
            1 / patches.std(0, correction=0)
        ),
    }
    got = got.to(right)
    for reason, wrong in known.items():
        if torch.allclose(got.abs(), wrong.abs(), rtol=2e-3, atol=1e-4):
            raise Wrong(reason)
    turned = v.T @ got @ v * values.sqrt()  # the identity, if W is right
    scale = turned.diagonal().mean()
    if torch.allclose(turned, torch.eye(5).to(turned), atol=3e-3):
        return "uncorrelated, variance 1, and W is symmetric."
    if torch.allclose(turned, scale * torch.eye(5).to(turned), atol=1e-3 * scale):
        raise Wrong(
            f"Right but for the factor {scale:.3g}: the covariance is a mean.",
            "patches.T @ patches / len(patches)",
        )
    straight = torch.allclose(turned, turned.diag().diag(), atol=1e-3)
    if straight and turned.max() < 1.001:
        raise Wrong("Weak directions keep a variance below 1: is noise added?")
    outputs = patches @ got
    moments = outputs.T @ outputs / len(outputs)
    if torch.allclose(moments, torch.eye(5).to(moments), atol=6e-3):
        raise Wrong("Uncorrelated, but not turned back: W = V Λ^(-1/2) V^T.")
    raise Wrong(
        "The outputs patches @ W are still correlated, or of another variance.",
        "eigh of patches.T @ patches / len(patches) gives Λ and V; each column of V"
        " is divided, then V^T stands at the right.",
    )


@exercise("11.4")
def scaled_rates(function: Any) -> str:
    """Head and shifts scale with the batch; Muon's rate for filters does not."""
    whole = {"filters": 0.12, "head": 335.0, "shifts": 26.5}
    for batch in (500, 100, 2000):
        got = call(function, batch)
        if not isinstance(got, Mapping) or set(got) != set(whole):
            keys = f" with {', '.join(map(str, got))}" if isinstance(got, dict) else ""
            told = f"It returns filters, head and shifts, not {describe(got)}{keys}."
            raise Wrong(told, '{"filters": ..., "head": ..., "shifts": ...}')
        for kind, rate in whole.items():
            right = rate * (1 if kind == "filters" else batch / 500)
            if isinstance(got[kind], str):
                raise Wrong(f"{kind} is a text; give a number.")
            if math.isclose(got[kind], right, rel_tol=1e-3):
                continue
            if kind == "filters":
                raise Wrong(
                    f"Batches of {batch}: filters {got[kind]:.3g}. An orthogonalised"
                    " update has the same size for any batch."
                )
            if batch != 500 and math.isclose(got[kind], rate, rel_tol=1e-3):
                raise Wrong(f"Batches of {batch}: the rate of {kind} did not change.")
            if math.isclose(got[kind] * right, rate**2, rel_tol=1e-3):
                raise Wrong(
                    "That is the wrong way round: a larger batch, a larger rate."
                )
            if batch == 500:
                told = f"Batches of 500: {kind} {float(got[kind]):.4g}, and not {rate}."
                raise Wrong(told, "At 500 nothing changes: rate × batch / 500.")
            if not got[kind]:
                raise Wrong(
                    f"Batches of {batch}: {kind} 0. Divide with /, not with //."
                )
            power = math.log(abs(got[kind]) / rate) / math.log(batch / 500)
            if math.isclose(power, round(2 * power) / 2, abs_tol=1e-3):
                raise Wrong(
                    f"The rate of {kind} grows as the batch to the power {power:.1f};"
                    " the rule is linear.",
                    "rate × batch / 500",
                )
            raise Wrong(
                f"Batches of {batch}: {kind} {got[kind]:.4g}, not the linear scaling.",
                "rate × batch / 500",
            )
    return "a photo counts alike at any batch, and the filters need no scaling."


class _Counted(nn.Module):
    """Logits from three pixels of the first row; it notes how many images it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return x[:, 0, 0, :3].clone()


@exercise("11.5")
def second_look(answer: Any) -> str:
    """One view; the mean with the mirror image where the lead is below the margin."""
    x = torch.randn(6, 2, 2, 4)
    x[:3, 0, 0, :3] = torch.tensor([[9.0, 0, 0], [0, 7.0, 1], [0, 0, 8.0]])
    x[3:, 0, 0, :3] = torch.tensor([[1.0, 0.8, -3], [0.2, 0, 0.1], [0, 0.5, 0.9]])
    net = _Counted()
    plain, mirrored = net(x), net(x.flip(3))
    unsure = torch.arange(6)[:, None] >= 3
    right = torch.where(unsure, (plain + mirrored) / 2, plain)
    net.seen.clear()
    made = call(answer, net, 1.0, copied=False)  # so that its passes are counted
    told = "Each photo has a lead of its own, (N,): choose rows by it, without if."
    got = call(made, x, copied=False, hint=told)
    if not isinstance(got, Tensor) or got.shape != right.shape:
        hint = "A row for each photo: the sure ones keep their first logits."
        raise Wrong(f"forward returns logits (6, 3), not {describe(got)}.", hint)
    if not torch.allclose(got, right):
        _name_look(got, plain, mirrored, [net(x[3:].flip(axis)) for axis in (0, 1, 2)])
    if sum(net.seen) > 9:
        raise Wrong(
            f"The network got {sum(net.seen)} images; 6 and 3 unsure ones are enough."
        )
    x[5, 0, 0, :3] = torch.tensor([0, 0.5, 0.5])
    whole = call(call(answer, _Counted(), 0.0), x)
    if not torch.allclose(whole[:5], plain[:5]):
        raise Wrong("With a margin of 0 no photo is unsure: is `margin` used?")
    if not torch.allclose(whole[5], x[5, 0, 0, :3]):
        raise Wrong("A lead of just the margin is not less than it: <, not <=.")
    return "three of six photos were unsure: nine passes in place of twelve."


def _name_look(
    got: Tensor, plain: Tensor, mirrored: Tensor, others: Sequence[Tensor]
) -> None:
    """Refuse another result than the right one, by which photos it changes, and how."""
    changed = (got - plain).abs().amax(1) > 1e-6
    known = {
        "The two are added; divide by 2.": plain + mirrored,
        "This is the second look alone; take the mean of both.": mirrored,
        "This is the larger one of both; take their mean.": plain.maximum(mirrored),
        "Only the second one is halved: brackets around the sum.": plain + mirrored / 2,
        "These are probabilities: give the mean of the logits.": (
            plain.softmax(1) + mirrored.softmax(1)
        )
        / 2,
    }
    for axis, other in enumerate(others):
        told = f"This turns axis {axis}. Mirror left to right: the last axis, 3."
        known[told] = (plain[3:] + other) / 2
    for reason, value in known.items():
        if changed[3:].any() and torch.allclose(got[3:], value[-3:], atol=1e-5):
            raise Wrong(reason)
    if torch.allclose(got.sum(1), torch.ones(6)):
        raise Wrong("Each row adds up to 1: return logits, without a softmax.")
    if changed.all():
        raise Wrong(
            "All photos get a second look, the sure ones, too.",
            "The lead is the largest logit minus the second, for each photo.",
        )
    if not changed.any():
        raise Wrong(
            "No result of a second look is seen, though three are unsure.",
            "Is x[unsure] mirrored, the mean put into its rows, and the lead that of"
            " each photo, of the largest logit before the second?",
        )
    wrong = [i for i in range(6) if changed[i] != (i > 2)]
    if wrong:
        first, second = plain[wrong[0]].topk(2).values.tolist()
        raise Wrong(
            f"A photo with the logits {first:.1f} and {second:.1f} at the top is taken"
            f" for {'un' if changed[wrong[0]] else ''}sure, with a margin of 1.",
            "Unsure: the largest logit minus the second is less than the margin.",
        )
    raise Wrong(
        "The logits of the unsure photos are not the mean of the two views.",
        "(logits[unsure] + net(x[unsure].flip(3))) / 2",
    )


@exercise("11.6")
def one_trick(answer: Any) -> str:
    """Three seeds with a trick and without it, and the paired gain of your own runs."""
    with_it, without_it, gain = expect_parts(
        answer, 3, "Give with_it, without_it and gain"
    )
    for name, found in {"with_it": with_it, "without_it": without_it}.items():
        if found is ... or gain is ...:
            raise Unanswered(f"{name} is not measured yet")
        if not isinstance(found, (list, tuple)) or len(found) < 3:
            raise Wrong(f"{name} holds what short returns, for three seeds at least.")
        for one in found:
            pair = isinstance(one, (tuple, list)) and len(one) == 2
            if not pair or not isinstance(one[0], History):
                raise Wrong(f"{name} holds {describe(one)}, not what short returns.")
    seeds = [[history.name for history, _ in found] for found in (with_it, without_it)]
    if seeds[0] != seeds[1]:
        raise Wrong(
            "The two have other seeds, or in another order: then more differs than the"
            " trick."
        )
    if len(set(seeds[0])) < len(seeds[0]):
        raise Wrong("A seed comes twice: that is one run, counted as two.")
    rates = [
        [[r.get("lr") for r in h.rows] for h, _ in f] for f in (with_it, without_it)
    ]
    if any(rate != rates[0][0] for rate in rates[0] + rates[1]):
        raise Wrong(
            "Not all runs have the same epochs and the same rate of the filters.",
            "Leave `short` as it is, Muon too: an argument takes one trick out.",
        )
    losses = [[h.rows[-1]["train_loss"] for h, _ in f] for f in (with_it, without_it)]
    if losses[0] == losses[1]:
        raise Wrong("Both are the same runs: take one trick out of the second.")
    hits = [[seen for _, seen in found] for found in (without_it, with_it)]
    right = kept.paired(*hits)
    if not isinstance(gain, kept.Difference):
        raise Wrong(f"gain is what kept.paired returns, not {describe(gain)}.")
    if math.isclose(gain.points, -right.points) and right.points:
        raise Wrong("The order is turned: kept.paired(without, with).")
    if not math.isclose(gain.points, right.points) or gain.error < 0.99 * right.error:
        raise Wrong("gain is not what kept.paired says of these runs.")
    return f"{right!r}, {len(with_it)} seeds and {len(hits[0][0]):,} photos."
