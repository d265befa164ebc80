"""The course's figures: learning curves, and numbers compared.

Accuracies come in as fractions and are shown in percent. Every function returns its
axes, so end the cell with a semicolon. The style is course.mplstyle.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from utils.course import CourseError

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
    "Two-layer CNN": "#8A7F00",
    "LeNet-5": "#000000",
    "AlexNet": "#E69F00",
    "VGG-11": "#A5D8F5",
    "VGG-13": "#7CC5EE",
    "VGG-16": "#56B4E9",
    "VGG-19": "#2E86BD",
    "GoogLeNet": "#CC79A7",
    "ResNet-18": "#4DC3A0",
    "ResNet-20": "#26B08A",
    "ResNet-34": "#00A076",
    "ResNet-50": "#007A5A",
    "ResNet-56": "#006147",
    "ResNet-110": "#00432F",
}
# Runs that are no networks take these in turn, as in course.mplstyle.
OTHERS = "reddish purple", "orange", "sky blue", "black", "bluish green", "blue"
UNITS = {"loss": "loss (nats)", "accuracy": "accuracy (%)"}
SPLITS = {"train": ("training", TRAIN, "-"), "val": ("validation", VALIDATION, "--")}
# A number at the right of what it belongs to.
BESIDE = {"va": "center", "zorder": 5, "textcoords": "offset points"}
BESIDE |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
Rows = list[dict[str, Any]]


class End(NamedTuple):
    """The right end of a line, in data units, and the label that belongs beside it."""

    x: float
    y: float
    text: str
    color: str


def curves(
    history: Any,
    *,
    kept: Any = None,
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
            history or list}: one split of several runs.
        kept: runs of results/ behind it, as bands from the smallest to the largest
            seed: a list of records or histories; for a dict of runs a dict, too.
        metric: "loss", "accuracy" or "both", side by side.
        split: "val" or "train", what a dict of runs compares.
        title: what the figure shows.
        paper: what to compare with, dotted: an accuracy (fraction), or a dict from a
            column such as "val_accuracy" to a value or to points {epoch: value}.
        paper_label: what to call it.
        panels: give each run of a dict its own axes; needs one metric.
    """
    runs, behind = _runs(history), {} if kept is None else _runs(kept)
    compared = isinstance(history, Mapping) and not panels
    kinds = list(UNITS) if metric == "both" else [metric]
    shown = [{label: run} for label, run in runs.items()] if panels else [runs]
    plots = [(kind, some) for kind in kinds for some in shown]
    axes = _axes(len(plots), share=panels, lines=len(runs) + len(behind))
    papers = paper if isinstance(paper, Mapping) else {"accuracy": paper}
    ends = []
    for ax, (kind, some) in zip(axes, plots, strict=True):
        drawn = _one_split if compared else _both_splits
        ends.append(drawn(ax, some, behind, kind, split))
        ends[-1] += _references(ax, papers, kind, paper_label)
    for ax, (kind, _) in zip(axes, plots, strict=True):
        _limits(ax, kind)  # when all is drawn: panels share them
    headline(axes[0].figure, title)
    for i, (ax, drawn) in enumerate(zip(axes, ends, strict=True)):
        if panels and not ax.get_subplotspec().is_first_col():
            ax.set_ylabel("")
        if not panels or ax.get_subplotspec().is_last_col() or i == len(axes) - 1:
            label_ends(ax, drawn)
    return axes[0] if len(axes) == 1 else axes


def _runs(history: Any) -> dict[str, list[Rows]]:
    """Label -> the rows of each seed; of a record, too, as results/ holds it."""
    runs = {}
    for label, run in (
        history if isinstance(history, Mapping) else {"": history}
    ).items():
        seeds = run if isinstance(run, (list, tuple)) else [run]
        seeds = [
            one["history"]["rows"] if isinstance(one, Mapping) else one.rows
            for one in seeds
        ]
        runs[label] = [list(rows) for rows in seeds]
    if not runs or not all(map(all, runs.values())):
        raise CourseError("A history holds no epoch: train for one at least.")
    return runs


def _axes(count: int, *, share: bool, lines: int) -> np.ndarray:
    """So many axes, at most four in a row, high enough for the lines' labels."""
    rows = math.ceil(count / 4)
    columns = math.ceil(count / rows)
    size = (7, rows * max(3 if rows == 1 else 2.4, 0.8 + 0.2 * lines))
    fig, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=share)
    for unused in grid.ravel()[count:]:
        fig.delaxes(unused)
    return grid.ravel()[:count]


