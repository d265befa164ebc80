"""The model on several processes: equal weights, averaged gradients and statistics."""

from __future__ import annotations

import inspect
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from utils.course import CourseError
from utils.training import distributed

# The option that copies buffers from rank 0 in every step: torch's new name, the old
BUFFERS = ("forward_sync_buffers", "broadcast_buffers")


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with gradients that are averaged over the ranks; it shares its weights.

    All ranks begin with the weights of rank 0.

    Raises:
        CourseError: there is no such device for each process.
    """
    if distributed.size() == 1:
        return model
    check_device(device)
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)
    # Not in every step: `average_buffers` makes them equal once an epoch.
    known = inspect.signature(DistributedDataParallel).parameters
    name = next(name for name in BUFFERS if name in known)
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(model, **options)


def check_device(device: torch.device) -> None:
    """Raise a `CourseError` unless each of several processes can compute there."""
    if distributed.size() == 1 or device.type == "cpu":
        return
    if device.type != "cuda" or device.index is not None:
        raise CourseError(
            f"Several processes cannot share the device {device}: take cpu, or cuda"
            " without a number, which gives each of them a card of its own."
        )
    here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if here > cards:
        raise CourseError(
            f"{here} processes and {cards} GPUs on this host: start torchrun with"
            f" --nproc-per-node={cards}, or add --device cpu."
        )


@torch.no_grad()
def average_buffers(model: nn.Module) -> None:
    """Give all ranks the mean of their running statistics, to evaluate the same net."""
    for buffer in model.buffers() if distributed.size() > 1 else ():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer.div_(distributed.size())
