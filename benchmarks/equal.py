"""Proof that the arms do the same work: a fast arm that does less proves nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.arms import ours
from benchmarks.measure import Timing
from benchmarks.work import MEAN, PADDING, SIDE, STD, Work, image_set
from utils.course import CourseError
from utils.data import ImageSet

SIGMAS = 5  # by chance, a fair draw lies outside once in two million
LOSS = 0.1  # nats: by so much final losses may differ beyond their noise
PROBES = 2000
TRIED = 2  # images that `fit` puts through the model before it trains


class UnequalWork(CourseError):
    """An arm did other work than the rest; the message says which arm, and what."""


def require(condition: bool, arm: str, problem: str) -> None:
    """Raise `UnequalWork` unless the condition holds."""
    if not condition:
        raise UnequalWork(f"{arm}: {problem}. Its figures cannot be compared.")


def probe(n: int = PROBES) -> ImageSet:
    """Images that say where each pixel came from: red is the row, green the column."""
    places = torch.arange(SIDE, dtype=torch.uint8) + 100  # the border is 0
    image = torch.full((3, SIDE, SIDE), 100, dtype=torch.uint8)
    image[0], image[1] = places[:, None], places
    images = image.expand(n, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    return image_set(images, torch.arange(n) % 10)


def check_augmentation(arm: str, loader: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Raise `UnequalWork` unless a pass over `probe` crops and flips as it should."""
    batches = [images.cpu() for images, _ in loader]
    images = torch.cat(batches)
    n = len(images)
    require(n == PROBES, arm, f"it gave {n} of {PROBES} images")
    mean, std = (torch.tensor(t).view(1, -1, 1, 1) for t in (MEAN, STD))
    pixels = (images * std + mean) * 255
    off = (pixels - pixels.round()).abs().max()
    require(bool(off < 0.01), arm, f"its pixels are {off:.3f} off, so not normalised")
    top, left, flipped = where(pixels.round().long())
    check_share(arm, "flips", flipped, 0.5)
    for name, offsets in (("top", top), ("left", left)):
        for shift in range(2 * PADDING + 1):
            share = 1 / (2 * PADDING + 1)
            check_share(arm, f"crops whose {name} is {shift}", offsets == shift, share)
    first = torch.stack([top, left], 1)[: len(batches[0])]
    require(len(first.unique(dim=0)) > 1, arm, "a whole batch shares one crop")


def where(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each probe's crop: top, left (N,) in the padded image; whether it is flipped."""
    middle = SIDE // 2  # no crop moves it into the border
    row, column = pixels[:, 0, middle, middle], pixels[:, 1, middle, middle]
    flipped = pixels[:, 1, middle, middle + 1] < column
    source = torch.where(flipped, SIDE - 1 - middle, middle)
    return row - 100 - middle + PADDING, column - 100 - source + PADDING, flipped


def check_share(arm: str, what: str, found: Tensor, share: float) -> None:
    """Raise `UnequalWork` unless this share of the images is so, up to chance."""
    measured = float(found.float().mean())
    room = SIGMAS * sqrt(share * (1 - share) / len(found))
    problem = f"{100 * measured:.1f} % {what}, not {100 * share:.1f} %"
    require(abs(measured - share) <= room, arm, problem)


class Ledger:
    """What each arm trained, to be compared with what the arm `first` did."""

    def __init__(self, work: Work, first: str) -> None:
        self.work, self.first = work, first
        self.begins: dict[str, list[Tensor]] = {}
        self.examples: dict[str, tuple[int, int]] = {}
        self.losses: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def watching(self, arm: str, model: nn.Module) -> Iterator[None]:
        """Note the weights the arm begins with, and count the images it feeds in."""
        self.begins[arm] = [t.detach().clone() for t in model.state_dict().values()]
        counts = {True: 0, False: 0}

        def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            counts[module.training] += len(inputs[0])

        handle = model.register_forward_pre_hook(count)
        try:
            yield
        finally:
            handle.remove()
        self.examples[arm] = counts[True], counts[False]

    def note(self, arm: str, model: nn.Module) -> None:
        """Note the loss the arm ended with, in nats, on training images as they are.

        In training mode: after few steps, running means still lag behind.
        """
        data, device = self.work.train, self.work.device
        data = data.take(torch.arange(min(512, len(data))))
        model.to(device)  # a framework may have taken it away
        batches = ours.loader(data, 512, augment=False, device=str(device))
        with torch.no_grad():
            loss = [F.cross_entropy(model.train()(x), y).item() for x, y in batches]
        self.losses[arm].append(mean(loss))

    def check(self) -> None:
        """Raise `UnequalWork` where an arm differs from the first in what it did."""
        epochs, n = self.work.epochs, len(self.work.train)
        wanted = epochs * n, epochs * len(self.work.test)
        for arm, begin in self.begins.items():
            pairs = zip(begin, self.begins[self.first], strict=True)
            same = all(one.equal(other) for one, other in pairs)
            require(same, arm, "it began from other weights")
            found = self.examples[arm]
            problem = f"it trained on {found[0]} and evaluated {found[1]} images, not"
            more = found[1] - wanted[1]
            alike = found[0] == wanted[0] and 0 <= more <= TRIED
            require(alike, arm, f"{problem} {wanted[0]} and {wanted[1]}")
            self._check_loss(arm)

    def _check_loss(self, arm: str) -> None:
        ends, others = self.losses[arm], self.losses[self.first]
        noise = stdev(others) if len(others) > 1 else 0.0
        room = LOSS + SIGMAS * noise * sqrt(2 / len(others))
        problem = f"its final loss is {mean(ends):.3f} nats, not {mean(others):.3f}"
        require(abs(mean(ends) - mean(others)) <= room, arm, problem)

    def facts(self, timing: Timing) -> Timing:
        """The timing with its arm's final loss as another column."""
        if timing.skipped:
            return timing
        loss = mean(self.losses[timing.name])
        return replace(timing, facts={**timing.facts, "final loss": round(loss, 3)})
