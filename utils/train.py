"""The train loop of the course: four functions that read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

from utils import course, recipe
from utils.batches import Pass
from utils.checkpoint import Checkpoint, held_back
from utils.course import CourseError
from utils.history import History, Metrics, Progress

Batches = Iterable[tuple[Tensor, Tensor]]  # images (N, C, H, W), labels (N,) or (N, K)
LossFunction = Callable[[Tensor, Tensor], Tensor]  # logits, labels -> mean loss, nats


def train_epoch(
    model: nn.Module,
    loader: Batches,
    optimizer: Optimizer,
    *,
    loss_function: LossFunction = F.cross_entropy,
    scheduler: Any = None,
    scaler: GradScaler | None = None,
) -> Metrics:
    """Train for one pass; the metrics are means while the weights still move."""
    with Pass(model, loader, trains=True) as batches:
        scaler = scaler or recipe.make_scaler(batches.device)
        for images, labels in batches:
            logits = batches.forward(images)
            batches.check(logits)
            loss = loss_function(logits, labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if scheduler is not None:
                scheduler.step()
            batches.add(loss, logits, labels)
    return batches.metrics()


def evaluate(model: nn.Module, loader: Batches) -> Metrics:
    """Loss and accuracy in evaluation mode; the model's own mode is put back after."""
    with Pass(model, loader) as batches:
        for images, labels in batches:
            logits = batches.forward(images)
            batches.check(logits)
            batches.add(F.cross_entropy(logits, labels), logits, labels)
    return batches.metrics()


def predict(model: nn.Module, loader: Batches) -> tuple[Tensor, Tensor]:
    """The logits (N, K) and the labels (N,) of a whole set, on the CPU.

    They come in the loader's order: pass one that does not shuffle to match images.
    """
    logits, targets = [], []
    with Pass(model, loader) as batches:
        for images, labels in batches:
            logits.append(batches.forward(images))
            targets.append(labels.argmax(1) if labels.ndim == 2 else labels)
    return torch.cat(logits).cpu(), torch.cat(targets).cpu()


def fit(
    model: nn.Module,
    train_loader: Batches,
    val_loader: Batches | None = None,
    *,
    epochs: int,
    lr: float | None = None,
    optimizer: str | Optimizer | Callable[..., Optimizer] = "sgd",
    schedule: recipe.Schedule = "constant",
    loss_function: LossFunction | None = None,
    patience: int | None = None,
    keep_best: bool = True,
    name: str = "model",
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Train, validate after every epoch, and leave the model ready to predict.

    Interrupting it (Ctrl-C, a notebook's stop button) returns the whole epochs so far.

        train, val = splits.train.loader(128, shuffle=True), splits.val.loader(512)
        history = fit(LeNet5(), train, val, epochs=5, lr=0.05, schedule="onecycle")

    Args:
        model: returns logits (N, num_classes); moved to the device, left in eval mode.
        train_loader, val_loader: iterables of (images, labels), read once an epoch.
        epochs: passes over the training set, those before a resumption included.
        lr: the highest learning rate; None: 0.1 for SGD, 0.001 for Adam and AdamW.
        optimizer: "sgd" (momentum 0.9), "adam", "adamw"; or your own, an optimizer or
            a function such as `partial(torch.optim.SGD, lr=0.1, weight_decay=5e-4)`.
        schedule: "constant", "onecycle", "cosine", "linear", "step", "plateau", or a
            function from the optimizer to a scheduler, stepped once an epoch.
        loss_function: for training, as `nn.CrossEntropyLoss(label_smoothing=0.1)`.
        patience: stop after so many epochs in a row without a better val_accuracy.
        keep_best: end with the weights of the most accurate epoch on validation.
        name: of the run, in tables and figures.
        checkpoint: a file that holds the whole state after every epoch.
        resume: go on from that file exactly where it stopped; with no file, begin.
        progress: one line an epoch, or one live table in a notebook.
    """
    for what, n in {"epochs": epochs, "patience": patience}.items():
        if n is not None and not (hasattr(n, "__index__") and n > 0):
            raise CourseError(f"{what}={n!r}: give a whole number, at least one.")
    if val_loader is None and (patience is not None or schedule == "plateau"):
        raise CourseError("patience and plateau watch val_accuracy: pass a val_loader.")
    bare = getattr(model, "_orig_mod", model)  # without torch.compile's wrapper
    if isinstance(bare, DataParallel | DistributedDataParallel):
        bare = bare.module
    scaler = recipe.make_scaler(recipe.place(model))
    optimizer = recipe.make_optimizer(optimizer, bare, lr)
    scheduler = recipe.make_scheduler(schedule, optimizer, epochs, train_loader)
    if val_loader is not None and not isinstance(val_loader, Iterator):
        with Pass(model, val_loader) as batches:  # what fails there is to fail now
            images, _ = next(iter(batches))
            batches.check(batches.forward(images[:2]))
    path = None if checkpoint is None else course.expanded(checkpoint)
    saved = Checkpoint(path, bare, (optimizer, scheduler, scaler), train_loader)
    more = {"keep_best": keep_best, "loss": type(loss_function).__name__}
    history, best = saved.begin(resume, validation=val_loader is not None, **more)
    history.name = name
    watch = Progress(history, epochs, show=progress)
    try:
        for epoch in range(len(history.rows) + 1, epochs + 1):
            waited = epoch - 1 - history.best["epoch"] if history.rows else 0
            if patience is not None and waited >= patience:
                history.stopped = "early"
                break
            begin, worked = perf_counter(), process_time()
            rate = optimizer.param_groups[0]["lr"]
            train = train_epoch(
                model,
                train_loader,
                optimizer,
                loss_function=loss_function or F.cross_entropy,
                scheduler=scheduler if schedule in recipe.STEPWISE else None,
                scaler=scaler,
            )
            speed = train.examples / (perf_counter() - begin)
            val = None if val_loader is None else evaluate(model, val_loader)
            times = {"seconds": perf_counter() - begin, "images_per_second": speed}
            times["processor_seconds"] = process_time() - worked
            with held_back():  # an epoch counts whole, or not at all
                history.add(train, val, lr=rate, **times)
                if keep_best and val is not None and history.best["epoch"] == epoch:
                    state = bare.state_dict()
                    best = {k: w.detach().clone() for k, w in state.items()}
                if scheduler is not None and schedule not in recipe.STEPWISE:
                    recipe.step_epoch(scheduler, history.rows[-1])
                saved.save(history, best)
                watch.say(watch.line())
    except KeyboardInterrupt:
        history.stopped = "interrupted" if len(history.rows) < epochs else ""
    except CourseError as error:
        raise CourseError(f"Epoch {epoch}: {error}") from None
    finally:
        with held_back(dropped=True):  # nothing is left to stop
            if best is not None:
                bare.load_state_dict(best)
                history.kept = history.best["epoch"]
            model.eval()
            if history.stopped:
                watch.say(history.remark())
    return history


if __name__ == "__main__":  # older records of runs name it
    raise SystemExit("The command has moved: python -m experiments.train --help")
