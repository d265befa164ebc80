"""Where a run computes, and in which number format."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler

from utils import course
from utils.course import CourseError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose(what: str, value: object, options: Collection[str]) -> None:
    """Raise a `CourseError` unless `value` is one of the options."""
    if value not in options:
        raise CourseError(
            f"Unknown {what} {value!r}: choose from {', '.join(options)}."
        )


def place(model: nn.Module, device: torch.device | str | None = None) -> torch.device:
    """Move the model to the device of the run, its filters in the order of `layout`."""
    device = course.device() if device is None else torch.device(device)
    model.to(device).to(memory_format=layout(model, device))
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # batches keep their shape: search once
    return device


def layout(model: nn.Module, device: torch.device) -> torch.memory_format:
    """The order of images and filters in memory: channels_last, which is the fastest.

    On a CPU a network with a 1x1 convolution that has a stride and under 16 input
    channels takes the contiguous order: in the other one, oneDNN's kernel for its
    weight gradient writes past its buffer, which spoils numbers or ends the process
    (uxlfoundation/oneDNN, issue 6035).
    """
    thin = any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels // module.groups < 16
        for module in model.modules()
    )
    if thin and device.type == "cpu":
        return torch.contiguous_format
    return torch.channels_last


@dataclass(frozen=True)
class Precision:
    """The number format of the forward pass, and the scaler that float16 needs.

    Weights and loss stay float32. A disabled scaler passes everything through.
    """

    device_type: str
    dtype: torch.dtype
    scaler: GradScaler

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the forward pass."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)


def native_formats(device: torch.device) -> tuple[str, ...]:
    """The formats the device has units for, the one to take first."""
    if device.type == "cuda":
        # is_bf16_supported() also says yes where bfloat16 is emulated
        major, _ = torch.cuda.get_device_capability(device)
        if major >= 8:
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32") if major == 7 else ("float32",)
    if device.type == "cpu":
        # Emulation is 11 times slower than float32; only these private flags tell.
        flags = {
            "bfloat16": getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None),
            "float16": getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None),
        }
        return ("float32", *(name for name, flag in flags.items() if flag and flag()))
    return ("float32",)


def make_precision(choice: str | Precision, device: torch.device) -> Precision:
    """Mixed precision where the device computes in it, never where it is emulated.

    Args:
        choice: "auto" (bfloat16 or float16 on a GPU that has it, else float32), one of
            the three by name, or a `Precision` made before.
        device: where the model runs.

    Raises:
        CourseError: the device has no units for that format.
    """
    if isinstance(choice, Precision):
        return choice
    choose("precision", choice, ("auto", *DTYPES))
    native = native_formats(device)
    name = native[0] if choice == "auto" else choice
    if name not in native:
        raise CourseError(
            f"precision={name!r} is emulated on this {device.type} device, many times"
            f" slower than float32. Use precision='auto', which is {native[0]} here."
        )
    scaler = GradScaler(device.type, enabled=name == "float16")
    return Precision(device.type, DTYPES[name], scaler)
