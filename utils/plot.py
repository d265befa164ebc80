"""Learning curves, and numbers compared, in the style of course.mplstyle.

Accuracies come in as fractions and are shown in percent.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from utils.course import CourseError, choose

PALETTE = {  # Okabe and Ito's
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "reddish purple": "#CC79A7",
    "grey": "#666666",
}
# A colour's meaning is the same in every figure, and a line style goes with it.
TRAIN = PALETTE["blue"]  # solid
VALIDATION = PALETTE["vermillion"]  # dashed
PAPER = PALETTE["grey"]  # dotted
HIGHLIGHT = PALETTE["bluish green"]
# A family of networks shares a colour; a deeper member is darker.
MODEL_COLORS = {
    "AlexNet": "#E69F00",
    "VGG-11": "#A5D8F5",
    "VGG-16": "#56B4E9",
    "GoogLeNet": "#CC79A7",
    "ResNet-20": "#26B08A",
    "ResNet-34": "#00A076",
    "ResNet-56": "#006147",
    "speed-run": "#0072B2",
}
UNITS = {"loss": "loss (nats)", "accuracy": "accuracy (%)"}
SPLITS = {"train": ("training", TRAIN, "-"), "val": ("validation", VALIDATION, "--")}
# A number at the right of what it belongs to.
BESIDE = {"va": "center", "zorder": 5, "textcoords": "offset points"}
BESIDE |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
Rows = list[dict[str, Any]]
End = tuple[float, float, str, str]  # of a line: x and y in data units, name, colour


def curves(
    history: Any,
    *,
    metric: str = "both",
    split: str = "val",
    title: str | None = None,
    paper: float | Mapping[str, Any] | None = None,
    paper_label: str = "paper",
    panels: bool = False,
) -> Axes | np.ndarray:
    """Show how loss and accuracy change from epoch to epoch; one axes, or an array.

    Args:
        history: one `History`: training solid, validation dashed, best epoch marked. A
            list of them, one a seed: mean, thin lines and their band. A dict {label:
            history or list}: one split ("val" or "train") of several runs.
        metric: "loss", "accuracy" or "both".
        paper: what to compare with, dotted: an accuracy (fraction), or {column, as
            "val_accuracy": value or points {epoch: value}}.
        panels: each run of a dict has its own axes, of one metric.
    """
    choose("metric", metric, (*UNITS, "both"))
    choose("split", split, SPLITS)
    runs = _runs(history)
    compared = split if isinstance(history, Mapping) and not panels else None
    shown = [{label: run} for label, run in runs.items()] if panels else [runs]
    plots = [(k, some) for k in UNITS if metric in (k, "both") for some in shown]
    axes = plt.subplots(1, len(plots), squeeze=False, sharey=panels)[1][0]
    papers = paper if isinstance(paper, Mapping) else {"accuracy": paper}
    ends = []
    for ax, (kind, some) in zip(axes, plots, strict=True):
        scale = 100 if kind == "accuracy" else 1
        its = {c: v for c, v in papers.items() if c.endswith(kind) and v is not None}
        ends.append(_lines(ax, some, kind, compared))
        ends[-1] += _references(ax, its, paper_label, scale)
    for ax, (kind, _) in zip(axes, plots, strict=True):
        _limits(ax, kind)  # when all is drawn: panels share them
    headline(axes[0].figure, title)
    for ax, drawn in zip(axes, ends, strict=True):
        if panels and ax is not axes[0]:
            ax.set_ylabel("")
        if not panels or ax is axes[-1]:
            label_ends(ax, drawn)
    return axes[0] if len(axes) == 1 else axes


def _runs(history: Any) -> dict[str, list[Rows]]:
    """Label -> the rows of each seed."""
    runs = history if isinstance(history, Mapping) else {"": history}
    runs = {k: r if isinstance(r, (list, tuple)) else [r] for k, r in runs.items()}
    if not all(one.rows for run in runs.values() for one in run):
        raise CourseError("A history holds no epoch: train for one at least.")
    return {label: [one.rows for one in run] for label, run in runs.items()}


def _values(seeds: list[Rows], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (E,) that all seeds reached, and values (S, E); None is nan."""
    last = min(len(rows) for rows in seeds)
    epochs = np.array([row["epoch"] for row in seeds[0][:last]])
    values = np.array([[r.get(column) for r in rows[:last]] for rows in seeds], float)
    return epochs, values * 100 if column.endswith("accuracy") else values


