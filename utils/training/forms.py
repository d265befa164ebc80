"""What the state of a run looks like in a file, and whether a file's state fits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from utils.course import CourseError


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


def fitted(saved: Any, ours: Any, where: str) -> Any:
    """The saved state, if it has the form of ours: types, lengths and shapes.

    A key that only one of them has is of another version of torch: ours count.

    Args:
        where: what the state is of, for the message.

    Raises:
        ValueError: it has another form.
    """
    if isinstance(ours, Mapping) and isinstance(saved, Mapping):
        return {
            key: fitted(saved[key], value, f"{where}[{key!r}]")
            if key in saved
            else value
            for key, value in ours.items()
        }
    if isinstance(ours, list | tuple) and isinstance(saved, list | tuple):
        if len(saved) == len(ours):
            pairs = enumerate(zip(saved, ours, strict=True))
            return type(ours)(fitted(a, b, f"{where}[{i}]") for i, (a, b) in pairs)
    elif isinstance(ours, Tensor) and isinstance(saved, Tensor):
        if _kind(saved) == _kind(ours):
            return saved
    elif _kind(saved) == _kind(ours) or (ours is None and _kind(saved)):
        return saved  # what is None at first may be set later
    raise ValueError(f"the state of {where} has another form")


def fitted_optimizer(saved: Any, optimizer: Optimizer) -> dict[str, Any]:
    """The saved state of an optimizer, if this one could have come to it.

    How it computes (`fused`, `foreach`) is not the file's to say: it depends on the
    device. A forged buffer of another size would be read beyond its end there.

    Raises:
        ValueError: it has another form.
    """
    ours = plain(optimizer.state_dict())
    groups = fitted(saved["param_groups"], ours["param_groups"], "the optimizer")
    for group, own in zip(groups, ours["param_groups"], strict=True):
        flags = {k: v for k, v in own.items() if v is None or isinstance(v, bool)}
        group |= {"params": own["params"], **flags}
    state, known = saved["state"], _after_a_step(optimizer)
    if known is not None:
        if not isinstance(state, Mapping) or not state.keys() <= known.keys():
            raise ValueError("the state of the optimizer has another form")
        known = {key: known[key] for key in state}  # without a gradient there is none
        state = fitted(state, known, "the optimizer")
    return {"state": state, "param_groups": groups}


def _after_a_step(optimizer: Optimizer) -> dict[int, Any] | None:
    """What an optimizer keeps of each weight; None of one that cannot be copied."""
    try:
        double = copy.deepcopy(optimizer)
        for group in double.param_groups:
            for weight in group["params"]:
                weight.grad = torch.zeros_like(weight)
        double.step()
        return plain(double.state_dict())["state"]
    except Exception:  # not torch's own: it may need more than its groups
        return None


def _kind(value: Any) -> tuple[Any, ...]:
    """What two values of one form share; empty for what is no plain value."""
    if isinstance(value, Tensor):
        return ("tensor", value.is_floating_point(), *value.shape)
    if value is None or isinstance(value, bool):
        return ("flag",)
    if isinstance(value, int | float):
        return ("number",)
    return ("text",) if isinstance(value, str) else ()
