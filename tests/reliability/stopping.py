"""A run of `fit` in a process of its own, which says at any time what it is doing.

The process is forked from one that has imported torch and started no thread: a fresh
Python would take seconds for the imports. Where there is no safe fork it is spawned.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from runs import EPOCHS, run, set_seed
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from utils import train
from utils.checkpoint import Checkpoint

PHASES = ("outside", "step", "evaluation", "writing", "between")  # of fit
EXAMPLES = 256
CONTEXT = multiprocessing.get_context(
    "forkserver" if sys.platform == "linux" else "spawn"
)
if sys.platform == "linux":
    CONTEXT.set_forkserver_preload(["torch", "torchvision", "utils.train"])


@dataclass
class Child:
    """A run in another process.

    Attributes:
        folder: of its checkpoint, and of what it leaves.
        settings: those of `runs.run`.
        phase: the index in `PHASES` of what it does now.
        spent: seconds in each phase so far.
    """

    folder: Path
    settings: dict[str, Any]
    phase: Any = field(default_factory=lambda: CONTEXT.RawValue("b", 0))
    spent: Any = field(default_factory=lambda: CONTEXT.RawArray("d", len(PHASES)))

    def start(self, then: Callable | None = None) -> multiprocessing.Process:
        """Begin or go on; `then` gets the folder, the model and the history."""
        given = (self.folder, self.settings, self.phase, self.spent, then)
        self.phase.value = 0
        process = CONTEXT.Process(target=work, args=given, daemon=True)
        process.start()
        return process

    def wait_for(self, phases: tuple[str, ...], alive: Callable[[], bool]) -> bool:
        """Wait until it is in one of the phases; False if it ended before."""
        wanted = [PHASES.index(name) for name in phases]
        while self.phase.value not in wanted:
            if not alive():
                return False
            time.sleep(1e-5)
        return True


def work(folder: Path, settings: dict, phase: Any, spent: Any, then: Any) -> None:
    """What the process does: train, and leave everything that is to be compared."""

    def stop(*_: Any) -> None:
        """Interrupt `fit` as Python does, but nothing before it or after its end."""
        if phase.value != PHASES.index("outside"):
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    for place, name in enumerate(("train_epoch", "evaluate"), start=1):
        setattr(train, name, watched(getattr(train, name), phase, spent, place))
    Checkpoint.save = watched(Checkpoint.save, phase, spent, 3)
    epochs, steps = keep_weights()
    file = folder / "run.pt"
    # What a resumed run draws must come from its file, not from the seed.
    seed = 99 if file.exists() else 0
    model, history = run(file=file, seed=seed, resume=True, n=EXAMPLES, **settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    left = {"model": model.state_dict(), "rows": history.rows, "kept": history.kept}
    left |= {"stopped": history.stopped, "epochs": epochs, "steps": steps}
    left |= {"training": any(module.training for module in model.modules())}
    left |= {"parameters": flat(model.parameters())}
    torch.save(left, folder / "left.pt")
    if then:
        then(folder, model)


def watched(function: Callable, phase: Any, spent: Any, place: int) -> Callable:
    """The function, which notes that it is at work, and for how long."""

    def wrapper(*args: Any, **settings: Any) -> Any:
        phase.value, begin = place, time.perf_counter()
        try:
            return function(*args, **settings)
        finally:
            spent[place] += time.perf_counter() - begin
            # Once the last epoch is saved nothing is left that could be stopped.
            whole = PHASES[place] == "writing" and len(args[1].rows) == EPOCHS
            phase.value = PHASES.index("outside" if whole else "between")

    return wrapper


def keep_weights() -> tuple[list[dict], list[Tensor]]:
    """Lists that grow: the model after each epoch, its parameters after each step."""
    epochs: list[dict] = []
    steps: list[Tensor] = []
    save = Checkpoint.save

    def note(optimizer: Any, *_: Any) -> None:
        steps.append(flat(optimizer.param_groups[0]["params"]))

    def keep(saved: Checkpoint, *state: Any) -> None:
        weights = saved.model.state_dict()
        epochs.append({name: t.clone() for name, t in weights.items()})
        save(saved, *state)

    register_optimizer_step_post_hook(note)
    Checkpoint.save = keep
    return epochs, steps


def flat(parameters: Any) -> Tensor:
    """All numbers in a row: a copy."""
    return torch.cat([p.detach().flatten() for p in parameters])


def go_on(folder: Path, model: nn.Module) -> None:
    """What a student does after the stop button: train the same model once more."""
    set_seed(5)
    images = torch.randn(64, 1, 8, 8)
    labels = images.mean((1, 2, 3)).gt(0).long()
    history = train.fit(model, [(images, labels)], epochs=1, lr=0.01, progress=False)
    torch.save(history.rows, folder / "again.pt")


def left(folder: Path) -> dict[str, Any]:
    """What a process left in its folder."""
    return torch.load(folder / "left.pt", weights_only=True)


def state(folder: Path) -> dict[str, Any]:
    """Everything in the checkpoint but what the clock said."""
    found = torch.load(folder / "run.pt", weights_only=True)
    found["history"]["rows"] = timeless(found["history"]["rows"])
    return found


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a history without their seconds."""
    clock = ("seconds", "processor_seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in rows]


def same(one: Any, two: Any) -> bool:
    """Whether two values are equal, each tensor bit for bit."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def kill(process: multiprocessing.Process) -> bool:
    """End it with SIGKILL; False if it had ended by itself."""
    with suppress(ProcessLookupError):
        process.kill()
    process.join()
    return process.exitcode != 0