def _lines(ax: Axes, runs: dict, kind: str, compared: str | None) -> list[End]:
    """One split of several runs; or both splits of a run, its best epoch marked."""
    few = all(len(rows) <= 16 for seeds in runs.values() for rows in seeds)
    ends, dots = [], "o" if few else ""
    if compared:
        for i, (label, seeds) in enumerate(runs.items()):
            points = _values(seeds, f"{compared}_{kind}")
            ends += _line(ax, *points, label, color_of(label, i), "-", dots)
        ax.set_ylabel(f"{SPLITS[compared][0]} {UNITS[kind]}")
        return ends
    [(label, seeds)] = runs.items()
    for split, style in SPLITS.items():
        ends += _line(ax, *_values(seeds, f"{split}_{kind}"), *style, dots)
    ax.set(title=label, ylabel=UNITS[kind])
    _mark(ax, seeds, kind, brief=bool(label))
    return ends


def _line(
    ax: Axes, x: Any, ys: np.ndarray, label: str, color: str, style: str, dots: str
) -> list[End]:
    """One line, with its end; over several seeds (S, P) mean, thin lines and band."""
    mean = ys.mean(0)
    if not np.isfinite(mean).any():
        return []
    if len(ys) > 1:
        ax.plot(x, ys.T, color=color, linewidth=0.7, alpha=0.45)
        ax.fill_between(x, ys.min(0), ys.max(0), color=color, alpha=0.15, linewidth=0)
    ax.plot(x, mean, style, color=color, marker=dots, markersize=3.5)
    last = int(np.flatnonzero(np.isfinite(mean))[-1])
    return [(x[last], mean[last], label, color)]


def _mark(ax: Axes, seeds: list[Rows], kind: str, *, brief: bool) -> None:
    """Mark the most accurate epoch, its value above the axes, where no line can be."""
    watched = _values(seeds, "val_accuracy")[1].mean(0)
    if np.isnan(watched).all():
        return
    best = int(np.nanargmax(watched))
    epochs, values = _values(seeds, f"val_{kind}")
    epoch, value = epochs[best], values.mean(0)[best]
    ring = {"color": HIGHLIGHT, "ms": 8, "mew": 2, "fillstyle": "none"}
    ax.plot(epoch, value, "o", clip_on=False, **ring)
    if not brief:
        ax.axvline(epoch, color=HIGHLIGHT, linewidth=0.8, linestyle=":")
        shown = f"{value:.1f} %" if kind == "accuracy" else f"{value:.3f} nats"
        words = f"best: epoch {epoch}, {shown}"
        ax.set_title(words, fontsize=10, color=ink(HIGHLIGHT), loc="right")


def _references(ax: Axes, papers: Mapping, name: str, scale: int) -> list[End]:
    """Dotted lines for values, dotted curves for points {x: y}: {column: either}."""
    ends = []
    for column, value in papers.items():
        part = SPLITS.get(column.split("_")[0])  # "accuracy" alone names no split
        label = f"{name}, {part[0]}" if part else name
        if isinstance(value, Mapping):
            x, y = list(value), [scale * one for one in value.values()]
            ax.plot(x, y, ":", color=PAPER, marker="s", markersize=4)
            ends.append((x[-1], y[-1], label, PAPER))
        else:
            ax.axhline(scale * value, linestyle=":", color=PAPER)
            text = f"{label} {scale * value:.{1 if scale == 100 else 2}f}"
            ends.append((math.inf, scale * value, text, PAPER))
    return ends


