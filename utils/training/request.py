"""From the words of a command line to images, a network, and a recipe for `fit`."""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from utils import augment, data
from utils.course import CourseError
from utils.datasets.loader import ImageSet, Loader, Splits
from utils.models import MODELS, build
from utils.models.googlenet import GoogLeNet, googlenet_loss

# What each name makes of the images' side, in pixels.
AUGMENTATIONS: dict[str, Callable[[int], Callable]] = {
    "crop": lambda side: augment.RandomCrop(side // 8),
    "resized_crop": lambda side: augment.RandomResizedCrop(),
    "flip": lambda side: augment.HorizontalFlip(),
    "jitter": lambda side: augment.ColorJitter(0.4, 0.4, 0.4),
    "rotation": lambda side: augment.Rotation(15),
    "cutout": lambda side: augment.Cutout(side // 2),
    "mixup": lambda side: augment.MixUp(),
    "cutmix": lambda side: augment.CutMix(),
}


def read_images(options: argparse.Namespace) -> Splits:
    """The data set by its name, or the folder."""
    known = {name.replace("_", "") for name in data.DATASETS}
    if "".join(filter(str.isalnum, options.data.lower())) in known:
        source = "embedded" if options.stand_in else "real"
        splits = data.load(options.data, source=source)
    elif Path(options.data).expanduser().is_dir():
        splits = data.image_folder(options.data, options.size)
    else:
        names = ", ".join(data.DATASETS)
        raise CourseError(f"{options.data!r} is neither a folder nor one of {names}.")
    return Splits(splits.train.subset(options.images), splits.val, splits.test)


def make_model(
    options: argparse.Namespace, images: ImageSet
) -> tuple[nn.Module, dict[str, Any]]:
    """The network for these images, and the options that it was built with."""
    _, channels, side, _ = images.images.shape
    given = dict(map(read_option, options.set))
    # Below 64 pixels an ImageNet stem leaves next to nothing for the last layers.
    if side < 64 and takes(options.model, "stem"):
        given = {"stem": "cifar", **given}
    try:
        model = build(
            options.model,
            num_classes=len(images.classes),
            in_channels=channels,
            **given,
        )
    except TypeError as error:  # an option that this network does not have
        raise CourseError(f"--set {' '.join(options.set)}: {error}.") from error
    return model, given


def read_option(text: str) -> tuple[str, Any]:
    """ "width=0.5" as ("width", 0.5); what is no Python value stays text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CourseError(f"--set {text}: write OPTION=VALUE, such as width=0.5.")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return key, value


def takes(name: str, option: str) -> bool:
    """Whether a network's builder has an option, by name or passed on."""
    builder = MODELS.get(name.lower())
    found = inspect.signature(builder).parameters if builder else {}
    return option in found or any(p.kind == p.VAR_KEYWORD for p in found.values())


def train_loader(options: argparse.Namespace, images: ImageSet) -> Loader:
    """The training images, shuffled, with the augmentations that were asked for."""
    side = images.images.shape[2]
    augmentations = [AUGMENTATIONS[name](side) for name in options.augment]
    return images.loader(
        options.batch_size,
        augment=augmentations,
        shuffle=True,
        seed=options.seed,
        device=options.device,
    )


def recipe(options: argparse.Namespace, model: nn.Module) -> dict[str, Any]:
    """The keyword arguments of `fit`."""
    names = ("epochs", "lr", "optimizer", "momentum", "weight_decay", "schedule")
    names += ("label_smoothing", "checkpoint", "resume", "precision", "device")
    chosen = {name: getattr(options, name) for name in names}
    if isinstance(model, GoogLeNet) and model.heads:
        chosen["loss_function"] = googlenet_loss(model)
    return chosen
