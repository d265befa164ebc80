"""The networks of the course, one file each, in the order of the lectures.

All builders take `num_classes`, `in_channels` (of the images) and, but for LeNet-5 and
the two-layer CNN, `width`: a factor on all channels and hidden features. Most take
`dropout`, a fraction, and `stem`: "imagenet" for images of 224x224, or "cifar" for
32x32, which changes the first layers alone. What is wrong raises a `CourseError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from utils.course import CourseError

VGG = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}  # C has 1x1 kernels
IMAGENET = (18, 34, 50, 101, 152)  # layers of the ResNets for ImageNet
CIFAR = (20, 32, 44, 56, 110)  # and of those for CIFAR-10
# name -> its file, the function there, and the function's first argument
TABLE: dict[str, tuple[Any, ...]] = {
    "two_layer_cnn": ("small", "TwoLayerCNN"),
    "lenet5": ("lenet", "LeNet5"),
    "alexnet": ("alexnet", "alexnet"),
    "alexnet_2012": ("alexnet", "alexnet_2012"),
    "vgg11_lrn": ("vgg", "vgg", "A-LRN"),
    "vgg16_1x1": ("vgg", "vgg", "C"),
    **{name: ("vgg", "vgg", letter) for name, letter in VGG.items()},
    **{f"{name}_bn": ("vgg", "vgg_bn", letter) for name, letter in VGG.items()},
    "googlenet": ("googlenet", "googlenet"),
    "googlenet_bn": ("googlenet", "googlenet_bn"),
    "googlenet_torchvision": ("googlenet", "googlenet_torchvision"),
    **{f"resnet{n}": ("resnet", "imagenet_resnet", n) for n in IMAGENET},
    **{f"resnet{n}": ("resnet", "cifar_resnet", n) for n in CIFAR},
    **{f"plain{n}": ("resnet", "plain", n) for n in CIFAR},
}
FILES = {file for file, *_ in TABLE.values()}
ALSO = {"LeNet5": "lenet", "TwoLayerCNN": "small", "load_torchvision": "pretrained"}


class Builders(Mapping[str, Callable[..., nn.Module]]):
    """Name -> builder; a network's file is read when its name is first asked for."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        file, function, *first = TABLE[name]
        return partial(getattr(import_module(f"{__name__}.{file}"), function), *first)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


MODELS = Builders()


def __getattr__(name: str) -> Any:
    """For `from utils.models import vgg16, LeNet5`; `alexnet` and `vgg` are files."""
    if name in FILES:
        return import_module(f"{__name__}.{name}")
    if name in ALSO:
        return getattr(import_module(f"{__name__}.{ALSO[name]}"), name)
    if name in MODELS:
        return MODELS[name]
    raise AttributeError(f"There is no {name!r} in utils.models.")


def build(name: str, **options: Any) -> nn.Module:
    """The network of this name in `MODELS`, in any case, with untrained weights."""
    if name.lower() not in MODELS:
        known = ", ".join(MODELS)
        raise CourseError(f"No network is called {name!r}. Choose one of: {known}.")
    return MODELS[name.lower()](**options)