def _limits(ax: Axes, kind: str) -> None:
    """Whole epochs, and limits within what the unit allows."""
    first, last = ax.dataLim.intervalx
    pad = max(0.02 * (last - first), 0.1)
    ax.set_xlim(first - pad, last + pad)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    ax.set_ylim(np.clip(ax.get_ylim(), 0, 100.5 if kind == "accuracy" else None))


def band(
    x: Sequence[float],
    ys: Mapping[str, Any] | Any,
    *,
    xlabel: str = "training examples",
    ylabel: str = "validation accuracy (%)",
    title: str | None = None,
    paper: float | None = None,
    paper_label: str = "paper",
    log: bool = False,
) -> Axes:
    """Show a measure against a quantity x (P,): mean over seeds, thin lines and band.

    `ys` is {label: values}, or the values of one line: (S, P) for S seeds, or (P,);
    fractions if `ylabel` ends in "(%)".
    """
    scale = 100 if ylabel.endswith("(%)") else 1
    lines = ys if isinstance(ys, Mapping) else {"": ys}
    _, ax = plt.subplots()
    ends = []
    for i, (label, values) in enumerate(lines.items()):
        seeds = np.atleast_2d(np.asarray(values, dtype=float)) * scale
        color = color_of(label, i) if label else VALIDATION
        ends += _line(ax, x, seeds, label, color, "-", "o")
    if paper is not None:
        ends += _references(ax, {"": paper}, paper_label, scale)
    far = min(x) > 0 and max(x) > 10 * min(x)
    ax.set(xscale="log" if far else "linear", yscale="log" if log else "linear")
    ticks = _apart(x, np.log if far else np.asarray)
    ax.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=xlabel, ylabel=ylabel)
    headline(ax.figure, title)
    label_ends(ax, ends)
    return ax


def _apart(x: Sequence[float], scale: Any) -> list[float]:
    """Those of the places whose numbers stand apart, the last one always."""
    kept = [max(x)]
    for tick in sorted(x, reverse=True):
        if scale(kept[-1]) - scale(tick) >= 0.09 * (scale(max(x)) - scale(min(x))) > 0:
            kept.append(tick)
    return kept[::-1]


def bars(
    values: Mapping[str, float | Sequence[float]],
    *,
    xlabel: str = "accuracy (%)",
    reference: Mapping[str, float] | None = None,
    highlight: str | None = None,
    title: str | None = None,
) -> Axes:
    """Compare one number for each of several networks or settings.

    Of numbers over seeds the mean, with a whisker from smallest to largest. Fractions
    if `xlabel` ends in "(%)". `reference` has dotted lines: {label: value}.
    """
    ax, rows = _rows(values, xlabel, reference, title)
    for i, (label, numbers) in enumerate(rows.items()):
        mean, low, high = numbers.mean(), numbers.min(), numbers.max()
        color = HIGHLIGHT if label == highlight else PALETTE["sky blue"]
        ax.barh(i, mean, 0.62, color=color)
        if high > low:
            ax.plot([low, high], [i, i], color="black", marker="|", linewidth=1.2)
        ax.annotate(_short(mean, xlabel), (max(mean, high), i), (7, 0), **BESIDE)
    ax.grid(False)
    return ax