def _values(seeds: list[Rows], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (E,) that all seeds reached, and the column's values (S, E)."""
    last = min(len(rows) for rows in seeds)
    epochs = np.array([row["epoch"] for row in seeds[0][:last]])
    found = [[row.get(column) for row in rows[:last]] for rows in seeds]
    values = np.array(found, dtype=float)  # None, where nothing was measured, is nan
    return epochs, values * 100 if column.endswith("accuracy") else values


def _both_splits(ax: Axes, runs: dict, kept: dict, kind: str, _: str) -> list[End]:
    """Training and validation of one run, its best epoch marked."""
    [(label, seeds)] = runs.items()
    ends = []
    for split, (name, color, style) in SPLITS.items():
        for old in kept.values():
            x, ys = _values(old, f"{split}_{kind}")
            ends += _line(ax, x, ys, f"kept, {name}", color, style="")
        x, ys = _values(seeds, f"{split}_{kind}")
        ends += _line(ax, x, ys, name, color, style=style, dots=len(x) <= 16)
    watched = _values(seeds, "val_accuracy")[1].mean(0)
    if np.isfinite(watched).any():
        best = int(np.nanargmax(watched))
        _mark(ax, x[best], ys.mean(0)[best], kind, brief=bool(label))
    if label:
        ax.set_title(label)
    ax.set_ylabel(UNITS[kind])
    return ends


def _one_split(ax: Axes, runs: dict, kept: dict, kind: str, split: str) -> list[End]:
    """The training or the validation curves of several runs."""
    ends, column = [], f"{split}_{kind}"
    dots = all(len(rows) <= 16 for seeds in runs.values() for rows in seeds)
    for i, label in enumerate(dict.fromkeys([*runs, *kept])):
        color = color_of(label, i)
        if label in kept:
            values = _values(kept[label], column)
            ends += _line(ax, *values, f"{label}, kept", color, style="")
        if label in runs:
            values = _values(runs[label], column)
            ends += _line(ax, *values, label, color, dots=dots)
    ax.set_ylabel(f"{SPLITS[split][0]} {UNITS[kind]}")
    return ends


def _line(
    ax: Axes,
    x: np.ndarray,
    ys: np.ndarray,
    label: str,
    color: str,
    *,
    style: str = "-",
    dots: bool = True,
) -> list[End]:
    """One line, with its end; over several seeds (S, P) mean, thin lines and band.

    Without a style the band alone, as wide as a line at least.
    """
    if not np.isfinite(ys).any():
        return []
    mean = ys.mean(0)
    around = {"color": color, "alpha": 0.15, "linewidth": 0}
    if not style:
        around |= {"alpha": 0.3, "linewidth": 2, "zorder": 1}
    elif len(ys) > 1:
        ax.plot(x, ys.T, color=color, linewidth=0.7, alpha=0.45)
    if len(ys) > 1 or not style:
        ax.fill_between(x, ys.min(0), ys.max(0), **around)
    if style:
        ax.plot(x, mean, style, color=color, marker="o" if dots else "", markersize=3.5)
    last = int(np.flatnonzero(np.isfinite(mean))[-1])
    return [End(x[last], mean[last], label, color)]


def _mark(ax: Axes, epoch: float, value: float, kind: str, *, brief: bool) -> None:
    """Mark the best epoch, its value above the axes, where no line can be."""
    ring = {"color": HIGHLIGHT, "ms": 8, "mew": 2, "fillstyle": "none"}
    ax.plot(epoch, value, "o", clip_on=False, **ring)
    if not brief:
        ax.axvline(epoch, color=HIGHLIGHT, linewidth=0.8, linestyle=":")
        shown = f"{value:.1f} %" if kind == "accuracy" else f"{value:.3f} nats"
        words = f"best: epoch {epoch:.0f}, {shown}"
        ax.set_title(words, fontsize=10, color=ink(HIGHLIGHT), loc="right")


def _references(ax: Axes, papers: Mapping[str, Any], kind: str, name: str) -> list[End]:
    """What papers report of this kind: {column: value or points}."""
    ends, parts = [], {"train": ", training", "val": ", validation", "test": ", test"}
    for column, value in papers.items():
        if column.endswith(kind) and value is not None:
            label = name + parts.get(column.split("_")[0], "")
            ends += _reference(ax, value, 100 if kind == "accuracy" else 1, label)
    return ends


def _reference(
    ax: Axes, value: float | Mapping[float, float], scale: int, label: str
) -> list[End]:
    """A value as a dotted line; points {x: y} as a dotted curve with squares."""
    if isinstance(value, Mapping):
        x, y = list(value), [scale * one for one in value.values()]
        ax.plot(x, y, ":", color=PAPER, marker="s", markersize=4)
        return [End(x[-1], y[-1], label, PAPER)]
    ax.axhline(scale * value, linestyle=":", color=PAPER)
    text = f"{label} {scale * value:.{1 if scale == 100 else 2}f}"
    return [End(math.inf, scale * value, text, PAPER)]


def _limits(ax: Axes, kind: str) -> None:
    """Whole epochs, and limits within what the unit allows."""
    first, last = ax.dataLim.intervalx
    pad = max(0.02 * (last - first), 0.1)
    ax.set_xlim(first - pad, last + pad)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 0), min(high, 100.5) if kind == "accuracy" else high)


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
        xlabel, ylabel: what is shown; with "(%)" the values are fractions.
        title: what the figure shows.
        paper: a value to compare with, or points {x: y}; `paper_label` names it.
        log: let equal steps up mean equal factors.
    """
    scale = 100 if ylabel.endswith("(%)") else 1
    lines = ys if isinstance(ys, Mapping) else {"": ys}
    _, ax = plt.subplots()
    ends = []
    for i, (label, values) in enumerate(lines.items()):
        seeds = np.atleast_2d(np.asarray(values, dtype=float)) * scale
        color = color_of(label, i) if label else VALIDATION
        ends += _line(ax, np.asarray(x), seeds, label, color)
    if paper is not None:
        ends += _reference(ax, paper, scale, paper_label)
    if log:
        ax.set_yscale("log")
    if min(x) > 0 and max(x) > 10 * min(x):
        ax.set_xscale("log")
    ticks = _apart(x, np.log if ax.get_xscale() == "log" else np.asarray)
    ax.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=xlabel, ylabel=ylabel)
    headline(ax.figure, title)
    label_ends(ax, ends)
    return ax


def _apart(x: Sequence[float], scale: Any) -> list[float]:
    """Those of the places whose numbers stand apart, the last one always."""
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
    reference: float | Mapping[str, float] | None = None,
    highlight: str | None = None,
    title: str | None = None,
) -> Axes:
    """Compare one number for each of several networks or settings.

    Args:
        values: {label: number}, or {label: numbers over seeds}, whose mean is shown
            with a whisker from smallest to largest.
        xlabel: what the numbers are; with "(%)" they are fractions.
        reference: a dotted line, the paper's value; or several, {label: value}.
        highlight: the label to stand out.
        title: what the figure shows.
    """
    ax, rows = _rows(values, xlabel, reference, title)
    for i, (label, numbers) in enumerate(rows.items()):
        mean, low, high = numbers.mean(), numbers.min(), numbers.max()
        color = MODEL_COLORS.get(label, PALETTE["sky blue"])
        ax.barh(i, mean, 0.62, color=HIGHLIGHT if label == highlight else color)
        if high > low:
            ax.plot([low, high], [i, i], color="black", marker="|", linewidth=1.2)
        ax.annotate(_short(mean, xlabel), (max(mean, high), i), (7, 0), **BESIDE)
    ax.grid(False)
    return ax


def spread(
    values: Mapping[str, float | Sequence[float]],
    *,
    xlabel: str = "test accuracy (%)",
    reference: float | Mapping[str, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Compare numbers as `bars` does: a circle for each seed, a diamond for the mean.

    There are no bars, so no zero: what counts are the differences, and some are small.
    """
    ax, rows = _rows(values, xlabel, reference, title)
    for i, seeds in enumerate(rows.values()):
        ax.plot(seeds, [i] * len(seeds), "o", color=TRAIN, ms=6, mfc="none")
        ax.plot(seeds.mean(), i, "D", color=TRAIN, ms=7)
        at = {"xycoords": ("axes fraction", "data")}
        ax.annotate(_short(seeds.mean(), xlabel), (1, i), (7, 0), **BESIDE, **at)
    ax.margins(x=0.12)
    return ax


