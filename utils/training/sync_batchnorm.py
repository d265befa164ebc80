"""Batch normalization over the examples of all processes, on any device.

torch has the same for CUDA alone; this one computes on the CPU too, and takes the
course's own batch norm.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.models.batchnorm import BatchNorm, along_channels, normalize, update_running
from utils.training import distributed

NORMS = (BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d)


class Sum(torch.autograd.Function):
    """The sum over all ranks; on the way back, the gradients are added up likewise."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Add up a copy."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Every rank's loss depends on every rank's values."""
        return Sum.apply(gradient.contiguous())


class SyncBatchNorm(nn.Module):
    """A batch norm whose statistics are those of the batches of all ranks together.

    It has the weights and buffers of the layer whose place it takes, and their names.

    Shape: (N, C, ...) -> (N, C, ...)
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, and in training move the running statistics."""
        mean, variance = self.running_mean, self.running_var  # (C,)
        if self.training:
            mean, variance, n = statistics_of_all(x)  # (C,)
            update_running(self, mean.detach(), variance.detach(), n)
        return normalize(x, mean, variance + self.eps, self.weight, self.bias)


def statistics_of_all(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, biased variance and number of values of each channel, over all ranks.

    Shape: (N, C, ...) -> three times (C,); N may differ between the ranks, and be 0
    Source: Chan, Golub & LeVeque 1983, on adding up variances without cancellation.
    """
    axes = [0, *range(2, x.dim())]
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    n = x.numel() // x.shape[1]
    mean = x.sum(axes) / max(n, 1)
    spread = (x - along_channels(mean, x)).square().sum(axes)
    mine = torch.stack([torch.full_like(mean, n), mean, spread])
    parts = mine.new_zeros(distributed.size(), *mine.shape)
    parts[distributed.rank()] = mine
    counts, means, spreads = Sum.apply(parts).unbind(1)  # (ranks, C)
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    spread = (spreads + counts * (means - mean).square()).sum(0)
    return mean, spread / total, total


def synchronise(model: nn.Module) -> nn.Module:
    """Put a `SyncBatchNorm` in the place of every batch norm inside the model.

    It changes nothing on one process.
    """
    if distributed.size() > 1:
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, NORMS):
                    setattr(module, name, SyncBatchNorm(child))
    return model
