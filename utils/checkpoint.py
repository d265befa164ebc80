"""Everything a run needs to go on exactly where it stopped, in one file."""

from __future__ import annotations

import random
import signal
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils import files
from utils.course import CourseError
from utils.history import History

FORMAT = "cnn-course checkpoint 3"
KEPT = "It was left as it is; name another file to go on with."


@dataclass
class Checkpoint:
    """The file of one run, and the parts whose state goes into it."""

    path: Path | None  # replaced as a whole after every epoch, never half written
    model: nn.Module  # no wrapper of it
    parts: tuple[Any, Any, Any]  # optimizer, scheduler or None, and scaler
    loader: Any  # of the training set, whose order goes on

    def begin(self, resume: bool, **more: Any) -> tuple[History, Any]:
        """The epochs so far and the best weights; every part is as `save` found it."""
        if self.path is None:
            return History(), None
        self.settings = plain(settings(self.model, *self.parts[:2], self.loader) | more)
        with written(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=self.path.parent).close()
        if not self.path.exists():
            return History(), None
        if not resume:
            cure = "Go on with that run by resume=True, or name another file."
            raise CourseError(f"{self.path} is already there. {cure}")
        state = read(self.path)
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CourseError(f"{self.path} is no checkpoint of this `fit`. {KEPT}")
        for name in state["settings"] | self.settings:
            then, now = state["settings"].get(name), self.settings.get(name)
            if then != now:
                odd = f"{name} was {then!r} and is {now!r}, so it cannot go on."
                raise CourseError(f"{self.path}: {odd} {KEPT}")
        for part, saved in zip(self.parts, state["parts"], strict=True):
            if part and saved:  # a scaler that is off somewhere has none
                part.load_state_dict(saved)
        restore_random(state["random"], self.loader)
        self.model.load_state_dict(state["model"])
        return History(**state["history"]), state["best"]

    def save(self, history: History, best: dict[str, Tensor] | None) -> None:
        """Write the state at the end of an epoch, or say why; the old file stays."""
        if self.path is None:
            return
        state = {
            "format": FORMAT,
            "settings": self.settings,
            "history": asdict(history),
            "model": self.model.state_dict(),
            "best": best,
            "parts": [part and part.state_dict() for part in self.parts],
            "random": random_state(self.loader),
        }
        with written(self.path), files.replacing(self.path) as file:
            torch.save(plain(state), file)


def settings(model: nn.Module, optimizer: Any, scheduler: Any, loader: Any) -> dict:
    """What decides how a run goes on, before its first step."""
    group, found = optimizer.param_groups[0], {"optimizer": type(optimizer).__name__}
    found["lr"] = group.get("max_lr", group.get("initial_lr", group["lr"]))
    found["schedule"] = scheduler and type(scheduler).__name__
    state = scheduler.state_dict() if scheduler else {}
    found |= {f"{name} of the schedule": value for name, value in state.items()}
    found |= {k: group.get(k) for k in ("momentum", "betas", "weight_decay")}
    found["batches"] = len(loader) if hasattr(loader, "__len__") else None
    for name, value in model.state_dict(keep_vars=True).items():
        kind = "trainable" if value.requires_grad else "fixed"
        found[name] = f"{kind}, of shape {tuple(value.shape)}"
    return found


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Say what to do if the file cannot be written."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch's own writer raises a RuntimeError that does not know why
        why = error if isinstance(error, OSError) else "the disk is probably full"
        raise CourseError(
            f"The checkpoint {path} cannot be written: {why}. Make room, bring its"
            " folder back or name another file. What was there is intact: resume=True."
        ) from None


def read(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; code in it is never run."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch reads none of its checksums
                first, *_ = members = archive.infolist()
                # It takes a "folder" for any memory, what precedes a zip for a file.
                odd = first.header_offset or any(x.external_attr & 16 for x in members)
                if odd or archive.testzip():
                    raise zipfile.BadZipFile
        elif tarfile.is_tarfile(path):  # torch before 2.6 runs what lies in one
            raise tarfile.TarError
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes at random can raise anything
        what = "is damaged, cut short or not in torch's format"
        if any(word in str(error) for word in ("TorchScript", "nsupported global")):
            what = "holds more than a state_dict(), such as a whole network"
        raise CourseError(f"{path} was not opened: it {what}. {KEPT}") from None


def plain(value: Any) -> Any:
    """The value in types that `weights_only=True` takes in any version of torch."""
    if isinstance(value, Mapping):  # a Counter among them
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, Tensor | bool | int | float | str):
        return value
    kind = type(value).__name__
    raise CourseError(f"A checkpoint cannot keep the {kind} in optimizer or schedule.")


def random_state(loader: Any) -> dict[str, Any]:
    """The state of every global random generator, and of a loader's order."""
    state = {"python": random.getstate(), "torch": torch.get_rng_state()}
    state |= {"cuda": torch.cuda.get_rng_state_all()}
    state["numpy"] = np.random.get_state()  # noqa: NPY002
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    if own := getattr(loader, "generator", None):
        state["loader"] = own.get_state()
    return state | {"epoch": getattr(loader, "epoch", None)}


def restore_random(state: dict[str, Any], loader: Any) -> None:
    """Set the generators back, those of a GPU as far as they are here."""
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    if "loader" in state:
        loader.generator.set_state(state["loader"])
    if state["epoch"] is not None:
        loader.epoch = state["epoch"]


@contextmanager
def held_back(*, dropped: bool = False) -> Iterator[None]:
    """Hold the stop button back until the block has come to its end, or drop it."""
    handler, came = signal.getsignal(signal.SIGINT), []
    here = threading.current_thread() is threading.main_thread()  # others get none
    if here and handler:
        signal.signal(signal.SIGINT, lambda *interrupt: came.append(interrupt))
    try:
        yield
    finally:
        if here and handler:
            signal.signal(signal.SIGINT, handler)
    if came and not dropped and callable(handler):
        handler(*came[-1])
