"""GoogLeNet: Table 1 of the paper, auxiliary heads, and equal to torchvision."""

from __future__ import annotations

import networks
import pytest
import torch
import torchvision
from torch import nn

from utils.look import totals
from utils.models import googlenet as module
from utils.models.googlenet import (
    PAPER,
    TABLE_1,
    TORCHVISION,
    Form,
    Inception,
    googlenet,
    googlenet_bn,
    googlenet_loss,
    googlenet_torchvision,
)

BUILDERS = [googlenet, googlenet_bn, googlenet_torchvision]


def tiny(build=googlenet, **options) -> module.GoogLeNet:
    defaults = {"width": 1 / 8, "stem": "cifar", "num_classes": 4}
    return build(**{**defaults, **options})


@pytest.mark.parametrize(
    ("build", "aux", "parameters", "giga"),
    [
        (googlenet, False, 6_998_552, 1.583),
        (googlenet, True, 13_378_280, 1.583),  # the heads work in training alone
        (googlenet_torchvision, False, 6_624_904, 1.498),
        (googlenet_torchvision, True, 13_004_888, 1.498),
    ],
)
def test_parameters_and_multiply_adds(build, aux, parameters, giga):
    net = networks.on_meta(build, aux=aux)
    counted, multiply_adds = totals(net, (3, 224, 224))
    assert counted == parameters
    assert round(multiply_adds / 1e9, 3) == giga


# The paper's Table 1: output, and millions of multiply-adds, which it rounds.
PAPER_TABLE = {
    "3a": (256, 28, 128),
    "3b": (480, 28, 304),
    "4a": (512, 14, 73),
    "4b": (512, 14, 88),
    "4c": (512, 14, 100),
    "4d": (528, 14, 119),
    "4e": (832, 14, 170),
    "5a": (832, 7, 54),
    "5b": (1024, 7, 71),
}


@pytest.mark.parametrize("build", BUILDERS)
def test_modules_are_those_of_table_1(build):
    shapes = networks.outputs(networks.on_meta(build), (3, 224, 224), depth=2)
    got = {n[-2:]: s[1:] for n, s in shapes.items() if "inception" in n}
    assert got == {n: (c, s, s) for n, (c, s, _) in PAPER_TABLE.items()}
    assert {n: w.out_channels for n, w in TABLE_1.items()} == {
        n: c for n, (c, _, _) in PAPER_TABLE.items()
    }


def test_cost_of_each_module_is_that_of_table_1():
    channels = 192
    for name, (out_channels, side, millions) in PAPER_TABLE.items():
        block = Inception(channels, TABLE_1[name])
        cost = totals(block, (channels, side, side))[1] / 1e6
        # 5a has the widths of 4e: its 54 in the paper should be 51.
        assert abs(cost - millions) < (3 if name == "5a" else 1)
        channels = out_channels


def test_shape_of_each_stage():
    net = networks.on_meta(googlenet)
    shapes = networks.outputs(net, (3, 224, 224), depth=1)
    assert list(shapes.values()) == [
        (1, 192, 28, 28),
        (1, 480, 14, 14),
        (1, 512, 14, 14),
        (1, 528, 14, 14),
        (1, 1024, 7, 7),
        (1, 1024, 1, 1),
        (1, 1024),
        (1, 1000),
    ]
    assert networks.outputs(net.stem, (3, 224, 224), depth=1)["conv1"][2] == 112


def test_head_of_the_paper():
    net = networks.on_meta(googlenet, aux=True)
    for head, channels in zip(net.heads, (512, 528), strict=True):
        shapes = networks.outputs(head, (channels, 14, 14), depth=1)
        assert shapes["pool"] == shapes["fit"] == (1, channels, 4, 4)
        assert shapes["fc1"] == (1, 1024)
        assert head.dropout.p == 0.7


def test_dropout_stands_before_the_last_layer():
    net = tiny(dropout=1.0).train()  # nothing is left of the maps
    assert torch.equal(net(torch.randn(1, 3, 32, 32))[0], net.fc.bias)


def test_branches_stand_in_order():
    widths = TABLE_1["3a"]
    block, x = Inception(192, widths), torch.randn(1, 192, 6, 6)
    branches = block.branch_1x1, block.branch_3x3, block.branch_5x5, block.branch_pool
    parts = block(x).split([64, 128, 32, 32], dim=1)
    for branch, part in zip(branches, parts, strict=True):
        torch.testing.assert_close(branch(x), part)


