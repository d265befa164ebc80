"""Everything a run needs to go on exactly where it stopped, in one file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from utils import files
from utils.course import CourseError
from utils.training import distributed, tensors
from utils.training.forms import fitted, fitted_optimizer, plain
from utils.training.generators import (
    loader_state,
    random_state,
    restore_loader,
    restore_random,
)
from utils.training.history import History
from utils.training.interrupts import held_back

FORMAT = "cnn-course checkpoint 1"
REMEDY = "It was left as it is; delete it, or choose another file, to start anew."
DAMAGED = "{} is damaged or cut short ({}). " + REMEDY

Weights = dict[str, Tensor]


@dataclass
class Checkpoint:
    """The file of one run, and the parts whose state goes into it.

    Of several processes the first reads and writes it, for all. A run may go on with
    another number of them.

    Attributes:
        path: the file; replaced as a whole after every epoch, never half written.
        model, optimizer, scheduler, scaler, loader: what changes while it trains.
        settings: hyper-parameters that a resumed run must share.
    """

    path: Path
    model: nn.Module
    optimizer: Optimizer
    scheduler: Any
    scaler: GradScaler
    loader: Any
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        if self.path.is_dir():
            raise CourseError(
                f"checkpoint={str(self.path)!r} is a folder: name a file in it, such as"
                f" {str(self.path / 'model.pt')!r}."
            )
        try:
            if distributed.is_first():
                self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CourseError(
                f"No folder for the checkpoint {self.path}: {error}. Choose another."
            ) from None

    def exists(self) -> bool:
        """Whether there is a file to go on from."""
        return distributed.from_first(self.path.exists)

    def save(self, history: History, best: Weights | None) -> None:
        """Write the state at the end of an epoch, with the best weights so far."""
        random, *others = distributed.gathered(random_state())
        state = {
            "format": FORMAT,
            "settings": self.settings,
            "history": history.to_dict(),
            "model": self.model.state_dict(),
            "best": best,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "scaler": self.scaler.state_dict(),
            "loader": loader_state(self.loader),
            "random": random,
            "random of other ranks": others,
        }
        if distributed.is_first():
            write(self.path, plain(state))
        distributed.meet()  # however slow the disk is

    def load(self) -> tuple[History, Weights | None]:
        """Put everything back as `save` found it.

        Raises:
            CourseError: the file is damaged, or belongs to another model or to other
                hyper-parameters; it has not been touched.
        """
        state = distributed.from_first(lambda: read(self.path))
        try:
            self.check(state)
            with held_back():  # never half the old weights and half the new
                self.restore(state)
            return History.from_dict(state["history"]), state["best"]
        except CourseError:
            raise
        except Exception as error:  # a hand-made file can hold anything anywhere
            raise CourseError(DAMAGED.format(self.path, repr(error))) from None

    def check(self, state: dict[str, Any]) -> None:
        """Raise an error unless every part could have come to its state.

        The states of optimizer, scheduler and scaler take the form of ours.
        """
        check_architecture(self.path, state["model"], self.model.state_dict())
        if state["best"] is not None:
            check_architecture(self.path, state["best"], self.model.state_dict())
        check_settings(self.path, state["settings"], self.settings)
        history = History.from_dict(state["history"])
        if not (0 <= history.waited < len(history.rows) and repr(history)):
            raise ValueError("the history is of other epochs")
        state["optimizer"] = fitted_optimizer(state["optimizer"], self.optimizer)
        ours = plain(self.scheduler.state_dict()) if self.scheduler else None
        state["scheduler"] = fitted(state["scheduler"], ours, "the schedule")
        if state["scaler"]:  # or it was off, on another device
            ours = self.scaler.state_dict()
            state["scaler"] = fitted(state["scaler"], ours, "the scaler")

    def restore(self, state: dict[str, Any]) -> None:
        """Give every part its state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        restore_loader(self.loader, state["loader"])
        drawn = [state["random"], *state.get("random of other ranks", ())]
        if distributed.rank() < len(drawn):
            restore_random(drawn[distributed.rank()])


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace the file by one with this state.

    Raises:
        CourseError: it could not be written; the previous file is as it was.
    """
    try:
        with files.replacing(path) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        # torch's own writer raises a RuntimeError that does not know why
        why = error if isinstance(error, OSError) else "the disk is probably full"
        if path.parent.is_dir():
            there = path.exists()
            before = "The previous one is intact" if there else "There is none yet"
        else:  # Drive is no longer mounted, or a stick was pulled out
            before = "Its folder is gone, with the previous one if there was any"
        raise CourseError(
            f"The checkpoint {path} could not be written: {why}. {before}, and the"
            " model in memory is fine. Free disk space or choose another folder, then"
            " go on with resume=True."
        ) from None


def read(path: Path) -> dict[str, Any]:
    """The state in a file that `write` made; code in it is never run.

    Raises:
        CourseError: the file is truncated, foreign or not to be trusted.
    """
    try:
        state = tensors.load(path)
    except pickle.UnpicklingError:
        raise CourseError(
            f"{path} was not opened: it holds more than tensors and numbers, and could"
            f" run a stranger's code. {REMEDY}"
        ) from None
    except Exception as error:  # bytes at random can raise anything
        raise CourseError(DAMAGED.format(path, type(error).__name__)) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CourseError(f"{path} is no checkpoint of `fit`. {REMEDY}")
    return state


def check_architecture(path: Path, saved: Weights, model: Weights) -> None:
    """Raise a `CourseError` unless names and shapes agree, naming one that differs."""
    ours = {name: tuple(weight.shape) for name, weight in model.items()}
    theirs = {name: tuple(weight.shape) for name, weight in saved.items()}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise CourseError(
                f"{path} is of another architecture: {name} has shape"
                f" {theirs.get(name, 'none')} there, {ours.get(name, 'none')} here."
                " Build the model it was saved from, or choose another file."
            )


def check_settings(
    path: Path, saved: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raise a `CourseError` unless the run is told to train as it did before."""
    changed = [
        f"{key} was {saved.get(key)!r} and is {now[key]!r}"
        for key in now
        if saved.get(key) != now[key]
    ]
    if changed:
        raise CourseError(
            f"{path} was trained otherwise: {'; '.join(changed)}. Resume with the same"
            " values, or start anew with resume=False or another file."
        )
