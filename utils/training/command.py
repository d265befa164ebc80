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

from utils import course, data
from utils.course import CourseError
from utils.datasets.loader import Splits
from utils.look import totals
from utils.models import MODELS
from utils.models.transfer import SOURCES
from utils.train import evaluate, fit
from utils.training import record, request
from utils.training.history import History, percent
from utils.training.precision import DTYPES, make_precision
from utils.training.recipe import OPTIMIZERS, SCHEDULES
from utils.training.request import AUGMENTATIONS

ABOUT = """\
Train a network of the course on a data set. It is measured on the validation set
after every epoch, and once, at the end, on the test set. With --out, one JSON file
says what was run, where, and what came out.
"""
EXAMPLES = """\
examples:
  python -m utils.train --model lenet5 --data mnist --epochs 5
  python -m utils.train --model resnet20 --data cifar10 --augment crop flip --out runs
  python -m utils.train --model vgg16_bn --data cifar10 --set width=0.25 "hidden=()"
  python -m utils.train --model resnet18 --data ~/photos --set width=0.5
  python -m utils.train --model squeezenet1_1 --data dogs_vs_cats --weights imagenet
"""


def parser() -> argparse.ArgumentParser:
    """The options, in the order in which one asks for them."""
    p = argparse.ArgumentParser(
        prog="python -m utils.train",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument_group("what").add_argument
    add("--model", required=True, metavar="NAME", help=f"one of {', '.join(MODELS)}")
    names = ", ".join(data.DATASETS)
    add("--data", required=True, help=f"{names}, or a folder with one for each class")
    of_network = {"metavar": "OPTION=VALUE", "help": "of the network: width=0.5"}
    add("--set", nargs="+", default=[], **of_network)
    add("--images", type=int, metavar="N", help="train on so many; all by default")
    add("--size", type=int, help="side of photos, in pixels; 64, or the weights' own")
    add("--stand-in", action="store_true", help="the drawn images, not the real ones")
    add = p.add_argument_group("from trained weights").add_argument
    text = "begin with these, and with a new last layer"
    add("--weights", choices=SOURCES, help=text)
    add("--freeze", action="store_true", help="train the new last layer alone")
    text = "of the other layers, as a part of --lr; %(default)s"
    add("--body-lr", type=float, default=0.1, metavar="FRACTION", help=text)
    add = p.add_argument_group("recipe").add_argument
    add("--epochs", type=int, default=30, help="%(default)s by default")
    add("--batch-size", type=int, default=128, help="%(default)s by default")
    add("--lr", type=float, help="highest learning rate: SGD 0.1, else 0.001")
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="sgd by default")
    add("--momentum", type=float, default=0.9, help="of SGD, %(default)s by default")
    add("--weight-decay", type=float, default=5e-4, help="%(default)s by default")
    add("--schedule", choices=SCHEDULES, default="onecycle", help="onecycle by default")
    add("--label-smoothing", type=float, default=0.0, metavar="FRACTION", help="none")
    names = f"any of {', '.join(AUGMENTATIONS)}, in this order"
    add("--augment", nargs="*", choices=AUGMENTATIONS, default=[], help=names)
    add("--seed", type=int, default=0, help="of weights, order, augmentation; 0")
    add("--precision", choices=("auto", *DTYPES), default="auto", help="auto")
    add("--device", help="cpu, cuda or mps; the fastest here by default")
    add = p.add_argument_group("what stays").add_argument
    add("--out", type=Path, metavar="FOLDER", help="write the run's JSON file there")
    add("--name", help="of the run and its file; MODEL-DATA by default")
    add("--overwrite", action="store_true", help="replace the file of an earlier run")
    add("--save", type=Path, metavar="FILE", help="the weights, as a state dict")
    add("--checkpoint", type=Path, metavar="FILE", help="whole state of every epoch")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--no-test", action="store_true", help="leave the test set closed")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0, or 2 for a request that cannot be met, 130 for a run that
        was interrupted. Only a complete run is recorded.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(words)
    options.name = options.name or f"{options.model}-{Path(options.data).name}"
    options.command = shlex.join(["python", "-m", "utils.train", *words])
    try:
        return run(options)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Train, measure, and write what is to stay."""
    file = options.out and options.out / f"{options.name}-seed{options.seed}.json"
    check(options, file)
    course.set_seed(options.seed)
    trained = request.trained(options)
    splits = request.read_images(options, trained)
    model, built_with = request.make_model(options, splits.train, trained)
    begin = perf_counter()
    learner, loaders = request.loaders(options, model, splits)
    preparation = perf_counter() - begin
    recipe = request.recipe(options, learner)
    history = fit(learner, *loaders, name=options.name, **recipe)
    if history.stopped == "interrupted":
        print("Nothing was recorded: the run was interrupted.", file=sys.stderr)
        return 130
    result = result_of(options, model, splits, history)
    result = describe(options, model, splits, built_with) | result
    result |= {"seconds": round(preparation + sum(history["seconds"]), 1)}
    result |= {"history": history.to_dict()}
    if file:
        record.write(file, result)
    report(result, file)
    if options.save:
        save_weights(model, options.save)
    return 0


def check(options: argparse.Namespace, file: Path | None) -> None:
    """Refuse what would otherwise fail, or destroy something, after the training."""
    if file and file.exists() and not options.overwrite:
        raise CourseError(
            f"{file} exists. Pass --overwrite to replace it, or another --name."
        )
    results = (course.ROOT / "results").resolve()
    if file and options.stand_in and results in file.resolve().parents:
        raise CourseError(
            f"{results} holds results on real images alone. Choose another --out."
        )
    for path in filter(None, (file, options.save)):
        record.make_folder(path.parent)
    try:
        torch.empty(1, device=options.device or course.device())
    except (RuntimeError, AssertionError) as error:  # torch raises both
        raise CourseError(
            f"--device {options.device} cannot be used here"
            f" ({str(error).splitlines()[0]}). Leave it out for the fastest one."
        ) from error


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
        loader = getattr(splits, part).loader(512, device=options.device)
        settings = {"precision": options.precision, "device": options.device}
        metrics = evaluate(model, loader, **settings)
        result |= {f"{part}_loss": metrics.loss, f"{part}_accuracy": metrics.accuracy}
    device = torch.device(options.device or course.device())
    speed = median(history["images_per_second"])
    result["images_per_second"] = round(speed, 1)
    result["peak_memory_bytes"] = record.peak_memory(device)
    return result


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict, on the CPU, for `load_state_dict`.

    Raises:
        CourseError: there is no room, or no permission.
    """
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    part = path.with_name(path.name + ".part")
    try:
        torch.save(weights, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own for a full disk
        raise CourseError(
            f"The weights cannot be written to {path}: {error}."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def report(result: dict[str, Any], file: Path | None) -> None:
    """The result in one line."""
    judged = "test" if "test_accuracy" in result else "val"
    print(
        f"{result['name']}, seed {result['seed']}:"
        f" {percent(result[f'{judged}_accuracy'])} {judged} accuracy,"
        f" {result['model']['parameters']:,} parameters, {result['seconds']:.0f} s"
        + (f"; {file}" if file else "")
    )
