"""Batch normalization: Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network
Training by Reducing Internal Covariate Shift", ICML 2015, Algorithm 1 and section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.course import CourseError


class BatchNorm(nn.Module):
    """Normalise each channel over the batch, then scale and shift: Algorithm 1."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))  # gamma
        self.bias = nn.Parameter(torch.zeros(num_features))  # beta
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:  # (N, C, ...) -> (N, C, ...)
        mean, variance = self.running_mean, self.running_var  # (C,)
        if self.training:
            mean, variance = batch_statistics(x)  # (C,)
            update_running(self, mean, variance, x.numel() // len(mean))
        return normalize(x, mean, variance + self.eps, self.weight, self.bias)


class BatchNorm1d(BatchNorm):
    """Each feature over the batch, and the length: (N, C) or (N, C, L) -> the same."""


class BatchNorm2d(BatchNorm):
    """Each map over the batch, height and width: (N, C, H, W) -> the same, Sec. 3.2."""


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, lines 1 and 2: (C,) and (C,), in float32 at least."""
    axes = [0, *range(2, x.dim())]  # all but the channels
    mean = x.mean(axes, dtype=torch.promote_types(x.dtype, torch.float32))
    # Around 10,000 float32 rounds to 0.001: the mean of what is left repairs it.
    mean = mean + (x - along_channels(mean, x)).mean(axes)
    # Not mean(x**2) - mean**2: around 10,000 that difference has no digit left.
    return mean, (x - along_channels(mean, x)).square().mean(axes)


def normalize(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Mean 0, variance 1, then gamma and beta: lines 3 and 4, in x's own precision."""
    centred = x - along_channels(mean, x)
    y = centred * along_channels(weight / variance.sqrt(), x) + along_channels(bias, x)
    return y.to(x.dtype)


def along_channels(values: Tensor, x: Tensor) -> Tensor:
    """One value a channel, (C,), shaped to meet the channels of x: (1, C, 1, 1)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


@torch.no_grad()
def update_running(norm: BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Move the running statistics towards this batch's, n values a channel.

    The layer's momentum is the share of the new batch, as torch counts it; with None
    all batches weigh the same. The running variance is unbiased: n / (n - 1) times.
    """
    if n == 1:
        raise CourseError(
            "Batch norm needs more than 1 value per channel when training. Give at"
            " least 2 examples (drop_last=True leaves out a short last batch)."
        )
    norm.num_batches_tracked.add_(1)
    share = norm.momentum
    if share is None:
        share = 1 / norm.num_batches_tracked.to(mean.dtype)
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * n / (n - 1), share)
