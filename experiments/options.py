"""The words of `python -m utils.train`, and what they ask for."""

from __future__ import annotations

import argparse
import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from experiments.request import AUGMENTATIONS
from utils import data
from utils.course import CourseError
from utils.models import MODELS
from utils.models.transfer import SOURCES
from utils.training import distributed
from utils.training.precision import DTYPES
from utils.training.recipe import OPTIMIZERS, SCHEDULES

ABOUT = """\
Train a network of the course on a data set. It is measured on the validation set
after every epoch, and once, at the end, on the test set. With --out, one JSON file
says what was run, where, and what came out.
"""
SEEDS = 2**32  # so many are there: NumPy takes no others
COUNTS = 2**31  # below it a count fits into every integer of torch
SIDES = 2**15  # pixels; a photo of such a side has more than 3 GB
# The least that a number may be, and what it must stay below.
RANGES: dict[str, tuple[float, float]] = {
    "images": (1, COUNTS),
    "size": (1, SIDES),
    "body_lr": (0, math.inf),
    "epochs": (1, COUNTS),
    "batch_size": (1, COUNTS),
    "lr": (0, math.inf),
    "momentum": (0, math.inf),
    "weight_decay": (0, math.inf),
    "label_smoothing": (0, 1),
    "seed": (0, SEEDS),
}
EXAMPLES = """\
examples:
  python -m utils.train --model lenet5 --data mnist --epochs 5
  python -m utils.train --model resnet20 --data cifar10 --augment crop flip --out runs
  python -m utils.train --model vgg16_bn --data cifar10 --set width=0.25 "hidden=()"
  python -m utils.train --model resnet18 --data ~/photos --set width=0.5
  python -m utils.train --model squeezenet1_1 --data dogs_vs_cats --weights imagenet
  torchrun --nproc-per-node=2 -m utils.train --model resnet20 --data cifar10
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
    text = "of all processes together; %(default)s by default"
    add("--batch-size", type=int, default=128, help=text)
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
    text = "batch norm over the examples of all processes"
    add("--sync-batchnorm", action="store_true", help=text)
    add = p.add_argument_group("what stays").add_argument
    add("--out", type=Path, metavar="FOLDER", help="write the run's JSON file there")
    add("--name", help="of the run and its file; MODEL-DATA by default")
    add("--overwrite", action="store_true", help="replace the file of an earlier run")
    add("--save", type=Path, metavar="FILE", help="the weights, as a state dict")
    text = "whole state of every epoch"
    add("--checkpoint", type=from_home, metavar="FILE", help=text)
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--no-test", action="store_true", help="leave the test set closed")
    return p


def from_home(text: str) -> Path:
    """A path whose `~` is looked up here alone: a `~name` of nobody stays a name."""
    return Path(os.path.expanduser(text)).absolute()


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for, the name of the run, and how to repeat it.

    Raises:
        CourseError: a number is out of its range.
    """
    options = parser().parse_args(words)
    check_ranges(options)
    options.name = options.name or f"{options.model}-{Path(options.data).name}"
    launcher = distributed.launcher()
    options.command = f"{launcher} -m utils.train {shlex.join(words)}"
    return options


def check_ranges(options: argparse.Namespace) -> None:
    """Refuse a number that torch, or NumPy, could not take, or could make no sense of.

    Raises:
        CourseError: there is one; NaN is one, too.
    """
    for name, (least, limit) in RANGES.items():
        value = getattr(options, name)
        if value is None or least <= value < limit:
            continue
        option = name.replace("_", "-")
        kind, below = "number", f" and below {limit:,}"
        if limit == math.inf:
            kind, below = "finite number", ""
        raise CourseError(
            f"--{option} {value}: give a {kind} of at least {least}{below}."
        )
