"""What holds for every network: classes, channels, sizes, learning, being captured."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import networks
import pytest
import torch
from torch import nn

from utils import models
from utils.course import CourseError
from utils.models import MODELS, LeNet5, TwoLayerCNN, alexnet, build, resnet
from utils.models.googlenet import googlenet_loss
from utils.models.vgg import vgg

FILES = sorted(Path(models.__file__).parent.glob("*.py"))
WIDE = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def small(name: str, **options) -> nn.Module:
    """The network for 32x32 images, slim where it can be."""
    if name.startswith(("alexnet", "vgg", "googlenet")) or name in WIDE:
        options = {"stem": "cifar", "width": 1 / 8, **options}
    elif name.startswith(("resnet", "plain")):
        options = {"width": 1 / 4, **options}
    return build(name, **options)


def side(name: str) -> int:
    return 28 if name == "lenet5" else 32


@pytest.mark.parametrize("name", MODELS)
def test_classes_and_channels_are_respected(name):
    with torch.device("meta"):
        network = small(name, num_classes=7, in_channels=2)
        images = torch.zeros(3, 2, side(name), side(name))
    assert network(images).shape == (3, 7)


PLAIN = "lenet5 two_layer_cnn vgg11 vgg11_lrn vgg16_1x1 vgg19_bn resnet18 resnet20"
LEARNERS = {key: {} for key in [*PLAIN.split(), "resnet50"]} | {
    **{key: {"width": 1 / 16} for key in ("alexnet", "alexnet_2012")},
    **{key: {"aux": True} for key in ("googlenet", "googlenet_torchvision")},
    "plain20": {"width": 1 / 2},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_overfits_one_batch(name):
    torch.manual_seed(0)
    net, pixels = small(name, num_classes=4, **LEARNERS[name]), side(name)
    if name.startswith(("googlenet", "resnet", "plain")):
        pixels = 16
    loss = googlenet_loss(net) if name.startswith("googlenet") else None
    lr = {"vgg": 5e-4, "res": 0.01, "pla": 0.01}.get(name[:3], 0.002)
    channels = 1 if name == "lenet5" else 3
    networks.assert_overfits(net, (channels, pixels, pixels), loss, lr=lr)


@pytest.mark.parametrize(
    "name",
    sorted({*LEARNERS, "vgg11_bn"} - {"vgg11", "vgg16_1x1", "vgg19_bn", "resnet20"}),
)
def test_is_captured_whole(name):
    net, pixels = small(name, num_classes=4).eval(), side(name)
    shape = (1 if name == "lenet5" else 3, pixels, pixels)
    networks.assert_compiles(net, shape)
    networks.assert_exports(net, shape)


def test_build_ignores_case_and_names_what_exists():
    assert isinstance(build("LeNet5"), LeNet5)
    with pytest.raises(CourseError, match="two_layer_cnn, lenet5"):
        build("lenet-6")


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("lenet5", {}, 28),
        ("vgg16", {}, 32),
        ("alexnet", {}, 63),
        ("alexnet_2012", {}, 67),
        ("alexnet", {"stem": "cifar"}, 11),
        ("googlenet", {}, 31),
        ("googlenet", {"aux": True}, 79),
        ("googlenet", {"aux": True, "stem": "cifar"}, 10),
        ("googlenet_torchvision", {"aux": True}, 15),
        ("resnet18", {}, 1),
        ("resnet20", {}, 1),
    ],
)
def test_smallest_images_and_what_torch_says_of_smaller_ones(name, options, least):
    with torch.device("meta"):
        network = build(name, **options)
        channels = 1 if name == "lenet5" else 3
        assert network(torch.empty(2, channels, least, least)).shape[0] == 2
        with pytest.raises(RuntimeError):
            network(torch.empty(2, channels, least - 1, least - 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: alexnet.alexnet(width=0.001), "give at least 0.0156"),
        (lambda: alexnet.alexnet_2012(width=0.001), "leaves none of 64 channels"),
        (lambda: alexnet.alexnet(stem="mnist"), "one of 'imagenet', 'cifar'"),
        (lambda: build("googlenet", width=1 / 64), "leaves none of"),
        (lambda: vgg("F"), "'F': choose one of A, A-LRN, B, C, D, E"),
        (lambda: vgg((("conv-64",),)), "'conv1-64' for a 1x1 one"),
        (lambda: vgg("A", width=0.001), "leaves none of 64 channels"),
        (lambda: vgg("A", stem="small"), "no stem 'small'"),
        (lambda: build("resnet20", width=0), "leaves none of 16 channels"),
        (lambda: build("resnet18", stem="mnist"), "one of 'imagenet', 'cifar'"),
        (lambda: build("resnet50", stride_on="5x5"), "choose one of '3x3', '1x1'"),
        (lambda: build("resnet50", shortcut="D"), "one of 'A', 'B', 'C', None"),
        (lambda: build("plain20", zero_init_residual=True), "needs shortcuts"),
        (lambda: resnet.imagenet_resnet(19), "18, 34, 50, 101, 152"),
        (lambda: resnet.cifar_resnet(21), "6 n + 2: try 20"),
        (lambda: resnet.cifar_resnet(2), "6 n + 2: try 8"),
    ],
)
def test_wrong_options_say_what_to_choose(make, message):
    with torch.device("meta"), pytest.raises(CourseError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_class_fits_a_slide_and_checks_no_argument(path):
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ClassDef) and statement.name not in (
            "Transfer",  # shown by its methods
            "Weights",  # not shown
        ):
            lines = statement.end_lineno - statement.lineno + 1
            assert lines <= 20, f"{statement.name} has {lines} lines"
            raises = [n for n in ast.walk(statement) if isinstance(n, ast.Raise)]
            assert not raises, f"{statement.name} checks its arguments"


def test_two_layer_cnn_takes_other_sizes():
    for size in (28, 30, 64):
        net = TwoLayerCNN(in_channels=1, image_size=size)
        assert net(torch.zeros(2, 1, size, size)).shape == (2, 10)
