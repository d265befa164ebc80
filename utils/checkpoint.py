"""Everything a run needs to go on exactly where it stopped, in one file."""

from __future__ import annotations

import random
import signal
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from utils import files
from utils.course import CourseError
from utils.history import History

FORMAT = "cnn-course checkpoint 2"
KEPT = "It was left as it is; name another file to start anew."
WRITES = True  # of several processes that train together, torchrun lets one write

Weights = dict[str, Tensor]


@dataclass
class Checkpoint:
    """The file of one run, and the parts whose state goes into it.

    Attributes:
        path: the file; replaced as a whole after every epoch, never half written.
        model: whose weights it holds; not a wrapper of it.
        parts: optimizer, scheduler or None, and scaler.
        loader: of the training set, whose order goes on.
    """

    path: Path
    model: nn.Module
    parts: tuple[Any, Any, Any]
    loader: Any

    def begin(self, resume: bool, **more: Any) -> tuple[History, Weights | None]:
        """The epochs so far and the best weights; every part is as `save` found it.

        Or a `CourseError`: the file cannot be written, holds an earlier run that shall
        not go on, is damaged, or is of another model or other settings, or `more`.
        """
        self.settings = plain(settings(self.model, *self.parts[:2], self.loader) | more)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.replaceable(self.path)
            TemporaryFile(dir=self.path.parent).close()
        except OSError as error:
            raise CourseError(
                f"The checkpoint {self.path} cannot be written ({error.strerror}). Name"
                " a file in a folder that takes some, such as 'runs/model.pt'."
            ) from None
        if not self.path.exists():
            return History(), None
        if not resume:
            raise CourseError(
                f"{self.path} holds an earlier run. Go on with it by resume=True; or"
                " name another file, or move this one, to start anew."
            )
        state = read(self.path)
        try:
            if state["format"] != FORMAT:
                raise KeyError(FORMAT)
            self.check(state)
            with held_back():  # never half the old state and half the new
                for part, saved in zip(self.parts, state["parts"], strict=True):
                    if part and saved:  # a scaler that is off somewhere has none
                        part.load_state_dict(saved)
                restore_random(state["random"], self.loader)
                self.model.load_state_dict(state["model"])  # once all else has fitted
            return History(**state["history"]), state["best"]
        except CourseError:
            raise
        except Exception as error:  # weights alone, or what was made by hand
            raise CourseError(
                f"{self.path} is no checkpoint of this `fit` ({error!r}). {KEPT}"
            ) from None

    def save(self, history: History, best: Weights | None) -> None:
        """Write the state at the end of an epoch, or say why; the old file stays."""
        state = {
            "format": FORMAT,
            "settings": self.settings,
            "history": history.to_dict(),
            "model": self.model.state_dict(),
            "best": best,
            "parts": [part and part.state_dict() for part in self.parts],
            "random": random_state(self.loader),
        }
        try:
            if WRITES:
                write(self.path, plain(state))
        except (OSError, RuntimeError) as error:
            # torch's own writer raises a RuntimeError that does not know why
            why = error if isinstance(error, OSError) else "the disk is probably full"
            raise CourseError(
                f"The checkpoint {self.path} could not be written: {why}. The previous"
                " one is intact, as far as its folder is. Make room or bring the folder"
                " back, then go on with resume=True."
            ) from None

    def check(self, state: dict[str, Any]) -> None:
        """Raise a `CourseError` unless shapes and settings agree."""
        then, there, here = state["settings"], state["model"], self.model.state_dict()
        pairs = {k: (then.get(k, now), now) for k, now in self.settings.items()}
        for name in there | here:
            shapes = (getattr(w.get(name), "shape", None) for w in (there, here))
            pairs[f"the shape of {name}"] = tuple(s and tuple(s) for s in shapes)
        other = [f"{k} was {a!r} and is {b!r}" for k, (a, b) in pairs.items() if a != b]
        if other:
            raise CourseError(
                f"{self.path} was trained otherwise: {'; '.join(other[:3])}. Resume"
                " with the same model and values, or name another file to start anew."
            )


def settings(model: nn.Module, optimizer: Any, scheduler: Any, loader: Any) -> dict:
    """What decides how a run goes on, before its first step."""
    group = optimizer.param_groups[0]
    lr = group.get("max_lr", group.get("initial_lr", group["lr"]))
    found = {"optimizer": type(optimizer).__name__, "lr": lr}
    found |= {k: group.get(k) for k in ("momentum", "betas", "weight_decay")}
    found["schedule"] = scheduler and type(scheduler).__name__
    found["batches"] = len(loader) if hasattr(loader, "__len__") else None
    for name, weight in model.named_parameters():
        found[f"requires_grad of {name}"] = weight.requires_grad
    for name, value in (scheduler.state_dict() if scheduler else {}).items():
        found[f"{name} of the schedule"] = value
    return found


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace the file by one with this state, or leave it as it is."""
    with files.replacing(path) as file:
        torch.save(state, file)


def read(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; code in it is never run."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums, and reads none
            first, *_ = members = archive.infolist()
            # What is marked as a folder it takes for memory as it happens to be; what
            # lies before a zip, for its old formats.
            odd = first.header_offset or any(x.external_attr & 16 for x in members)
            if odd or archive.testzip():
                raise zipfile.BadZipFile
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes at random can raise anything
        raise CourseError(
            f"{path} was not opened ({type(error).__name__}): it is damaged or cut"
            f" short, or holds more than tensors, such as a whole model. {KEPT}"
        ) from None


def plain(value: Any) -> Any:
    """The value in types that `weights_only=True` takes in any version of torch."""
    if isinstance(value, Mapping):  # a Counter among them
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, np.generic):
        return value.item()
    if value is not None and not isinstance(value, Tensor | bool | int | float | str):
        raise CourseError(
            f"A checkpoint cannot keep the {type(value).__name__} in the state of the"
            " optimizer or schedule. Use torch's own, or train without checkpoint=."
        )
    return value


def random_state(loader: Any = None) -> dict[str, Any]:
    """The state of every global random generator, and of a loader's order."""
    kind, keys, *rest = cast(tuple, np.random.get_state())  # noqa: NPY002
    state = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state |= {"numpy": (kind, keys.tolist(), *rest)}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    if isinstance(getattr(loader, "generator", None), torch.Generator):
        state["loader"] = loader.generator.get_state()
    return state | {"epoch": getattr(loader, "epoch", None)}


def restore_random(state: dict[str, Any], loader: Any = None) -> None:
    """Set the generators back, those of a GPU where this machine has as many."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    if len(state.get("cuda", ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    if "loader" in state:
        loader.generator.set_state(state["loader"])
    if state["epoch"] is not None:
        loader.epoch = state["epoch"]


@contextmanager
def held_back(*, dropped: bool = False) -> Iterator[None]:
    """Hold Ctrl-C and the stop button back until the block has come to its end.

    They reach the main thread alone. `dropped`: one that came does not count at all.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not handler:
        yield
        return
    came: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda *interrupt: came.append(interrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came and not dropped and callable(handler):
        handler(*came[-1])
