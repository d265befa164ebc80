"""LeNet-5 and the two-layer CNN: sizes of the papers and decks, and logits by hand."""

from __future__ import annotations

import networks
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils.models import LeNet5, TwoLayerCNN, build

INPUT = {"lenet5": (1, 28, 28), "two_layer_cnn": (3, 32, 32)}
LAYERS = {  # what a layer puts out; outputs x (inputs x kernel area + 1) parameters
    "lenet5": {
        "c1": ((6, 28, 28), 6 * (1 * 25 + 1)),
        "s2": ((6, 14, 14), 0),
        "c3": ((16, 10, 10), 16 * (6 * 25 + 1)),
        "s4": ((16, 5, 5), 0),
        "c5": ((120,), 120 * (400 + 1)),
        "f6": ((84,), 84 * (120 + 1)),
        "output": ((10,), 10 * (84 + 1)),
    },
    "two_layer_cnn": {
        "layer1": ((8, 16, 16), 8 * (3 * 9 + 1)),
        "layer2": ((16, 8, 8), 16 * (8 * 9 + 1)),
        "fc": ((10,), 10 * (16 * 8 * 8 + 1)),
    },
}
COUNTS = {"lenet5": 61_706, "two_layer_cnn": 11_642}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_sizes_layer_by_layer(name):
    net, shapes = build(name), {n: (1, *s) for n, (s, _) in LAYERS[name].items()}
    assert networks.outputs(net, INPUT[name], depth=1) == shapes
    by_hand = {n: parameters for n, (_, parameters) in LAYERS[name].items()}
    assert {n: count(m) for n, m in net.named_children()} == by_hand
    assert count(net) == COUNTS[name]


def test_logits_by_hand():
    torch.manual_seed(0)
    net, x = LeNet5(), torch.randn(8, 1, 28, 28)
    maps = F.avg_pool2d(F.conv2d(x, *net.c1[0].parameters(), padding=2).tanh(), 2)
    maps = F.avg_pool2d(F.conv2d(maps, *net.c3[0].parameters()).tanh(), 2)
    for layer in (net.c5[0], net.f6[0]):
        maps = layer(maps.flatten(1)).tanh()
    torch.testing.assert_close(net(x), net.output(maps))
    net, x = TwoLayerCNN(), torch.randn(8, 3, 32, 32)
    maps = F.max_pool2d(net.layer1[0](x).relu(), 2)
    maps = F.max_pool2d(net.layer2[0](maps).relu(), 2)
    torch.testing.assert_close(net(x), net.fc(maps.flatten(1)))


def test_activation_can_be_chosen():
    kinds = {type(m) for m in LeNet5(activation=nn.ReLU).modules()}
    assert nn.ReLU in kinds
    assert nn.Tanh not in kinds
