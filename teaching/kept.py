"""Runs that the course keeps: read from results/, for the figures of a lecture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import hypot, sqrt
from statistics import mean, stdev
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from teaching.tables import Table, spread
from utils import course, look, plot
from utils.course import CourseError
from utils.history import History

RESULTS = course.ROOT / "results"
DEPTHS = {"plain-20": plot.PALETTE["orange"], "plain-56": plot.PALETTE["vermillion"]}
# As He et al. 2016 draw them, not as the course's other curves.
LINES = {"train": ("training", "--"), "val": ("validation", "-")}


def records(name: str) -> list[dict[str, Any]]:
    """The records of a run, one a seed, in the order of the seeds.

    Raises:
        CourseError: no such run is kept.
    """
    paths = sorted(RESULTS.glob(f"{name}-seed[0-9]*.json"))
    if not paths:
        found = RESULTS.glob("*-seed[0-9]*.json")
        there = sorted({path.stem.rpartition("-seed")[0] for path in found})
        raise CourseError(f"No run {name!r} is kept; there are: {', '.join(there)}.")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(runs, key=lambda run: run["seed"])


def runs(name: str) -> list[History]:
    """The histories of a run, one a seed: `plot.curves` draws them as one band.

    A seed whose loss became infinite has none.
    """
    whole = [run for run in records(name) if "diverged" not in run]
    return [History(name, run["history"]["rows"]) for run in whole]


def test_accuracy(name: str) -> list[float]:
    """The test accuracy of each seed, as fractions.

    A seed whose loss became infinite reads no image: it counts as a guess.
    """
    seeds = records(name)
    return [run.get("test_accuracy", 1 / len(run["data"]["classes"])) for run in seeds]


def train_accuracy(name: str) -> list[float]:
    """The training accuracy of each seed in its last epoch, as fractions."""
    return [history["train_accuracy"][-1] for history in runs(name)]


def cost(run: dict[str, Any]) -> float:
    """The minutes that a processor worked for a run; in older records, a clock's."""
    return (run.get("processor_seconds") or run["seconds"]) / 60


def budget(name: str) -> str:
    """For how many epochs a run was made, and with how many seeds."""
    seeds = records(name)
    return f"{len(seeds[0]['history']['rows'])} epochs, {counted(seeds)}"


def counted(seeds: Sequence[Any]) -> str:
    """How many seeds, in words: "1 seed"."""
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"


def caption(name: str) -> str:
    """With which command a run was made, how often, and what it cost."""
    seeds = records(name)
    words = seeds[0]["command"].split(" --name ")[0].split(" --out ")[0]
    count = counted(seeds)
    spent = [cost(run) for run in seeds if "diverged" not in run]
    if not spent:
        return f"{words}: {count}, whose loss became infinite"
    fastest = " for the fastest" if len(spent) > 1 else ""
    return f"{words}: {count}, {min(spent):,.1f} processor minutes{fastest}"


class Difference(NamedTuple):
    """Two runs' test accuracies, the second minus the first, in percentage points."""

    points: float
    error: float  # standard error, over seeds and over test examples

    def __repr__(self) -> str:
        sure = "more" if abs(self.points) > 2 * self.error else "less"
        return (
            f"{self.points:+.1f} ± {self.error:.1f} points"
            f" ({sure} than twice the standard error)"
        )


def difference(
    first: str | Sequence[float], second: str, split: str = "test"
) -> Difference:
    """How much better the second run is on a set, with its standard error.

    Seeds count as independent, and so do the two networks' mistakes. They share
    images, on which both tend to err, so the error is rather too large than too small.

    Args:
        first: a run's name, or the accuracies that you measured on the same images.
        second: a run's name.
        split: "test"; or "train", as counted in the last epoch.
    """
    right = test_accuracy if split == "test" else train_accuracy
    pair = [right(one) if isinstance(one, str) else one for one in (first, second)]
    names = (first if isinstance(first, str) else second, second)
    sizes = [records(name)[0]["data"][split] for name in names]
    seeds = [stdev(a) / sqrt(len(a)) if len(a) > 1 else 0 for a in pair]
    p = [mean(a) for a in pair]
    examples = [sqrt(a * (1 - a) / n) for a, n in zip(p, sizes, strict=True)]
    return Difference(100 * (p[1] - p[0]), 100 * hypot(*seeds, *examples))


def paired(first: Sequence[Tensor], second: Sequence[Tensor]) -> Difference:
    """How much better a second network judges the same images, in points.

    Args:
        first, second: for each seed which images (N,) the network reads right. Its
            standard error counts the seeds, and the images, of which one is harder for
            both networks than another.
    """
    gains = torch.stack(list(second)).double() - torch.stack(list(first)).double()
    errors = [
        means.std().item() / sqrt(len(means)) if len(means) > 1 else 0.0
        for means in (gains.mean(1), gains.mean(0))
    ]
    return Difference(100 * gains.mean().item(), 100 * hypot(*errors))


COLUMNS = ("network", "parameters", "multiply-adds", "epochs", "processor minutes")
COLUMNS += ("test accuracy",)


def scoreboard(
    names: Mapping[str, str],
    yours: Mapping[str, tuple[nn.Module, History, float]] | None = None,
) -> Table:
    """A table of kept runs, {what the table calls it: the run's name}.

    The accuracy is the mean over seeds, in percent, with their standard deviation; the
    minutes are those of the fastest, since the others shared their processor more.

    Args:
        yours: first lines: {label: network, history and test accuracy of your own}.
    """
    rows = [row(label, [own(*run)]) for label, run in (yours or {}).items()]
    rows += [row(label, records(name)) for label, name in names.items()]
    return Table(COLUMNS, tuple(rows))


