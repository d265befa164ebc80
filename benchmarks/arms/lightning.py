"""PyTorch Lightning as its documentation shows it, with all that is optional off.

Timed from the start of its first epoch to the end of its last: setting up is no part.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from benchmarks.arms import tutorial
from benchmarks.measure import Watch
from benchmarks.work import Work


def train(
    work: Work, model: nn.Module, seed: int, watch: Watch, *, loaders: Any = None
) -> None:
    """Train and evaluate with a `Trainer`; by default over the tutorial's loaders."""
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    train_loader, test_loader = loaders or tutorial.loaders(work, seed)
    trainer = lightning.Trainer(
        max_epochs=work.epochs,
        accelerator="gpu" if work.device.type == "cuda" else "cpu",
        devices=1,
        callbacks=[timer(watch)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(classifier(model, work), train_loader, test_loader)


def timer(watch: Watch) -> Any:
    """A callback that starts the watch before the first epoch, and stops it after."""
    import lightning

    class Timer(lightning.Callback):
        def on_train_start(self, *_: Any) -> None:
            watch.start()

        def on_train_end(self, *_: Any) -> None:
            watch.stop()

    return Timer()


def classifier(model: nn.Module, work: Work) -> Any:
    """The network as a LightningModule that logs loss and accuracy once an epoch."""
    import lightning

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def _step(self, batch: tuple[Tensor, Tensor], part: str) -> Tensor:
            images, labels = batch
            logits = self.model(images)
            loss = F.cross_entropy(logits, labels)
            hits = (logits.argmax(1) == labels).float().mean()
            values = {f"{part}_loss": loss, f"{part}_accuracy": hits}
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels))
            return loss

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return self._step(batch, "train")

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            self._step(batch, "val")

        def configure_optimizers(self) -> Optimizer:
            weights = self.parameters()
            return SGD(weights, lr=work.lr, momentum=work.momentum)

    return Classifier()
