"""Pictures and tables of lecture 11: what makes training fast, and what it brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, log
from time import process_time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn import functional as F

from teaching import kept
from teaching.tables import Table
from utils import plot, recipe
from utils.history import History

# What the course calls each trick -> how the kept run without it is called.
TRICKS = {
    "whitening": "no-whitening",
    "Muon": "sgd",
    "Dirac filters": "no-dirac",
    "a rate for each kind of weight": "one-rate",
    "label smoothing": "no-smoothing",
    "alternating flip": "random-flip",
    "all six of them": "none",
}

STEPS = 6  # of training, whose parts are timed


# --- kept runs by the minute ---------------------------------------------------------


def at(name: str, minutes: float) -> float:
    """Validation accuracy of a kept run at a minute: on a line between two epochs."""
    return float(np.interp(minutes, *kept.passed(name)))


def reached(name: str, accuracy: float) -> float:
    """Processor minutes until a kept run first validates at a fraction; or infinity."""
    pairs = zip(*kept.passed(name), strict=True)
    return next((minutes for minutes, y in pairs if y >= accuracy), inf)


def milestones(names: Mapping[str, str], wanted: Sequence[float]) -> Table:
    """After how many processor minutes kept runs first validate at so many fractions.

    Args:
        names: {what the table calls it: the run's name}.
    """
    rows = []
    for label, name in names.items():
        xs, ys = kept.passed(name)
        found = (reached(name, fraction) for fraction in wanted)
        cells = ("–" if minutes == inf else f"{minutes:.1f}" for minutes in found)
        rows.append((label, *cells, f"{100 * ys[-1]:.1f} % after {xs[-1]:.1f}"))
    heads = (f"minutes to {100 * w:.0f} %" for w in wanted)
    return Table(("network", *heads, "at the end"), tuple(rows))


def mine(history: History, minutes: float) -> tuple[list[float], list[float]]:
    """Your own run for `kept.by_minute`: minutes after each epoch, and fractions."""
    passed = kept.after_each(minutes, history["seconds"])
    return passed, list(history["val_accuracy"])


# --- where a processor's time goes ---------------------------------------------------


def rates(
    channels: Sequence[int] = (8, 16, 32, 64, 128, 256), *, work: float = 1.5e8
) -> dict[str, list[float]]:
    """Billions of multiply-adds that a layer learns with in a second of the processor.

    A 3x3 convolution with C channels in and out on maps of 16x16, BatchNorm and ReLU,
    forward and backward; `work` is the multiply-adds of each forward pass. In float32,
    and in bfloat16 where the processor has units for it.
    """
    native = recipe.native_formats(torch.device("cpu"))
    found: dict[str, list[float]] = {}
    for name in ("float32", *(n for n in native if n == "bfloat16")):
        found[name] = []
        for c in channels:
            layer = nn.Sequential(
                nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU()
            ).to(memory_format=torch.channels_last)
            count = max(1, round(work / (9 * c * c * 256)))
            maps = torch.randn(count, c, 16, 16, requires_grad=True)
            maps = maps.contiguous(memory_format=torch.channels_last)
            mixed = torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16")
            seconds = best(partial(forward_and_backward, layer, maps, mixed))
            found[name].append(3 * count * 256 * 9 * c * c / seconds / 1e9)
    return found


def forward_and_backward(layer: nn.Module, maps: Tensor, mixed: torch.autocast) -> None:
    """Compute a layer's output in this number format, and the gradients of its sum."""
    with mixed:
        result = layer(maps)
    result.backward(torch.ones_like(result))


def best(act: Callable[[], Any], times: int = 3) -> float:
    """Seconds that the processor works for an act: the least of some measurements.

    Each repeats it for 0.03 seconds at least, since some clocks tick that slowly.
    """
    act()
    spent = []
    for _ in range(times):
        begin, count = process_time(), 0
        while not count or process_time() - begin < 0.03:
            act()
            count += 1
        spent.append((process_time() - begin) / count)
    return min(spent)


def parts(net: nn.Module, loader: Any, make: Callable[..., Any]) -> dict[str, float]:
    """Milliseconds of the processor for the parts of a training step, on the mean."""
    net = net.cpu().train().to(memory_format=torch.channels_last)
    optimizer = make([w for w in net.parameters() if w.requires_grad])
    spent = dict.fromkeys(("input", "forward", "backward", "optimizer"), 0.0)
    batches, dtype = iter(loader), recipe.number_format(torch.device("cpu"))
    half = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
    for step in range(STEPS + 1):
        marks = [process_time()]
        images, labels = next(batches)
        images = images.cpu().contiguous(memory_format=torch.channels_last)
        marks.append(process_time())
        with half:
            logits = net(images)
        loss = F.cross_entropy(logits.float(), labels.cpu())
        marks.append(process_time())
        optimizer.zero_grad()
        loss.backward()
        marks.append(process_time())
        optimizer.step()
        marks.append(process_time())
        for i, part in enumerate(spent if step else ()):  # the first one warms up
            spent[part] += 1e3 * (marks[i + 1] - marks[i]) / STEPS
    return spent


# --- the ideas -----------------------------------------------------------------------


def covariances(matrices: Mapping[str, Tensor], *, title: str | None = None) -> None:
    """Show covariances (D, D) as squares: red positive, blue negative, white none."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(7, 3.1))
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        limit = matrix.abs().max().item()
        shown = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_title(name, fontsize=11)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        figure.colorbar(shown, ax=ax, shrink=0.85, label="covariance")
    plot.headline(figure, title)


def circles(matrices: Mapping[str, Tensor], *, title: str | None = None) -> None:
    """Show what 2x2 matrices of equal directions make of the unit circle.

    The arrows are the two half axes; the names of the panels say how long they are.
    """
    angle = torch.linspace(0, 2 * torch.pi, 200, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()])
    u = torch.linalg.svd(next(iter(matrices.values())).double())[0]
    figure, axes = plt.subplots(1, len(matrices), figsize=(7, 3.3), sharey=True)
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        ax.plot(*circle, ":", color=plot.PAPER)
        ax.plot(*(matrix.double() @ circle), color=plot.TRAIN)
        lengths = (matrix.double().T @ u).norm(dim=0)
        for length, (x, y), color in zip(
            lengths, u.T, (plot.VALIDATION, plot.HIGHLIGHT), strict=True
        ):
            style = {"arrowstyle": "->", "color": color, "lw": 2, "shrinkB": 0}
            ax.annotate("", (length * x, length * y), (0, 0), arrowprops=style)
        ax.set_title(f"{name}: {lengths[0]:.2f}, {lengths[1]:.2f}", fontsize=11)
        ax.set(xticks=[], yticks=[], aspect="equal", xlabel="dotted: unit circle")
        ax.grid(False)
    plot.headline(figure, title)


def smoothing(epsilon: float, *, title: str | None = None) -> Axes:
    """Draw the loss of ten classes against the right logit's lead, smoothed and not."""
    lead = torch.linspace(-1, 10, 200)
    logits = torch.zeros(200, 10)
    logits[:, 0] = lead
    _, ax = plt.subplots()
    ends = []
    right = torch.zeros(200, dtype=torch.int64)
    for name, eps, color in (
        ("hard target", 0.0, plot.TRAIN),
        (f"smoothed by {epsilon:g}", epsilon, plot.VALIDATION),
    ):
        y = F.cross_entropy(logits, right, reduction="none", label_smoothing=eps)
        ax.plot(lead, y, color=color)
        ends.append((lead[-1].item(), y[-1].item(), name, color))
    top = log((1 - epsilon + epsilon / 10) / (epsilon / 10))
    ax.axvline(top, color=plot.PAPER, linestyle=":")
    ax.set(xlabel="right logit minus the nine others", ylabel="loss (nats)")
    plot.headline(ax.figure, title)
    plot.label_ends(ax, ends)
    return ax


def flips(first: Tensor, *, title: str | None = None) -> None:
    """Show which photos are mirrored in which epoch: drawn each time, and by turns.

    Args:
        first: which are mirrored by turns in the first epoch, bool (N,).
    """
    draw = torch.Generator().manual_seed(1)
    epochs = torch.arange(6)
    drawn = torch.rand(len(first), len(epochs), generator=draw) < 0.5
    turns = first[:, None] ^ (epochs % 2 == 1)
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
    for ax, (name, mirrored) in zip(
        axes, {"drawn in each epoch": drawn, "by turns": turns}.items(), strict=True
    ):
        both = (mirrored[:, 0] != mirrored[:, 1]).sum().item()
        ax.pcolormesh(
            mirrored.float(), cmap="Blues", vmin=-0.2, vmax=1.3, edgecolor="white"
        )
        ax.set_title(
            f"{name}: {both} of {len(first)} seen\nboth ways after two epochs",
            fontsize=11,
        )
        ax.set(xlabel="epoch", xticks=epochs + 0.5)
        ax.set_xticklabels((epochs + 1).tolist())
        ax.grid(False)
    axes[0].set(ylabel="photo; dark: mirrored", yticks=[])
    plot.headline(figure, title)


# --- what each trick brings ----------------------------------------------------------


def gains(base: str) -> dict[str, kept.Difference]:
    """How many points the whole recipe has over the one without a trick, largest first.

    Args:
        base: the kept run with all tricks; those without one have its name and more.
    """
    found = {
        trick: kept.difference(f"{base}-{name}", base) for trick, name in TRICKS.items()
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1].points))


