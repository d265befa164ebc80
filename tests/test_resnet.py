"""ResNet: sizes of the paper, torchvision's logits, and what a shortcut does."""

from __future__ import annotations

import re
from functools import cache

import networks
import pytest
import torch
from torch import nn

from utils.look import totals
from utils.models import build
from utils.models.resnet import BasicBlock, Bottleneck, PaddedShortcut

IMAGENET = {  # parameters, millions of multiply-adds, the last stage's channels
    "resnet18": (11_689_512, 1_814, 512),
    "resnet34": (21_797_672, 3_664, 512),
    "resnet50": (25_557_032, 4_089, 2048),
    "resnet101": (44_549_160, 7_801, 2048),
    "resnet152": (60_192_808, 11_514, 2048),
}
CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
NAMES = [*IMAGENET, *(f"{kind}{n}" for n in CIFAR for kind in ("resnet", "plain"))]


@cache
def on_meta(name, **options):
    """Shared by the tests, which change none of its networks."""
    with torch.device("meta"):
        return build(name, **options)


def small(name, **options):
    """A network of this name that trains in seconds: few channels, 32x32 images."""
    if name in IMAGENET:
        options = {"stem": "cifar", "width": 1 / 8, **options}
    return build(name, num_classes=10, **{"width": 1 / 2, **options})


@pytest.mark.parametrize("name", IMAGENET)
def test_sizes_of_table_1(name):
    parameters, millions, _ = IMAGENET[name]
    got = totals(on_meta(name), (3, 224, 224))
    assert (got[0], round(got[1] / 1e6)) == (parameters, millions)


