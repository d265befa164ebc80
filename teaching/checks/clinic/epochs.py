"""Steps of small networks: epochs with mistakes (10.4), what stays unmoved (10.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching.checks import Wrong, call, describe


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
    if schedule in ("first", "twice"):
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
    if schedule in ("after", "twice"):
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
    "Nothing is learned: no optimizer.step, or zero_grad between it and backward.": (
        _mistaken(zero="between")
    ),
    "The scheduler steps first: the first epoch already has the second's rate.": (
        _mistaken(schedule="first")
    ),
    "The scheduler steps after each batch; it counts epochs.": _mistaken(
        schedule="batch"
    ),
    "The scheduler steps before the loop and after it; once, after it.": _mistaken(
        schedule="twice"
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


def check_unmoved(function: Any) -> None:
    """Refuse names that a step did not leave unmoved."""
    for frozen, rate in ((("0.weight", "0.bias"), 0.5), (("2.bias",), 2e-6), ((), 0.5)):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        model.register_buffer("note", torch.zeros(1))
        if rate < 0.1:
            model[2].bias.requires_grad_(False)
        trained = [w for name, w in model.named_parameters() if name not in frozen]
        optimizer = torch.optim.SGD(trained, lr=rate)
        calls = []

        def step(model=model, optimizer=optimizer, calls=calls) -> None:
            calls.append(1)
            x = torch.tensor([[0.0, 1, 1], [0, 1, 2]])  # no gradient for column 0
            F.cross_entropy(model(x), torch.tensor([0, 0])).backward()
            optimizer.step()

        told = "Pass unmoved first. Of two tensors torch.equal makes one True or False."
        got = call(function, model, step, copied=False, hint=told)
        if len(calls) != 1:
            raise Wrong(f"step is called {len(calls)} times, not once.")
        if isinstance(got, (bool, int, float, str)):
            raise Wrong(f"unmoved gives a list of names, not {describe(got)}.")
        if not all(isinstance(name, str) for name in got):
            raise Wrong("unmoved gives names alone, as named_parameters() has them.")
        _check_names(set(got), set(frozen), {n for n, _ in model.named_parameters()})


def _check_names(got: set[str], frozen: set[str], names: set[str]) -> None:
    """Refuse names of parameters that are not the unmoved ones."""
    told = f"With {', '.join(sorted(frozen)) or 'nothing'} unmoved it names"
    told += f" {', '.join(sorted(map(str, got))) or 'none'}."
    if got == frozen:
        return
    if got == names - frozen:
        raise Wrong("These are the names of those that moved.")
    if got == names:
        hint = "Weights change in place: keep a clone of each before the step, and"
        hint += " compare values."
        if "0.bias" not in frozen:  # passed with larger steps
            hint = "A small step is a step: torch.equal, with no tolerance."
        raise Wrong(told, hint, reason=hint)
    if not got and frozen:
        hint = "Compare values before and after, by torch.equal: neither objects, nor"
        hint += " gradients, nor requires_grad tell whether one has moved."
        raise Wrong(told, hint, reason=hint)
    if "note" in got:
        raise Wrong("`note` is a buffer; named_parameters() has the parameters alone.")
    if got == frozen | {"0.weight"}:
        raise Wrong(
            told, "A part of 0.weight has moved, and another part not: it has moved."
        )
    raise Wrong(told, "One name for each parameter that is the same as before.")
