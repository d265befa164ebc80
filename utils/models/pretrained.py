"""Trained weights, ours and torchvision's; a network that takes them to a new task."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from torch import Tensor, nn

from utils import checkpoint, course
from utils.course import CourseError
from utils.data import Splits
from utils.download import DownloadError, Remote, fetch, kind_of
from utils.models import MODELS, build

SOURCES = ("imagenet", "cifar10")
OURS = course.ROOT / "data" / "weights"
FOLDER = "weights"  # in the data folder
# What nn.DataParallel, torch.compile and Lightning put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")


class Transfer(nn.Module):
    """`body`, a copy of a trained network without its last layer, and a new `head`."""

    def __init__(self, trained: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.body, features = without_head(trained)
        self.head = nn.Linear(features, num_classes)
        self.frozen = False

    def freeze(self, frozen: bool = True) -> Transfer:
        """Train the head alone, from now on; `freeze(False)` trains all of it."""
        self.frozen = frozen
        self.body.requires_grad_(not frozen)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Transfer:
        """As in every module, but a frozen body stays in evaluation mode."""
        super().train(mode)
        if self.frozen:  # else batch norm would move, and dropout would drop
            self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def without_head(trained: nn.Module) -> tuple[nn.Module, int]:
    """A copy of a network whose last layer is gone, and how many features it gives."""
    body = copy.deepcopy(trained)
    # The heads that helped to train GoogLeNet, torchvision's and Inception, go.
    if isinstance(getattr(body, "heads", None), nn.ModuleList):
        body.heads = nn.ModuleList()
    for name in [n for n, _ in body.named_children() if n.lower().startswith("aux")]:
        setattr(body, name, None)
        body.aux_logits = False  # else it returns tuples while it trains
    linear = [name for name, m in body.named_modules() if isinstance(m, nn.Linear)]
    if linear:
        parent, _, child = linear[-1].rpartition(".")
        features = body.get_submodule(linear[-1]).in_features
        setattr(body.get_submodule(parent), child, nn.Identity())
        return body, features
    # SqueezeNet classifies at every place, and then averages: we average the features.
    classifier = getattr(body, "classifier", nn.Identity())
    places = [m for m in classifier.modules() if isinstance(m, nn.Conv2d)]
    if len(places) != 1:
        raise CourseError(
            f"{type(trained).__name__} has no last linear layer to replace. Cut it"
            " yourself: a Sequential of what comes before, and nn.Flatten()."
        )
    body.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return body, places[0].in_channels


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of one network, and how its images have to be prepared."""

    state_dict: dict[str, Tensor]  # on the CPU
    mean: tuple[float, ...]  # of each channel, of values in [0, 1]
    std: tuple[float, ...]
    size: int  # side of the images that they were trained on, in pixels
    classes: tuple[str, ...]  # what the logits stand for
    source: Path  # the file
    options: dict[str, Any] = field(default_factory=dict)  # of `build`, but classes

    def prepare(self, splits: Splits) -> Splits:
        """The same images, normalised as those that these weights were trained on."""
        parts = {p: getattr(splits, p) for p in ("train", "val", "test")}
        moments = {"mean": self.mean, "std": self.std}
        return replace(splits, **{p: replace(x, **moments) for p, x in parts.items()})


def pretrained(
    name: str, source: str = "imagenet", *, otherwise: str | None = None
) -> tuple[nn.Module, Weights]:
    """A trained network, in evaluation mode, and what is known of its weights.

    `source`: "imagenet", torchvision's weights, or "cifar10", the course's own.
    `otherwise`: a network with the course's weights that stands in, as a line says,
    where ImageNet's cannot be had, and at scale tiny.
    """
    if source == "cifar10":
        found = cifar10(name)
        model = build(name, num_classes=len(found.classes), **found.options)
        model.load_state_dict(found.state_dict)
        return model.eval(), found
    if source != "imagenet":
        raise CourseError(f"There are no weights from {source!r}, only {SOURCES}.")
    try:
        if otherwise and course.scale() == "tiny":
            why = "scale tiny; CNN_COURSE_SCALE=small takes those"
            raise DownloadError(why, why)
        found = imagenet(name.removesuffix("_torchvision"))
    except DownloadError as error:
        if otherwise is None:
            raise
        own = f"{otherwise} with the course's weights from CIFAR-10"
        print(f"Stand-in: {own} in place of {name} with ImageNet's ({error.reason}).")
        return pretrained(otherwise, "cifar10")
    if name in MODELS:
        return load_torchvision(build(name), found.state_dict).eval(), found
    from torchvision import models  # here: it takes a second to import

    model = models.get_model(name, weights=None)
    model.load_state_dict(found.state_dict)
    return model.eval(), found


def imagenet(name: str) -> Weights:
    """torchvision's weights for ImageNet's 1,000 classes, the first of several sets."""
    entry, source = published(name), find_imagenet(name, course.data_dir() / FOLDER)
    prepare = entry.transforms()
    mean, std, size = tuple(prepare.mean), tuple(prepare.std), prepare.crop_size[0]
    # torchvision's two networks turn the usual ones into these, if asked to.
    if name.lower() in ("googlenet", "inception_v3"):
        mean, std = (0.5,) * 3, (0.5,) * 3
    classes = tuple(entry.meta["categories"])
    return Weights(load(source), mean, std, size, classes, source)


