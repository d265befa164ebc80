"""`fit` from the command line: `python -m experiments.train --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from experiments import record, request, torchrun
from experiments.views import SixViews
from utils import course, files, recipe
from utils.course import CourseError
from utils.data import Splits
from utils.history import History
from utils.look import totals
from utils.models.pretrained import pretrained
from utils.train import evaluate, fit

MARGIN = 1.0  # between two logits, above which six views change hardly an answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0, or 2 for a request that cannot be met, 130 for a run that
        was interrupted. Only a complete run is recorded.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # "?" for what it lacks, such as ✓ on Windows
    try:
        with torchrun.joined():
            options = request.read_options(words)
            with use_device(options):
                run(options)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Nothing was recorded: the run was interrupted.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def use_device(options: argparse.Namespace) -> Iterator[None]:
    """Compute inside where `--device` says: `fit` takes what `course.device` says."""
    request.check_device(options)
    with ExitStack() as back:
        back.callback(setattr, course, "device", course.device)
        course.device = lambda: options.device
        with recipe.use_precision(options.precision):
            recipe.number_format(options.device)  # refuses one that is emulated
            yield


def run(options: argparse.Namespace) -> None:
    """Train, measure, and write what is to stay."""
    file = options.out and options.out / f"{options.name}-seed{options.seed}.json"
    file = file if torchrun.rank() == 0 else None
    request.check(options, file)
    # All ranks take the weights of the first; each draws its own dropout.
    course.set_seed((options.seed + torchrun.rank()) % 2**32)
    with torchrun.one_first():
        trained = options.weights and pretrained(options.model, options.weights)
        splits = request.read_images(options, trained)
    model, built_with = request.make_model(options, splits.train, trained)
    described = describe(options, model, splits, built_with)
    model.to(options.device)
    begin = perf_counter()
    learner, *loaders = request.make_loaders(options, model, splits)
    preparation = perf_counter() - begin
    settings = request.make_recipe(options, learner)
    kept: list[dict[str, Tensor]] = []
    if options.every_epoch:
        loaders[1] = Watched(loaders[1], partial(state, model, options.half), kept)
    with torchrun.shared(learner, settings["checkpoint"]) as (learner, checkpoint):
        settings["checkpoint"] = checkpoint
        try:
            history = fit(learner, *loaders, name=options.name, **settings)
        except CourseError as error:
            if file and "finite" in str(error):  # that it diverged is a result
                record.write(file, described | {"diverged": str(error)})
            raise
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    result = described | result_of(options, model, splits, history)
    if torchrun.rank() > 0:
        return
    # Their sums hold the epochs before a resumption, too; old states lack the first.
    worked = [row.get("processor_seconds") for row in history.rows]
    if None not in worked:
        result["processor_seconds"] = round(sum(worked), 3)
    result["seconds"] = round(preparation + sum(history["seconds"]), 1)
    result |= {"history": asdict(history)}
    if options.save:
        save_weights(kept or state(model, options.half), options.save)
    if file:
        record.write(file, result)
    report(result, file)


def describe(
    options: argparse.Namespace,
    model: nn.Module,
    splits: Splits,
    built_with: dict[str, Any],
) -> dict[str, Any]:
    """What was run, on which images, and where."""
    train, shape = splits.train, tuple(splits.train.images.shape[1:])
    parameters, multiply_adds = totals(model, shape)
    images = {"name": train.name, "real": train.real, "shape": list(shape)}
    for key in ("mean", "std", "classes"):
        images[key] = list(getattr(train, key))
    images |= {part: len(getattr(splits, part)) for part in ("train", "val", "test")}
    dtype = recipe.number_format(options.device)
    sizes = {"parameters": parameters, "multiply_adds": multiply_adds}
    return {
        "format": record.FORMAT,
        "name": options.name,
        "command": options.command,
        "commit": record.commit(),
        "seed": options.seed,
        "scale": course.scale(),
        "machine": record.machine(options.device),
        "precision": str(dtype).removeprefix("torch."),
        "processes": torchrun.size(),
        "batch_size": options.batch_size,
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
        images = torchrun.part(getattr(splits, part))
        loader = images.loader(512, device=options.device)
        metrics = evaluate(model, loader)
        result |= {f"{part}_loss": metrics.loss, f"{part}_accuracy": metrics.accuracy}
        if options.views:
            metrics = evaluate(SixViews(model, margin=MARGIN), loader)
            result[f"{part}_views_accuracy"] = metrics.accuracy
    speed = median(history["images_per_second"])
    result["images_per_second"] = round(speed, 1)
    result["peak_memory_bytes"] = record.peak_memory(options.device)
    return result


class Watched:
    """Validation batches that leave a copy of the weights before each pass.

    `fit` tries the first batch before it trains: the first copy is of the start.
    """

    def __init__(self, loader: Any, copy: Callable[[], Any], kept: list[Any]) -> None:
        self.loader, self.copy, self.kept = loader, copy, kept

    def __iter__(self) -> Iterator[Any]:
        self.kept.append(self.copy())
        return iter(self.loader)


def state(model: nn.Module, half: bool) -> dict[str, Tensor]:
    """A copy of the state dict on the CPU, in float16 if `half`; counts stay whole."""
    floats = torch.float16 if half else None
    return {
        name: w.detach().to("cpu", floats if w.is_floating_point() else None, copy=True)
        for name, w in model.state_dict().items()
    }


def save_weights(weights: Any, path: Path) -> None:
    """Write one state dict, or a list of them.

    Raises:
        CourseError: there is no room, or no permission.
    """
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
        f" {100 * result[f'{judged}_accuracy']:.2f} % {judged} accuracy,"
        f" {result['model']['parameters']:,} parameters, {result['seconds']:.0f} s"
        + (f"; {file}" if file else "")
    )


if __name__ == "__main__":
    raise SystemExit(main())
