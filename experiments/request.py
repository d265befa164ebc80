"""From the words of a command line to images, a network, and a recipe for `fit`."""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import os
import shlex
from collections import ChainMap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

from experiments import record, torchrun
from experiments.flip import AlternatingFlip
from experiments.muon import Muon
from experiments.networks import OWN, whiten
from utils import augment, course, data, models, recipe
from utils.course import CourseError
from utils.data import ImageSet, Splits
from utils.look import features
from utils.models.googlenet import GoogLeNet, googlenet_loss
from utils.models.pretrained import SOURCES, Transfer, Weights
from utils.photos import shown

ABOUT = """\
Train a network of the course on a data set. It is measured on the validation set
after every epoch, and once, at the end, on the test set. With --out, one JSON file
says what was run, where, and what came out.
"""
EXAMPLES = """\
examples:
  python -m experiments.train --model lenet5 --data mnist --epochs 5
  python -m experiments.train --model resnet20 --data cifar10 --augment crop --out runs
  python -m experiments.train --model vgg16_bn --data cifar10 --set width=0.25
  python -m experiments.train --model squeezenet1_1 --data ~/photos --weights imagenet
  torchrun --nproc-per-node=2 -m experiments.train --model resnet20 --data cifar10
"""
MODELS = ChainMap(OWN, models.MODELS)
# The least that a number may be, and what it must stay below: torch's and NumPy's ends.
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("images", "epochs", "batch_size"), (1, 2**31)),
    **dict.fromkeys(("lr", "body_lr", "momentum", "weight_decay"), (0, math.inf)),
    "size": (1, 2**15),  # pixels; a photo of such a side has more than 3 GB
    "label_smoothing": (0, 1),
    "seed": (0, 2**32),
}
# What each name makes of the images' side, in pixels.
AUGMENTATIONS: dict[str, Callable[[int], Callable]] = {
    "crop": lambda side: augment.RandomCrop(side // 8),
    "resized_crop": lambda side: augment.RandomResizedCrop(),
    "flip": lambda side: augment.HorizontalFlip(),
    "alternating_flip": lambda side: AlternatingFlip(),
    "shift": lambda side: augment.RandomCrop(side // 16),
    "jitter": lambda side: augment.ColorJitter(0.4, 0.4, 0.4),
    "rotation": lambda side: augment.Rotation(15),
    "cutout": lambda side: augment.Cutout(side // 2),
    "mixup": lambda side: augment.MixUp(),
    "cutmix": lambda side: augment.CutMix(),
}
RATES = {"sgd": 0.1, "adam": 0.001, "adamw": 0.001}
OPTIMIZERS = {name: (recipe.OPTIMIZERS[name], rate) for name, rate in RATES.items()}
OPTIMIZERS["muon"] = (Muon, 0.12)
SHAPES = {"mnist": (1, 28), "fashion_mnist": (1, 28), "cifar10": (3, 32)}
SIDES = (28, 32, 64, 96, 128, 224, 256)  # pixels; what a network may be made for

Trained = tuple[nn.Module, Weights]


def parser() -> argparse.ArgumentParser:
    """The options, in the order in which one asks for them."""
    p = argparse.ArgumentParser(
        prog="python -m experiments.train",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument_group("what").add_argument
    text = f"one of {', '.join(MODELS)}; with --weights imagenet torchvision's too"
    add("--model", required=True, metavar="NAME", help=text)
    names = ", ".join(data.DATASETS)
    add("--data", required=True, help=f"{names}, or a folder with one for each class")
    of_network = {"metavar": "OPTION=VALUE", "help": "of the network: width=0.5"}
    add("--set", nargs="+", default=[], **of_network)
    text = "fix the first filters of speedrun so that they whiten the training images"
    add("--whiten", action=argparse.BooleanOptionalAction, default=False, help=text)
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
    add("--optimizer", choices=[*OPTIMIZERS], default="sgd", help="sgd by default")
    of_optimizer = {"metavar": "OPTION=VALUE", "help": "of the optimizer: eps=1e-6"}
    add("--tune", nargs="+", default=[], **of_optimizer)
    add("--momentum", type=float, default=0.9, help="of SGD, %(default)s by default")
    add("--weight-decay", type=float, default=5e-4, help="%(default)s by default")
    names = list(recipe.SCHEDULES)
    add("--schedule", choices=names, default="onecycle", help="onecycle by default")
    add("--label-smoothing", type=float, default=0.0, metavar="FRACTION", help="none")
    text = f"any of {', '.join(AUGMENTATIONS)}, in this order"
    add("--augment", nargs="*", choices=AUGMENTATIONS, default=[], help=text)
    add("--seed", type=int, default=0, help="of weights, order, augmentation; 0")
    names = ["auto", *recipe.DTYPES]
    add("--precision", choices=names, default="auto", help="auto by default")
    add("--device", help="cpu, cuda or mps; the fastest here by default")
    add = p.add_argument_group("what stays").add_argument
    add("--out", type=Path, metavar="FOLDER", help="write the run's JSON file there")
    add("--name", help="of the run and its file; MODEL-DATA by default")
    add("--save", type=Path, metavar="FILE", help="the weights, as a state dict")
    add("--half", action="store_true", help="save them in float16")
    text = "save a list: the weights before the first epoch, and after each"
    add("--every-epoch", action="store_true", help=text)
    add("--checkpoint", type=Path, metavar="FILE", help="whole state of every epoch")
    add("--resume", action="store_true", help="go on from the checkpoint")
    text = "replace the files of an earlier run, where nothing goes on from them"
    add("--overwrite", action="store_true", help=text)
    add("--views", action="store_true", help="measure with six views of an image, too")
    add("--no-test", action="store_true", help="leave the test set closed")
    return p


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for, the name of the run, and how to repeat it.

    Raises:
        CourseError: a number is out of its range; NaN is, too.
    """
    options = parser().parse_args(words)
    for name, (least, limit) in RANGES.items():
        value = getattr(options, name)
        if value is not None and not least <= value < limit:
            below = "" if limit == math.inf else f" and below {limit:,}"
            raise CourseError(
                f"--{name.replace('_', '-')} {value}: give a finite number of at least"
                f" {least}{below}."
            )
    options.name = options.name or f"{options.model}-{Path(options.data).name}"
    options.command = f"{torchrun.launcher()} -m experiments.train {shlex.join(words)}"
    return options


# --- everything that can be wrong is looked at before the first image ----------------


def check(options: argparse.Namespace, file: Path | None) -> None:
    """Refuse what would fail, or destroy something, during or after the training."""
    course.scale()  # the environment's own mistakes
    named, folder = os.environ.get("CNN_COURSE_DATA"), course.data_dir()
    if named and not folder.is_dir():
        raise CourseError(
            f"CNN_COURSE_DATA names a folder that does not exist: {str(folder)!r}."
            " Create it or correct the path; unset, the course uses its own data/."
        )
    results = (course.ROOT / "results").resolve()
    if file and options.stand_in and results in file.resolve().parents:
        raise CourseError(
            f"{results} holds results on real images alone. Choose another --out."
        )
    if options.resume and not options.checkpoint:
        raise CourseError("--resume goes on from a file: add --checkpoint FILE.")
    for option in ("half", "every_epoch"):
        if getattr(options, option) and not options.save:
            name = option.replace("_", "-")
            raise CourseError(f"--{name} is of the saved weights: add --save FILE.")
    if options.every_epoch and options.resume:
        raise CourseError("--every-epoch keeps whole runs alone: leave out --resume.")
    check_model(options)
    if torchrun.rank() > 0:  # it writes no file
        return
    places = {"--out": file, "--save": options.save, "--checkpoint": options.checkpoint}
    for option, path in places.items():
        if path is None:
            continue
        record.make_place(path)
        goes_on = option == "--checkpoint" and options.resume
        if path.exists() and not (goes_on or options.overwrite):
            resume = " --resume to go on from it," * (option == "--checkpoint")
            raise CourseError(
                f"{option}: {shown(str(path))} exists. Pass{resume} --overwrite"
                f" to replace it, or another {'--name' if path is file else 'file'}."
            )


def check_device(options: argparse.Namespace) -> None:
    """Take the device that was asked for, or the fastest; each process its own card."""
    chosen = str(course.device()) if options.device is None else options.device
    try:
        torch.zeros(1, device=chosen).item()  # "meta" has tensors, but no numbers
    except (RuntimeError, AssertionError) as error:  # torch raises both
        raise CourseError(
            f"--device {shlex.quote(chosen)} cannot be used here"
            f" ({str(error).splitlines()[0]}). Leave it out for the fastest one."
        ) from error
    options.device = torch.device(chosen)
    torchrun.check_device(options.device)


def check_model(options: argparse.Namespace) -> None:
    """Refuse an unknown network, or one for images of another size; names them all."""
    if options.freeze and not options.weights:
        raise CourseError("--freeze keeps trained weights: add --weights imagenet.")
    if options.weights and options.set:
        raise CourseError("--set builds a new network; --weights brings a built one.")
    if options.freeze and options.augment:
        raise CourseError(
            "--freeze computes the features of each image once, so it takes no"
            " --augment. Leave out one of them."
        )
    if options.freeze and torchrun.size() > 1:
        raise CourseError(
            "--freeze trains one layer, which several processes do not make faster."
            " Start it with python in place of torchrun."
        )
    name = options.model.lower()
    if name not in MODELS and name not in torchvision_names():
        raise CourseError(
            f"No network is called {options.model!r}. Choose one of {', '.join(MODELS)}"
            f"; or with --weights imagenet of {', '.join(torchvision_names())}."
        )
    if name not in MODELS and options.weights != "imagenet":
        raise CourseError(
            f"{options.model} is torchvision's alone: add --weights imagenet, or choose"
            f" one of {', '.join(MODELS)}."
        )
    if options.whiten and name != "speedrun":
        raise CourseError("--whiten is for the first filters of --model speedrun.")
    channels, side = shape_of(options)
    if not options.weights and not takes_images(options, channels, side):
        sizes = [s for s in SIDES if takes_images(options, channels, s)]
        own = f"images of {sizes[0]} pixels" if sizes else "other images"
        hint = f"; or --set image_size={side}" * takes(options.model, "image_size")
        raise CourseError(
            f"{options.model} takes {own} a side, those of {options.data} have {side}."
            f" Choose another network or data set{hint}."
        )


def torchvision_names() -> list[str]:
    """The networks that torchvision has ImageNet's weights for."""
    from torchvision import models as theirs  # here: it takes a second to import

    return theirs.list_models(module=theirs)


def known_data(options: argparse.Namespace) -> str | None:
    """The name of the data set, however it was spelt; None for a folder."""
    plain = "".join(filter(str.isalnum, options.data.lower()))
    known = {name.replace("_", ""): name for name in data.DATASETS}
    if plain in known:
        return known[plain]
    if not os.path.isdir(os.path.expanduser(options.data)):
        names = ", ".join(data.DATASETS)
        raise CourseError(f"{options.data!r} is neither a folder nor one of {names}.")
    return None


def shape_of(options: argparse.Namespace) -> tuple[int, int]:
    """Channels and side, in pixels, that the images will have; none is read."""
    name = known_data(options)
    if name not in SHAPES:
        return 3, options.size or 64
    if options.size:
        raise CourseError(f"--size is for photos: {options.data} has its own size.")
    return SHAPES[name]


def takes_images(options: argparse.Namespace, channels: int, side: int) -> bool:
    """Whether the network can be computed on such images; a try without numbers.

    Raises:
        CourseError: the network itself says what it does not take.
    """
    with torch.device("meta"):
        model, _ = build_network(options, 10, channels, side)
        try:
            model.eval()(torch.zeros(1, channels, side, side))
        except RuntimeError:
            return False
    return True


def build_network(
    options: argparse.Namespace, num_classes: int, channels: int, side: int
) -> tuple[nn.Module, dict[str, Any]]:
    """A network with untrained weights, and the options that it was built with."""
    given = dict(map(read_option, options.set))
    # Below 64 pixels an ImageNet stem leaves next to nothing for the last layers.
    if side < 64 and takes(options.model, "stem"):
        given = {"stem": "cifar", **given}
    sizes = {"num_classes": num_classes, "in_channels": channels}
    try:
        return MODELS[options.model.lower()](**sizes, **given), given
    except TypeError as error:  # an option that this network does not have
        raise CourseError(f"--set {' '.join(options.set)}: {error}.") from error


def read_option(text: str) -> tuple[str, Any]:
    """ "width=0.5" as ("width", 0.5); what is no Python value stays text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CourseError(f"{text!r} is no option: write OPTION=VALUE, as width=0.5.")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return key, value


def takes(name: str, option: str) -> bool:
    """Whether a network's builder has an option, by name or passed on."""
    found = inspect.signature(MODELS[name.lower()]).parameters
    return option in found or any(p.kind == p.VAR_KEYWORD for p in found.values())


# --- from the words to images, a network, and a recipe for `fit` ---------------------


def read_images(options: argparse.Namespace, trained: Trained | None = None) -> Splits:
    """The data set by its name, or the folder; normalised as the weights want it."""
    name = known_data(options)
    size = options.size or (trained[1].size if trained else 64)
    if name is None:
        splits = data.image_folder(options.data, size)
    else:
        more = {} if name in SHAPES else {"size": size}
        source = "embedded" if options.stand_in else "real"
        splits = data.DATASETS[name](source=source, **more)
    splits = Splits(splits.train.subset(options.images), splits.val, splits.test)
    return trained[1].prepare(splits) if trained else splits


def make_model(
    options: argparse.Namespace, images: ImageSet, trained: Trained | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The network for these images, and the options that it was built with."""
    if trained:
        network, weights = trained
        model = Transfer(network, len(images.classes)).freeze(options.freeze)
        return model, weights.options
    _, channels, side, _ = images.images.shape
    model, given = build_network(options, len(images.classes), channels, side)
    if options.whiten:
        sample = images.subset(5000).loader(5000, device="cpu")
        whiten(model, next(iter(sample))[0])
    return model, given


def make_loaders(
    options: argparse.Namespace, model: nn.Module, splits: Splits
) -> tuple[nn.Module, Any, Any]:
    """What `fit` is to train, and the batches of the training and validation images.

    Of a frozen network that is the head alone, on features that are computed once.
    """
    train, batch = splits.train, options.batch_size
    if options.freeze:
        sets = (part.loader(512, device=options.device) for part in (train, splits.val))
        known = [TensorDataset(*features(model, part, "body")) for part in sets]
        draw = torch.Generator().manual_seed(options.seed)
        shuffled = DataLoader(known[0], batch, shuffle=True, generator=draw)
        return model.head, shuffled, DataLoader(known[1], 512)
    changes = [AUGMENTATIONS[name](train.images.shape[2]) for name in options.augment]
    settings = {"shuffle": True, "seed": options.seed, "device": options.device}
    batches = torchrun.loader(train, batch, augment=changes, **settings)
    return model, batches, torchrun.part(splits.val).loader(512, device=options.device)


def make_recipe(options: argparse.Namespace, model: nn.Module) -> dict[str, Any]:
    """The keyword arguments of `fit`."""
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    if options.label_smoothing:
        loss = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
    if isinstance(model, GoogLeNet) and model.heads:
        loss = googlenet_loss(model, loss) if loss else googlenet_loss(model)
    names = ("epochs", "schedule", "checkpoint", "resume")
    chosen = {name: getattr(options, name) for name in names}
    chosen |= {"optimizer": partial(make_optimizer, options, model)}
    return chosen | {"loss_function": loss}


def make_optimizer(
    options: argparse.Namespace, model: nn.Module, weights: Any
) -> Optimizer:
    """The optimizer; trained layers move in smaller steps than a new last one."""
    build_it, usual = OPTIMIZERS[options.optimizer]
    lr = usual if options.lr is None else options.lr
    settings = {"lr": lr, **dict(map(read_option, options.tune))}
    if options.optimizer != "muon":  # it has a decay of its own
        settings["weight_decay"] = options.weight_decay
    if options.optimizer == "sgd":
        settings["momentum"] = options.momentum
    if isinstance(model, Transfer):
        body = {"params": list(model.body.parameters()), "lr": lr * options.body_lr}
        weights = [{"params": list(model.head.parameters())}, body]
    try:
        return build_it(weights, **settings)
    except TypeError as error:  # an option that this optimizer does not have
        raise CourseError(f"--tune {' '.join(options.tune)}: {error}.") from error
