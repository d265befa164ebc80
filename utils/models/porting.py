"""Put torchvision's weights into the networks of the course."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import shorten

from torch import Tensor, nn

from utils.course import CourseError
from utils.models.alexnet import AlexNet, LocalResponseNorm
from utils.models.googlenet import TORCHVISION, GoogLeNet
from utils.models.vgg import VGG

# What nn.DataParallel, torch.compile and Lightning put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")
COUNTED = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
GOOGLENET_NAMES = {
    r"^conv": "stem.conv",
    r"^inception3": "stage3.inception3",
    r"^inception4a": "stage4a.inception4a",
    r"^inception4([bcd])": r"stage4d.inception4\1",
    r"^inception(4e|5)": r"stage5.inception\1",
    r"\.branch1\.": ".branch_1x1.",
    r"\.branch2\.": ".branch_3x3.",
    r"\.branch3\.": ".branch_5x5.",
    r"\.branch4\.": ".branch_pool.",
    r"^aux1": "heads.0",
    r"^aux2": "heads.1",
}


def load_torchvision(
    model: nn.Module, state_dict: Mapping[str, Tensor], *, head: bool = True
) -> nn.Module:
    """Give a network the weights of torchvision's of the same name, or a `CourseError`.

    Heads that it was built without are left out; head=False keeps its last layer too.
    """
    check_form(model)
    if not is_state_dict(state_dict):
        raise CourseError("Give tensors by name, such as network.state_dict().")
    last = () if head else last_layers(model)
    left = last if getattr(model, "heads", ()) else (*last, "heads.")
    given = renamed(model, without_prefix(state_dict))
    given = {n: t for n, t in given.items() if not n.startswith(left)}
    # Older files lack the counters of batches, which no output depends on.
    own = model.state_dict().items()
    own = {n: t for n, t in own if n.startswith(last) or n.endswith("_tracked")}
    try:
        model.load_state_dict(own | given)
    except RuntimeError as error:
        raise CourseError(
            f"The weights do not fit this network: {shorten(str(error), 500)} Build"
            " torchvision's network of the same name at width=1 with the same"
            " num_classes; head=False leaves the last layer out."
        ) from error
    return model


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


def renamed(model: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names they have in `model`."""
    if isinstance(model, (AlexNet, VGG)):
        # torchvision has one flat sequence: "features.3" is its fourth layer.
        layers = [n for n, m in model.named_modules() if isinstance(m, COUNTED)]
        layers = [n for n in layers if not n.startswith("classifier")]
        names = {f"features.{i}": n for i, n in enumerate(layers)}
        split = [(*name.rpartition("."), t) for name, t in state_dict.items()]
        return {names.get(at, at) + dot + kind: t for at, dot, kind, t in split}
    result = dict(state_dict)  # ResNet's names are torchvision's own.
    if isinstance(model, GoogLeNet):
        for pattern, ours in GOOGLENET_NAMES.items():
            result = {re.sub(pattern, ours, n): t for n, t in result.items()}
    return result


def last_layers(model: nn.Module) -> tuple[str, ...]:
    """How the names of the layers begin that have an output for each class."""
    if isinstance(model, GoogLeNet):
        return "fc.", "heads.0.fc2.", "heads.1.fc2."
    linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return (f"{linear[-1]}.",)


def check_form(model: nn.Module) -> None:
    """Refuse a form that has the same weights, but computes otherwise."""
    lrn = any(isinstance(module, LocalResponseNorm) for module in model.modules())
    if lrn or (isinstance(model, GoogLeNet) and model.form != TORCHVISION):
        raise CourseError(
            "torchvision's weights are of googlenet_torchvision(), and of networks"
            " without local response norm."
        )
