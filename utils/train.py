"""The train loop of the course: three functions that read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.course import CourseError
from utils.training import recipe
from utils.training.checkpoint import Checkpoint
from utils.training.claims import sole_run
from utils.training.history import History
from utils.training.interrupts import held_back
from utils.training.parallel import average_buffers, parallel
from utils.training.precision import Precision, layout, make_precision, place
from utils.training.progress import Progress
from utils.training.tally import EMPTY, Metrics, Tally, check_weights, evaluating

__all__ = ["History", "Metrics", "evaluate", "fit", "predict", "train_epoch"]

Batches = Iterable[tuple[Tensor, Tensor]]  # images (N, C, H, W), labels (N,) or (N, K)
LossFunction = Callable[[Tensor, Tensor], Tensor]  # logits, labels -> mean loss, nats


def train_epoch(
    model: nn.Module,
    loader: Batches,
    optimizer: Optimizer,
    *,
    loss_function: LossFunction = F.cross_entropy,
    scheduler: Any = None,
    precision: str | Precision = "auto",
    device: torch.device | str | None = None,
) -> Metrics:
    """Train for one pass; the metrics are means while the weights still move."""
    device = place(model, device)
    precision = make_precision(precision, device)
    scaler = precision.scaler
    model.train()
    with Tally(loader, device, layout(model, device)) as batches:
        for images, labels in batches:
            with precision.autocast():
                logits = model(images)
            batches.check(logits, labels)
            loss = loss_function(logits.float(), labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward(batches.share(loss))
            scaler.step(optimizer)
            scaler.update()
            if scheduler is not None:
                scheduler.step()
            batches.add(loss, logits, labels)
    return batches.metrics()


def evaluate(
    model: nn.Module,
    loader: Batches,
    *,
    precision: str | Precision = "auto",
    device: torch.device | str | None = None,
) -> Metrics:
    """Loss and accuracy in evaluation mode; the model's own mode is put back after."""
    device = place(model, device)
    precision = make_precision(precision, device)
    with Tally(loader, device, layout(model, device)) as batches, evaluating(model):
        for images, labels in batches:
            with torch.inference_mode(), precision.autocast():
                logits = model(images)
            batches.check(logits, labels)
            loss = F.cross_entropy(logits.float(), labels)
            batches.add(loss, logits, labels)
    return batches.metrics()


