"""Trained weights: torchvision's for ImageNet, and the course's own for CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments import record
from utils import course
from utils.course import CourseError
from utils.data import Splits
from utils.download import Remote, fetch

OURS = course.ROOT / "data" / "weights"
FOLDER = "weights"  # in the data folder


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of one network, and how its images have to be prepared.

    Attributes:
        state_dict: name -> tensor, on the CPU.
        mean, std: of each channel, of values in [0, 1], by which images are normalised.
        size: side of the images that they were trained on, in pixels.
        classes: what the logits stand for.
        source: the file.
        options: what the network was built with, besides the number of classes.
    """

    state_dict: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int
    classes: tuple[str, ...]
    source: Path
    options: dict[str, Any] = field(default_factory=dict)

    def prepare(self, splits: Splits) -> Splits:
        """The same images, normalised as those that these weights were trained on.

        Raises:
            CourseError: they have another number of channels.
        """
        parts = {p: getattr(splits, p) for p in ("train", "val", "test")}
        moments = {"mean": self.mean, "std": self.std}
        return Splits(**{p: replace(part, **moments) for p, part in parts.items()})


def imagenet(name: str, path: str | Path | None = None) -> Weights:
    """torchvision's weights for ImageNet's 1,000 classes.

    They are looked for in `course.data_dir()/weights`: torchvision's own file, then
    `NAME-imagenet.pth`, which may come from anywhere; else torchvision's is downloaded.
    For the networks of the course `load_torchvision(model, weights.state_dict)` reads
    them, for torchvision's own `model.load_state_dict`.

    Args:
        name: of torchvision's network, as "resnet18", or of one set of its weights, as
            "ResNet50_Weights.IMAGENET1K_V2"; the network's name means the first set.
        path: a file to take in place of all that.

    Raises:
        CourseError: there are no such weights, or they are damaged.
        DownloadError: they are not on the disk, and cannot be downloaded.
    """
    entry = _published(name)
    if path is not None:
        source = Path(path).expanduser()
    else:
        online = course.scale() != "tiny"
        source = find_imagenet(name, course.data_dir() / FOLDER, online=online)
    prepare = entry.transforms()
    mean, std, size = tuple(prepare.mean), tuple(prepare.std), prepare.crop_size[0]
    if "googlenet" in entry.url:  # torchvision's network turns the usual ones into it
        mean, std = (0.5,) * 3, (0.5,) * 3
    classes = tuple(entry.meta["categories"])
    return Weights(load(source), mean, std, size, classes, source)


def find_imagenet(name: str, folder: Path, *, online: bool = True) -> Path:
    """The file of `imagenet(name)` in a folder, downloaded first if it must be.

    Raises:
        CourseError: there are no such weights, or, in a bundle, they are damaged.
        DownloadError: they are not on the disk, and cannot be downloaded.
    """
    url = _published(name).url
    theirs, by_hand = url.rsplit("/", 1)[-1], f"{name.lower()}-imagenet.pth"
    if not (folder / theirs).is_file() and (folder / by_hand).is_file():
        return folder / by_hand
    begins = Path(theirs).stem.rsplit("-", 1)[-1]  # its name holds 8 digits of the hash
    return fetch(Remote(theirs, begins, (url,)), folder, online=online)


def cifar10(name: str) -> Weights:
    """The weights that the course trained itself on CIFAR-10, see `data/README.md`.

    Args:
        name: of the network, as "resnet20".

    Raises:
        CourseError: there are none for this network.
    """
    path = OURS / f"{name.lower()}-cifar10.pt"
    if not path.is_file():
        ours = sorted(file.name.split("-")[0] for file in OURS.glob("*-cifar10.pt"))
        raise CourseError(
            f"The course has no weights of {name!r} for CIFAR-10, only of"
            f" {', '.join(ours)}. Train it: python -m utils.train --help."
        )
    run = record.read(path.with_suffix(".json"))
    images, options = run["data"], run["model"]["options"]
    mean, std, classes = (tuple(images[key]) for key in ("mean", "std", "classes"))
    size = images["shape"][-1]
    return Weights(load(path), mean, std, size, classes, path, options)


def load(path: Path) -> dict[str, Tensor]:
    """A file's state dict, read without running any code that it may hold.

    Raises:
        CourseError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise CourseError(f"There is no file {path}. Check its name and folder.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # What torch raises depends on the bytes; whatever it is, the file is at fault.
    except Exception as error:
        raise CourseError(
            f"{path} holds no weights that can be read, or is damaged. Remove it: it is"
            " then fetched again, or copy it once more."
        ) from error
    values = isinstance(found, dict) and found.values()
    if not values or not all(isinstance(value, Tensor) for value in values):
        raise CourseError(
            f"{path} is no state dict. Save one: torch.save(model.state_dict(), path)."
        )
    return dict(found)


def _published(name: str):
    """torchvision's entry for a network's first weights, or for the ones named."""
    from torchvision import models  # here: it takes a second to import

    try:
        if "." in name:
            return models.get_weight(name)
        return next(iter(models.get_model_weights(name.lower())))
    except (ValueError, KeyError, AttributeError, StopIteration) as error:
        raise CourseError(
            f"torchvision has no weights for {name!r}. Its networks are in"
            " torchvision.models.list_models(), such as resnet18 or vgg16_bn."
        ) from error
