"""From words to torch: the optimizer and the schedule of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler

from utils.course import CourseError
from utils.training.history import MONITORS
from utils.training.precision import choose
from utils.training.tally import EMPTY

OPTIMIZERS = {"sgd": (SGD, 0.1), "adam": (Adam, 1e-3), "adamw": (AdamW, 1e-3)}
STEPWISE = ("onecycle", "cosine")  # move the learning rate after every step
SCHEDULES = ("constant", *STEPWISE, "step", "plateau")
PLATEAU = 3  # epochs without improvement after which "plateau" divides by 10

Scheduler = Any  # torch's LRScheduler and ReduceLROnPlateau share no public base in 2.4
Schedule = str | Callable[[Optimizer], Scheduler]


def make_optimizer(
    choice: str | Optimizer,
    model: nn.Module,
    lr: float | None,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """SGD, Adam or AdamW over the trainable weights, fused where torch has it so.

    Weight decay applies to all of them, biases too, as in the papers.

    Raises:
        CourseError: an unknown name, a negative or infinite setting, nothing to train,
            or an optimizer that does not hold the model's weights or is given a second
            set of values.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise CourseError(
            "The model has no trainable weight: set requires_grad on some."
        )
    if isinstance(choice, Optimizer):
        return check_own(choice, weights, lr, weight_decay)
    return named_optimizer(choice, weights, lr, momentum, weight_decay)


def named_optimizer(
    name: str,
    weights: list[nn.Parameter] | list[dict[str, Any]],
    lr: float | None,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """SGD, Adam or AdamW over weights, or over groups, each with an `lr` if it likes.

    Raises:
        CourseError: an unknown name, or a negative or infinite setting.
    """
    choose("optimizer", name, OPTIMIZERS)
    build, usual = OPTIMIZERS[name]
    settings: dict[str, Any] = {"lr": usual if lr is None else lr}
    settings["weight_decay"] = weight_decay
    if build is SGD:
        settings["momentum"] = momentum
    for setting, value in settings.items():
        if not 0 <= value < math.inf:
            raise CourseError(f"{setting}={value}: give a number of at least 0.")
    try:  # one kernel for all weights; not on every device of every torch
        return build(weights, fused=True, **settings)
    except (RuntimeError, TypeError):
        return build(weights, **settings)


def check_own(
    optimizer: Optimizer,
    weights: list[nn.Parameter],
    lr: float | None,
    weight_decay: float,
) -> Optimizer:
    """The caller's optimizer, if it can train these weights as asked."""
    if lr is not None or weight_decay:
        raise CourseError("Set lr and weight_decay in your optimizer, not in fit too.")
    held = {id(w) for group in optimizer.param_groups for w in group["params"]}
    if not held & {id(weight) for weight in weights}:
        raise CourseError(
            "The optimizer holds the weights of another model. Make it anew from"
            " model.parameters() after building the model."
        )
    return optimizer


def make_scheduler(
    choice: Schedule, optimizer: Optimizer, epochs: int, loader: Any, monitor: str
) -> Scheduler | None:
    """The course of the learning rate, by one of torch's schedulers.

    Args:
        choice: "constant"; "onecycle" or "cosine", stepped after every batch; "step",
            a tenth after 50 % and again after 75 % of the epochs; "plateau", a tenth
            when validation stalls; or a function from the optimizer to a scheduler.
        optimizer: whose learning rate moves; the one it has now is the highest.
        epochs: how many there will be.
        loader: its length is the number of steps in an epoch.
        monitor: the column that "plateau" watches.
    """
    if callable(choice):
        return choice(optimizer)
    if choice in STEPWISE:
        steps = epochs * count_batches(loader, choice)
        if choice == "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, steps)
        # Departure from Smith (2018): the momentum stays where the caller set it.
        highest = [group["lr"] for group in optimizer.param_groups]
        return lr_scheduler.OneCycleLR(
            optimizer, highest, total_steps=steps, cycle_momentum=False
        )
    if choice == "step":
        turns = [math.ceil(epochs / 2), math.ceil(epochs * 3 / 4)]
        return lr_scheduler.MultiStepLR(optimizer, turns, gamma=0.1)
    if choice == "plateau":
        return lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode="max" if monitor == "val_accuracy" else "min",
            patience=PLATEAU - 1,
        )
    return None


def count_batches(loader: Any, schedule: str) -> int:
    """How many steps an epoch has, for a schedule that must know it ahead."""
    if not hasattr(loader, "__len__"):
        raise CourseError(
            f"schedule={schedule!r} counts the steps ahead, so the loader must have a"
            " length. Pass a list or a DataLoader, or choose another schedule."
        )
    if not len(loader):
        raise CourseError(EMPTY)
    return len(loader)


def step_epoch(scheduler: Scheduler, watched: float) -> None:
    """One epoch on; the plateau schedule looks at the watched metric."""
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step(watched)
    else:
        scheduler.step()


def check_request(
    epochs: int,
    schedule: Schedule,
    patience: int | None,
    monitor: str,
    val_loader: Any,
    checkpoint: Any,
    resume: bool,
) -> None:
    """Raise a `CourseError` for arguments of `fit` that make no sense together."""
    if epochs < 1:
        raise CourseError(f"epochs={epochs}: train for at least one.")
    if not callable(schedule):
        choose("schedule", schedule, SCHEDULES)
    choose("monitor", monitor, MONITORS)
    if patience is not None and patience < 1:
        raise CourseError(
            f"patience={patience}: wait at least one epoch, or pass None."
        )
    if val_loader is None and (patience is not None or schedule == "plateau"):
        what = "patience" if patience is not None else "schedule='plateau'"
        raise CourseError(f"{what} watches {monitor}: pass fit a val_loader too.")
    if resume and checkpoint is None:
        raise CourseError("resume=True needs checkpoint=PATH, the file to go on from.")


def describe(
    optimizer: Optimizer, schedule: Schedule, epochs: int, loader: Any
) -> dict[str, Any]:
    """The hyper-parameters that a resumed run must share with the one it goes on from.

    More epochs may be asked for where the schedule does not depend on their number.
    """
    group = optimizer.param_groups[0]
    planned = schedule in (*STEPWISE, "step")
    return {
        "optimizer": type(optimizer).__name__,
        **{k: group.get(k) for k in ("lr", "momentum", "betas", "weight_decay")},
        "schedule": "own" if callable(schedule) else schedule,
        "epochs": epochs if planned else None,
        "batch_size": getattr(loader, "batch_size", None),
        "batches": len(loader) if hasattr(loader, "__len__") else None,
    }
