"""From words to torch: device, number format, optimizer and schedule of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler

from utils import course
from utils.course import CourseError

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16")}
OPTIMIZERS = {"sgd": partial(SGD, lr=0.1, momentum=0.9), "adam": Adam, "adamw": AdamW}
STEPWISE = ("onecycle", "cosine", "linear")  # move the learning rate after every step
SCHEDULES = ("constant", *STEPWISE, "step", "plateau")
SETTING = {"precision": "auto"}  # of the whole course: see `use_precision`
PLATEAU = 3  # epochs without improvement after which "plateau" divides by 10

Scheduler = Any  # torch's LRScheduler and ReduceLROnPlateau share no public base in 2.4
Schedule = str | Callable[[Optimizer], Scheduler]


def choose(what: str, value: object, options: Collection[str]) -> None:
    """Raise a `CourseError` unless `value` is one of the options."""
    if value not in options:
        raise CourseError(f"Unknown {what} {value!r}: take {', '.join(options)}.")


def place(model: nn.Module, device: torch.device | str | None = None) -> torch.device:
    """Move the model to a device: by default its own accelerator, else the fastest."""
    if device is None:
        own = next((weight.device for weight in model.parameters()), None)
        device = course.device() if own is None or own.type == "cpu" else own
    device = torch.device(device)
    model.to(device)
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
    contiguous = thin and device.type == "cpu"
    return torch.contiguous_format if contiguous else torch.channels_last


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
    """Compute in a number format from now on, or inside a `with` block alone.

    "auto" is bfloat16 or float16 on a GPU that has it, else float32.
    """
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
        raise CourseError(
            f"precision {name!r} is emulated on this {device.type} device, many times"
            f" slower than float32. Use 'auto', which is {native[0]} here."
        )
    return DTYPES[native[0] if name == "auto" else name]


def make_scaler(device: torch.device) -> GradScaler:
    """What keeps float16's small gradients; off, it passes all others through."""
    return GradScaler(device.type, enabled=number_format(device) == torch.float16)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside `torch.compile` and DistributedDataParallel: its own names."""
    model = getattr(model, "_orig_mod", model)
    parallel = isinstance(model, DataParallel | DistributedDataParallel)
    return model.module if parallel else model


def make_optimizer(
    choice: str | Optimizer | Callable[..., Optimizer],
    model: nn.Module,
    lr: float | None = None,
) -> Optimizer:
    """An optimizer over all trainable weights; by name fused where torch has it so."""
    weights = {n: w for n, w in model.named_parameters() if w.requires_grad}
    given: dict[str, Any] = {} if lr is None else {"lr": lr}
    if isinstance(choice, str):
        choose("optimizer", choice, OPTIMIZERS)
        fused = all(w.device.type in ("cpu", "cuda") for w in weights.values())
        given, choice = {"fused": fused, **given}, OPTIMIZERS[choice]
    if isinstance(choice, Optimizer) and given:
        raise CourseError("Set lr in your optimizer, not in fit too.")
    if not weights:
        raise CourseError("Nothing to train: set requires_grad on some weights.")
    if not isinstance(choice, Optimizer):
        choice = choice(list(weights.values()), **given)
    groups = getattr(choice, "param_groups", [])
    held = {id(weight) for group in groups for weight in group["params"]}
    missing = [name for name, weight in weights.items() if id(weight) not in held]
    if missing:
        raise CourseError(
            f"The optimizer lacks {missing[0]}: {len(missing)} of {len(weights)}"
            " trainable weights would never move. Make it from model.parameters() once"
            " the model is complete, or freeze them with requires_grad_(False)."
        )
    return choice


def make_scheduler(
    choice: Schedule, optimizer: Optimizer, epochs: int, loader: Any
) -> Scheduler | None:
    """The course of the learning rate; what it is now is the highest.

    "step" takes a tenth after 50 % and again after 75 % of the epochs, "plateau" when
    validation stalls. A function's scheduler is stepped once an epoch.
    """
    if callable(choice):
        scheduler = choice(optimizer)
        if getattr(scheduler, "optimizer", None) is not optimizer:
            raise CourseError(
                f"The schedule function gave {scheduler!r}: let it return a scheduler"
                " of the optimizer that it gets, such as StepLR(optimizer, 10)."
            )
        if getattr(scheduler, "total_steps", epochs) < epochs:
            raise CourseError(
                f"The schedule has {scheduler.total_steps} steps for {epochs} epochs,"
                " and makes one in each. Give it more, or use schedule='onecycle'."
            )
        return scheduler
    choose("schedule", choice, SCHEDULES)
    steps = epochs * max(1, len(loader)) if choice in STEPWISE else 0
    if choice == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if choice == "linear":  # down to 0
        return lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    if choice == "onecycle":
        # Departure from Smith (2018): the momentum stays where the caller set it.
        rates = [group["lr"] for group in optimizer.param_groups]
        return lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=steps, cycle_momentum=False
        )
    if choice == "step":
        turns = [math.ceil(epochs / 2), math.ceil(epochs * 3 / 4)]
        return lr_scheduler.MultiStepLR(optimizer, turns, gamma=0.1)
    if choice == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=PLATEAU - 1)
    return None


def step_epoch(scheduler: Scheduler, row: dict[str, Any]) -> None:
    """One epoch on; a plateau schedule sees the loss or the accuracy, by its mode."""
    if not isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step()
        return
    part = "train" if row["val_loss"] is None else "val"
    scheduler.step(row[f"{part}_{'loss' if scheduler.mode == 'min' else 'accuracy'}"])
