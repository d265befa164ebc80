"""A tutorial's loop: one PIL image at a time, and the loss read in every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.measure import Watch
from benchmarks.work import PADDING, Changed, Work
from utils.data import ImageSet


def loader(
    data: ImageSet,
    batch_size: int,
    *,
    seed: int = 0,
    augment: bool = True,
    workers: int = 0,
) -> DataLoader:
    """torchvision's transforms under a `DataLoader`; unaugmented in the set's order."""
    arrays = data.images.permute(0, 2, 3, 1).contiguous().numpy()
    steps: list[Callable] = [Image.fromarray]
    if augment:
        side = data.images.shape[-1]
        steps += [transforms.RandomCrop(side, padding=PADDING)]
        steps += [transforms.RandomHorizontalFlip()]
    steps += [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
    torch.manual_seed(seed)  # the transforms draw from the global generator
    return DataLoader(
        Changed(arrays, data.labels.tolist(), *steps),
        batch_size,
        shuffle=augment,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def loaders(work: Work, seed: int) -> tuple[DataLoader, DataLoader]:
    """The training and the test images, in batches of one size."""
    return (
        loader(work.train, work.batch_size, seed=seed),
        loader(work.test, work.batch_size, augment=False, seed=seed),
    )


def train(work: Work, model: nn.Module, seed: int, watch: Watch) -> None:
    """Train and evaluate as PyTorch's tutorial for CIFAR-10 does."""
    train_loader, test_loader = loaders(work, seed)
    with watch:
        optimizer = SGD(model.parameters(), lr=work.lr, momentum=work.momentum)
        for _ in range(work.epochs):
            train_epoch(model, train_loader, optimizer, work.device)
            evaluate(model, test_loader, work.device)


def train_epoch(
    model: nn.Module,
    batches: DataLoader,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    *,
    scheduler: Any = None,
    label_smoothing: float = 0.0,
) -> float:
    """One pass; returns the mean of the batches' losses."""
    model.train()
    running_loss = 0.0
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        running_loss += loss.item()
    return running_loss / len(batches)


def evaluate(model: nn.Module, batches: DataLoader, device: torch.device) -> float:
    """The fraction of images that are classified correctly."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in batches:
            images, labels = images.to(device), labels.to(device)
            _, predicted = torch.max(model(images), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return correct / total
