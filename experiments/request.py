"""From the words of a command line to images, a network, and a recipe for `fit`."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

from utils import augment, data
from utils.course import CourseError
from utils.data import ImageSet, Loader, Splits
from utils.look import features
from utils.models import MODELS, build
from utils.models.googlenet import GoogLeNet, googlenet_loss
from utils.models.transfer import Transfer, pretrained
from utils.models.weights import Weights
from utils.training import distributed
from utils.training.precision import place
from utils.training.recipe import OPTIMIZERS, named_optimizer

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


Trained = tuple[nn.Module, Weights]


def trained(options: argparse.Namespace) -> Trained | None:
    """The trained network to begin with, if one was asked for."""
    if options.weights is None:
        if options.freeze:
            raise CourseError("--freeze keeps trained weights: add --weights imagenet.")
        return None
    if options.set:
        raise CourseError("--set builds a new network; --weights brings a built one.")
    if options.freeze and options.augment:
        raise CourseError(
            "--freeze computes the features of each image once, so it takes no"
            " --augment. Leave out one of them."
        )
    if options.freeze and distributed.size() > 1:
        raise CourseError(
            "--freeze trains one layer, which several processes do not make faster."
            " Start it with python in place of torchrun."
        )
    return pretrained(options.model, options.weights)


def read_images(options: argparse.Namespace, trained: Trained | None = None) -> Splits:
    """The data set by its name, or the folder; normalised as the weights want it."""
    plain = "".join(filter(str.isalnum, options.data.lower()))
    known = {name.replace("_", ""): name for name in data.DATASETS}
    size = options.size or (trained[1].size if trained else 64)
    if plain in known:
        photos = known[plain] == "dogs_vs_cats"
        if options.size and not photos:
            raise CourseError(f"--size is for photos: {options.data} has its own size.")
        source = "embedded" if options.stand_in else "real"
        more = {"size": size} if photos else {}
        splits = data.load(options.data, source=source, **more)
    elif os.path.isdir(os.path.expanduser(options.data)):  # whatever the name
        splits = data.image_folder(options.data, size)
    else:
        names = ", ".join(data.DATASETS)
        raise CourseError(f"{options.data!r} is neither a folder nor one of {names}.")
    splits = Splits(splits.train.subset(options.images), splits.val, splits.test)
    return trained[1].prepare(splits) if trained else splits


def make_model(
    options: argparse.Namespace, images: ImageSet, trained: Trained | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The network for these images, and the options that it was built with."""
    _, channels, side, _ = images.images.shape
    if trained:
        network, weights = trained
        model = Transfer(network, len(images.classes)).freeze(options.freeze)
        return model, weights.options
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


def val_loader(options: argparse.Namespace, images: ImageSet) -> Loader:
    """The images to be measured on, in large batches."""
    return images.loader(512, device=options.device)


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


def loaders(
    options: argparse.Namespace, model: nn.Module, splits: Splits
) -> tuple[nn.Module, tuple[Any, Any]]:
    """What `fit` is to train, and the batches of the training and validation images.

    Of a frozen network that is the head alone, on features that are computed once.
    """
    val = val_loader(options, splits.val)
    if not options.freeze:
        return model, (train_loader(options, splits.train), val)
    train = splits.train.loader(128, device=options.device)
    place(model, options.device)
    draw = torch.Generator().manual_seed(options.seed)
    train, val = (TensorDataset(*features(model, x, "body")) for x in (train, val))
    return model.head, (
        DataLoader(train, options.batch_size, shuffle=True, generator=draw),
        DataLoader(val, 512),
    )


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
    if isinstance(model, Transfer):
        optimizer = slower_body(options, model)
        return chosen | {"optimizer": optimizer, "lr": None, "weight_decay": 0.0}
    if isinstance(model, GoogLeNet) and model.heads:
        chosen["loss_function"] = googlenet_loss(model)
    return chosen


def slower_body(options: argparse.Namespace, model: Transfer) -> Optimizer:
    """An optimizer that moves the trained layers in smaller steps than the new one."""
    lr = OPTIMIZERS[options.optimizer][1] if options.lr is None else options.lr
    body = {"params": list(model.body.parameters()), "lr": lr * options.body_lr}
    groups = [{"params": list(model.head.parameters())}, body]
    settings = (lr, options.momentum, options.weight_decay)
    return named_optimizer(options.optimizer, groups, *settings)
