"""How long to a test accuracy: processor minutes on a CPU, seconds on a GPU?

The test set is looked at after every epoch here, since the question is when: no number
of this suite is a result of the course.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import accumulate
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from benchmarks.arms import airbench, tutorial
from benchmarks.measure import CLOCKS, Arm, Group, Timing, Watch
from benchmarks.settings import Settings
from experiments import request
from experiments.leaderboard import Course, reached
from experiments.runs import SPEED
from experiments.views import SixViews
from utils import data, recipe
from utils.data import ImageSet, Splits
from utils.train import fit

RESNET = "--model resnet18 --data cifar10 --augment crop flip --epochs 16 --lr 0.2"
RESNET += " --batch-size 512 --label-smoothing 0.1 --tune fused=True"
QUICK = " --epochs 2 --batch-size 100"  # the last of two words counts
GOALS = (0.9, 0.94)

Run = Callable[[Namespace, nn.Module, Splits, str], Course]


class Judged(SixViews):
    """Trained on one view of an image, judged by six where that one is unsure."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        return self.network(x) if self.training else super().forward(x)


def groups(settings: Settings) -> Iterator[Group]:
    """ResNet-18, then the speed record's network; equal work within each."""
    quick, cpu = settings.quick, settings.device.type == "cpu"
    splits = data.cifar10(source="auto" if quick else "real")
    train = splits.train.subset(2000) if quick else whole(splits)
    test = splits.test.subset(500 if quick else None)
    images = Splits(train, test, test)
    half = "bfloat16" in recipe.native_formats(settings.device)
    ours = partial(by_us, precision="bfloat16" if half else "auto")
    runs: dict[str, Run] = {
        "tutorial loop": by_tutorial,
        "ours, float32": partial(by_us, precision="float32"),
        "ours": ours,
    }
    hours = "hours on a processor" if cpu and not quick else ""
    words = f"{RESNET} {QUICK} --model two_layer_cnn --lr 0.02" if quick else RESNET
    yield compared(words, runs, images, settings, hours)
    whole_epochs = partial(airbench.loader, padding=2)  # the words' "shift"
    runs = {"speed-run's design": partial(ours, loader=whole_epochs), "ours": ours}
    words = f"{SPEED} {QUICK} --set width=0.25" if quick else f"{SPEED} --epochs 16"
    yield compared(words, runs, images, settings)


def whole(splits: Splits) -> ImageSet:
    """All of the training images: those that validate in the lectures as well."""
    parts = splits.train, splits.val
    images = torch.cat([part.images for part in parts])
    labels = torch.cat([part.labels for part in parts])
    return replace(splits.train, images=images, labels=labels)


def compared(
    words: str,
    runs: dict[str, Run],
    images: Splits,
    settings: Settings,
    skipped: str = "",
) -> Group:
    """The network and recipe of these words, trained in each of the ways."""
    options = request.read_options(shlex.split(words))
    options.device, clock = settings.device, settings.clock
    parts = (images.train, images.val, images.test)
    few = Splits(*(part.subset(4 * options.batch_size) for part in parts))
    found: dict[str, list[Course]] = defaultdict(list)

    def arm(name: str, run: Run) -> Arm:
        """A training seeded by its turn; the uncounted one is of a few batches."""

        def timed(watch: Watch, turn: int) -> int:
            told, shown = Namespace(**vars(options)), images if turn else few
            told.seed, told.epochs = turn, options.epochs if turn else 1
            torch.manual_seed(turn)
            with watch:
                begin = watch.read()
                model, _ = request.make_model(told, shown.train)
                spent, accuracies = run(told, model.to(told.device), shown, clock)
                before = watch.read() - begin - sum(spent)  # model, whitening, loaders
            passed = [before + so_far for so_far in accumulate(spent)]
            found[name] += [(passed, accuracies)] * bool(turn)
            return told.epochs * len(shown.train)

        return Arm(name, timed, skipped)

    arms = [arm(name, run) for name, run in runs.items()]
    timings = settings.compare(arms, repeats=1 if clock == "cpu" else 5)
    title = f"{options.model}, {options.epochs} epochs of {len(images.train):,} images"
    title += f" in batches of {options.batch_size}: {images.train.name}"
    return Group(title, [facts(t, found[t.name], clock) for t in timings])


def by_us(
    options: Namespace,
    model: nn.Module,
    images: Splits,
    clock: str,
    *,
    precision: str,
    loader: Any = None,
) -> Course:
    """`fit`, over the lectures' loader or another; seconds and accuracy by epoch."""
    settings = request.make_recipe(options, model)
    model, batches, unchanged = request.make_loaders(options, model, images)
    if loader:
        where = {"seed": options.seed, "device": str(options.device)}
        batches = loader(images.train, options.batch_size, **where)
    model = Judged(model, margin=1.0) if options.views else model
    with recipe.use_precision(precision):
        quiet = {"keep_best": False, "progress": False}
        history = fit(model, batches, unchanged, **settings, **quiet)
    column = "processor_seconds" if clock == "cpu" else "seconds"
    return list(history[column]), list(history["val_accuracy"])


def by_tutorial(
    options: Namespace, model: nn.Module, images: Splits, clock: str
) -> Course:
    """The tutorial loop with the same schedule, loss and decay, in float32."""
    size, seed = options.batch_size, options.seed
    batches = tutorial.loader(images.train, size, seed=seed)
    unchanged = tutorial.loader(images.test, size, augment=False, seed=seed)
    settings = {"momentum": options.momentum, "weight_decay": options.weight_decay}
    optimizer = SGD(model.parameters(), lr=options.lr, **settings)
    steps = options.epochs * len(batches)
    scheduler = recipe.SCHEDULES[options.schedule](optimizer, steps)
    more = {"scheduler": scheduler, "label_smoothing": options.label_smoothing}
    seconds, accuracies = [], []
    for _ in range(options.epochs):
        begin = CLOCKS[clock]()
        tutorial.train_epoch(model, batches, optimizer, options.device, **more)
        accuracies.append(tutorial.evaluate(model, unchanged, options.device))
        seconds.append(CLOCKS[clock]() - begin)
    return seconds, accuracies


def facts(timing: Timing, courses: list[Course], clock: str) -> Timing:
    """The timing with the accuracy at the end, and how long it took to each goal."""
    if not courses:  # skipped
        return timing
    unit, size = ("minutes", 60) if clock == "cpu" else ("seconds", 1)
    last = 100 * mean(accuracies[-1] for _, accuracies in courses)
    more: dict[str, float | str] = {"last accuracy (%)": f"{last:.2f}"}
    scaled = [([t / size for t in passed], a) for passed, a in courses]
    for goal in GOALS:
        more[f"{unit} to {100 * goal:.0f} %"] = reached(scaled, goal)
    return replace(timing, facts=more)
