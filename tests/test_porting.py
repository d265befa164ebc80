"""torchvision's weights in our networks: ResNets, and everything that does not fit.

AlexNet, VGG and GoogLeNet have this proof in their own files.
"""

from __future__ import annotations

import networks
import pytest
import torch
import torchvision

from utils import models
from utils.course import CourseError
from utils.models import alexnet, googlenet
from utils.models.pretrained import load_torchvision

SMALL = {"hidden": (8, 6), "num_classes": 5}


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_logits_of_resnets_equal_torchvision(name):
    theirs = networks.filled(getattr(torchvision.models, name))
    for key, tensor in theirs.state_dict().items():
        if key.endswith(("bn2.weight", "bn3.weight")):
            tensor.mul_(0.3)  # else 50 sums let the activations grow
    net = networks.ported(models.MODELS[name], theirs)
    networks.assert_equal_logits(net, theirs, 33)


def weights(name: str, **options) -> dict:
    return networks.filled(getattr(torchvision.models, name), **options).state_dict()


@pytest.fixture(scope="module")
def resnet18() -> dict:
    return weights("resnet18")


def test_weights_are_copied_in_any_order_and_without_counters(resnet18):
    old = {n: t for n, t in resnet18.items() if not n.endswith("num_batches_tracked")}
    net = load_torchvision(models.resnet18(), dict(reversed(old.items())))
    torch.testing.assert_close(net.fc.bias, resnet18["fc.bias"])
    torch.testing.assert_close(net.bn1.running_var, old["bn1.running_var"])
    with torch.no_grad():
        net.fc.bias += 1
    assert not torch.equal(net.fc.bias, resnet18["fc.bias"])


OTHERS = [
    (lambda: models.resnet18(num_classes=3), r"mismatch for fc\.weight.*\[1000, 512\]"),
    (lambda: models.vgg11(**SMALL), r"Missing key.*\[\.\.\.\] Build"),
    (lambda: models.resnet34(width=1.0), r"Missing.*layer1\.2\.conv1\.weight"),
    (lambda: models.resnet18(width=0.5), r"conv1\.weight.*\[64, 3, 7, 7\]"),
    (lambda: models.resnet18(stem="cifar"), "size mismatch for conv1"),
    (lambda: googlenet.googlenet(width=0.2), r"googlenet_torchvision\(\)"),
    (lambda: googlenet.googlenet_bn(width=0.2), r"googlenet_torchvision\(\)"),
    (lambda: models.vgg11_lrn(**SMALL), "without local response norm"),
    (lambda: alexnet.alexnet_2012(width=0.1), "without local response norm"),
]


@pytest.mark.parametrize(("build", "message"), OTHERS)
def test_what_does_not_fit_is_named(resnet18, build, message):
    with pytest.raises(CourseError, match=message):
        load_torchvision(build(), resnet18)
    with pytest.raises(CourseError, match="Unexpected key"):
        load_torchvision(
            models.resnet18(), resnet18 | {"layer4.2": resnet18["fc.bias"]}
        )


@pytest.mark.parametrize("wrong", [{"state_dict": {}}, {"epoch": 3}, None])
def test_something_else_than_weights_is_refused(wrong):
    with pytest.raises(CourseError, match="state_dict"):
        load_torchvision(models.vgg11(**SMALL, width=0.1), wrong)
