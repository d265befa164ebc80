"""Everything a run needs to go on exactly where it stopped, in one file."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from utils.course import CourseError
from utils.training import distributed, tensors
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
            check_architecture(self.path, state["model"], self.model.state_dict())
            check_settings(self.path, state["settings"], self.settings)
            with held_back():  # never half the old weights and half the new
                self.restore(state)
            return History.from_dict(state["history"]), state["best"]
        except CourseError:
            raise
        except Exception as error:  # a hand-made file can hold anything anywhere
            raise CourseError(DAMAGED.format(self.path, repr(error))) from None

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
    """Replace the file in one step: a reader finds the old one or the new, whole.

    Raises:
        CourseError: it could not be written; the previous file is as it was.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
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


def plain(value: Any) -> Any:
    """The value in the types that `torch.load(weights_only=True)` takes in any version.

    Raises:
        CourseError: it holds something else, which no checkpoint could give back.
    """
    if isinstance(value, Mapping):  # a Counter among them
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor | bool | int | float | str):
        return value
    raise CourseError(
        f"A checkpoint cannot keep the {type(value).__name__} in the state of the"
        " optimizer or the schedule. Use torch's own, or train without checkpoint=."
    )


def loader_state(loader: Any) -> dict[str, Any]:
    """What decides the order of the loader's next pass."""
    generator = getattr(loader, "generator", None)
    drawn = generator.get_state() if isinstance(generator, torch.Generator) else None
    return {"epoch": getattr(loader, "epoch", None), "generator": drawn}


def restore_loader(loader: Any, state: dict[str, Any]) -> None:
    """Set the loader back to where `loader_state` found it."""
    if state["epoch"] is not None:
        loader.epoch = state["epoch"]
    if state["generator"] is not None:
        loader.generator.set_state(state["generator"])


def random_state() -> dict[str, Any]:
    """The state of every global random generator, as numbers and tensors."""
    kind, keys, *rest = cast(tuple, np.random.get_state())  # noqa: NPY002
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random(state: dict[str, Any]) -> None:
    """Set the generators back, those of a GPU where this machine has as many."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, keys, place, *rest = state["numpy"]
    if not 0 <= place <= len(keys):  # NumPy would read there all the same
        raise ValueError(f"NumPy's generator at place {place} of {len(keys)}")
    np.random.set_state((kind, keys, place, *rest))  # noqa: NPY002
    if len(state.get("cuda", ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
