"""The networks of the course, one file each, in the order of the lectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from utils.course import CourseError
from utils.models import alexnet, googlenet, vgg
from utils.models.alexnet import AlexNet, alexnet_2012
from utils.models.batchnorm import BatchNorm1d, BatchNorm2d
from utils.models.googlenet import GoogLeNet, googlenet_bn, googlenet_torchvision
from utils.models.lenet import LeNet5
from utils.models.porting import load_torchvision
from utils.models.resnet import (
    BasicBlock,
    Bottleneck,
    CifarResNet,
    ResNet,
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet18,
    resnet20,
    resnet32,
    resnet34,
    resnet44,
    resnet50,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
)
from utils.models.small import TwoLayerCNN, kernel_net
from utils.models.speedrun import speedrun as speedrun_net
from utils.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg11_lrn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_1x1,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)

# The names of the modules `alexnet`, `googlenet` and `vgg` stay those of the modules.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "two_layer_cnn": TwoLayerCNN,
    "kernel_net": kernel_net,
    "lenet5": LeNet5,
    "alexnet": alexnet.alexnet,
    "alexnet_2012": alexnet_2012,
    "vgg11": vgg11,
    "vgg11_lrn": vgg11_lrn,
    "vgg13": vgg13,
    "vgg16_1x1": vgg16_1x1,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "vgg11_bn": vgg11_bn,
    "vgg13_bn": vgg13_bn,
    "vgg16_bn": vgg16_bn,
    "vgg19_bn": vgg19_bn,
    "googlenet": googlenet.googlenet,
    "googlenet_bn": googlenet_bn,
    "googlenet_torchvision": googlenet_torchvision,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet44": resnet44,
    "resnet56": resnet56,
    "resnet110": resnet110,
    "plain20": plain20,
    "plain32": plain32,
    "plain44": plain44,
    "plain56": plain56,
    "plain110": plain110,
    "speedrun": speedrun_net,
}

__all__ = [
    "MODELS",
    "VGG",
    "AlexNet",
    "BasicBlock",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bottleneck",
    "CifarResNet",
    "GoogLeNet",
    "LeNet5",
    "ResNet",
    "TwoLayerCNN",
    "alexnet",
    "alexnet_2012",
    "build",
    "googlenet",
    "googlenet_bn",
    "googlenet_torchvision",
    "kernel_net",
    "load_torchvision",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "vgg",
    "vgg11",
    "vgg11_bn",
    "vgg11_lrn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_1x1",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]


def build(name: str, **options: Any) -> nn.Module:
    """The network of this name, with untrained weights.

    Args:
        name: a key of `MODELS`, in any case.
        **options: what its builder takes, such as `num_classes` and `in_channels`.

    Raises:
        CourseError: there is no network of this name.
    """
    builder = MODELS.get(name.lower())
    if builder is None:
        raise CourseError(
            f"No network is called {name!r}. Choose one of: {', '.join(MODELS)}."
        )
    return builder(**options)