def _rows(
    values: Mapping[str, Any], xlabel: str, reference: Any, title: str | None
) -> tuple[Axes, dict[str, np.ndarray]]:
    """A row for each label, from the top; dotted lines down through all; numbers."""
    scale = 100 if xlabel.endswith("(%)") else 1
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.36 * len(values)))
    lines = reference if isinstance(reference, Mapping) else {"paper": reference}
    for row, (label, value) in enumerate(lines.items()):
        if value is not None:
            ax.axvline(scale * value, linestyle=":", color=PAPER, zorder=3)
            text = f"{label} {_short(scale * value)}"
            place = {"xycoords": ("data", "axes fraction"), "color": PAPER}
            place |= {"textcoords": "offset points", "ha": "center", "fontsize": 10}
            ax.annotate(text, (scale * value, 1), (0, 3 + 13 * row), **place)
    ax.set_yticks(range(len(values)), values)
    ax.set(xlabel=xlabel, ylim=(len(values) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _short(number)))
    ax.tick_params(axis="y", length=0)
    headline(ax.figure, title)
    numbers = {n: scale * np.atleast_1d(np.array(v, float)) for n, v in values.items()}
    return ax, numbers


def _short(number: float, label: str = "") -> str:
    if label.endswith("(%)"):
        return f"{number:.1f}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def headline(figure: Figure, title: str | None) -> None:
    """Write the finding over the whole figure, from its left edge."""
    if title:
        figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")


