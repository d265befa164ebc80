"""The state of every random generator, and of a loader's order."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import torch


def loader_state(loader: Any) -> dict[str, Any]:
    """What decides the order of the loader's next pass."""
    generator = getattr(loader, "generator", None)
    drawn = generator.get_state() if isinstance(generator, torch.Generator) else None
    return {"epoch": getattr(loader, "epoch", None), "generator": drawn}


def restore_loader(loader: Any, state: dict[str, Any]) -> None:
    """Set the loader back to where `loader_state` found it.

    Raises:
        ValueError: its epoch is no number, as none that `loader_state` found.
    """
    if state["epoch"] is not None:
        if not isinstance(state["epoch"], int):
            raise ValueError(f"the loader's epoch is {state['epoch']!r}")
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
