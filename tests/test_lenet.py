"""LeNet-5 and the two-layer CNN: sizes of the papers and decks, and that they learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from utils.models import LeNet5, TwoLayerCNN, build

INPUT = {"lenet5": (1, 28, 28), "two_layer_cnn": (3, 32, 32)}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_lenet_has_the_known_number_of_parameters():
    assert count(LeNet5()) == 61_706


def test_lenet_layer_by_layer():
    # Weights and biases by hand: outputs x (inputs x kernel area + 1).
    by_hand = {
        "c1": 6 * (1 * 25 + 1),
        "s2": 0,
        "c3": 16 * (6 * 25 + 1),
        "s4": 0,
        "c5": 120 * (400 + 1),
        "f6": 84 * (120 + 1),
        "output": 10 * (84 + 1),
    }
    assert {n: count(m) for n, m in LeNet5().named_children()} == by_hand


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("c1", (2, 6, 28, 28)),
        ("s2", (2, 6, 14, 14)),
        ("c3", (2, 16, 10, 10)),
        ("s4", (2, 16, 5, 5)),
        ("c5", (2, 120)),
        ("f6", (2, 84)),
        ("output", (2, 10)),
    ],
)
def test_lenet_shape_of_each_stage(layer, shape):
    net, seen = LeNet5(), []
    net.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.append(o.shape))
    net(torch.zeros(2, 1, 28, 28))
    assert [tuple(s) for s in seen] == [shape]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [("layer1", (2, 8, 16, 16)), ("layer2", (2, 16, 8, 8)), ("fc", (2, 10))],
)
def test_two_layer_cnn_shape_of_each_stage(layer, shape):
    net, seen = TwoLayerCNN(), []
    net.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.append(o.shape))
    net(torch.zeros(2, 3, 32, 32))
    assert [tuple(s) for s in seen] == [shape]


def test_two_layer_cnn_parameters_by_hand():
    by_hand = 8 * (3 * 9 + 1) + 16 * (8 * 9 + 1) + 10 * (16 * 8 * 8 + 1)
    assert count(TwoLayerCNN()) == by_hand == 11_642


def test_c5_is_the_papers_convolution():
    """A linear layer on all values equals a convolution whose kernel covers them."""
    linear, conv = LeNet5().c5[0], nn.Conv2d(16, 120, 5)
    conv.weight.data = linear.weight.data.view(120, 16, 5, 5)
    conv.bias.data = linear.bias.data
    maps = torch.randn(3, 16, 5, 5)
    torch.testing.assert_close(conv(maps).flatten(1), linear(maps.flatten(1)))


def test_activation_can_be_chosen():
    net = LeNet5(activation=nn.ReLU)
    kinds = {type(m) for m in net.modules()}
    assert nn.ReLU in kinds
    assert nn.Tanh not in kinds


@pytest.mark.parametrize("name", INPUT)
def test_returns_logits_not_probabilities(name):
    torch.manual_seed(0)
    logits = build(name)(torch.randn(8, *INPUT[name]))
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(1), torch.ones(8))
