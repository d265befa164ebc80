"""Batch normalization: Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network
Training by Reducing Internal Covariate Shift", ICML 2015, Algorithm 1 and section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Algorithm 1: (N, C, ...) -> the same, the others (C,); running ones move."""
    axes = [0, *range(2, x.dim())]  # all but the channels
    shape = [1, -1] + [1] * (x.dim() - 2)  # (C,) meets (N, C, H, W) as (1, C, 1, 1)
    mean, variance = running_mean, running_var
    if training:
        mean = x.mean(axes)  # line 1 of Algorithm 1
        variance = (x - mean.view(shape)).square().mean(axes)  # line 2, biased
        m = x.numel() // len(mean)  # values of a channel
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * m / (m - 1), momentum)  # unbiased, Sec. 3.1
    sigma = (variance + eps).sqrt()
    normalised = (x - mean.view(shape)) / sigma.view(shape)  # line 3
    return gamma.view(shape) * normalised + beta.view(shape)  # line 4
