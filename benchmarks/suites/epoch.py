"""How long do whole epochs take, loader and evaluation included?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from types import ModuleType

from torch import nn

from benchmarks import equal
from benchmarks.arms import airbench, bare, fastai, lightning, ours, tutorial
from benchmarks.measure import Arm, Group, Target, Watch
from benchmarks.networks import NETWORKS
from benchmarks.settings import Settings
from benchmarks.work import Work, synthetic
from utils import recipe
from utils.recipe import native_formats
from utils.train import evaluate

Train = Callable[[Work, nn.Module, int, Watch], None]
SIZES = {"tiny": (500, 5000), "small": (200, 2000)}  # images: quick, whole
TUTORIAL, OURS, HALF = "tutorial loop", "ours", "ours, bfloat16"
BARE, LIGHTNING, FASTAI = "bare loop, our loader", "Lightning", "fastai"
TARGETS = {
    "tiny": [
        Target(OURS, TUTORIAL, 5),
        Target(OURS, LIGHTNING, 5),
        Target(OURS, FASTAI, 5),
        Target(OURS, BARE, 0.98),
    ],
    "small": [
        Target(OURS, TUTORIAL, 1.6),
        Target(HALF, TUTORIAL, 2.5),
        Target(OURS, BARE, 0.98),
    ],
}


def groups(settings: Settings) -> Iterator[Group]:
    """Training, then evaluation, for each network."""
    for network, (quick, whole) in SIZES.items():
        n = settings.pick(quick, whole)
        work = Work(
            NETWORKS[network], synthetic(n), synthetic(n // 5, seed=1), settings.device
        )
        yield training(network, work, settings)
        yield evaluation(network, work, settings)


def training(network: str, work: Work, settings: Settings) -> Group:
    """Every loop over the same images, from the same weights."""
    ledger = equal.Ledger(work, TUTORIAL)
    where = str(work.device)
    half = "bfloat16" in native_formats(work.device)
    missing = {
        name: "" if find_spec(name.lower()) else "not installed"
        for name in (LIGHTNING, FASTAI)
    }
    fast = partial(bare.train, loader=partial(airbench.loader, device=where))
    arms = [
        arm(TUTORIAL, tutorial.train, ledger),
        arm(LIGHTNING, lightning.train, ledger, missing[LIGHTNING]),
        arm(FASTAI, fastai.train, ledger, missing[FASTAI]),
        arm(f"{LIGHTNING}, our loader", over(lightning), ledger, missing[LIGHTNING]),
        arm(f"{FASTAI}, our loader", over(fastai), ledger, missing[FASTAI]),
        arm("bare loop, speed-run's loader", fast, ledger),
        arm(BARE, bare.train, ledger),
        arm(OURS, ours.train, ledger),
        arm(
            HALF,
            partial(ours.train, precision="bfloat16"),
            ledger,
            "" if half else "the device has no units for it",
        ),
    ]
    timings = settings.compare(arms, repeats=7)
    ledger.check()
    title = f"{network}: {work.epochs} epochs of {len(work.train):,} images"
    title += f", each with an evaluation of {len(work.test):,}"
    return Group(title, [ledger.facts(t) for t in timings], TARGETS[network])


def over(framework: ModuleType) -> Train:
    """A framework's loop over our loaders instead of the tutorial's."""

    def train(work: Work, model: nn.Module, seed: int, watch: Watch) -> None:
        framework.train(work, model, seed, watch, loaders=ours.loaders(work, seed))

    return train


def arm(name: str, train: Train, ledger: equal.Ledger, skipped: str = "") -> Arm:
    """A whole training; the first turn, which does not count, is watched in detail."""

    def run(watch: Watch, turn: int) -> int:
        model = ledger.work.model(seed=turn)
        if turn == 0:
            with ledger.watching(name, model):
                train(ledger.work, model, turn, watch)
        else:
            train(ledger.work, model, turn, watch)
        ledger.note(name, model)
        return ledger.work.examples

    return Arm(name, run, skipped)


def evaluation(network: str, work: Work, settings: Settings) -> Group:
    """The test set through a network with its first weights, several times."""
    naive = tutorial.loader(work.test, work.batch_size, augment=False)
    where = str(work.device)
    batches = ours.loader(work.test, work.test_batch, augment=False, device=where)
    found: dict[str, float] = {}

    def by_tutorial(model: nn.Module) -> float:
        return tutorial.evaluate(model, naive, work.device)

    def by_us(model: nn.Module) -> float:
        with recipe.use_precision("float32"):
            return evaluate(model, batches).accuracy

    def arm(name: str, accuracy: Callable[[nn.Module], float]) -> Arm:
        model, passes = work.model(seed=0), 1 if network == "small" else 3

        def run(watch: Watch, turn: int) -> int:
            with watch:
                for _ in range(passes):
                    found[name] = accuracy(model)
            return passes * len(work.test)

        return Arm(name, run)

    arms = [arm("tutorial evaluation", by_tutorial), arm("ours", by_us)]
    timings = settings.compare(arms, repeats=7)
    apart = abs(found["ours"] - found["tutorial evaluation"]) * len(work.test)
    equal.require(apart < 2, "ours", f"{apart:.0f} images are classified differently")
    title = f"{network}: evaluation of {len(work.test):,} images"
    return Group(title, timings, [Target("ours", "tutorial evaluation", 2)])
