"""fastai's `Learner` as its documentation shows it, without bar and table.

Timed from the start of its first epoch to the end of its last: setting up is no part.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import nn

from benchmarks.arms import tutorial
from benchmarks.measure import Watch
from benchmarks.work import Work


def train(
    work: Work, model: nn.Module, seed: int, watch: Watch, *, loaders: Any = None
) -> None:
    """Train and evaluate with a `Learner`; by default over the tutorial's loaders."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses parts of torch that are deprecated
        import fastai.callback.progress  # noqa: F401 (gives Learner its `no_bar`)
        from fastai.data.core import DataLoaders
        from fastai.learner import Learner
        from fastai.metrics import accuracy
        from fastai.optimizer import SGD

    train_loader, test_loader = loaders or tutorial.loaders(work, seed)
    learner = Learner(
        DataLoaders(train_loader, test_loader, device=work.device),
        model,
        loss_func=F.cross_entropy,
        opt_func=partial(SGD, mom=work.momentum),
        lr=work.lr,
        metrics=accuracy,
        cbs=[timer(watch)],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit(work.epochs)


def timer(watch: Watch) -> Any:
    """A callback that starts the watch before the first epoch, and stops it after."""
    from fastai.callback.core import Callback

    class Timer(Callback):
        def before_fit(self) -> None:
            watch.start()

        def after_fit(self) -> None:
            watch.stop()

    return Timer()
