"""Numbers compared: networks one below the other, and the parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from utils.course import CourseError
from utils.figures.style import (
    HIGHLIGHT,
    MODEL_COLORS,
    PALETTE,
    PAPER,
    TRAIN,
    headline,
)

if TYPE_CHECKING:
    from experiments.leaderboard import Row

PART_COLORS = ("bluish green", "sky blue", "blue", "orange", "reddish purple")


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
        _number_beside(ax, text, max(mean, high), i)
    _rows(ax, list(values), reference, scale)
    ax.set(xlabel=xlabel)
    ax.grid(False)
    headline(ax.figure, title)
    return ax


def leaderboard(
    rows: Sequence[Row],
    *,
    reference: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Compare recorded runs: a circle for each seed, a diamond for their mean.

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
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.36 * len(rows)))
    for i, row in enumerate(rows):
        seeds = 100 * np.asarray(row.values("test_accuracy"))
        ax.plot(seeds, [i] * len(seeds), "o", color=TRAIN, ms=6, mfc="none")
        ax.plot(seeds.mean(), i, "D", color=TRAIN, ms=7)
        _number_beside(ax, f"{seeds.mean():.1f}", 1, i, coords="axes fraction")
    _rows(ax, _names(rows), reference, 100)
    # No bars, so no zero: what counts are the differences, and some are small.
    ax.margins(x=0.12)
    ax.grid(True, axis="y")
    ax.set(xlabel="test accuracy (%)")
    headline(ax.figure, title)
    return ax


def _names(rows: Sequence[Row]) -> list[str]:
    """A name for each row: the network, what it was built with and began from only
    where that tells rows apart."""
    short = [row.network.partition(" (")[0] for row in rows]
    if len({row.weights for row in rows}) > 1:
        starts = [row.weights.replace("random", "from scratch") for row in rows]
        short = [f"{name}: {start}" for name, start in zip(short, starts, strict=True)]
    if len(set(short)) == len(rows):
        return short
    return [f"{row.network}: {row.weights}" for row in rows]


def _rows(
    ax: Axes,
    names: Sequence[str],
    reference: float | Mapping[str, float] | None,
    scale: float,
) -> None:
    """One row for each name, from the top, and dotted lines down through all."""
    lines = reference if isinstance(reference, Mapping) else {"paper": reference}
    for row, (label, at) in enumerate(lines.items()):
        if at is not None:
            _reference_above(ax, label, scale * at, row)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _short(number)))
    ax.tick_params(axis="y", length=0)


def _number_beside(
    ax: Axes, text: str, x: float, row: int, coords: str = "data"
) -> None:
    """A number at the right of what it belongs to."""
    ax.annotate(
        text,
        (x, row),
        (7, 0),
        xycoords=(coords, "data"),
        textcoords="offset points",
        va="center",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


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


def shares(
    parts: Mapping[str, float], *, unit: str = "s", title: str | None = None
) -> Axes:
    """Show what a whole consists of: one bar, each part as long as its share.

    Args:
        parts: {label: number}, all of one unit; the order is that of the bar.
        unit: of the numbers.
        title: what the figure shows, or its question.

    Raises:
        CourseError: a part is negative, or all of them are zero.
    """
    whole = sum(parts.values())
    if not whole > 0 or min(parts.values()) < 0:
        raise CourseError(f"No shares in {dict(parts)}: give numbers above zero.")
    _, ax = plt.subplots(figsize=(7, 1.9))
    begins = np.cumsum([0, *parts.values()]) / whole * 100
    middles = (begins[:-1] + begins[1:]) / 2
    colors = [PALETTE[name] for name in PART_COLORS]
    for i, ((label, number), x) in enumerate(zip(parts.items(), middles, strict=True)):
        color, share = colors[i % len(colors)], 100 * number / whole
        ax.barh(0, share, 0.5, left=begins[i], color=color, edgecolor="white")
        digits = 1 if share < 1 else 0
        # By turns above and below: of two narrow parts the names would meet.
        side = 1 if i % 2 else -1
        ax.annotate(
            f"{label} {share:.{digits}f} %\n{_short(number)} {unit}",
            (x, side * 0.25),
            (x, side * 0.42),
            ha="left" if x < 12 else "right" if x > 88 else "center",
            va="bottom" if side > 0 else "top",
            fontsize=10,
            linespacing=1.2,
            arrowprops={"arrowstyle": "-", "color": PAPER, "lw": 0.8},
        )
    ax.set(xlim=(0, 100), ylim=(-1.1, 1.1))
    ax.axis("off")
    headline(ax.figure, title)
    return ax
