"""`fit` from the command line: `python -m utils.train --model lenet5 --data mnist`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn

from experiments import record, request
from experiments.options import SEEDS, read_options
from utils import course, files, printing
from utils.course import CourseError
from utils.data import Splits
from utils.look import totals
from utils.train import evaluate, fit
from utils.training import distributed
from utils.training.history import History, percent
from utils.training.parallel import check_device
from utils.training.precision import make_precision
from utils.training.sync_batchnorm import synchronise


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0, or 2 for a request that cannot be met, 130 for a run that
        was interrupted. Only a complete run is recorded.
    """
    printing.print_anything()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with distributed.joined():
            run(distributed.from_first(lambda: read_options(words)))
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Nothing was recorded: the run was interrupted.", file=sys.stderr)
        return 130
    return 0


def run(options: argparse.Namespace) -> None:
    """Train, measure, and write what is to stay."""
    file = options.out and options.out / f"{options.name}-seed{options.seed}.json"
    check(options, file)
    # All ranks take the weights of the first; each draws its own dropout.
    course.set_seed((options.seed + distributed.rank()) % SEEDS)
    with distributed.one_first():
        trained = request.trained(options)
        splits = request.read_images(options, trained)
    model, built_with = request.make_model(options, splits.train, trained)
    if options.sync_batchnorm:
        synchronise(model)
    begin = perf_counter()
    learner, loaders = request.loaders(options, model, splits)
    preparation = perf_counter() - begin
    recipe = request.recipe(options, learner)
    history = fit(learner, *loaders, name=options.name, **recipe)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    result = result_of(options, model, splits, history)
    if not distributed.is_first():
        return
    result = describe(options, model, splits, built_with) | result
    result |= {"seconds": round(preparation + sum(history["seconds"]), 1)}
    result |= {"history": history.to_dict()}
    if file:
        record.write(file, result)
    report(result, file)
    if options.save:
        save_weights(model, options.save)


def check(options: argparse.Namespace, file: Path | None) -> None:
    """Refuse what would otherwise fail, or destroy something, after the training."""
    results = (course.ROOT / "results").resolve()
    if file and options.stand_in and results in file.resolve().parents:
        raise CourseError(
            f"{results} holds results on real images alone. Choose another --out."
        )
    chosen = str(course.device()) if options.device is None else options.device
    try:
        device = torch.device(chosen)
        torch.zeros(1, device=device).item()  # "meta" has tensors, but no numbers
    except (RuntimeError, AssertionError) as error:  # torch raises both
        raise CourseError(
            f"--device {shlex.quote(chosen)} cannot be used here"
            f" ({str(error).splitlines()[0]}). Leave it out for the fastest one."
        ) from error
    check_device(device)
    if not distributed.is_first():  # it writes no file
        return
    for path in filter(None, (file, options.save, options.checkpoint)):
        record.make_place(path)
    if file and file.exists() and not options.overwrite:
        raise CourseError(
            f"{file} exists. Pass --overwrite to replace it, or another --name."
        )


def describe(
    options: argparse.Namespace,
    model: nn.Module,
    splits: Splits,
    built_with: dict[str, Any],
) -> dict[str, Any]:
    """What was run, on which images, and where."""
    shape = tuple(splits.train.images.shape[1:])
    parameters, multiply_adds = totals(model, shape)
    device = torch.device(options.device or course.device())
    sizes = {"parameters": parameters, "multiply_adds": multiply_adds}
    images = {
        "name": splits.train.name,
        "real": splits.train.real,
        "shape": list(shape),
    }
    for key in ("mean", "std", "classes"):
        images[key] = list(getattr(splits.train, key))
    parts = ("train", "val", "test")
    images |= {part: len(getattr(splits, part)) for part in parts}
    dtype = make_precision(options.precision, device).dtype
    return {
        "format": record.FORMAT,
        "name": options.name,
        "command": options.command,
        "commit": record.commit(),
        "seed": options.seed,
        "scale": course.scale(),
        "machine": record.machine(device),
        "precision": str(dtype).removeprefix("torch."),
        "processes": distributed.size(),
        "batch_size": options.batch_size,
        "sync_batchnorm": options.sync_batchnorm,
        "start": start_of(options),
        "data": images,
        "model": {"name": options.model, "options": built_with, **sizes},
    }


def start_of(options: argparse.Namespace) -> dict[str, Any] | None:
    """Where the weights came from, and what became of them; None: drawn at random."""
    if not options.weights:
        return None
    start = {"weights": options.weights, "frozen": options.freeze}
    return start if options.freeze else start | {"body_lr": options.body_lr}


def result_of(
    options: argparse.Namespace, model: nn.Module, splits: Splits, history: History
) -> dict[str, Any]:
    """How well the kept weights do: fractions, nats, images a second, and bytes."""
    result: dict[str, Any] = {}
    for part in ("val",) if options.no_test else ("val", "test"):
        loader = request.val_loader(options, getattr(splits, part))
        settings = {"precision": options.precision, "device": options.device}
        metrics = evaluate(model, loader, **settings)
        result |= {f"{part}_loss": metrics.loss, f"{part}_accuracy": metrics.accuracy}
    device = torch.device(options.device or course.device())
    speed = median(history["images_per_second"])
    result["images_per_second"] = round(speed, 1)
    peak = record.peak_memory(device)  # of all processes together
    result["peak_memory_bytes"] = peak and int(distributed.summed(peak)[0])
    return result


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict, on the CPU, for `load_state_dict`.

    Raises:
        CourseError: there is no room, or no permission.
    """
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    try:
        with files.replacing(path) as file:
            torch.save(weights, file)
    except (OSError, RuntimeError) as error:  # torch's own for a full disk
        raise CourseError(
            f"The weights cannot be written to {path}: {error}."
        ) from error


def report(result: dict[str, Any], file: Path | None) -> None:
    """The result in one line."""
    judged = "test" if "test_accuracy" in result else "val"
    print(
        f"{result['name']}, seed {result['seed']}:"
        f" {percent(result[f'{judged}_accuracy'])} {judged} accuracy,"
        f" {result['model']['parameters']:,} parameters, {result['seconds']:.0f} s"
        + (f"; {file}" if file else "")
    )
