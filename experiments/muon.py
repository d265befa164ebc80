"""Muon: steps for filters that move all directions alike.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(kellerjordan.github.io/posts/muon). `torch.optim.Muon` takes matrices alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def orthogonalised(matrix: Tensor, steps: int = 3) -> Tensor:
    """The matrix with its singular values brought near 1, by Newton-Schulz steps.

    The coefficients lift small values fast, and do not end at 1: most in 0.7 to 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-20)  # no singular value is above 1
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """Orthogonalised momentum for filters, SGD for shifts and head, each at its rate.

    Args:
        weights: filters (4-D), matrices of linear layers (2-D), shifts (1-D).
        lr, head_lr, shift_lr: of the three kinds; they lie orders apart. That of the
            filters is by how much of their norm, which stays fixed, a step may move.
        momentum, sgd_momentum: of the filters, and of the others; Nesterov's.
        decay: the part that head and shifts lose in a step at the full rate.
        orthogonal: False makes it SGD throughout.
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        lr: float = 0.12,
        *,
        head_lr: float = 335.0,
        shift_lr: float = 26.5,
        momentum: float = 0.6,
        sgd_momentum: float = 0.85,
        decay: float = 1e-3,
        orthogonal: bool = True,
    ) -> None:
        weights = list(weights)
        groups: list[dict[str, Any]] = [
            {"lr": lr, "momentum": momentum, "decay": 0.0, "orthogonal": orthogonal},
            {"lr": head_lr, "momentum": sgd_momentum, "decay": decay / head_lr},
            {"lr": shift_lr, "momentum": sgd_momentum, "decay": decay / shift_lr},
        ]
        for group, ndim in zip(groups, (4, 2, 1), strict=True):
            group["params"] = [w for w in weights if w.ndim == ndim]
        super().__init__(groups, {"orthogonal": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            beta = group["momentum"]
            for w in (w for w in group["params"] if w.grad is not None):
                gradient = w.grad.add(w, alpha=group["decay"])
                state = self.state[w].setdefault("momentum", torch.zeros_like(w))
                state.mul_(beta).add_(gradient)
                move = gradient.add(state, alpha=beta)  # Nesterov's look ahead
                if group["orthogonal"]:
                    move = orthogonalised(move.flatten(1)).view(w.shape)
                    w.mul_(len(w) ** 0.5 / w.norm())
                w.add_(move, alpha=-group["lr"])
