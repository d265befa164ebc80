"""The course's figures: learning curves, comparisons, and pictures of what is inside.

Accuracies come in as fractions and are shown in percent. Every function returns its
axes, so end the cell with a semicolon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from torch import Tensor

from teaching.kernels import receptive_field, windows
from utils.course import CourseError
from utils.figures.curves import curves, reference_points, seed_line
from utils.figures.pictures import confusion, feature_maps, filters, image_grid
from utils.figures.rankings import bars, leaderboard, shares
from utils.figures.style import (
    HIGHLIGHT,
    MODEL_COLORS,
    PALETTE,
    PAPER,
    STYLE,
    TRAIN,
    VALIDATION,
    End,
    color_of,
    headline,
    label_ends,
    use_style,
)

__all__ = [
    "HIGHLIGHT",
    "MODEL_COLORS",
    "PALETTE",
    "PAPER",
    "STYLE",
    "TRAIN",
    "VALIDATION",
    "band",
    "bars",
    "color_of",
    "confusion",
    "curves",
    "feature_maps",
    "filters",
    "image_grid",
    "leaderboard",
    "receptive_field",
    "scatter",
    "shares",
    "use_style",
    "windows",
]


def band(
    x: Sequence[float],
    ys: Mapping[str, Any] | Any,
    *,
    xlabel: str = "training examples",
    ylabel: str = "validation accuracy (%)",
    title: str | None = None,
    paper: float | Mapping[float, float] | None = None,
    paper_label: str = "paper",
    log: bool = False,
) -> Axes:
    """Show a measure against a quantity, over seeds: mean, thin lines and band.

    Args:
        x: (P,), such as numbers of examples; on a scale of ratios where they grow more
            than tenfold.
        ys: {label: values}, or the values of one line: (S, P) for S seeds, or (P,).
        xlabel: what x is, with its unit.
        ylabel: what y is; with "(%)" the values are fractions.
        title: what the figure shows, or its question.
        paper: a value to compare with, or points {x: y}.
        paper_label: what to call it.
        log: let equal steps up mean equal factors, for a measure over many magnitudes.

    Raises:
        CourseError: the values of a line are not as many as x.
    """
    scale = 100 if ylabel.endswith("(%)") else 1
    lines = ys if isinstance(ys, Mapping) else {"": ys}
    _, ax = plt.subplots()
    ends = []
    for i, (label, values) in enumerate(lines.items()):
        seeds = np.atleast_2d(np.asarray(values, dtype=float)) * scale
        if seeds.shape[1] != len(x):
            raise CourseError(
                f"Line {label!r} has {seeds.shape[1]} values for {len(x)} places:"
                " give (seeds, places)."
            )
        color = color_of(label, i) if label else VALIDATION
        ends += seed_line(ax, np.asarray(x), seeds, label, color)
    if isinstance(paper, Mapping):
        ends += reference_points(ax, paper, scale, paper_label)
    elif paper is not None:
        ax.axhline(scale * paper, linestyle=":", color=PAPER)
        text = f"{paper_label} {scale * paper:.1f}"
        ends.append(End(max(x), scale * paper, text, PAPER))
    if log:
        ax.set_yscale("log")
    if min(x) > 0 and max(x) > 10 * min(x):
        ax.set_xscale("log")
    ax.set_xticks(_apart(x, ax), [f"{tick:,g}" for tick in _apart(x, ax)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=xlabel, ylabel=ylabel)
    headline(ax.figure, title)
    label_ends(ax, ends)
    return ax


def _apart(x: Sequence[float], ax: Axes) -> list[float]:
    """Those of the places whose numbers stand apart, the last one always."""
    scale = np.log if ax.get_xscale() == "log" else np.asarray
    room = (scale(max(x)) - scale(min(x))) * 0.09
    kept: list[float] = []
    for tick in sorted(set(x), reverse=True):
        if not kept or scale(kept[-1]) - scale(tick) >= room:
            kept.append(tick)
    return kept[::-1]


def scatter(
    points: Tensor, labels: Tensor, classes: Sequence[str], *, title: str | None = None
) -> Axes:
    """Show embedded examples in the plane; each class has its colour and its marker.

    Args:
        points: (N, 2), as `look.embedding` gives.
        labels: (N,), class indices.
        classes: names of the classes.
        title: what the figure shows, or its question.

    Raises:
        CourseError: the points are not in the plane, or not as many as the labels.
    """
    if points.dim() != 2 or points.shape[1] != 2 or len(points) != len(labels):
        raise CourseError(
            f"Points {tuple(points.shape)} and labels {tuple(labels.shape)} do not fit:"
            " give (N, 2) and (N,)."
        )
    fig, ax = plt.subplots(figsize=(7, 3.5))
    colors = [*PALETTE.values(), "#8C510A"]
    for i, name in enumerate(classes):
        x, y = points[labels == i].T
        ax.scatter(
            x,
            y,
            s=14,
            color=colors[i % 10],
            marker="osD^vP*X<>"[i % 10],
            label=name,
            linewidths=0.3,
            edgecolors="black",
            alpha=0.8,
        )
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    fig.legend(loc="outside right center", markerscale=1.6)
    headline(fig, title)
    return ax
