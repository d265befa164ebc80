"""Two epochs of a small network, right and with each known mistake: exercise 10.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching.checks import call


def two_epochs(function: Any) -> tuple[dict[str, Tensor], Any]:
    """Run two epochs on a small network in eval mode: its state and last losses."""
    generator = torch.Generator().manual_seed(5)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    )
    for weight in model.parameters():
        weight.data = 0.5 * torch.randn(weight.shape, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    sizes = (6, 6, 4)
    batches = [
        (
            torch.randn(n, 4, generator=generator),
            torch.randint(3, (n,), generator=generator),
        )
        for n in sizes
    ]
    losses = None
    for _ in range(2):
        model.eval()
        losses = call(function, model, batches, optimizer, scheduler, copied=False)
    rate = torch.tensor(optimizer.param_groups[0]["lr"])
    return model.state_dict() | {"lr": rate}, losses


def epoch(
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    *,
    zero: str = "before",
    schedule: str = "after",
    mode: bool = True,
) -> list[float]:
    """The reference, and with other settings the known mistakes."""
    losses = []
    model.train(mode)
    if zero == "once":
        optimizer.zero_grad()
    if schedule == "first":
        scheduler.step()
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        if zero == "before":
            optimizer.zero_grad()
        loss.backward()
        if zero == "between":
            optimizer.zero_grad()
        optimizer.step()
        if schedule == "batch":
            scheduler.step()
        losses.append(loss.item())
    if schedule == "after":
        scheduler.step()
    return losses


def _mistaken(**settings: Any) -> Callable[..., list[float]]:
    return lambda *args: epoch(*args, **settings)


MISTAKEN_EPOCHS = {
    "The gradients add up from step to step: zero_grad is missing.": _mistaken(
        zero="never"
    ),
    "zero_grad stands before the loop: inside it the gradients still add up.": (
        _mistaken(zero="once")
    ),
    "Nothing is learned: zero_grad comes after backward and before the next step.": (
        _mistaken(zero="between")
    ),
    "The scheduler steps first: the first epoch already has the second's rate.": (
        _mistaken(schedule="first")
    ),
    "The scheduler steps after each batch; it counts epochs.": _mistaken(
        schedule="batch"
    ),
    "The scheduler never steps.": _mistaken(schedule="never"),
    "The network is in evaluation mode: model.train() is missing, or too late.": (
        _mistaken(mode=False)
    ),
    "The scheduler is right; zero_grad and model.train() are missing.": _mistaken(
        zero="never", mode=False
    ),
    "Nearly nothing has changed: no zero_grad, and the scheduler steps first.": (
        _mistaken(zero="never", schedule="first")
    ),
    "model.train() is missing, and the scheduler steps first.": _mistaken(
        schedule="first", mode=False
    ),
    "This is the faulty one: zero_grad, train() and the scheduler's place.": _mistaken(
        zero="never", schedule="first", mode=False
    ),
}


def same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    """Whether two states agree, but for rounding."""
    return all(
        torch.allclose(got[name].double(), wanted[name].double(), atol=1e-6)
        for name in wanted
    )
