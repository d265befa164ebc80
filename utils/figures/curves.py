"""Learning curves: loss and accuracy over the epochs, of one run or of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from utils.course import CourseError
from utils.figures.style import (
    HIGHLIGHT,
    PAPER,
    TRAIN,
    VALIDATION,
    End,
    color_of,
    headline,
    ink,
    label_ends,
)

UNITS = {"loss": "loss (nats)", "accuracy": "accuracy (%)"}
SPLITS = {"train": "training", "val": "validation"}
Rows = list[dict[str, Any]]


class Run(NamedTuple):
    """What `curves` draws as one line: the rows of each seed, and what decides."""

    seeds: list[Rows]
    monitor: str = "val_accuracy"


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
    """Show how loss and accuracy change from epoch to epoch.

    Args:
        history: one `History`: training solid, validation dashed, best epoch marked.
            A list of them, one for each seed: thin lines, their mean, and a band from
            smallest to largest. A dict {label: history or list}: one split's curves of
            several runs.
        metric: "loss", "accuracy" or "both", side by side.
        split: "val" or "train", what a dict of runs compares.
        title: what the figure shows, or its question.
        paper: what to compare with, dotted: an accuracy (fraction), or a dict from a
            column such as "val_accuracy" to a value or to points {epoch: value}.
        paper_label: what to call it.
        panels: give each run of a dict its own axes, with training and validation, on
            one scale; needs one metric.

    Returns:
        One axes, or an array of them.

    Raises:
        CourseError: the metric or the split is unknown, a history holds no epoch, or a
            run that is compared has no validation.
    """
    compared = isinstance(history, Mapping)
    named = history if compared else {"": history}
    runs = {label: _run(one) for label, one in named.items()}
    if not runs:
        raise CourseError("There is no run to show: the dict is empty.")
    kinds = _kinds(metric, panels)
    if split not in SPLITS:
        raise CourseError(f"No split {split!r}: choose 'val' or 'train'.")
    if panels:
        plots = [(kinds[0], {label: run}) for label, run in runs.items()]
    else:
        plots = [(kind, runs) for kind in kinds]
    axes = _axes(len(plots), share=panels, lines=len(runs))
    references = {"accuracy": paper} if isinstance(paper, (int, float)) else paper
    ends = []
    for ax, (kind, shown) in zip(axes, plots, strict=True):
        if compared and not panels:
            drawn = _one_split(ax, shown, kind, split)
        else:
            drawn = _both_splits(ax, shown, kind)
        ends.append(drawn + _references(ax, references or {}, kind, paper_label))
    # When all is drawn: panels share their limits.
    for ax, (kind, _) in zip(axes, plots, strict=True):
        _limits(ax, kind)
        if not panels or ax.get_subplotspec().is_first_col():
            ax.set_ylabel(UNITS[kind])
        if compared and not panels:
            ax.set_ylabel(f"{SPLITS[split]} {UNITS[kind]}")
    headline(axes[0].figure, title)
    for i, (ax, drawn) in enumerate(zip(axes, ends, strict=True)):
        if not panels or ax.get_subplotspec().is_last_col() or i == len(axes) - 1:
            label_ends(ax, drawn)
    return axes[0] if len(axes) == 1 else axes


def _kinds(metric: str, panels: bool) -> list[str]:
    if metric not in ("both", *UNITS):
        raise CourseError(f"No metric {metric!r}: choose 'loss', 'accuracy' or 'both'.")
    if panels and metric == "both":
        raise CourseError("Panels show one metric: choose 'loss' or 'accuracy'.")
    return list(UNITS) if metric == "both" else [metric]


def _run(history: Any) -> Run:
    """A history, or a list of one for each seed, as rows."""
    many = isinstance(history, (list, tuple)) and not _is_rows(history)
    histories = list(history) if many else [history]
    seeds = [list(getattr(one, "rows", one)) for one in histories]
    if not seeds or not all(seeds):
        raise CourseError("A history holds no epoch: train for one at least.")
    return Run(seeds, getattr(histories[0], "monitor", "val_accuracy"))


def _is_rows(run: Sequence) -> bool:
    return bool(run) and isinstance(run[0], Mapping)


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


def _both_splits(ax: Axes, runs: dict[str, Run], kind: str) -> list[End]:
    """Training and validation of one run, its best epoch marked."""
    [(label, run)] = runs.items()
    ends = []
    for split, name, color, style in (
        ("train", "training", TRAIN, "-"),
        ("val", "validation", VALIDATION, "--"),
    ):
        epochs, values = _values(run.seeds, f"{split}_{kind}")
        dots = len(epochs) <= 16
        ends += seed_line(ax, epochs, values, name, color, style=style, dots=dots)
    watched = _values(run.seeds, run.monitor)[1].mean(0)
    if np.isfinite(watched).any():
        choose = np.nanargmin if run.monitor.endswith("loss") else np.nanargmax
        best = int(choose(watched))
        _mark(ax, epochs[best], values.mean(0)[best], kind, brief=bool(label))
    if label:
        ax.set_title(label)
    return ends


def _one_split(ax: Axes, runs: dict[str, Run], kind: str, split: str) -> list[End]:
    """The training or the validation curves of several runs."""
    ends = []
    dots = all(len(rows) <= 16 for run in runs.values() for rows in run.seeds)
    for i, (label, run) in enumerate(runs.items()):
        epochs, values = _values(run.seeds, f"{split}_{kind}")
        drawn = seed_line(ax, epochs, values, label, color_of(label, i), dots=dots)
        if not drawn:
            raise CourseError(
                f"Run {label!r} has no validation curve to compare: give fit a"
                " validation loader."
            )
        ends += drawn
    return ends


def seed_line(
    ax: Axes,
    x: np.ndarray,
    ys: np.ndarray,
    label: str,
    color: str,
    *,
    style: str = "-",
    dots: bool = True,
) -> list[End]:
    """One line; over several seeds (S, P) their mean, thin lines and the band."""
    if not np.isfinite(ys).any():
        return []
    if len(ys) > 1:
        ax.plot(x, ys.T, color=color, linewidth=0.7, alpha=0.45)
        ax.fill_between(x, ys.min(0), ys.max(0), color=color, alpha=0.15, linewidth=0)
    mean = ys.mean(0)
    ax.plot(x, mean, style, color=color, marker="o" if dots else "", markersize=3.5)
    last = int(np.flatnonzero(np.isfinite(mean))[-1])
    return [End(x[last], mean[last], label, color)]


def _mark(ax: Axes, epoch: float, value: float, kind: str, *, brief: bool) -> None:
    """Mark the best epoch, its value above the axes, where no line can be."""
    ax.plot(
        epoch, value, "o", color=HIGHLIGHT, ms=8, mew=2, fillstyle="none", clip_on=False
    )
    if brief:
        return
    ax.axvline(epoch, color=HIGHLIGHT, linewidth=0.8, linestyle=":")
    unit = " %" if kind == "accuracy" else " nats"
    text = f"best: epoch {epoch:.0f}, {value:.{1 if kind == 'accuracy' else 3}f}{unit}"
    ax.set_title(text, fontsize=10, color=ink(HIGHLIGHT), loc="right")


def _references(ax: Axes, paper: Mapping[str, Any], kind: str, label: str) -> list[End]:
    """The paper's values as dotted lines, its points as dotted curves."""
    ends = []
    scale = 100 if kind == "accuracy" else 1
    for column, value in paper.items():
        if not column.endswith(kind):
            continue
        part = {"train": ", training", "val": ", validation", "test": ", test"}
        name = label + part.get(column.split("_")[0], "")
        if isinstance(value, Mapping):
            ends += reference_points(ax, value, scale, name)
        else:
            ax.axhline(scale * value, linestyle=":", color=PAPER)
            text = f"{name} {scale * value:.{1 if scale == 100 else 2}f}"
            ends.append(End(math.inf, scale * value, text, PAPER))
    return ends


def reference_points(
    ax: Axes, points: Mapping[float, float], scale: float, label: str
) -> list[End]:
    """A paper's values as a dotted line with squares."""
    x, y = list(points), [scale * value for value in points.values()]
    ax.plot(x, y, ":", color=PAPER, marker="s", markersize=4)
    return [End(x[-1], y[-1], label, PAPER)]


def _limits(ax: Axes, kind: str) -> None:
    """Whole epochs, and limits within what the unit allows."""
    first, last = ax.dataLim.intervalx
    pad = max(0.02 * (last - first), 0.1)
    ax.set_xlim(first - pad, last + pad)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 0), min(high, 100.5) if kind == "accuracy" else high)
