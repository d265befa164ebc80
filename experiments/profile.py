"""Where the time of an epoch goes, and a bar of its parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import islice
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import nn

from utils import plot, recipe
from utils.batches import Pass
from utils.train import Batches, evaluate, train_epoch

COLORS = "bluish green", "sky blue", "blue", "orange", "reddish purple"
PARTS = ("input", "forward", "backward", "optimizer", "evaluation")


class Clock:
    """Seconds by part of an epoch; it waits for what a GPU still has to do."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.last = perf_counter()

    def lap(self, part: str) -> None:
        """The time since the last lap went into this part."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = perf_counter()
        self.seconds[part] += now - self.last
        self.last = now


def epoch_profile(
    model: nn.Module,
    train_loader: Batches,
    val_loader: Batches,
    *,
    optimizer: str = "sgd",
    batches: int = 10,
) -> dict[str, float]:
    """Seconds that each part of an epoch takes, by a clock between the parts.

    The first batches are timed, and stand for the whole epoch. A copy of the model is
    trained: its weights stay.

        epoch_profile(LeNet5(), train, val)  # {"input": 0.02, "forward": 0.31, ...}

    Args:
        model: returns logits (N, num_classes).
        train_loader, val_loader: as for `fit`; they have a length.
        optimizer: "sgd", "adam" or "adamw".
        batches: of each loader that are timed, after two to warm up.

    Returns:
        Seconds of input, forward (the loss too), backward, optimizer and evaluation.

    Raises:
        CourseError: a loader gives no batch.
    """
    learner = copy.deepcopy(model)
    device = recipe.place(learner)
    chosen = recipe.make_optimizer(optimizer, learner, 1e-3)
    train_epoch(learner, list(islice(train_loader, 2)), chosen)

    clock, batched = Clock(device), islice(train_loader, batches)
    with Pass(learner, batched, trains=True) as timed:
        for images, labels in timed:
            clock.lap("input")
            loss = F.cross_entropy(timed.forward(images), labels)
            clock.lap("forward")
            chosen.zero_grad()
            loss.backward()
            clock.lap("backward")
            chosen.step()
            clock.lap("optimizer")
    clock.last = perf_counter()
    evaluate(learner, islice(val_loader, batches))
    clock.lap("evaluation")
    spent = clock.seconds
    for part in PARTS:
        loader = val_loader if part == "evaluation" else train_loader
        spent[part] *= len(loader) / min(batches, len(loader))  # type: ignore[arg-type]
    return spent


def shares(
    parts: Mapping[str, float], *, unit: str = "s", title: str | None = None
) -> Axes:
    """Show what a whole consists of: one bar, each part as long as its share."""
    whole = sum(parts.values())
    _, ax = plt.subplots(figsize=(7, 1.9))
    begins = np.cumsum([0, *parts.values()]) / whole * 100
    for i, (label, number) in enumerate(parts.items()):
        color, share = plot.PALETTE[COLORS[i % len(COLORS)]], 100 * number / whole
        ax.barh(0, share, 0.5, left=begins[i], color=color, edgecolor="white")
        # By turns above and below: of two narrow parts the names would meet.
        x, side = begins[i] + share / 2, 1 if i % 2 else -1
        ax.annotate(
            f"{label} {share:.{1 if share < 1 else 0}f} %\n{number:.3g} {unit}",
            (x, side * 0.25),
            (x, side * 0.42),
            ha="left" if x < 12 else "right" if x > 88 else "center",
            va="bottom" if side > 0 else "top",
            fontsize=10,
            linespacing=1.2,
            arrowprops={"arrowstyle": "-", "color": plot.PAPER, "lw": 0.8},
        )
    ax.set(xlim=(0, 100), ylim=(-1.1, 1.1))
    ax.axis("off")
    plot.headline(ax.figure, title)
    return ax