@sole_run
def fit(
    model: nn.Module,
    train_loader: Batches,
    val_loader: Batches | None = None,
    *,
    epochs: int,
    lr: float | None = None,
    optimizer: str | Optimizer = "sgd",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: recipe.Schedule = "constant",
    label_smoothing: float = 0.0,
    loss_function: LossFunction | None = None,
    patience: int | None = None,
    monitor: str = "val_accuracy",
    keep_best: bool = True,
    name: str = "model",
    checkpoint: str | Path | None = None,
    resume: bool = False,
    precision: str | Precision = "auto",
    log_dir: str | Path | None = None,
    progress: bool = True,
    device: torch.device | str | None = None,
) -> History:
    """Train, validate after every epoch, and leave the model ready to predict.

    Inside `distributed.joined()` the processes of torchrun train it together.
    Interrupting it (Ctrl-C, or the notebook's stop button) returns as usual, with the
    whole epochs so far. It waits for a checkpoint that is being written.

        train, val = splits.train.loader(128, shuffle=True), splits.val.loader(512)
        history = fit(LeNet5(), train, val, epochs=5, lr=0.05, schedule="onecycle")

    Args:
        model: returns logits (N, num_classes); moved to `device`, left in eval mode.
        train_loader: any iterable of (images, labels) that can be read once an epoch.
        val_loader: the same for the validation set; None trains without one.
        epochs: passes over the training set, those before a resumption included.
        lr: the highest learning rate; None: 0.1 for SGD, 0.001 for Adam and AdamW.
        optimizer: "sgd", "adam", "adamw" or your own, which then brings its lr.
        momentum: of SGD alone.
        weight_decay: of all weights, biases too.
        schedule: "constant", "onecycle", "cosine", "step", "plateau", or a function
            from the optimizer to a scheduler that is stepped once an epoch.
        label_smoothing: fraction of the training targets spread over all classes.
        loss_function: what training minimises in place of cross-entropy, such as
            `googlenet_loss(model)`; validation is measured in cross-entropy always.
        patience: stop after so many epochs in a row without a better `monitor`.
        monitor: "val_accuracy" or "val_loss", what decides which epoch is best.
        keep_best: end with the weights of the best epoch, where there is validation.
        name: of the run, in tables and figures.
        checkpoint: a file that holds the whole state after every epoch.
        resume: go on from that file exactly where it stopped; with no file, begin.
        precision: "auto" (mixed where the device computes in it), or a format's name.
        log_dir: a folder for TensorBoard's event files.
        progress: one line an epoch, or one live table in a notebook.
        device: where to train; None: the fastest here.

    Returns:
        One row for each whole epoch.

    Raises:
        CourseError: arguments, data and model do not fit, the loss is not finite, or
            memory or the disk is full. It says what to do; the last checkpoint stays.
    """
    recipe.check_request(
        epochs, schedule, patience, monitor, val_loader, checkpoint, resume
    )
    if loss_function is not None and label_smoothing:
        raise CourseError("Smooth the labels in your loss_function, not in fit too.")
    device = place(model, device)
    precision = make_precision(precision, device)
    optimizer = recipe.make_optimizer(optimizer, model, lr, momentum, weight_decay)
    settings = recipe.describe(optimizer, schedule, epochs, train_loader)
    settings |= {"label_smoothing": label_smoothing, "keep_best": keep_best}
    settings |= {"loss": "cross-entropy" if loss_function is None else "own"}
    settings |= {"monitor": monitor, "validation": val_loader is not None}
    scheduler = recipe.make_scheduler(
        schedule, optimizer, epochs, train_loader, monitor
    )
    if loss_function is None:
        loss_function = partial(F.cross_entropy, label_smoothing=label_smoothing)

    history, best, saved = History(name=name, monitor=monitor), None, None
    if checkpoint is not None:
        parts = (model, optimizer, scheduler, precision.scaler, train_loader)
        saved = Checkpoint(Path(checkpoint).expanduser(), *parts, settings=settings)
        if resume and saved.exists():
            history, best = saved.load()
            history.name = name
    watch = Progress(history, epochs, show=progress, log_dir=log_dir)
    learner = parallel(model, device)  # the model itself on one process

    try:
        for epoch in range(len(history.rows) + 1, epochs + 1):
            if patience is not None and history.waited >= patience:
                history.stopped = "early"
                break
            begin, rate = perf_counter(), optimizer.param_groups[0]["lr"]
            train = train_epoch(
                learner,
                train_loader,
                optimizer,
                loss_function=loss_function,
                scheduler=scheduler if schedule in recipe.STEPWISE else None,
                precision=precision,
                device=device,
            )
            speed = train.examples / (perf_counter() - begin)
            average_buffers(model)
            check_weights(model)
            val = None
            if val_loader is not None:
                val = evaluate(model, val_loader, precision=precision, device=device)
            times = {"seconds": perf_counter() - begin, "images_per_second": speed}
            with held_back():  # an epoch counts whole, or not at all
                history.add(train, val, lr=rate, **times)
                if keep_best and val is not None and history.best["epoch"] == epoch:
                    state = model.state_dict()
                    best = {k: w.detach().clone() for k, w in state.items()}
                if scheduler is not None and schedule not in recipe.STEPWISE:
                    recipe.step_epoch(scheduler, history.rows[-1][history.watched])
                if saved is not None:
                    saved.save(history, best)
                watch.update()
    except KeyboardInterrupt:
        history.stopped = "interrupted" if len(history.rows) < epochs else ""
    except CourseError as error:
        raise CourseError(f"Epoch {epoch}: {error}") from None
    finally:
        with held_back(dropped=True):  # nothing is left to stop
            if best is not None:
                model.load_state_dict(best)
                history.kept = history.best["epoch"]
            model.eval()
            watch.close()
    return history


def predict(
    model: nn.Module,
    loader: Batches,
    *,
    precision: str | Precision = "auto",
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """The logits (N, K) and the labels (N,) of a whole set, on the CPU.

    They come in the loader's order: pass one that does not shuffle to match images.
    """
    device = place(model, device)
    precision = make_precision(precision, device)
    logits, targets = [], []
    with Tally(loader, device, layout(model, device)) as batches, evaluating(model):
        for images, labels in batches:
            with torch.inference_mode(), precision.autocast():
                logits.append(model(images).float())
            targets.append(labels.argmax(1) if labels.ndim == 2 else labels)
    if not logits:
        raise CourseError(EMPTY)
    return torch.cat(logits).cpu(), torch.cat(targets).cpu()


if __name__ == "__main__":
    from experiments.train import main

    raise SystemExit(main())