@pytest.mark.parametrize(("depth", "parameters"), CIFAR.items())
def test_sizes_of_the_cifar_family_with_and_without_shortcuts(depth, parameters):
    residual = totals(on_meta(f"resnet{depth}"), (3, 32, 32))
    assert residual[0] == parameters
    assert totals(on_meta(f"plain{depth}"), (3, 32, 32)) == residual


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet50", 3.8), ("resnet101", 7.6), ("resnet152", 11.3)]
)
def test_stride_on_the_1x1_gives_the_papers_multiply_adds(name, billions):
    """Table 1 says 3.8, 7.6 and 11.3 billion; it cuts the first, 3.858, off."""
    paper = on_meta(name, stride_on="1x1")
    parameters, multiply_adds = totals(paper, (3, 224, 224))
    assert parameters == IMAGENET[name][0]
    assert abs(multiply_adds / 1e9 - billions) < 0.06
    first, later = paper.layer2[0], on_meta(name).layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    assert (later.conv1.stride, later.conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.parametrize("name", IMAGENET)
def test_shape_of_each_stage(name):
    last = IMAGENET[name][2]
    got = networks.outputs(on_meta(name), (3, 224, 224), depth=1)
    assert got["conv1"] == (1, 64, 112, 112)
    assert got["maxpool"] == (1, 64, 56, 56)
    for i, side in enumerate((56, 28, 14, 7)):
        assert got[f"layer{i + 1}"] == (1, last // 2 ** (3 - i), side, side)
    assert got["avgpool"] == (1, last, 1, 1)
    assert got["fc"] == (1, 1000)


@pytest.mark.parametrize("name", ["resnet20", "plain56"])
def test_shape_of_each_stage_on_cifar(name):
    got = networks.outputs(on_meta(name), (3, 32, 32), depth=1)
    shapes = [got[f"layer{i}"][1:] for i in (1, 2, 3)]
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert got["conv1"] == (1, 16, 32, 32)
    assert got["fc"] == (1, 10)


@pytest.mark.parametrize("name", NAMES)
def test_depth_counts_the_layers_with_weights(name):
    network = on_meta(name)
    layers = [
        n
        for n, m in network.named_modules()
        if isinstance(m, (nn.Conv2d, nn.Linear)) and "downsample" not in n
    ]
    assert len(layers) == int(re.sub(r"\D", "", name))
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(conv.bias is None for conv in convs)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_cifar_stem_changes_the_stem_alone(name):
    network, other = on_meta(name), on_meta(name, stem="cifar")
    shapes, others = (
        {n: tuple(t.shape) for n, t in m.state_dict().items()} for m in (network, other)
    )
    assert shapes.pop("conv1.weight") == (64, 3, 7, 7)
    assert others.pop("conv1.weight") == (64, 3, 3, 3)
    assert shapes == others
    got = networks.outputs(other, (3, 32, 32), depth=1)
    assert [got[f"layer{i}"][2] for i in (1, 2, 3, 4)] == [32, 16, 8, 4]


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_block_with_zeroed_gamma_is_the_identity(block, shortcut):
    expansion = 4 if block is Bottleneck else 1
    layer = block(8 * expansion, 8, shortcut=shortcut)
    nn.init.zeros_((layer.bn3 if block is Bottleneck else layer.bn2).weight)
    x = torch.rand(2, 8 * expansion, 5, 5)
    same = torch.equal(layer(x), x)
    assert same == (shortcut != "C")  # option C projects everywhere


def test_zero_init_residual_starts_each_block_as_its_shortcut():
    network = small("resnet20", zero_init_residual=True)
    x = torch.rand(2, network.layer1[0].in_channels, 8, 8)
    for block in network.layer1:
        torch.testing.assert_close(block(x), block.downsample(x).relu())
        x = block(x)
    x.square().sum().backward()
    assert all(block.bn2.weight.grad.all() for block in network.layer1)  # it can grow


@pytest.mark.parametrize("stride", [1, 2])
def test_block_by_hand_with_and_without_shortcut(stride):
    torch.manual_seed(0)
    residual = BasicBlock(4, 4, stride, shortcut="A")
    plain = BasicBlock(4, 4, stride, shortcut=None)
    plain.load_state_dict(residual.state_dict())  # the same parameters
    x = torch.randn(2, 4, 7, 7)
    y = residual.bn1(residual.conv1(x)).relu()
    y = residual.bn2(residual.conv2(y))
    torch.testing.assert_close(plain(x), y.relu())
    torch.testing.assert_close(residual(x), (y + x[:, :, ::stride, ::stride]).relu())


def test_bottleneck_by_hand():
    torch.manual_seed(0)
    block, x = Bottleneck(6, 3, stride=2), torch.randn(2, 6, 8, 8)
    y = block.bn1(block.conv1(x)).relu()
    y = block.bn2(block.conv2(y)).relu()
    y = block.bn3(block.conv3(y)) + block.downsample[1](block.downsample[0](x))
    torch.testing.assert_close(block(x), y.relu())
    assert y.shape == (2, 12, 4, 4)


@pytest.mark.parametrize("side", [6, 7])
def test_padded_shortcut(side):
    x = torch.randn(2, 3, side, side)
    y = PaddedShortcut(5, 2)(x)
    assert y.shape == (2, 8, (side + 1) // 2, (side + 1) // 2)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()


def test_shortcuts_by_option():
    counts = [totals(on_meta("resnet34", shortcut=s), (3, 224, 224))[0] for s in "ABC"]
    plain = totals(on_meta("resnet34", shortcut=None), (3, 224, 224))[0]
    assert plain == counts[0] < counts[1] < counts[2]
    first = on_meta("resnet18").layer1[0]
    assert isinstance(first.downsample, nn.Identity)


def test_he_initialisation():
    torch.manual_seed(0)
    for conv in (m for m in build("resnet20").modules() if isinstance(m, nn.Conv2d)):
        std = (2 / (conv.out_channels * 9)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(std, rel=0.12)


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_gradient_passes_a_dead_block_only_along_its_shortcut(name):
    network = small(name, width=0.25)
    nn.init.zeros_(network.layer2[1].bn2.weight)
    network(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert bool(network.conv1.weight.grad.any()) == (name == "resnet20")
