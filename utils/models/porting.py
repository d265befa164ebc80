"""Put torchvision's weights into the networks of the course."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import astuple
from textwrap import shorten

from torch import Tensor, nn

from utils.course import CourseError

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


def load_torchvision(model: nn.Module, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Give a network the weights of torchvision's of the same name, or a `CourseError`.

    Heads that it was built without are left out.
    """
    check_form(model)
    if not is_state_dict(state_dict):
        raise CourseError("Give tensors by name, such as network.state_dict().")
    given = renamed(model, without_prefix(state_dict))
    if not getattr(model, "heads", ()):
        given = {n: t for n, t in given.items() if not n.startswith("heads.")}
    # Older files lack the counters of batches, which no output depends on.
    own = model.state_dict().items()
    own = {name: tensor for name, tensor in own if name.endswith("_tracked")}
    try:
        model.load_state_dict(own | given)
    except RuntimeError as error:
        raise CourseError(
            f"The weights do not fit this network: {shorten(str(error), 500)} Build"
            " torchvision's network of the same name at width=1 with the same"
            " num_classes."
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
    if hasattr(model, "features"):
        # torchvision's AlexNet and VGG are flat: "features.3" is the fourth layer.
        layers = [n for n, m in model.named_modules() if isinstance(m, COUNTED)]
        layers = [n for n in layers if not n.startswith("classifier")]
        names = {f"features.{i}": n for i, n in enumerate(layers)}
        split = [(*name.rpartition("."), t) for name, t in state_dict.items()]
        return {names.get(at, at) + dot + kind: t for at, dot, kind, t in split}
    result = dict(state_dict)  # ResNet's names are torchvision's own.
    if hasattr(model, "form"):
        for pattern, ours in GOOGLENET_NAMES.items():
            result = {re.sub(pattern, ours, n): t for n, t in result.items()}
    return result


def check_form(model: nn.Module) -> None:
    """Refuse a form that has the same weights, but computes otherwise."""
    lrn = any("ResponseNorm" in type(module).__name__ for module in model.modules())
    form = getattr(model, "form", None)  # GoogLeNet's, of which one is torchvision's
    if lrn or (form and astuple(form) != (True, 3, 2)):
        raise CourseError(
            "torchvision's weights are of googlenet_torchvision(), and of networks"
            " without local response norm."
        )