def spread(
    values: Mapping[str, float | Sequence[float]],
    *,
    reference: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Compare numbers without a zero: a circle for each seed, a diamond their mean."""
    ax, rows = _rows(values, "test accuracy (%)", reference, title)
    for i, seeds in enumerate(rows.values()):
        mark_seeds(ax, i, seeds)
        at = ("axes fraction", "data")
        ax.annotate(f"{seeds.mean():.1f}", (1, i), (7, 0), at, **BESIDE)
    ax.margins(x=0.12)
    return ax


def mark_seeds(ax: Axes, row: float, seeds: np.ndarray) -> None:
    """Mark one row's numbers (S,): a circle for each seed, a diamond their mean."""
    ax.plot(seeds, [row] * len(seeds), "o", color=TRAIN, ms=6, mfc="none")
    ax.plot(seeds.mean(), row, "D", color=TRAIN, ms=7)


def _rows(
    values: Mapping[str, Any], xlabel: str, reference: Mapping | None, title: str | None
) -> tuple[Axes, dict[str, np.ndarray]]:
    """A row for each label, from the top; dotted lines down through all; numbers."""
    scale = 100 if xlabel.endswith("(%)") else 1
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.36 * len(values)))
    place = {"xycoords": ("data", "axes fraction"), "color": PAPER, "fontsize": 10}
    place |= {"textcoords": "offset points", "ha": "center"}
    for row, (label, value) in enumerate((reference or {}).items()):
        ax.axvline(scale * value, linestyle=":", color=PAPER, zorder=3)
        text = f"{label} {_short(scale * value)}"
        ax.annotate(text, (scale * value, 1), (0, 3 + 13 * row), **place)
    ax.set_yticks(range(len(values)), values)
    ax.set(xlabel=xlabel, ylim=(len(values) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(lambda number, _: _short(number))
    ax.tick_params(axis="y", length=0)
    headline(ax.figure, title)
    return ax, {k: scale * np.atleast_1d(np.array(v, float)) for k, v in values.items()}


def _short(number: float, label: str = "") -> str:
    if label.endswith("(%)"):
        return f"{number:.1f}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def headline(figure: Figure, title: str | None) -> None:
    """Write the finding over the whole figure, from its left edge."""
    if title:
        figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")


def color_of(label: str, index: int) -> str:
    """The network's own colour, or the style's next for a run that is no network."""
    return MODEL_COLORS.get(label, f"C{index}")


def ink(color: str) -> str:
    """The colour, darkened until text in it is legible on white (contrast 4.5)."""
    rgb = np.array(to_rgb(color))
    while True:  # relative luminance as in the Web Content Accessibility Guidelines
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5:
            return to_hex(tuple(rgb))
        rgb = rgb * 0.95


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Write each line's name beside its end; call it when the limits are set."""
    ax.figure.draw_without_rendering()
    pixel, edge, box = ax.figure.dpi / 72, ax.get_xlim()[1], ax.get_window_extent()
    ends = [(min(x, edge), y, textwrap.fill(t, 18), c) for x, y, t, c in ends if t]
    where = [ax.transData.transform(end[:2]) for end in ends]
    heights = [(1 + end[2].count("\n")) * 12.5 * pixel for end in ends]
    ys = moved_apart([y for _, y in where], heights, box.y0, box.y1)
    for (x, y, text, color), old, new in zip(ends, where, ys, strict=True):
        far = abs(new - old[1]) > 4 * pixel or box.x1 - old[0] > 0.1 * box.width
        line = {"arrowstyle": "-", "color": color, "lw": 0.7, "relpos": (0, 0.5)}
        away = ScaledTranslation((12 if far else 6) / 72, 0, ax.figure.dpi_scale_trans)
        style = {"color": ink(color), "fontsize": 10, "linespacing": 1.1}
        style |= {"arrowprops": line if far else None, "annotation_clip": False}
        style |= {"textcoords": (ax.transAxes + away, "offset points"), "va": "center"}
        ax.annotate(text, (x, y), (1, (new - old[1]) / pixel), **style)


def moved_apart(
    centers: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres moved as little as can be so that none overlap, from low to high."""
    order = np.argsort(centers, kind="stable")
    sizes = np.array(heights)[order]
    steps = np.cumsum(sizes) - sizes / 2  # centres of a gapless stack from 0
    wanted = np.array(centers)[order] - steps
    above = np.minimum.accumulate(wanted[::-1])[::-1]
    places = (np.maximum.accumulate(wanted) + above) / 2  # never falls: no overlap
    moved = np.clip(places, low, max(high - sizes.sum(), low)) + steps
    return list(moved[np.argsort(order)])
