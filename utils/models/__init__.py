"""The networks of the course, one file each, in the order of the lectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from utils.course import CourseError
from utils.models.lenet import LeNet5
from utils.models.small import TwoLayerCNN

__all__ = ["MODELS", "LeNet5", "TwoLayerCNN", "build"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "two_layer_cnn": TwoLayerCNN,
    "lenet5": LeNet5,
}


def build(name: str, **options: Any) -> nn.Module:
    """The network of this name, with untrained weights.

    Args:
        name: a key of `MODELS`, in any case.
        **options: what its builder takes, such as `num_classes` and `in_channels`.

    Raises:
        CourseError: there is no network of this name.
    """
    builder = MODELS.get(name.lower())
    if builder is None:
        raise CourseError(
            f"No network is called {name!r}. Choose one of: {', '.join(MODELS)}."
        )
    return builder(**options)
