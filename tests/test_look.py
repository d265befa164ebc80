"""Sizes against torchvision's networks and hand counts; what hooks see and leave."""

from __future__ import annotations

import copy
import time
from contextlib import nullcontext

import pytest
import torch
import torchvision.models as tv
from torch import nn

from utils import look
from utils.course import CourseError
from utils.models import LeNet5, TwoLayerCNN, build

LENET = """\
layer          output           parameters  multiply-adds
---------------------------------------------------------
input          (1, 1, 28, 28)            0              0
c1             (1, 6, 28, 28)          156        117,600
s2 AvgPool2d   (1, 6, 14, 14)            0              0
c3             (1, 16, 10, 10)       2,416        240,000
s4 AvgPool2d   (1, 16, 5, 5)             0              0
c5             (1, 120)             48,120         48,000
f6             (1, 84)              10,164         10,080
output Linear  (1, 10)                 850            840
---------------------------------------------------------
total                               61,706        416,520"""


def test_a_large_network_is_counted_in_under_a_second():
    with torch.device("meta"):
        model = tv.vgg19()
    start = time.process_time()  # not the wall: other work may share the machine
    parameters, multiply_adds = look.totals(model, (3, 224, 224))
    assert time.process_time() - start < 1
    assert (parameters, round(multiply_adds / 1e6)) == (143_667_240, 19_632)


def test_lenet_table_as_text_is_stable():
    table = look.shape_table(LeNet5(), (1, 28, 28), depth=1)
    assert repr(table) == LENET
    html = table._repr_html_()
    assert html.count("<tr>") == len(table.rows) + 1
    assert "61,706" in html


def test_single_layers_show_their_kind():
    rows = look.shape_table(LeNet5(), (1, 28, 28)).rows
    assert ("c1.0 Conv2d", "(1, 6, 28, 28)", "156", "117,600") in rows
    assert look.shape_table(nn.Linear(3, 2), (3,)).rows[1][0] == "Linear"


def test_multiply_adds_of_a_strided_padded_grouped_convolution_by_hand():
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    side = (9 + 2 - 3) // 2 + 1
    assert look.totals(conv, (4, 9, 9)) == (6 * (2 * 9 + 1), side**2 * 6 * 2 * 9)


def test_the_callers_model_is_not_touched():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model.train()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    look.shape_table(model, (3, 8, 8))
    assert [m.training for m in model] == [True, True, False]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        assert value.device.type == "cpu"
        assert torch.equal(value, before[name])


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.tied = nn.Linear(5, 5)
        self.tied.weight = self.layer.weight
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x):
        x = self.layer(self.layer(x))
        return self.tied(x) * self.scale


def test_parameters_used_twice_or_tied_count_once():
    table = look.shape_table(Shared(), (5,))
    shown = [(row[0], row[2], row[3]) for row in table.rows]
    assert shown == [
        ("input", "0", "0"),
        ("layer Linear", "30", "25"),
        ("layer Linear", "0", "25"),
        ("tied Linear", "5", "25"),
        ("not in a layer above", "5", "0"),
        ("total", "40", "75"),
    ]


def test_auxiliary_heads_are_shown_as_parameters_outside_the_layers():
    with torch.device("meta"):
        model = tv.googlenet(init_weights=False)
    [*_, others, _] = look.shape_table(model, (3, 224, 224), depth=1).rows
    assert others == ("not in a layer above", "", f"{13_004_888 - 6_624_904:,}", "0")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 28, 28), r"c1\.0 \(Conv2d\) got .*\(1, 3, 28, 28\)"),
        ((1, 32, 32), r"c5\.0 \(Linear\) got .*\(1, 576\).*in_features=400"),
        ((1, 4, 4), r"c3\.0 \(Conv2d\).*\(1, 6, 2, 2\)"),
        ((1, 1, 28, 28), r"\(1, 1, 1, 28, 28\).*one example"),
    ],
)
def test_a_shape_that_does_not_fit_names_the_layer(shape, message):
    with pytest.raises(CourseError, match=message):
        look.shape_table(LeNet5(), shape)


def test_feature_maps_equal_the_layers_outputs():
    model, image = LeNet5(), torch.randn(1, 28, 28)
    maps = look.feature_maps(model, image, ["c1", "s2"])
    assert list(maps) == ["c1", "s2"]
    c1 = model.c1(image[None])
    torch.testing.assert_close(maps["c1"], c1[0])
    torch.testing.assert_close(maps["s2"], model.s2(c1)[0])
    assert not maps["c1"].requires_grad


def test_feature_maps_default_to_every_convolution_and_keep_a_batch():
    maps = look.feature_maps(TwoLayerCNN(), torch.randn(5, 3, 32, 32))
    assert [(k, len(v)) for k, v in maps.items()] == [("layer1.0", 5), ("layer2.0", 5)]


