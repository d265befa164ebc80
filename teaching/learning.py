"""Figures of how a network learns: losses over one weight, and walks over two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from utils.plot import HIGHLIGHT, PALETTE, PAPER, TRAIN, VALIDATION, headline

Loss = Callable[..., Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "leaky ReLU": lambda x: torch.maximum(0.1 * x, x),
}
SIDE = 61  # points along each side of a landscape
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.6, 1, 1.5, 2.5, 4, 6)  # nats
BATCH = 16  # examples of a step in `walks`
SEED = 0  # of the batches in `walks`: the same for every way


def activations(*, title: str | None = None) -> np.ndarray:
    """Draw four activations, each with its slope dashed; the title is the finding."""
    x = torch.linspace(-4, 4, 401, requires_grad=True)
    fig, axes = plt.subplots(1, 4, figsize=(7, 2.3), sharex=True, sharey=True)
    for ax, (name, function) in zip(axes, ACTIVATIONS.items(), strict=True):
        y = function(x)
        slope = torch.autograd.grad(y.sum(), x)[0]
        ax.plot(x.detach(), y.detach(), color=PALETTE["black"])
        ax.plot(x.detach(), slope, "--", color=HIGHLIGHT)
        ax.set(title=name, ylim=(-1.3, 2.3))
    axes[0].text(-3.8, 1.5, "activation")
    axes[0].text(-3.8, -0.8, "its slope", color=HIGHLIGHT)
    fig.supxlabel("input", fontsize=11)
    headline(fig, title)
    return axes


def loss_curve(loss_at: Loss, weights: Tensor, *, start: float, title: str) -> Axes:
    """Draw the loss at some weights, and the point from which we want to go down.

    Args:
        loss_at: the loss (nats) at a weight.
        weights: where to compute it, (n,).
        start: a weight to be marked.
        title: the finding.
    """
    _, ax = plt.subplots(figsize=(7, 2.8))
    _curve(ax, loss_at, weights)
    ax.plot(weights, [loss_at(w) for w in weights], ".", color=PAPER)
    ax.plot(start, loss_at(start), "o", color=VALIDATION, ms=9)
    ax.annotate("you stand here", (start, loss_at(start)), (8, 2), **_OFFSET)
    ax.set(xlabel="weight w", ylabel="loss (nats)", title=title)
    return ax


def descents(
    loss_at: Loss,
    weights: Tensor,
    *,
    start: float,
    rates: Sequence[float],
    steps: int,
    title: str | None = None,
) -> np.ndarray:
    """Draw steps of gradient descent from one weight, a panel for each learning rate.

    Args:
        loss_at: the loss (nats) at a weight, differentiable.
        weights: the part of the curve that is shown, (n,); more where a step leaves it.
        start: the first weight.
        rates: the learning rates.
        steps: how many to take.
        title: the finding.
    """
    fig, axes = plt.subplots(1, len(rates), figsize=(7, 2.8), sharey=True)
    low, high = float(weights.min()), float(weights.max())
    top = 1.1 * max(float(loss_at(w)) for w in weights)
    for ax, rate in zip(axes, rates, strict=True):
        path = _descend(loss_at, start, rate, steps)
        right = max(high, *path)  # a large step leaves the part that is shown
        _curve(ax, loss_at, torch.linspace(low, right, 2))
        ax.plot(path, [loss_at(w) for w in path], "o-", color=VALIDATION, ms=4, lw=1)
        ax.set(xlim=(low - 0.5, right + 0.5), ylim=(0, top))
        ax.set_title(f"rate {rate:g}: {loss_at(path[-1]):.2f} nats", fontsize=10)
    axes[0].set_ylabel("loss (nats)")
    fig.supxlabel("weight w", fontsize=11)
    headline(fig, title)
    return axes


def batch_arrows(loss_of: Loss, batches: Tensor, *, at: tuple[float, float]) -> Axes:
    """Draw downhill arrows from one point: that of all examples, and of some batches.

    Args:
        loss_of: the loss (nats) of two parameters over some of the examples.
        batches: numbers of the examples in each batch, int64 (n, batch size).
        at: the two parameters.
    """
    _, ax = plt.subplots(figsize=(7, 3.6))
    _landscape(ax, loss_of, (at[0] - 1.5, at[0] + 1.5), (at[1] - 1.2, at[1] + 1.2))
    whole, *parts = [_gradient(loss_of, at, rows) for rows in (slice(None), *batches)]
    longest = max(float(gradient.norm()) for gradient in parts)
    for gradient in parts:
        _arrow(ax, at, gradient / longest, TRAIN, 1.0)
    _arrow(ax, at, whole / longest, VALIDATION, 3.0)
    cosines = [float(F.cosine_similarity(g, whole, dim=0)) for g in parts]
    downhill = sum(cosine > 0 for cosine in cosines)
    ax.set_title(f"{downhill} of {len(parts)} batches point downhill")
    ax.set(xlabel="weight w", ylabel="bias b")
    return ax


def walks(
    loss_of: Loss,
    ways: Mapping[str, Callable[[list[Tensor]], Optimizer]],
    *,
    start: tuple[float, float],
    steps: int,
    one_cycle: str,
    title: str | None = None,
) -> np.ndarray:
    """Draw how optimizers walk over one landscape from one point, a panel for each.

    Args:
        loss_of: the loss (nats) of two parameters over some of 256 examples.
        ways: name -> a function from the parameters to an optimizer.
        start: the two parameters at the beginning.
        steps: of each walk; all see the same batches.
        one_cycle: the way whose learning rate follows torch's `OneCycleLR`.
        title: the finding.
    """
    fig, axes = plt.subplots(1, len(ways), figsize=(7, 3.2), sharex=True, sharey=True)
    for ax, (name, make) in zip(axes, ways.items(), strict=True):
        _landscape(ax, loss_of, (-3, 9), (-10, 4.5))
        path = _walk(loss_of, make, start, steps, name == one_cycle)
        ax.plot(*path.T, ".-", color=VALIDATION, lw=1, ms=4)
        ax.plot(*path[-1], "o", color=HIGHLIGHT, ms=7)
        ax.set_title(f"{name}: {loss_of(path[-1]):.3f}", fontsize=10)
    axes[0].set_ylabel("bias b")
    fig.supxlabel("weight w", fontsize=11)
    headline(fig, title)
    return axes


_OFFSET = {"textcoords": "offset points"}


def _curve(ax: Axes, loss_at: Loss, weights: Tensor) -> None:
    fine = torch.linspace(float(weights.min()), float(weights.max()), 201)
    ax.plot(fine, [loss_at(w) for w in fine], color=PAPER, lw=1.5)


def _descend(loss_at: Loss, start: float, rate: float, steps: int) -> list[float]:
    path = [start]
    for _ in range(steps):
        w = torch.tensor(path[-1], dtype=torch.float64, requires_grad=True)
        [slope] = torch.autograd.grad(loss_at(w), w)
        path.append(path[-1] - rate * slope.item())
    return path


def _walk(
    loss_of: Loss,
    make: Callable[[list[Tensor]], Optimizer],
    start: tuple[float, float],
    steps: int,
    cycle: bool,
) -> Tensor:
    """The parameters after each step, (steps + 1, 2)."""
    point = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer, generator = make([point]), torch.Generator().manual_seed(SEED)
    highest = optimizer.param_groups[0]["lr"]
    schedule = OneCycleLR(optimizer, highest, steps, cycle_momentum=False)
    if not cycle:
        optimizer.param_groups[0]["lr"] = highest  # the schedule had begun low
    path = [point.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(point, torch.randint(256, (BATCH,), generator=generator)).backward()
        optimizer.step()
        if cycle:
            schedule.step()
        path.append(point.detach().clone())
    return torch.stack(path)


def _gradient(loss_of: Loss, at: tuple[float, float], rows: Tensor | slice) -> Tensor:
    point = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(loss_of(point, rows), point)[0]


def _arrow(
    ax: Axes, at: tuple[float, float], gradient: Tensor, color: str, width: float
) -> None:
    tip = (at[0] - float(gradient[0]), at[1] - float(gradient[1]))
    arrow = {"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0}
    ax.annotate("", tip, at, arrowprops=arrow)


def _landscape(
    ax: Axes, loss_of: Loss, w: tuple[float, float], b: tuple[float, float]
) -> None:
    """Lines of equal loss over a weight and a bias, darker where it is lower."""
    across = torch.linspace(*w, SIDE, dtype=torch.float64)
    up = torch.linspace(*b, SIDE, dtype=torch.float64)
    losses = [[float(loss_of(torch.stack([x, y]))) for x in across] for y in up]
    ax.contour(across, up, losses, levels=LEVELS, cmap="Greys_r", linewidths=1)
    ax.grid(False)