@pytest.mark.parametrize(
    ("form", "kernel"), [(PAPER, 5), (TORCHVISION, 3), (Form(batch_norm=True), 5)]
)
def test_kernel_of_the_third_branch(form, kernel):
    assert Inception(8, TABLE_1["3a"], form).branch_5x5[1].conv.kernel_size[0] == kernel


@pytest.mark.parametrize("build", BUILDERS)
def test_small_images_change_the_stem_alone(build):
    large = networks.on_meta(build, aux=True)
    small = networks.on_meta(build, aux=True, stem="cifar")
    shapes = {n: p.shape for n, p in large.named_parameters()}
    changed = {n for n, p in small.named_parameters() if shapes[n] != p.shape}
    assert changed == {"stem.conv1.conv.weight"}
    sides = [s[-1] for s in networks.outputs(small, (3, 32, 32), depth=1).values()]
    assert sides[:5] == [32, 16, 16, 16, 8]


def test_batch_norm_takes_the_place_of_biases_and_lrn():
    kinds = [type(m).__name__ for m in networks.on_meta(googlenet_bn).modules()]
    assert kinds.count("BatchNorm2d") == kinds.count("Conv2d") == 57
    assert "LocalResponseNorm" not in kinds
    plain = [type(m).__name__ for m in networks.on_meta(googlenet).modules()]
    assert plain.count("Conv2d") == 57
    assert "LocalResponseNorm" in plain


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    def build() -> nn.Module:
        return torchvision.models.googlenet(aux_logits=True, init_weights=False)

    return networks.filled(build)


def test_logits_equal_torchvision(theirs):
    net = networks.ported(googlenet_torchvision, theirs)  # leaves the heads' out
    networks.assert_equal_logits(net, theirs, 65)


def test_logits_of_the_heads_equal_torchvision(theirs):
    net = networks.ported(googlenet_torchvision, theirs, aux=True)
    images = torch.randn(2, 3, 96, 96)
    # The networks alone are in train mode: dropout and batch norm are not.
    net.training = theirs.training = True
    with torch.no_grad():
        logits, first, second = net(images), *net.aux_logits
        expected = theirs(images)
    net.training = theirs.training = False
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(logits, expected.logits, **tolerance)
    heads = [expected.aux_logits1, expected.aux_logits2]
    if not torch.allclose(first, heads[0], **tolerance):
        heads.reverse()  # older versions of torchvision exchange the two names
    torch.testing.assert_close([first, second], heads, **tolerance)


def test_loss_adds_both_heads_in_training():
    net, labels = tiny(aux=True, dropout=0.0).train(), torch.tensor([0, 3])
    loss = googlenet_loss(net)
    logits = net(torch.randn(2, 3, 32, 32))
    parts = [nn.functional.cross_entropy(x, labels) for x in (logits, *net.aux_logits)]
    expected = parts[0] + 0.3 * parts[1] + 0.3 * parts[2]
    torch.testing.assert_close(loss(logits, labels), expected)
    # Taken once: a second call has no stale heads, and nothing stays in memory.
    assert net.aux_logits == ()
    torch.testing.assert_close(loss(logits, labels), parts[0])


def test_loss_is_plain_in_eval_mode_and_without_heads():
    labels, images = torch.tensor([0, 3]), torch.randn(2, 3, 32, 32)
    trained = tiny(aux=True).train()
    trained(images)  # leaves logits behind, which the pass in eval mode takes away
    for net in (trained.eval(), tiny().train()):
        logits = net(images)
        plain = nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(googlenet_loss(net)(logits, labels), plain)


def test_heads_bring_gradient_to_the_first_layers():
    net, labels = tiny(aux=True).train(), torch.tensor([0, 3])
    logits = net(torch.randn(2, 3, 32, 32))
    loss = googlenet_loss(net, lambda x, y: 0 * nn.functional.cross_entropy(x, y))
    loss(logits, labels).backward()
    assert net.stem.conv1.conv.weight.grad.abs().max() == 0
    logits = net(torch.randn(2, 3, 32, 32))
    net.aux_logits[0].sum().backward()
    assert net.stem.conv1.conv.weight.grad.abs().max() > 0
    assert net.stage5.inception5b.branch_1x1.conv.weight.grad.abs().max() == 0