def test_a_relu_in_place_does_not_change_the_recorded_map():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
    image = torch.randn(1, 6, 6)
    maps = look.feature_maps(model, image)["0"]
    assert maps.min() < 0
    torch.testing.assert_close(maps, model[0](image[None])[0])


@pytest.mark.parametrize("image", [torch.randn(1, 28, 28), torch.randn(2, 28, 28)])
def test_hooks_and_modes_are_restored_even_after_an_error(image):
    model = LeNet5().train()
    model.c1.eval()
    with pytest.raises(RuntimeError) if len(image) == 2 else nullcontext():
        look.feature_maps(model, image, ["c1"])
    assert not any(m._forward_hooks for m in model.modules())
    assert model.training
    assert model.c3.training
    assert not model.c1.training


def test_features_are_those_of_evaluation_mode_in_the_loaders_order():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Conv2d(1, 2, 3))
    before = copy.deepcopy(model)
    batches = [(5 + torch.randn(n, 1, 6, 6), torch.arange(n)) for n in (4, 3)]
    found, labels = look.features(model, batches, "2")
    images = torch.cat([images for images, _ in batches])
    torch.testing.assert_close(found, before.eval()(images).flatten(1))
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 2]
    for name, tensor in before.state_dict().items():  # running statistics among them
        assert torch.equal(model.state_dict()[name], tensor)


def test_most_wrong_sorts_the_mistakes_by_confidence():
    # Right, wrong with 0.6, wrong with 0.9, right, wrong with 0.75.
    probabilities = torch.tensor(
        [[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.75, 0.25]]
    )
    labels = torch.tensor([0, 1, 0, 1, 1])
    indices, predicted, confidence = look.most_wrong(probabilities.log(), labels)
    assert (indices.tolist(), predicted.tolist()) == ([2, 4, 1], [1, 0, 0])
    torch.testing.assert_close(confidence, torch.tensor([0.9, 0.75, 0.6]))
    assert look.most_wrong(probabilities.log(), labels, n=1)[0].tolist() == [2]
    assert len(look.most_wrong(torch.eye(3), torch.arange(3))[0]) == 0


def maps_and_head():
    """One map, three times as important for class 0; and its opposite for class 1."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1))
    net = net.append(nn.Flatten()).append(nn.Linear(1, 2, bias=False))
    nn.init.ones_(net[0].weight)
    with torch.no_grad():
        net[3].weight.copy_(torch.tensor([[3.0], [-1.0]]))
    return net


def test_grad_cam_is_the_map_by_hand():
    net, image = maps_and_head(), torch.zeros(2, 1, 4, 4)
    image[0, 0, 1, 2], image[0, 0, 3, 0] = 2.0, -1.0
    image[1, 0, 0, 0] = 5.0
    expected = image[:, 0].relu() / torch.tensor([2.0, 5.0])[:, None, None]
    torch.testing.assert_close(look.grad_cam(net, image, target=0), expected)
    torch.testing.assert_close(look.grad_cam(net, image), expected)  # it predicts 0
    against = look.grad_cam(net, image, target=[1, 1])
    assert against[0, 3, 0] == 1  # what is negative there speaks for the other class
    assert against[1].sum() == 0


def test_grad_cam_equals_the_gradient_formula_on_a_network():
    torch.manual_seed(0)
    net = build("resnet20").eval()
    x = torch.randn(3, 3, 32, 32)
    cams = look.grad_cam(net, x, target=torch.tensor([1, 2, 3]))
    stem = nn.Sequential(*list(net.children())[:-2])
    kept = stem(x)
    assert kept.shape == (3, 64, 8, 8)
    # After the mean over places the gradient is the class's weights, over 64 places.
    weights = net.fc.weight[[1, 2, 3]][:, :, None, None]
    heat = (weights * kept).sum(1, keepdim=True).relu()
    largest = heat.amax((2, 3), keepdim=True)
    assert (largest > 0).any()  # where nothing speaks for the class, all is 0
    heat = heat / largest.clamp(min=1e-12)
    up = nn.functional.interpolate(heat, (32, 32), mode="bilinear")
    torch.testing.assert_close(cams, up[:, 0])


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "googlenet_bn", "resnet20"])
def test_grad_cam_leaves_the_network_as_it_was(name):
    options = {} if name == "resnet20" else {"stem": "cifar", "width": 0.125}
    net = build(name, num_classes=4, **options).train().requires_grad_(False)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    x = torch.randn(2, 3, 32, 32)
    cams = look.grad_cam(net, x)
    assert cams.shape == (2, 32, 32)
    assert 0 <= cams.min() <= cams.max() <= 1 + 1e-6
    assert net.training
    assert not x.requires_grad
    assert not any(m._forward_hooks for m in net.modules())
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())
    for key, tensor in net.state_dict().items():
        assert tensor.equal(before[key])


def test_grad_cam_refuses_what_it_cannot_show():
    with pytest.raises(CourseError, match="No layer gives maps"):
        look.grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), torch.ones(1, 9))