def draw_gains(
    found: Mapping[str, kept.Difference], *, title: str | None = None
) -> Axes:
    """Gains as dots with whiskers of twice the standard error; sure ones are full."""
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.36 * len(found)))
    for i, gain in enumerate(found.values()):
        sure = abs(gain.points) > 2 * gain.error
        color = plot.HIGHLIGHT if sure else plot.PAPER
        ax.errorbar(
            gain.points,
            i,
            xerr=2 * gain.error,
            fmt="o",
            color=color,
            capsize=3,
            mfc=color if sure else "white",
        )
        words = f"{gain.points:+.1f} ± {gain.error:.1f}"
        ax.annotate(words, (1, i), (7, 0), ("axes fraction", "data"), **plot.BESIDE)
    ax.axvline(0, color=plot.PAPER, linestyle=":")
    ax.set_yticks(range(len(found)), found)
    xlabel = "test accuracy (points) lost without it; whiskers: twice the ±"
    ax.set(xlabel=xlabel, ylim=(len(found) - 0.5, -0.5))
    plot.headline(ax.figure, title)
    return ax


def views(names: Mapping[str, str]) -> Table:
    """Test accuracy of kept runs from one view and from six: means over seeds."""
    rows = []
    for label, name in names.items():
        seeds = kept.records(name)
        one, six = (
            [100 * run[key] for run in seeds]
            for key in ("test_accuracy", "test_views_accuracy")
        )
        rows.append((label, kept.spread(one, " %"), kept.spread(six, " %")))
    return Table(("network", "one view", "six views"), tuple(rows))
