"""What does each habit gain in a step: forward, backward, and the update?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD

from benchmarks.measure import Arm, Group, Timing, Watch
from benchmarks.networks import NETWORKS
from benchmarks.settings import Settings
from benchmarks.work import SIDE
from utils.recipe import DTYPES, native_formats

BATCH = 128
STEPS = {"tiny": (5, 60), "small": (1, 6), "resnet20": (1, 3)}  # quick, whole
TUTORIAL = "tutorial step"


@dataclass(frozen=True)
class Habits:
    """How a step is made.

    Attributes:
        layout: of the weights and of the images.
        read: read the loss in every step.
        precision: of the forward pass.
        optimizer: further arguments of SGD.
        compiled: by `torch.compile`.
    """

    layout: torch.memory_format = torch.channels_last
    read: bool = False
    precision: str = "float32"
    optimizer: dict[str, Any] = field(default_factory=lambda: {"fused": True})
    compiled: bool = False


HABITS = {
    TUTORIAL: Habits(torch.contiguous_format, read=True, optimizer={}),
    "channels_last": Habits(read=True, optimizer={}),
    "channels_last, loss left there": Habits(optimizer={}),
    "the same, optimizer foreach": Habits(optimizer={"foreach": True}),
    "ours: the same, optimizer fused": Habits(),
    "ours, bfloat16": Habits(precision="bfloat16"),
    "ours, compiled": Habits(compiled=True),
}


def groups(settings: Settings) -> Iterator[Group]:
    """One group a network."""
    for network, (quick, whole) in STEPS.items():
        if settings.quick and network == "resnet20":
            continue
        steps = settings.pick(quick, whole)
        first: dict[str, float] = {}
        arms = [
            arm(name, how, network, steps, settings, first)
            for name, how in HABITS.items()
        ]
        title = f"{network}: steps on one batch of {BATCH} images"
        timings = settings.compare(arms, repeats=5)
        yield Group(title, [with_first(t, first) for t in timings])


def with_first(timing: Timing, first: dict[str, float]) -> Timing:
    """The timing with the turn that warms up (and compiles) as a column."""
    if timing.skipped:
        return timing
    return replace(timing, facts={"first turn (s)": round(first[timing.name], 2)})


def arm(
    name: str,
    how: Habits,
    network: str,
    steps: int,
    settings: Settings,
    first: dict[str, float],
) -> Arm:
    """The arm of these habits, or why it cannot run; notes its first turn's seconds."""
    skipped = ""
    if how.precision not in native_formats(settings.device):
        skipped = "the device has no units for it"
    if how.compiled and not settings.compiled:
        skipped = "asked for with --compile"
    if skipped:
        return Arm(name, lambda *_: 0, skipped)
    step = make_step(how, network, settings.device)

    def run(watch: Watch, turn: int) -> int:
        with watch:
            for _ in range(steps):
                step()
        if turn == 0:
            first[name] = watch.seconds
        return steps * BATCH

    return Arm(name, run)


def make_step(how: Habits, network: str, device: torch.device) -> Callable[[], None]:
    """A function that makes one step; all begin from the same weights and images."""
    torch.manual_seed(0)
    model = NETWORKS[network]().to(device, memory_format=how.layout).train()
    images = torch.randn(BATCH, 3, SIDE, SIDE).to(device, memory_format=how.layout)
    labels = torch.randint(10, (BATCH,)).to(device)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, **how.optimizer)
    autocast = partial(
        torch.autocast,
        device.type,
        DTYPES[how.precision],
        enabled=how.precision != "float32",
    )
    forward = torch.compile(model) if how.compiled else model

    def step() -> None:
        with autocast():
            logits: Tensor = forward(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if how.read:
            loss.item()

    return step