def color_of(label: str, index: int) -> str:
    """The network's own colour, or the next one for a run that is no network."""
    others = [*(PALETTE[name] for name in OTHERS), VALIDATION]
    return MODEL_COLORS.get(label, others[index % len(others)])


def ink(color: str) -> str:
    """The colour, darkened until text in it is legible on white (contrast 4.5)."""
    rgb = np.array(to_rgb(color))
    while True:  # relative luminance as in the Web Content Accessibility Guidelines
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5:
            return to_hex(tuple(rgb))
        rgb = rgb * 0.95


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Write each line's name beside its end, moved apart where they would overlap.

    Call it when the limits are set: the layout makes room at the right of the axes.
    """
    ends = [end for end in ends if end.text and np.isfinite(end.y)]
    if not ends:
        return
    ax.figure.draw_without_rendering()
    pixel = ax.figure.dpi / 72
    texts = [textwrap.fill(end.text, 18) for end in ends]
    heights = [(1 + text.count("\n")) * 12.5 * pixel for text in texts]
    edge = ax.get_xlim()[1]
    where = [ax.transData.transform((min(e.x, edge), e.y)) for e in ends]
    box = ax.get_window_extent()
    ys = moved_apart([y for _, y in where], heights, box.y0, box.y1)
    for end, text, (x, old), new in zip(ends, texts, where, ys, strict=True):
        far = abs(new - old) > 4 * pixel or box.x1 - x > 0.1 * box.width
        line = {"arrowstyle": "-", "color": end.color, "lw": 0.7, "relpos": (0, 0.5)}
        away = ScaledTranslation((12 if far else 6) / 72, 0, ax.figure.dpi_scale_trans)
        ax.annotate(
            text,
            (min(end.x, edge), end.y),
            (1, (new - old) / pixel),
            textcoords=(ax.transAxes + away, "offset points"),
            color=ink(end.color),
            fontsize=10,
            linespacing=1.1,
            va="center",
            annotation_clip=False,
            arrowprops=line if far else None,
        )


def moved_apart(
    centers: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres of intervals of these heights, moved so that none overlap.

    The largest move is as small as can be; all stay above low, and below high if there
    is room.
    """
    order = np.argsort(centers, kind="stable")
    sizes = np.array(heights)[order]
    steps = np.cumsum(sizes) - sizes / 2  # centres of a gapless stack from 0
    wanted = np.array(centers)[order] - steps
    above = np.minimum.accumulate(wanted[::-1])[::-1]
    places = (np.maximum.accumulate(wanted) + above) / 2  # never falls: no overlap
    moved = np.clip(places, low, max(high - sizes.sum(), low)) + steps
    return list(moved[np.argsort(order)])
