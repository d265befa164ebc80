"""From words to torch: device, number format, optimizer and schedule of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler

from utils import course
from utils.course import CourseError, choose

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16")}
OPTIMIZERS = {"sgd": partial(SGD, lr=0.1, momentum=0.9), "adam": Adam, "adamw": AdamW}
STEPWISE = ("onecycle", "cosine", "linear")  # move the learning rate after every step
SETTING = {"precision": "auto"}  # bfloat16 or float16 on a GPU that has it

Scheduler = Any  # torch's share no public base in 2.4
Schedule = str | Callable[[Optimizer], Scheduler]

# name -> what is made of the optimizer and of the number of steps
SCHEDULES: dict[str, Callable[[Optimizer, int], Scheduler]] = {
    "constant": lambda o, n: None,
    # Departure from Smith (2018): the momentum stays where the caller set it.
    "onecycle": lambda o, n: lr_scheduler.OneCycleLR(
        o, [group["lr"] for group in o.param_groups], n, cycle_momentum=False
    ),
    "cosine": lr_scheduler.CosineAnnealingLR,
    "linear": lambda o, n: lr_scheduler.LinearLR(o, 1.0, 0.0, n),  # down to 0
    "step": lambda o, n: lr_scheduler.MultiStepLR(o, [-(-n // 2), -(-n * 3 // 4)]),
    # a tenth once three epochs in a row have brought no better accuracy
    "plateau": lambda o, n: lr_scheduler.ReduceLROnPlateau(o, "max", patience=2),
}


def place(model: nn.Module) -> torch.device:
    """Move the model to its own accelerator, or from the CPU to the fastest device."""
    own = next((weight.device for weight in model.parameters()), None)
    device = course.device() if own is None or own.type == "cpu" else own
    model.to(device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # batches keep their shape: search once
    return device


def layout(model: nn.Module, device: torch.device) -> torch.memory_format:
    """The order of images and filters in memory: channels_last, which is the fastest.

    Not on Apple's MPS, where batch norm's gradients are wrong in it (pytorch/pytorch,
    issue 175189). On a CPU not for a 1x1 convolution with a stride and under 16 input
    channels: oneDNN's kernel for its weight gradient then writes past its buffer, which
    spoils numbers or ends the process (uxlfoundation/oneDNN, issue 6035).
    """
    convs = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    strided = (c for c in convs if c.kernel_size == (1, 1) and c.stride != (1, 1))
    thin = any(c.in_channels // c.groups < 16 for c in strided)
    unsafe = device.type == "mps" or (thin and device.type == "cpu")
    return torch.contiguous_format if unsafe else torch.channels_last


@contextmanager
def arranged(model: nn.Module, layout: torch.memory_format) -> Iterator[None]:
    """Filters (4-D) in that order, as long as the block lasts: then in their own."""
    own = [(weight, weight.data) for weight in model.parameters() if weight.ndim == 4]
    try:
        for weight, data in own:
            weight.data = data.contiguous(memory_format=layout)
        yield
    finally:
        for weight, data in own:
            if weight.data_ptr() != data.data_ptr():
                weight.data = data.copy_(weight.data)


def use_precision(name: str) -> ExitStack:
    """Compute in a number format, "auto" or of `DTYPES`: on, or in a `with` block."""
    choose("precision", name, ("auto", *DTYPES))
    back = ExitStack()
    back.callback(SETTING.update, precision=SETTING["precision"])
    SETTING["precision"] = name
    return back


def native_formats(device: torch.device) -> tuple[str, ...]:
    """The formats the device has units for, the one to take first."""
    if device.type == "cuda":
        # is_bf16_supported() also says yes where bfloat16 is emulated
        major, _ = torch.cuda.get_device_capability(device)
        half = ("bfloat16", "float16") if major >= 8 else ("float16",) * (major == 7)
        return (*half, "float32")
    native = ["float32"]
    if device.type == "cpu":  # emulation is 11 times slower; private flags alone tell
        for name, short in (("bfloat16", "bf16"), ("float16", "fp16")):
            flag = getattr(torch.ops.mkldnn, f"_is_mkldnn_{short}_supported", bool)
            native += [name] * flag()
    return tuple(native)


def number_format(device: torch.device) -> torch.dtype:
    """The format of the forward pass; weights and loss stay float32."""
    name, native = SETTING["precision"], native_formats(device)
    if name not in ("auto", *native):
        slow = f"{name!r} is emulated on this {device.type} device, and very slow."
        raise CourseError(f"precision {slow} Use 'auto', which is {native[0]} here.")
    return DTYPES[native[0] if name == "auto" else name]


def make_scaler(device: torch.device) -> GradScaler:
    """What keeps float16's small gradients; off, it passes all others through."""
    return GradScaler(device.type, enabled=number_format(device) == torch.float16)


def make_optimizer(
    choice: str | Optimizer | Callable[..., Optimizer],
    model: nn.Module,
    lr: float | None = None,
) -> Optimizer:
    """An optimizer over all trainable weights; by name fused where torch has it so."""
    weights = {n: w for n, w in model.named_parameters() if w.requires_grad}
    if not weights:
        raise CourseError("Nothing to train: set requires_grad on some weights.")
    given: dict[str, Any] = {} if lr is None else {"lr": lr}
    if isinstance(choice, str):
        choose("optimizer", choice, OPTIMIZERS)
        fused = all(w.device.type in ("cpu", "cuda") for w in weights.values())
        given, choice = {"fused": fused, **given}, OPTIMIZERS[choice]
    if not isinstance(choice, Optimizer):
        choice = choice(list(weights.values()), **given)
    elif given:
        raise CourseError("Set lr in your optimizer, not in fit too.")
    groups = getattr(choice, "param_groups", [])
    held = {id(weight) for group in groups for weight in group["params"]}
    missing = [name for name, weight in weights.items() if id(weight) not in held]
    if missing:
        few = f"{len(missing)} of {len(weights)} weights would never move"
        cure = "Make it from model.parameters() once the model is complete."
        raise CourseError(f"The optimizer lacks {missing[0]}: {few}. {cure}")
    return choice


def make_scheduler(
    choice: Schedule, optimizer: Optimizer, epochs: int, loader: Any
) -> Scheduler | None:
    """The course of the learning rate; what it is now is the highest."""
    if not callable(choice):
        choose("schedule", choice, SCHEDULES)
        each = max(1, len(loader)) if choice in STEPWISE else 1
        return SCHEDULES[choice](optimizer, epochs * each)
    made = choice(optimizer)
    steps = getattr(made, "total_steps", epochs)
    if getattr(made, "optimizer", None) is not optimizer or steps < epochs:
        cure = f"one of the optimizer that it gets, of {epochs} steps, one an epoch."
        raise CourseError(f"schedule gave {made!r} of {steps} steps. Return {cure}")
    return made


def step_epoch(scheduler: Scheduler, row: dict[str, Any]) -> None:
    """One epoch on; a plateau schedule sees the loss or the accuracy, by its mode."""
    if not isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        return scheduler.step()
    part = "train" if row["val_loss"] is None else "val"
    what = "loss" if scheduler.mode == "min" else "accuracy"
    return scheduler.step(row[f"{part}_{what}"])
