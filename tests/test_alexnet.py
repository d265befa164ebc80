"""AlexNet: sizes of both papers, equal to torchvision, and LRN equal to torch's."""

from __future__ import annotations

import networks
import pytest
import torch
import torchvision
from torch import nn

from utils.look import totals
from utils.models.alexnet import AlexNet, LocalResponseNorm, alexnet, alexnet_2012

FORMS = {
    "2014": (alexnet, {}),
    "2012": (alexnet_2012, {}),
    "column": (alexnet_2012, {"groups": 1}),
}
SIZES = {"2014": 224, "2012": 227, "column": 227}
COUNTS = {  # parameters; multiply-adds in billions
    "2014": (61_100_840, 0.714),
    "2012": (60_965_224, 0.724),
    "column": (62_378_344, 1.135),
}


def tiny(form: str, **options) -> AlexNet:
    build, groups = FORMS[form]
    return build(**{"width": 1 / 16, "stem": "cifar", **groups, **options})


@pytest.mark.parametrize("form", FORMS)
def test_parameters_and_multiply_adds_of_the_paper(form):
    build, options = FORMS[form]
    net, size = networks.on_meta(build, **options), SIZES[form]
    parameters, multiply_adds = totals(net, (3, size, size))
    assert parameters == COUNTS[form][0]
    assert round(multiply_adds / 1e9, 3) == COUNTS[form][1]


@pytest.mark.parametrize("form", FORMS)
def test_shape_of_each_layer(form):
    build, options = FORMS[form]
    size, first = SIZES[form], 64 if form == "2014" else 96
    second = 192 if form == "2014" else 256
    fourth = 256 if form == "2014" else 384
    net = networks.on_meta(build, **options)
    shapes = networks.outputs(net, (3, size, size), depth=2)
    layers = [s[1:] for name, s in shapes.items() if "classifier" not in name]
    sides = {
        (first, 55, 55),
        (first, 27, 27),
        (second, 27, 27),
        (second, 13, 13),
        (384, 13, 13),
        (fourth, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    }
    assert {(c, h, w) for c, h, w in layers} == sides
    assert shapes["classifier.1"] == shapes["classifier.4"] == (1, 4096)
    assert shapes["classifier.6"] == (1, 1000)


@pytest.mark.parametrize("form", FORMS)
def test_small_images_change_the_stem_alone(form):
    build, options = FORMS[form]
    large = networks.on_meta(build, **options)
    small = networks.on_meta(build, stem="cifar", **options)
    names = {n: p.shape for n, p in large.named_parameters()}
    changed = {n for n, p in small.named_parameters() if names[n] != p.shape}
    assert changed == {"stem.conv.0.weight"}
    shapes = networks.outputs(small, (3, 32, 32), depth=1)
    assert shapes["stem"][2:] == (28, 28)
    last = [
        n for n, m in small.features.named_children() if isinstance(m, nn.MaxPool2d)
    ]
    deep = networks.outputs(small, (3, 32, 32), depth=2)
    assert deep[f"features.{last[-1]}"] == (1, 256, 6, 6)  # before any averaging


def test_groups_meet_in_the_third_convolution_alone():
    modules = networks.on_meta(alexnet_2012).modules()
    assert [m.groups for m in modules if isinstance(m, nn.Conv2d)] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("form", FORMS)
def test_pooling_overlaps(form):
    modules = tiny(form, stem="imagenet").modules()
    pools = [m for m in modules if isinstance(m, nn.MaxPool2d)]
    assert [(p.kernel_size, p.stride) for p in pools] == 3 * [(3, 2)]


def test_logits_equal_torchvision():
    theirs = networks.filled(torchvision.models.alexnet)
    networks.assert_equal_logits(networks.ported(alexnet, theirs), theirs, 90)


@pytest.mark.parametrize(("size", "k"), [(5, 2.0), (3, 1.0), (5, 1.0)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_lrn_equals_torch(size, k, scale):
    torch.manual_seed(0)
    images = scale * torch.randn(3, 7, 4, 5, dtype=torch.float64)
    ours = LocalResponseNorm(size, k=k)
    theirs = nn.LocalResponseNorm(size, alpha=size * 1e-4, k=k)
    mine, reference = (images.clone().requires_grad_() for _ in range(2))
    torch.testing.assert_close(ours(mine), theirs(reference))
    ours(mine).square().sum().backward()
    theirs(reference).square().sum().backward()
    torch.testing.assert_close(mine.grad, reference.grad)


def test_lrn_by_hand():
    image = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    first = 1 / (2 + 1e-4 * (1 + 4 + 9)) ** 0.75
    last = 4 / (2 + 1e-4 * (4 + 9 + 16)) ** 0.75
    out = LocalResponseNorm()(image).flatten()
    torch.testing.assert_close(out[[0, 3]], torch.tensor([first, last]))


def test_dropout_is_respected():
    modules = tiny("2012", dropout=0.1).modules()
    assert [m.p for m in modules if isinstance(m, nn.Dropout)] == [0.1, 0.1]
