"""What is compared, one file a question; each gives groups of arms, and so tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from benchmarks.measure import Group
from benchmarks.settings import Settings

SUITES = {
    "input": "batches from images, without a network",
    "step": "one step on a batch that is there",
    "epoch": "whole epochs with their evaluation",
    "scaling": "from 5,000 to 50,000 images",
    "notebooks": "every lecture under nbval",
    "photos": "photos from the cache and from their files",
    "accuracy": "time to a test accuracy",
}


def usual(settings: Settings) -> list[str]:
    """The suites that make sense on the device where none is named.

    `photos` needs the real ones in the data folder, so it is run by name.
    """
    names = ["input", "step", "epoch", "scaling"]
    if settings.device.type == "cuda":
        return [*names, "accuracy"]
    return names if settings.quick else [*names, "notebooks"]


def fitted(name: str, settings: Settings) -> Settings:
    """The settings as a suite takes them: to an accuracy a processor's time counts."""
    if name != "accuracy":
        return settings
    clock = "cpu" if settings.device.type == "cpu" else "wall"
    return replace(settings, clock=clock)


def run(name: str, settings: Settings) -> Iterator[Group]:
    """Measure a suite, group by group."""
    yield from import_module(f"benchmarks.suites.{name}").groups(settings)