def find_imagenet(name: str, folder: Path, *, online: bool | None = None) -> Path:
    """torchvision's file in a folder, or `NAME-imagenet.pth`, or else a download."""
    url = published(name).url
    theirs, by_hand = url.rsplit("/", 1)[-1], f"{name.lower()}-imagenet.pth"
    if not (folder / theirs).is_file() and (folder / by_hand).is_file():
        return folder / by_hand
    begins = Path(theirs).stem.rsplit("-", 1)[-1]  # its name holds 8 digits of the hash
    return fetch(Remote(theirs, begins, (url,)), folder, online=online)


def published(name: str) -> Any:
    """torchvision's entry for a network's first weights."""
    from torchvision import models  # here: it takes a second to import

    try:
        return next(iter(models.get_model_weights(name.lower())))
    except (ValueError, StopIteration) as error:
        raise CourseError(
            f"torchvision has no weights for {name!r}. Its networks are in"
            " torchvision.models.list_models(), such as resnet18 or vgg16_bn."
        ) from error


def cifar10(name: str) -> Weights:
    """The weights that the course trained itself on CIFAR-10, see `data/README.md`."""
    path = OURS / f"{name.lower()}-cifar10.pt"
    if not path.is_file():
        ours = sorted(file.name.split("-")[0] for file in OURS.glob("*-cifar10.pt"))
        raise CourseError(f"Of {name!r} there are no weights, only of {ours}.")
    run = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    images, options = run["data"], run["model"]["options"]
    mean, std, classes = (tuple(images[key]) for key in ("mean", "std", "classes"))
    size = images["shape"][-1]
    return Weights(load(path), mean, std, size, classes, path, options)


def load(path: Path) -> dict[str, Tensor]:
    """A file's state dict, or a checkpoint's, read without running any code in it."""
    if not path.is_file():
        raise CourseError(f"There is no file {path}. Check its name and folder.")
    if kind := kind_of(path):
        raise CourseError(f"{path} holds no weights, it is {kind}.")
    found = checkpoint.read(path)
    prefixes = PREFIXES[:2]  # a network may have a part called model
    if isinstance(found, dict):  # a checkpoint names them so, or has one such dict
        inner = [key for key, value in found.items() if is_state_dict(value) and value]
        named = {"state_dict", "model_state_dict", "model"}.intersection(inner)
        if len(inner) == 1 or named:
            found, prefixes = found[min(named, default=inner[0])], PREFIXES
    if not found or not is_state_dict(found):
        raise CourseError(
            f"{path} is no state dict. Save one: torch.save(model.state_dict(), path)."
        )
    return without_prefix(found, prefixes)


def load_torchvision(model: nn.Module, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Give a network the weights of torchvision's of the same name, or a `CourseError`.

    Heads that it was built without are left out.
    """
    check_form(model)
    if not is_state_dict(state_dict):
        raise CourseError("Give tensors by name, such as network.state_dict().")
    given, own = without_prefix(state_dict), model.state_dict()
    # Older files lack the counters of batches, which no output depends on.
    counters = {name: t for name, t in own.items() if name.endswith("_tracked")}
    if not any(name.startswith("layer1.") for name in own):  # ResNet's names are theirs
        given = renamed(given, [name for name in own if name not in counters])
    try:
        model.load_state_dict(counters | given)
    except RuntimeError as error:
        raise CourseError(
            f"The weights do not fit this network: {shorten(str(error), 500)} Build"
            " torchvision's network of the same name at width=1 with the same"
            " num_classes."
        ) from error
    return model


def renamed(given: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """torchvision's weights of AlexNet, VGG or GoogLeNet by our names, in our order.

    The layers follow one another as here, but for GoogLeNet's heads: ours stand last.
    """
    kept = [name for name in given if not name.endswith("_tracked")]
    kept.sort(key=lambda name: name.startswith("aux"))  # leaves the others in order
    if len(kept) < len(names) or not all(n[:3] == "aux" for n in kept[len(names) :]):
        return dict(given)  # of another network: torch names what does not fit
    return {ours: given[name] for ours, name in zip(names, kept, strict=False)}


def is_state_dict(found: object) -> bool:
    """Whether it is a dict of tensors alone."""
    return isinstance(found, Mapping) and all(
        isinstance(value, Tensor) for value in found.values()
    )


def without_prefix(
    state_dict: Mapping[str, Tensor], prefixes: tuple[str, ...] = PREFIXES
) -> dict[str, Tensor]:
    """The weights without what wrappers put before every name; a line says what."""
    names, taken = list(state_dict) or [""], ""
    while found := [p for p in prefixes if all(n.startswith(taken + p) for n in names)]:
        taken += found[0]
    if taken:
        print(f"The names of these weights begin with {taken!r}, which is left out.")
    return {name.removeprefix(taken): t for name, t in state_dict.items()}


def check_form(model: nn.Module) -> None:
    """Refuse a form that has the same weights, but computes otherwise."""
    lrn = any("ResponseNorm" in type(module).__name__ for module in model.modules())
    form = getattr(model, "form", None)  # GoogLeNet's, of which one is torchvision's
    if lrn or (form and astuple(form) != (True, 3, 2)):
        raise CourseError(
            "torchvision's weights are of googlenet_torchvision(), and of networks"
            " without local response norm."
        )
