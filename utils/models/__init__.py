"""The networks of the course, one file each, in the order of the lectures.

All builders take `num_classes`, `in_channels` (of the images) and, but for LeNet-5 and
the two-layer CNN, `width`: a factor on all channels and hidden features. Most take
`dropout`, a fraction, and `stem`: "imagenet" for images of 224x224, or "cifar" for
32x32, which changes the first layers alone. What is wrong raises a `CourseError`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from utils.course import CourseError
from utils.models import alexnet, googlenet, resnet, speedrun, vgg
from utils.models.lenet import LeNet5
from utils.models.porting import load_torchvision as load_torchvision
from utils.models.small import TwoLayerCNN, kernel_net

VGG = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}  # C has 1x1 kernels
CIFAR = (20, 32, 44, 56, 110)  # layers of the ResNets for CIFAR-10
MODELS: dict[str, Callable[..., nn.Module]] = {
    "two_layer_cnn": TwoLayerCNN,
    "kernel_net": kernel_net,
    "lenet5": LeNet5,
    "alexnet": alexnet.alexnet,
    "alexnet_2012": alexnet.alexnet_2012,
    "vgg11_lrn": partial(vgg.vgg, "A-LRN"),
    "vgg16_1x1": partial(vgg.vgg, "C"),
    **{name: partial(vgg.vgg, letter) for name, letter in VGG.items()},
    **{f"{n}_bn": partial(vgg.vgg, x, batch_norm=True) for n, x in VGG.items()},
    "googlenet": googlenet.googlenet,
    "googlenet_bn": googlenet.googlenet_bn,
    "googlenet_torchvision": googlenet.googlenet_torchvision,
    **{f"resnet{n}": partial(resnet.imagenet_resnet, n) for n in resnet.IMAGENET},
    **{f"resnet{n}": partial(resnet.cifar_resnet, n) for n in CIFAR},
    **{f"plain{n}": partial(resnet.cifar_resnet, n, shortcut=None) for n in CIFAR},
    "speedrun": speedrun.speedrun,
}


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """The builder of this name in `MODELS`: for `from utils.models import vgg16`."""
    if name in MODELS:
        return MODELS[name]
    raise AttributeError(f"There is no {name!r} in utils.models.")


def build(name: str, **options: Any) -> nn.Module:
    """The network of this name in `MODELS`, in any case, with untrained weights."""
    if name.lower() not in MODELS:
        known = ", ".join(MODELS)
        raise CourseError(f"No network is called {name!r}. Choose one of: {known}.")
    return MODELS[name.lower()](**options)
