"""VGG: Table 1 of the paper, the decks' classifiers, and equal to torchvision."""

from __future__ import annotations

import networks
import pytest
import torch
import torchvision
from torch import nn

from utils.look import totals
from utils.models import MODELS
from utils.models import vgg as module
from utils.models.alexnet import LocalResponseNorm
from utils.models.vgg import CONFIGS, VGGBlock, vgg

COUNTS = {
    "A": (132_863_336, 7.609),
    "A-LRN": (132_863_336, 7.609),
    "B": (133_047_848, 11.308),
    "C": (133_638_952, 11.771),
    "D": (138_357_544, 15.470),
    "E": (143_667_240, 19.632),
}
BUILDERS = {
    "vgg11": "A",
    "vgg13": "B",
    "vgg16": "D",
    "vgg19": "E",
    "vgg11_lrn": "A-LRN",
    "vgg16_1x1": "C",
}
NAMES = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]


def tiny(config: str = "A", **options) -> module.VGG:
    return vgg(
        config, **{"width": 1 / 16, "stem": "cifar", "num_classes": 4, **options}
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_parameters_and_multiply_adds(config):
    net = networks.on_meta(vgg, config=config)
    parameters, multiply_adds = totals(net, (3, 224, 224))
    assert parameters == COUNTS[config][0]
    assert round(multiply_adds / 1e9, 3) == COUNTS[config][1]
    # The paper's Table 2 rounds to millions.
    millions = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}
    assert round(parameters / 1e6) == millions[config]


def test_parameters_with_batch_norm():
    net = networks.on_meta(MODELS["vgg16_bn"])
    assert totals(net, (3, 224, 224))[0] == 138_365_992


@pytest.mark.parametrize(("name", "config"), BUILDERS.items())
def test_builders_have_the_configuration_of_their_name(name, config):
    net = networks.on_meta(MODELS[name])
    weights = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert f"vgg{len(weights)}" == name.split("_")[0]
    assert totals(net, (3, 224, 224))[0] == COUNTS[config][0]


@pytest.mark.parametrize("config", CONFIGS)
def test_shape_of_each_stage(config):
    net = networks.on_meta(vgg, config=config, num_classes=10, in_channels=1)
    shapes = networks.outputs(net, (1, 224, 224), depth=2)
    stages = [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]
    blocks = networks.outputs(net.features, (1, 224, 224), depth=1)
    assert list(blocks.values()) == [(1, c, side, side) for c, side in stages]
    assert shapes["pool"] == (1, 512, 7, 7)
    assert shapes["classifier.6"] == (1, 10)


def test_configurations_differ_as_in_table_1():
    kernels = {
        config: [
            m.kernel_size[0]
            for m in networks.on_meta(vgg, config=config).modules()
            if isinstance(m, nn.Conv2d)
        ]
        for config in CONFIGS
    }
    assert kernels["C"] == [3] * 6 + [1] + [3] * 2 + [1] + [3] * 2 + [1]
    assert kernels["D"] == [3] * 13
    assert [len(kernels[c]) for c in CONFIGS] == [8, 8, 10, 13, 13, 16]
    block = networks.on_meta(vgg, config="A-LRN").features[0]
    assert [type(m) for m in block] == [
        nn.Conv2d, nn.ReLU, LocalResponseNorm, nn.MaxPool2d,
    ]  # fmt: skip


def test_three_small_kernels_have_fewer_weights_than_a_large_one():
    block = VGGBlock(8, (8, 8, 8))
    three = sum(m.weight.numel() for m in block if isinstance(m, nn.Conv2d))
    assert three == 27 * 8 * 8
    assert nn.Conv2d(8, 8, 7).weight.numel() == 49 * 8 * 8


def test_block_halves_any_size():
    block = VGGBlock(3, (4, "conv1-6"))
    assert block(torch.zeros(2, 3, 17, 20)).shape == (2, 6, 8, 10)


@pytest.mark.parametrize("config", CONFIGS)
def test_small_images_shrink_one_linear_layer(config):
    large = networks.on_meta(vgg, config=config)
    small = networks.on_meta(vgg, config=config, stem="cifar")
    shapes = {n: p.shape for n, p in large.named_parameters()}
    changed = {n: p.shape for n, p in small.named_parameters() if shapes[n] != p.shape}
    assert changed == {"classifier.0.weight": (4096, 512)}
    layers = networks.outputs(small, (3, 32, 32), depth=1)
    assert layers["features"] == layers["pool"] == (1, 512, 1, 1)


def test_classifiers_of_the_decks():
    of_000 = networks.on_meta(MODELS["vgg16"], stem="cifar", dropout=0.65).classifier
    assert [getattr(m, "p", None) for m in of_000][2::3] == [0.65, 0.65]
    assert of_000[0].weight.shape == (4096, 512)
    of_003 = networks.on_meta(MODELS["vgg11"], num_classes=10, in_channels=1).classifier
    assert of_003[0].weight.shape == (4096, 512 * 7 * 7)
    assert {m.p for m in of_003 if isinstance(m, nn.Dropout)} == {0.5}
    of_004 = networks.on_meta(
        MODELS["vgg11"], num_classes=10, stem="cifar", hidden=()
    ).classifier
    assert [m.weight.shape for m in of_004] == [(10, 512)]


def test_initialisation():
    torch.manual_seed(0)
    net = tiny(width=1 / 4)
    conv, linear = net.features[3][0], net.classifier[0]
    deviation = (2 / (conv.out_channels * 9)) ** 0.5
    assert conv.weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert all((m.bias == 0).all() for m in (conv, linear))


def test_a_convolution_without_bias_is_initialised_too():
    module.initialize(nn.Conv2d(2, 2, 3, bias=False))


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_torchvision(name):
    def theirs() -> nn.Module:
        # Of its three linear layers, which hold 90 %, slim ones prove as much.
        net = getattr(torchvision.models, name)(init_weights=False)
        net.classifier[0] = nn.Linear(512 * 7 * 7, 16)
        net.classifier[3], net.classifier[6] = nn.Linear(16, 12), nn.Linear(12, 1000)
        return net

    reference = networks.filled(theirs)
    net = networks.ported(MODELS[name], reference, hidden=(16, 12))
    networks.assert_equal_logits(net, reference, 33)


def test_own_configuration():
    net = vgg(((8,), (8, "LRN", "conv1-12")), 5, hidden=(), stem="cifar")
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert net.classifier[0].in_features == 12
