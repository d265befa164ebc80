"""How fast do batches come: cropped, flipped, normalised, and on the device?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import equal
from benchmarks.arms import airbench, ours, tensors, tutorial
from benchmarks.measure import Arm, Group, Target, Watch
from benchmarks.settings import Settings
from benchmarks.work import SIDE, synthetic
from utils.data import ImageSet, Loader

BATCH = 128
Make = Callable[[ImageSet, int], Any]


def groups(settings: Settings) -> Iterator[Group]:
    """One group: the loaders over the same images."""
    data = synthetic(settings.pick(1000, 5000))
    passes = settings.pick(4, 10)  # of the fast ones: a block shall last
    where = str(settings.device)
    many = partial(proven, data=data, settings=settings, passes=passes)
    few = partial(proven, data=data, settings=settings, passes=2)  # alternating flip
    one = partial(proven, data=data, settings=settings, passes=1)
    arms = [
        one("tutorial loader", tutorial.loader),
        workers(one, settings),
        one("torchvision v2, one tensor at a time", tensors.loader),
        few("speed-run's design", partial(airbench.loader, device=where)),
        many("ours, set not on the device", partial(fetched, device=where)),
        many("ours", partial(ours.loader, device=where)),
    ]
    timings = settings.compare(arms, repeats=9)
    targets = [Target("ours", "tutorial loader", 20)]
    title = f"{len(data):,} images of 32x32 in batches of {BATCH}"
    yield Group(f"{title}: random crop, flip, normalised", timings, targets)


def workers(one: Callable[..., Arm], settings: Settings) -> Arm:
    """The tutorial loader with two processes, which the clock must be able to see."""
    name = "tutorial loader, 2 workers"
    if settings.clock == "cpu":
        return Arm(name, lambda *_: 0, "its processes are not on the cpu clock")
    return one(name, partial(tutorial.loader, workers=2))


def fetched(data: ImageSet, batch_size: int, *, device: str) -> Loader:
    """Our loader as it reads a set that is too large to be padded as a whole."""
    loader = ours.loader(data, batch_size, device=device)
    loader._place(room=0)
    return loader


def proven(
    name: str, make: Make, *, data: ImageSet, settings: Settings, passes: int
) -> Arm:
    """An arm that reads whole passes, after proof that they hold what they should."""
    equal.check_augmentation(name, make(equal.probe(), BATCH))
    return reader(name, make(data, BATCH), len(data), SIDE, settings, passes)


def reader(
    name: str, loader: Any, n: int, side: int, settings: Settings, passes: int = 1
) -> Arm:
    """An arm that reads whole passes over n images of so many pixels a side."""

    def run(watch: Watch, turn: int) -> int:
        seen = 0
        with watch:
            for _ in range(passes):
                for images, labels in loader:
                    seen += len(labels.to(settings.device))
                    images = images.to(settings.device)
        shape = tuple(images.shape[1:])
        equal.require(seen == passes * n, name, f"it gave {seen} images")
        equal.require(shape == (3, side, side), name, f"it gave images of {shape}")
        return seen

    return Arm(name, run)
