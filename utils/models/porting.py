"""Put torchvision's weights into the networks of the course."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from utils.course import CourseError
from utils.models.alexnet import AlexNet, LocalResponseNorm
from utils.models.googlenet import TORCHVISION, GoogLeNet
from utils.models.resnet import Bottleneck
from utils.models.vgg import VGG

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
    """Give a network the weights of torchvision's network of the same name.

    Args:
        model: from `alexnet`, `vgg11` to `vgg19` and their `_bn`,
            `googlenet_torchvision`, or `resnet18` to `resnet152`, at full width.
        state_dict: of torchvision's network. GoogLeNet's published weights want images
            with mean 0.5 and standard deviation 0.5 in each channel: torchvision turns
            ImageNet's into these inside the network. Heads that the model was built
            without are left out.
        head: False keeps the last linear layer, for other classes than torchvision's.

    Returns:
        The model itself; where the weights do not fit, it stays as it was.

    Raises:
        CourseError: the weights do not fit; the message names them with their shapes.
    """
    check_form(model)
    check_weights(state_dict)
    skipped = () if head else last_layers(model)
    if isinstance(model, GoogLeNet) and not model.heads:
        skipped = (*skipped, "heads.")
    ours, given = (
        {n: t for n, t in weights.items() if not n.startswith(skipped)}
        for weights in (model.state_dict(), renamed(model, state_dict))
    )
    check_fit(ours, given)
    model.load_state_dict({**model.state_dict(), **given})
    return model


def renamed(model: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names they have in `model`."""
    if isinstance(model, (AlexNet, VGG)):
        names = flat_names(model)
        return {
            names.get(layer, layer) + dot + kind: tensor
            for name, tensor in state_dict.items()
            for layer, dot, kind in [name.rpartition(".")]
        }
    result = dict(state_dict)  # ResNet's names are torchvision's own.
    if isinstance(model, GoogLeNet):
        for pattern, ours in GOOGLENET_NAMES.items():
            result = {re.sub(pattern, ours, n): t for n, t in result.items()}
    return result


def flat_names(model: AlexNet | VGG) -> dict[str, str]:
    """torchvision's "features.3" and the like -> the layer's name in `model`.

    torchvision has convolutions, batch norms, ReLUs and poolings in one flat sequence.
    """
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, COUNTED) and not name.startswith("classifier")
    ]
    return {f"features.{i}": name for i, name in enumerate(layers)}


def last_layers(model: nn.Module) -> tuple[str, ...]:
    """How the names of the layers begin that have an output for each class."""
    if isinstance(model, GoogLeNet):
        return "fc.", "heads.0.fc2.", "heads.1.fc2."
    linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return (f"{linear[-1]}.",)


def check_form(model: nn.Module) -> None:
    """Refuse a form whose weights have the same shapes, but which computes otherwise.

    Raises:
        CourseError: as above; the message says which form fits.
    """
    reason = ""
    for module in model.modules():
        if isinstance(module, LocalResponseNorm):
            reason = (
                "it has local response normalisation and torchvision's networks have"
                " none: build alexnet(), or a VGG other than A-LRN"
            )
        if isinstance(module, Bottleneck) and module.conv1.stride != (1, 1):
            reason = (
                "it has the paper's stride on the first 1x1 of a bottleneck and"
                " torchvision's is on the 3x3: build it with stride_on='3x3'"
            )
    if isinstance(model, GoogLeNet) and model.form != TORCHVISION:
        reason = (
            "torchvision has batch norm, 3x3 kernels where the paper has 5x5, and a"
            " smaller fourth pooling: build it with googlenet_torchvision()"
        )
    if reason:
        raise CourseError(f"This network cannot take torchvision's weights: {reason}.")


def check_weights(state_dict: object) -> None:
    """Refuse what is no state dict: a network, a path, a whole checkpoint.

    Raises:
        CourseError: as above.
    """
    if not isinstance(state_dict, Mapping) or not all(
        isinstance(tensor, Tensor) for tensor in state_dict.values()
    ):
        raise CourseError(
            f"The weights are a {type(state_dict).__name__} and hold other things than"
            " tensors: give network.state_dict(), or what torch.load returns for it."
        )


def check_fit(ours: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Compare names and shapes.

    Raises:
        CourseError: something is missing, left over, or has another shape.
    """
    faults = [
        f"{name} is {tuple(given[name].shape)} and should be {tuple(tensor.shape)}"
        for name, tensor in ours.items()
        if name in given and given[name].shape != tensor.shape
    ]
    # torchvision's older files lack these counters, which no output depends on.
    needed = [name for name in ours if not name.endswith("num_batches_tracked")]
    faults += [f"{name} is missing" for name in needed if name not in given]
    faults += [f"{name} has no place" for name in given if name not in ours]
    if not faults:
        return
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    raise CourseError(
        f"The weights do not fit this network: {'; '.join(faults[:5])}{more}. Build"
        " torchvision's network of the same name, at width=1, with the default stem and"
        " the same num_classes; head=False leaves the last layer out."
    )
