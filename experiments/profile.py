"""Where the time of an epoch goes."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from utils import plot
from utils.train import Batches, evaluate, train_epoch
from utils.training.precision import make_precision, place
from utils.training.recipe import make_optimizer

# What torch calls the beginning of an event, and the part of the epoch it belongs to.
PARTS = {
    "input": "input",
    "forward": "forward",
    "autograd::engine": "backward",
    "Optimizer.": "optimizer",
    "evaluation": "evaluation",
}
COLORS = "bluish green", "sky blue", "blue", "orange", "reddish purple"
# Else it writes a line into the notebook whenever it begins and ends.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def epoch_profile(
    model: nn.Module,
    train_loader: Batches,
    val_loader: Batches,
    *,
    optimizer: str = "sgd",
    batches: int = 10,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """Seconds that each part of an epoch takes, by torch's profiler.

    The first batches are timed, and stand for the whole epoch. A copy of the model is
    trained: its weights stay.

        epoch_profile(LeNet5(), train, val)  # {"input": 0.02, "forward": 0.31, ...}

    Args:
        model: returns logits (N, num_classes).
        train_loader, val_loader: as for `fit`; they have a length.
        optimizer: "sgd", "adam" or "adamw".
        batches: of each loader that are timed, after two to warm up.
        precision: as for `fit`.
        device: where to train; None: the fastest here.

    Returns:
        Seconds of input, forward (the loss too), backward, optimizer and evaluation:
        of the processor, or of the GPU if that computes.

    Raises:
        CourseError: a loader gives no batch.
    """
    learner = copy.deepcopy(model)
    device = place(learner, device)
    settings: dict[str, Any] = {"precision": make_precision(precision, device)}
    settings["device"] = device
    chosen = make_optimizer(optimizer, learner, lr=1e-3, momentum=0.9, weight_decay=0.0)
    train = partial(train_epoch, _Marked(learner), optimizer=chosen, **settings)
    train(list(islice(train_loader, 2)))

    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    seconds = dict.fromkeys(PARTS.values(), 0.0)
    with profile(activities=activities) as trained:
        train(_marked(islice(train_loader, batches)), loss_function=_marked_loss)
    with profile(activities=activities) as judged, record_function("evaluation"):
        evaluate(learner, islice(val_loader, batches), **settings)
    for timed, loader in ((trained, train_loader), (judged, val_loader)):
        times = len(loader) / min(batches, len(loader))  # type: ignore[arg-type]
        for part, spent in _by_part(timed, device).items():
            seconds[part] += spent * times
    return seconds


class _Marked(nn.Module):
    """A model whose forward pass the profiler finds under that name."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        with record_function("forward"):
            return self.model(images)


def _marked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    with record_function("forward"):
        return F.cross_entropy(logits, labels)


def _marked(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, each one's making marked as input."""
    while True:
        with record_function("input"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _by_part(timed: profile, device: torch.device) -> dict[str, float]:
    """Seconds of the outermost events, summed by the part they belong to."""
    seconds = dict.fromkeys(PARTS.values(), 0.0)
    gpu = device.type == "cuda"
    for event in timed.events() or ():
        if event.cpu_parent is not None or event.device_type != DeviceType.CPU:
            continue
        spent = event.device_time_total if gpu else event.cpu_time_total
        for begin, part in PARTS.items():
            if event.name.startswith(begin):
                seconds[part] += spent / 1e6  # the profiler counts microseconds
    return seconds


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
