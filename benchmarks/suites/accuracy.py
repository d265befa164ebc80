"""How many seconds to a test accuracy, over seeds, and how much of the device's peak?

The test set is looked at after every epoch here, since the question is when: no number
of this suite is a result of the course.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from statistics import mean, median
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arms import decks, ours
from benchmarks.measure import Arm, Group, Timing, Watch
from benchmarks.networks import small
from benchmarks.settings import Settings
from benchmarks.work import Work
from utils import data, recipe
from utils.data import ImageSet, Splits
from utils.models import resnet18
from utils.train import fit

# Dense peak in bfloat16 or float16, TFLOP/s, as NVIDIA's data sheets state it; the
# longer name first.
PEAKS = {"H100 PCIe": 756, "H100": 989, "H200": 989, "A100": 312, "L4": 121}
PEAKS |= {"L40S": 362, "A10": 125, "V100": 125, "T4": 65}
DECAY, SMOOTHING = 5e-4, 0.1


@dataclass(frozen=True)
class Course:
    """What one run went through: after each epoch the seconds so far, and accuracy."""

    seconds: list[float]
    accuracies: list[float]

    def seconds_to(self, target: float) -> float | None:
        """Seconds until the accuracy was the target's first; None: never."""
        both = zip(self.seconds, self.accuracies, strict=True)
        return next((t for t, accuracy in both if accuracy >= target), None)


Run = Callable[[Work, nn.Module, int], Course]


def groups(settings: Settings) -> Iterator[Group]:
    """One group, always on the wall clock: it is seconds that are asked for."""
    settings = replace(settings, clock="wall")
    splits = data.cifar10(source="auto" if settings.quick else "real")
    train = splits.train.subset(2000) if settings.quick else whole(splits)
    test = splits.test.subset(500 if settings.quick else None)
    network = small if settings.quick else partial(resnet18, 10, stem="cifar")
    epochs, target = (2, 0.2) if settings.quick else (16, 0.94)
    batch_size, lr = (64, 0.02) if settings.quick else (512, 0.2)
    work = Work(
        network,
        train,
        test,
        settings.device,
        batch_size=batch_size,
        epochs=epochs,
        lr=lr,
    )
    runs: dict[str, Run] = {
        "decks' loop": by_decks,
        "ours, float32": partial(by_us, precision="float32"),
        "ours": by_us,
    }
    found: dict[str, list[Course]] = defaultdict(list)
    arms = [arm(name, run, work, found) for name, run in runs.items()]
    timings = settings.compare(arms, repeats=5)
    flops = flops_per_image(work)
    timings = [facts(t, found[t.name], target, flops, settings) for t in timings]
    name = "small" if settings.quick else "ResNet-18"
    title = f"{name}, {epochs} epochs of {len(train):,} images: {train.name}"
    yield Group(title, timings)


def whole(splits: Splits) -> ImageSet:
    """All of the training images: those that validate in the lectures as well."""
    parts = splits.train, splits.val
    images = torch.cat([part.images for part in parts])
    labels = torch.cat([part.labels for part in parts])
    return replace(splits.train, images=images, labels=labels)


def arm(name: str, run: Run, work: Work, found: dict[str, list[Course]]) -> Arm:
    """A whole training from the seed that is the number of the turn."""

    def timed(watch: Watch, turn: int) -> int:
        model = work.model(seed=turn)
        with watch:
            course = run(work, model, turn)
        if turn:
            found[name].append(course)
        return work.examples

    return Arm(name, timed)


def by_us(
    work: Work, model: nn.Module, seed: int, *, precision: str = "auto"
) -> Course:
    """`fit` with the number format that is native here."""
    settings = {"momentum": work.momentum, "weight_decay": DECAY, "fused": True}
    with recipe.use_precision(precision):
        history = fit(
            model,
            *ours.loaders(work, seed),
            epochs=work.epochs,
            lr=work.lr,
            optimizer=partial(SGD, **settings),
            schedule="onecycle",
            loss_function=nn.CrossEntropyLoss(label_smoothing=SMOOTHING),
            keep_best=False,
            progress=False,
        )
    return Course(list(accumulate(history["seconds"])), list(history["val_accuracy"]))


def by_decks(work: Work, model: nn.Module, seed: int) -> Course:
    """The decks' loop with the same schedule, loss and decay."""
    batches = decks.loader(work.train, work.batch_size, seed=seed)
    unchanged = decks.loader(work.test, work.test_batch, augment=False, seed=seed)
    settings = {"momentum": work.momentum, "weight_decay": DECAY}
    optimizer = SGD(model.parameters(), lr=work.lr, **settings)
    steps = work.epochs * len(batches)
    scheduler = OneCycleLR(optimizer, work.lr, steps, cycle_momentum=False)
    course, begin = Course([], []), perf_counter()
    for _ in range(work.epochs):
        decks.train_epoch(
            model,
            batches,
            optimizer,
            work.device,
            scheduler=scheduler,
            label_smoothing=SMOOTHING,
        )
        course.accuracies.append(decks.evaluate(model, unchanged, work.device))
        course.seconds.append(perf_counter() - begin)
    return course


def facts(
    timing: Timing,
    courses: list[Course],
    target: float,
    flops: float,
    settings: Settings,
) -> Timing:
    """The timing with accuracy, seconds to it, and what the device computed."""
    times = [t for t in (c.seconds_to(target) for c in courses) if t is not None]
    computed = flops * timing.rate / 1e12
    more: dict[str, float | str] = {
        "last accuracy (%)": round(100 * mean(c.accuracies[-1] for c in courses), 2),
        f"reached {target:.0%}": f"{len(times)} of {len(courses)}",
        f"seconds to {target:.0%}": round(median(times), 2) if times else "",
        "TFLOP/s": round(computed, 3),
    }
    cuda = settings.device.type == "cuda"
    most = peak(torch.cuda.get_device_name(settings.device)) if cuda else None
    if most:
        more["share of peak (%)"] = round(100 * computed / most, 1)
    return replace(timing, facts=more)


def flops_per_image(work: Work) -> float:
    """Floating-point operations of a step, forward and backward, for each image."""
    model, n = work.model(seed=0).train(), 8
    images, labels = work.train.images[:n].float(), work.train.labels[:n]
    with FlopCounterMode(display=False) as counter:
        logits = model(images.to(work.device))
        F.cross_entropy(logits, labels.to(work.device)).backward()
    return counter.get_total_flops() / n


def peak(name: str) -> float | None:
    """The peak of a card by its name, TFLOP/s; None where we do not know it."""
    found = [value for part, value in PEAKS.items() if re.search(rf"\b{part}\b", name)]
    return found[0] if found else None