def own(model: nn.Module, history: History, accuracy: float) -> dict[str, Any]:
    """What a record would tell the scoreboard of a run on photos of 32 x 32."""
    parameters, multiply_adds = look.totals(model, (3, 32, 32))
    return {
        "model": {"parameters": parameters, "multiply_adds": multiply_adds},
        "history": {"rows": history.rows},
        "processor_seconds": sum(history["processor_seconds"]),
        "test_accuracy": accuracy,
    }


def row(label: str, seeds: list[dict[str, Any]]) -> tuple[str, ...]:
    """A run's line of the scoreboard."""
    model, accuracies = seeds[0]["model"], [100 * run["test_accuracy"] for run in seeds]
    return (
        label,
        f"{model['parameters']:,}",
        f"{model['multiply_adds']:,}",
        f"{len(seeds[0]['history']['rows'])}",
        f"{min(map(cost, seeds)):,.1f}",
        spread(accuracies, " %"),
    )


def error_table(
    names: Mapping[str, str], paper: Mapping[str, float] | None = None
) -> Table:
    """Errors of kept runs, and a paper's test errors (%) where it prints them.

    Means over seeds, with their standard deviation; training as in the last epoch.
    """
    columns = ("network", "training error", "test error")
    columns += ("test error, paper",) * (paper is not None)
    rows = []
    for label, name in names.items():
        ours = (train_accuracy(name), test_accuracy(name))
        shown = (spread([100 * (1 - a) for a in seeds], " %") for seeds in ours)
        cells = (label, *shown)
        if paper is not None:
            cells += (f"{paper[label]} %" if label in paper else "only a curve",)
        rows.append(cells)
    return Table(columns, tuple(rows))


def error_curves(
    *panels: Mapping[str, Sequence[History]],
    splits: Sequence[str] = ("train", "val"),
    paper: Mapping[str, float] | None = None,
    top: float = 100,
    title: str | None = None,
) -> list[Axes]:
    """Errors over the epochs as in He et al. 2016, Fig. 6: a panel a group of networks.

    Training is dashed and validation solid, the mean over seeds in the band of all.

    Args:
        *panels: {name: a history a seed}.
        splits: which of the two are drawn.
        paper: {name: test error in percent}, dotted.
        top: of the axis, in percent.
    """
    figure, axes = plt.subplots(1, len(panels), sharey=True, squeeze=False)
    for ax, networks in zip(axes[0], panels, strict=True):
        ends = []
        for label, seeds in networks.items():
            color = DEPTHS.get(label) or plot.MODEL_COLORS[label]
            for split in splits:
                y = 100 * (1 - np.array([h[f"{split}_accuracy"] for h in seeds]))
                x = range(1, y.shape[1] + 1)
                ax.plot(x, y.mean(0), LINES[split][1], color=color)
                ax.fill_between(x, y.min(0), y.max(0), color=color, alpha=0.15, lw=0)
            ends.append((x[-1], y.mean(0)[-1], label, color))
            if paper and label in paper:
                ax.axhline(paper[label], ls=":", color=plot.PAPER)
                ends.append((x[-1], paper[label], f"paper {paper[label]}", plot.PAPER))
        ax.set(xlabel="epoch", ylim=(0, top))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        plot.headline(figure, title)
        plot.label_ends(ax, ends)
    first, several = axes[0, 0], len(splits) > 1
    first.set_ylabel("error (%)" if several else f"{LINES[splits[0]][0]} error (%)")
    for kind, style in (LINES[split] for split in splits if several):
        first.plot([], [], style, color="black", label=kind)
        first.legend()
    return list(axes[0])


def passed(name: str) -> tuple[list[float], list[float]]:
    """Processor minutes after each epoch of the fastest seed, and its val_accuracy."""
    run = min(records(name), key=cost)
    rows = run["history"]["rows"]
    minutes = after_each(cost(run), [row["seconds"] for row in rows])
    return minutes, [row["val_accuracy"] for row in rows]


def after_each(minutes: float, seconds: Sequence[float]) -> list[float]:
    """Minutes of a run that have passed after each epoch, by the seconds of each."""
    total = sum(seconds)
    return list(accumulate(minutes * one / total for one in seconds))


def by_minute(
    names: Mapping[str, str],
    *,
    yours: tuple[Sequence[float], Sequence[float]] | None = None,
    title: str | None = None,
) -> Axes:
    """Validation accuracy against processor minutes, a line a kept run's fastest seed.

    Of older runs only a clock's minutes are known, and some seeds had to wait.

    Args:
        names: {what the figure calls it: the run's name}.
        yours: minutes and fractions of a run of your own, drawn in black.
    """
    _, ax = plt.subplots()
    ends = []
    for i, (label, name) in enumerate(names.items()):
        x, fractions = passed(name)
        y = [100 * fraction for fraction in fractions]
        color = plot.color_of(label, i)
        ax.plot(x, y, color=color)
        ends.append((x[-1], y[-1], label, color))
    if yours:
        x, y = yours[0], [100 * fraction for fraction in yours[1]]
        ax.plot(x, y, "o-", color="black", markersize=3.5, linewidth=1)
        ax.plot(x[-1], y[-1], "*", color="black", markersize=13)
        ends.append((x[-1], y[-1], "yours", "black"))
    ax.set(xlabel="processor minutes", ylabel="validation accuracy (%)", xscale="log")
    ax.xaxis.set_major_formatter("{x:g}")
    plot.headline(ax.figure, title)
    plot.label_ends(ax, ends)
    return ax
