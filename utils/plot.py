"""The course's figures: learning curves, comparisons, and pictures of what is inside.

Accuracies come in as fractions and are shown in percent. Every function returns its
axes, so end the cell with a semicolon.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator
from torch import Tensor

from utils.course import CourseError
from utils.figures.curves import curves, reference_points, seed_line
from utils.figures.pictures import confusion, feature_maps, filters, image_grid
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
    label_ends,
    use_style,
)

if TYPE_CHECKING:
    from utils.results import Row

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
    "scatter",
    "use_style",
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
    if title:
        ax.figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")
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


def bars(
    values: Mapping[str, float | Sequence[float]],
    *,
    xlabel: str = "accuracy (%)",
    errors: Mapping[str, float] | None = None,
    reference: float | Mapping[str, float] | None = None,
    highlight: str | None = None,
    title: str | None = None,
) -> Axes:
    """Compare one number for each of several networks or settings.

    Args:
        values: {label: number}, or {label: numbers over seeds}, whose mean is shown
            with a whisker from smallest to largest.
        xlabel: what the numbers are; with "(%)" they are fractions.
        errors: half the length of each whisker, where the numbers alone do not say it.
        reference: a dotted line, the paper's value; or several, {label: value}.
        highlight: the label to stand out.
        title: what the figure shows, or its question.
    """
    scale = 100 if xlabel.endswith("(%)") else 1
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.36 * len(values)))
    for i, (label, value) in enumerate(values.items()):
        numbers = np.atleast_1d(np.asarray(value, dtype=float)) * scale
        mean, low, high = numbers.mean(), numbers.min(), numbers.max()
        if errors and label in errors:
            low, high = mean - scale * errors[label], mean + scale * errors[label]
        color = MODEL_COLORS.get(label, PALETTE["sky blue"])
        ax.barh(i, mean, 0.62, color=HIGHLIGHT if label == highlight else color)
        if high > low:
            ax.plot([low, high], [i, i], color="black", marker="|", linewidth=1.2)
        text = f"{mean:.1f}" if scale == 100 else _short(mean)
        ax.annotate(
            text,
            (max(mean, high), i),
            (5, 0),
            textcoords="offset points",
            va="center",
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    lines = reference if isinstance(reference, Mapping) else {"paper": reference}
    for row, (label, at) in enumerate(lines.items()):
        if at is not None:
            _reference_above(ax, label, scale * at, row)
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.set(xlabel=xlabel)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _short(number)))
    ax.grid(False)
    ax.tick_params(axis="y", length=0)
    if title:
        ax.figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")
    return ax


def leaderboard(
    rows: Sequence[Row],
    *,
    reference: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Compare recorded runs: mean test accuracy, and its range over the seeds.

    Args:
        rows: as `results.leaderboard` gives them.
        reference: numbers of others, as fractions, {label: value}.
        title: what the figure shows, or its question.

    Raises:
        CourseError: there is no row.
    """
    if not rows:
        raise CourseError(
            "There is no recorded run: python -m utils.train --out results."
        )
    random = {row.weights for row in rows} == {"random"}
    values = {
        row.network if random else f"{row.network}: {row.weights}": row.values(
            "test_accuracy"
        )
        for row in rows
    }
    xlabel = "test accuracy (%)"
    return bars(values, xlabel=xlabel, reference=reference, title=title)


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _reference_above(ax: Axes, label: str, at: float, row: int) -> None:
    """A dotted line from top to bottom; its name above the axes, in its own row."""
    ax.axvline(at, linestyle=":", color=PAPER, zorder=3)
    ax.annotate(
        f"{label} {_short(at)}",
        (at, 1),
        (0, 3 + 13 * row),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        color=PAPER,
        fontsize=10,
    )


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
    if title:
        fig.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")
    return ax
