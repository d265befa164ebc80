"""Figures of lecture 01: a log, borders in a plane, thinned networks, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from utils import plot
from utils.history import History

SIDE = 150  # points along each side of a plane
LAYERS = (5, 5, 5, 2)  # units of the drawn network
DROPPED = {(0, 3), (1, 0), (1, 3), (2, 1), (2, 2), (2, 4)}  # (layer, unit)
CLASSES = ((0, "#8C4A00", "o"), (1, "#3B1E6E", "^"))  # label, colour, marker
BINS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0001)  # of confidence
FEWEST = 20  # examples in a bin that is drawn
REMEDIES = ("no remedy", "weight decay", "dropout", "LeNet-5")  # a colour each


def log(training: Sequence[float], test: Sequence[float], *, title: str) -> Axes:
    """Draw the training and the test accuracy (percent) that a log reports by epoch."""
    _, ax = plt.subplots(figsize=(7, 2.8))
    epochs = range(1, len(test) + 1)
    ax.plot(epochs, test, ":s", color=plot.PAPER, markersize=4)
    ax.plot(epochs, training, "-o", color=plot.TRAIN, markersize=4)
    ax.annotate("test", (1.0, 52), color=plot.PAPER)
    ax.annotate("training", (1.5, 20), color=plot.TRAIN)
    ax.set(xlabel="epoch", ylabel="accuracy (%)", xticks=epochs[::2])
    plot.headline(ax.figure, title)
    return ax


def borders(
    fits: Mapping[str, tuple[nn.Module, History]],
    points: tuple[Tensor, Tensor],
    *,
    title: str,
) -> Figure:
    """Draw how networks divide a plane into two classes, and what they learned from.

    Args:
        fits: name -> a network of two inputs and two logits, and its history.
        points: the training points (N, 2), and their labels (N,): 0 or 1.
        title: the finding.
    """
    fig, axes = plt.subplots(1, len(fits), figsize=(7, 3), sharey=True)
    spots, labels = points
    low, high = spots.min(dim=0).values - 0.5, spots.max(dim=0).values + 0.5
    x, y = (torch.linspace(low[i], high[i], SIDE) for i in (0, 1))
    for ax, (name, (model, history)) in zip(axes, fits.items(), strict=True):
        grid = torch.cartesian_prod(x, y).to(next(model.parameters()).device)
        with torch.no_grad():
            odd = model(grid).softmax(dim=1)[:, 1].view(SIDE, SIDE).T.cpu()
        ax.contourf(x, y, odd, levels=11, cmap="PuOr", vmin=-0.3, vmax=1.3)
        ax.contour(x, y, odd, levels=[0.5], colors="black", linewidths=1)
        for label, color, marker in CLASSES:
            at = spots[labels == label].T
            ax.scatter(*at, s=9, color=color, marker=marker, linewidths=0)
        row = history.rows[-1]
        shares = f"{row['train_accuracy']:.0%} known\n{row['val_accuracy']:.0%} unseen"
        ax.set_title(f"{name}\n{shares}", fontsize=11)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    plot.headline(fig, title)
    return fig


def thinned(*, title: str) -> Figure:
    """Draw a network of linear layers, and the same with some units dropped."""
    fig, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    at = {(i, j): (i, j - (n - 1) / 2) for i, n in enumerate(LAYERS) for j in range(n)}
    for ax, (name, gone) in zip(
        axes, {"all units": set(), "thinned": DROPPED}.items(), strict=True
    ):
        for (i, a), (x, y) in at.items():
            for (k, b), (u, v) in at.items():
                if k == i + 1 and not {(i, a), (k, b)} & gone:
                    ax.plot((x, u), (y, v), color=plot.PAPER, linewidth=0.7, zorder=1)
        for unit, (x, y) in at.items():
            color = "white" if unit in gone else plot.PALETTE["sky blue"]
            ax.scatter(x, y, s=150, color=color, edgecolors="black", zorder=2)
            if unit in gone:
                ax.scatter(x, y, s=90, marker="x", color=plot.VALIDATION, zorder=3)
        ax.axis("off")
        ax.set_title(name, loc="center")
    plot.headline(fig, title)
    return fig


def bars_after_dropout(before: Tensor, after: Tensor, means: Tensor) -> Figure:
    """Draw values as outlines, what dropout makes of them, and the mean of draws."""
    fig, ax = plt.subplots(figsize=(7, 2.8))
    ax.bar(range(len(before)), after, color=plot.PALETTE["sky blue"])
    ax.bar(range(len(before)), before, fill=False, edgecolor="black")
    ax.plot(means, "o", color=plot.VALIDATION, markersize=4)
    ax.set(xlabel="unit", ylabel="value", xticks=[])
    return fig


def averages(
    votes: Tensor, labels: Tensor, counts: Sequence[int], evaluation: float
) -> Axes:
    """Draw the accuracy of the average answer of k thinned networks against k.

    Args:
        votes: probabilities (draws, N, K) of each thinned network.
        labels: int64 (N,).
        counts: the values of k.
        evaluation: accuracy (fraction) of one pass in evaluation mode.
    """
    draws, rows = len(votes), []
    for k in counts:
        groups = votes[: draws // k * k].unflatten(0, (-1, k)).mean(dim=1)
        rows.append(100 * (groups.argmax(dim=2) == labels).double().mean(dim=1))
    _, ax = plt.subplots()
    means = [row.mean().item() for row in rows]
    low, high = [row.min() for row in rows], [row.max() for row in rows]
    ax.plot(counts, means, "-o", color=plot.HIGHLIGHT, markersize=4)
    ax.fill_between(counts, low, high, color=plot.HIGHLIGHT, alpha=0.2, linewidth=0)
    ax.axhline(100 * evaluation, ls=":", color=plot.VALIDATION)
    text = f"evaluation mode, one pass: {100 * evaluation:.1f} %"
    place = {"ha": "right", "va": "bottom", "color": plot.VALIDATION}
    ax.text(counts[-1], 100 * evaluation, text, **place)
    ax.set(xscale="log", xlabel="thinned networks averaged", ylabel="accuracy (%)")
    ax.set_xticks(counts, counts)
    ax.minorticks_off()
    ax.margins(y=0.15)
    title = f"One thinned network reads {means[0]:.1f} %, the average of {counts[-1]}"
    plot.headline(ax.figure, f"{title} reads {means[-1]:.1f} %")
    return ax


def calibration_gap(probabilities: Tensor, labels: Tensor) -> float:
    """Mean confidence minus accuracy, a fraction; above 0: too confident.

    Shape: (N, K) and (N,) -> a number.
    """
    sure, guesses = probabilities.max(dim=1)
    return (sure.double() - (guesses == labels).double()).mean().item()


def calibration(answers: Mapping[str, tuple[Tensor, Tensor]], *, title: str) -> Axes:
    """Draw how often a network is right against how confident it is.

    Args:
        answers: name -> probabilities (N, K), labels (N,).
        title: the finding.
    """
    _, ax = plt.subplots(figsize=(7, 3.4))
    ends = []
    for i, (name, (probabilities, labels)) in enumerate(answers.items()):
        sure, guesses = probabilities.max(dim=1)
        right = (guesses == labels).double()
        which = torch.bucketize(sure, torch.tensor(BINS), right=True)
        groups = [which == k for k in which.unique()]
        groups = [group for group in groups if group.sum() >= FEWEST]
        x = [100 * sure[group].mean().item() for group in groups]
        y = [100 * right[group].mean().item() for group in groups]
        color = plot.color_of(name, i)
        ax.plot(x, y, "-o", color=color, markersize=4)
        ends.append((x[-1], y[-1], name, color))
    ax.set(xlabel="confidence (%)", ylabel="right (%)")
    low = ax.get_xlim()[0]
    ax.plot((low, 100), (low, 100), ":", color=plot.PAPER)
    ax.text(low + 2, low + 12, "calibrated", color=plot.PAPER)
    plot.headline(ax.figure, title)
    plot.label_ends(ax, ends)
    return ax


def by_size(
    sizes: Sequence[int], errors: Mapping[str, Sequence[Sequence[float]]], *, title: str
) -> Axes:
    """Draw errors (fractions) against the number of training digits, both logarithmic.

    Args:
        sizes: numbers of training digits (P,).
        errors: name -> a row (P,) for each seed.
        title: the finding.
    """
    absent = {name: [[math.nan] * len(sizes)] for name in REMEDIES}  # keep colours
    lines = {**absent, **errors} if len(errors) > 1 else next(iter(errors.values()))
    label = "error on unseen digits (%)"
    ax = plot.band(sizes, lines, ylabel=label, title=title, log=True)
    low, high = ax.get_ylim()
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 30, 50) if low <= tick <= high]
    ax.set_yticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    return ax
