"""The shortest loop by hand over a fast loader: what `fit` may cost is seen against it.

It reports what `fit` reports, loss and accuracy of both sets, and checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from benchmarks.arms import ours
from benchmarks.measure import Watch
from benchmarks.work import Work

Batches = Iterable[tuple[Tensor, Tensor]]


def train(
    work: Work, model: nn.Module, seed: int, watch: Watch, *, loader: Any = ours.loader
) -> None:
    """Train and evaluate over a loader that gives batches on the device."""
    where = str(work.device)
    with watch:
        batches = loader(work.train, work.batch_size, seed=seed, device=where)
        unchanged = ours.loader(work.test, work.test_batch, augment=False, device=where)
        model.to(memory_format=torch.channels_last)
        optimizer = SGD(model.parameters(), work.lr, work.momentum, fused=True)
        for _ in range(work.epochs):
            train_epoch(model, batches, optimizer)
            evaluate(model, unchanged)


def train_epoch(
    model: nn.Module, batches: Batches, optimizer: Optimizer
) -> tuple[float, float]:
    """One pass; returns mean loss, in nats, and accuracy, a fraction."""
    model.train()
    losses, hits, n = [], [], 0
    for images, labels in batches:
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach() * len(labels))
        hits.append((logits.argmax(1) == labels).sum())
        n += len(labels)
    return float(sum(losses)) / n, float(sum(hits)) / n


def evaluate(model: nn.Module, batches: Batches) -> tuple[float, float]:
    """Mean loss, in nats, and accuracy, a fraction."""
    model.eval()
    losses, hits, n = [], [], 0
    with torch.inference_mode():
        for images, labels in batches:
            logits = model(images)
            losses.append(F.cross_entropy(logits, labels) * len(labels))
            hits.append((logits.argmax(1) == labels).sum())
            n += len(labels)
    return float(sum(losses)) / n, float(sum(hits)) / n
