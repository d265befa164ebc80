"""Take a trained network to a task of one's own: a new head, a body frozen or slow."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from utils import course
from utils.course import CourseError
from utils.download import DownloadError
from utils.models import MODELS, build, weights
from utils.models.porting import last_layers, load_torchvision
from utils.models.weights import Weights

SOURCES = ("imagenet", "cifar10")


class Transfer(nn.Module):
    """A trained network without its last layer, and a new one for other classes.

    Shape: images as the network takes them -> (N, num_classes), logits
    Attributes: body, images -> features (N, D), a copy; head, features -> logits.
    """

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
    """A copy of a network whose last layer is gone, and how many features it gives.

    Raises:
        CourseError: no layer is the last one: the network ends neither in a linear
            layer nor as SqueezeNet does, in a convolution and an average.
    """
    body = copy.deepcopy(trained)
    if isinstance(getattr(body, "heads", None), nn.ModuleList):
        body.heads = nn.ModuleList()  # GoogLeNet's helpers have done their work
    if any(isinstance(module, nn.Linear) for module in body.modules()):
        name = last_layers(body)[0].rstrip(".")  # GoogLeNet names its own first
        parent, _, child = name.rpartition(".")
        last = body.get_submodule(name)
        setattr(body.get_submodule(parent), child, nn.Identity())
        return body, last.in_features
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


def pretrained(
    name: str, source: str = "imagenet", *, otherwise: str | None = None
) -> tuple[nn.Module, Weights]:
    """A trained network, in evaluation mode, and what is known of its weights.

    Args:
        name: of a network in `MODELS`, or else of one of torchvision's.
        source: "imagenet", torchvision's weights, from the disk or downloaded; or
            "cifar10", those that the course trained itself.
        otherwise: a network with weights of the course: where ImageNet's cannot be had,
            and at scale tiny, whose images are too small for `name`, it takes its
            place, which one printed line says.

    Raises:
        CourseError: there are no such weights, or they are damaged.
        DownloadError: they cannot be had, and `otherwise` is None.
    """
    if source not in SOURCES:
        known = " and ".join(SOURCES)
        raise CourseError(f"There are no weights from {source!r}, only {known}.")
    if source == "cifar10":
        found = weights.cifar10(name)
        model = build(name, num_classes=len(found.classes), **found.options)
        model.load_state_dict(found.state_dict)
        return model.eval(), found
    if otherwise and course.scale() == "tiny":
        why = "scale tiny; CNN_COURSE_SCALE=small takes those"
        return _in_place_of(name, otherwise, why)
    try:
        found = weights.imagenet(name.removesuffix("_torchvision"))
    except DownloadError as error:
        if otherwise is None:
            raise
        return _in_place_of(name, otherwise, error.reason)
    if name in MODELS:
        return load_torchvision(build(name), found.state_dict).eval(), found
    model = torchvision_network(name)
    model.load_state_dict(found.state_dict)
    return model.eval(), found


def _in_place_of(name: str, otherwise: str, why: str) -> tuple[nn.Module, Weights]:
    print(
        f"Stand-in: {otherwise} with the course's weights from CIFAR-10 in place of"
        f" {name} with ImageNet's ({why})."
    )
    return pretrained(otherwise, "cifar10")


def torchvision_network(name: str) -> nn.Module:
    """One of torchvision's networks that the course does not build itself, untrained.

    Raises:
        CourseError: torchvision has no network of this name.
    """
    from torchvision import models  # here: it takes a second to import

    try:
        return models.get_model(name, weights=None)
    except ValueError as error:
        raise CourseError(
            f"Neither the course nor torchvision has a network {name!r}. Choose one of"
            f" {', '.join(MODELS)}, or of torchvision.models.list_models()."
        ) from error
