"""The drawn stand-ins: as they are drawn, balanced, hard for a line, easy for a CNN."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tools import stand_ins
from utils import data


def drawing(label: int, index: int, *, seed: int = 3, size: int = 32) -> np.ndarray:
    return np.asarray(stand_ins.draw(label, seed=seed, index=index, size=size))


@pytest.mark.parametrize("label", range(10))
def test_a_drawing_follows_from_its_arguments_alone(label):
    first = drawing(label, 11)
    for other in range(10):
        drawing(other, other, seed=4)
    assert (drawing(label, 11) == first).all()
    others = (drawing(label, 12), drawing(label, 11, seed=4), drawing(9 - label, 11))
    assert all((other != first).mean() > 0.5 for other in others)


def test_no_background_belongs_to_one_class_alone():
    scenes = [set(scenes.split()) for _, scenes in stand_ins.SUBJECTS.values()]
    users = Counter(scene for seen in scenes for scene in seen)
    assert min(users.values()) >= 2


@pytest.mark.parametrize("name", stand_ins.DRAWN)
def test_the_sheets_hold_what_the_tool_draws(name):
    """But for what WebP loses, which is no more than the grain."""
    classes, n, seed, size = stand_ins.DRAWN[name]
    kind, part = name.rsplit("-", 1)
    images, labels, _ = data._drawings(kind, size)[part]
    assert images.shape == (n, 3, size, size)
    assert labels.tolist() == stand_ins.labels(n, seed, len(classes))
    assert np.bincount(labels).tolist() == [n // len(classes)] * len(classes)
    for index in (0, 1, 49, 50, n - 1):
        subject = stand_ins.CLASSES.index(classes[labels[index]])
        drawn = drawing(subject, index, seed=seed, size=size).transpose(2, 0, 1)
        assert np.abs(images[index].astype(int) - drawn).mean() < 8


def test_they_are_small_enough_to_lie_beside_the_code():
    assert stand_ins.CLASSES == data.OBJECTS
    files = list(data.SHEETS.iterdir())
    assert len(files) == len(stand_ins.DRAWN) + 1
    assert sum(path.stat().st_size for path in files) < 4.5e6


def test_cats_and_dogs_come_in_any_size():
    splits = data.dogs_vs_cats(24, source="embedded")
    assert [len(part) for part in list(splits)[:3]] == [1440, 160, 400]
    assert splits.train.images.shape[1:] == (3, 24, 24)


def fitted_accuracy(model: nn.Module, splits: data.Splits, lr: float) -> float:
    """Test accuracy (fraction) after six epochs of AdamW on 1,500 drawings."""
    epochs, train = 6, splits.train.subset(1500).loader(50, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    steps = epochs * len(train)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for _ in range(epochs):
        for images, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    images, labels = next(iter(splits.test.loader(500)))
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def test_a_cnn_learns_what_a_linear_classifier_cannot():
    splits = data.cifar10(source="embedded")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
        layers: list[nn.Module] = []
        for channels, filters in ((3, 16), (16, 32), (32, 64)):
            conv = nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
        cnn = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10))
        cnn = cnn.to(memory_format=torch.channels_last)
        linear_accuracy = fitted_accuracy(linear, splits, lr=1e-3)
        cnn_accuracy = fitted_accuracy(cnn, splits, lr=4e-3)
    assert 0.15 < linear_accuracy < 0.5
    assert cnn_accuracy > linear_accuracy + 0.2
