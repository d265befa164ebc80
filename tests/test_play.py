"""What the pages compute, against torch: logits, batch statistics, gradients."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from tools import export
from utils import data
from utils.course import ROOT

# Network -> where the gradient is taken: before every kind of layer that it has.
NETWORKS = {
    "lenet5-mnist": "c1.0",
    "alexnet-cifar10": "stem.conv.0",
    "vgg11_bn-cifar10": "features.0.0",
    "googlenet_bn-cifar10": "stem.conv3.conv",
    "resnet20-cifar10": "layer2.0.conv1",
}
COUNT, LABEL = 12, 3


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_page_computes_what_torch_computes(name, precision, tmp_path):
    model, about = export.trained(name)
    plan, weights = export.plan(model.requires_grad_(False), about, precision)
    load = data.mnist if about["shape"][0] == 1 else data.cifar10
    mean, std = (torch.tensor(about[key]).view(-1, 1, 1) for key in ("mean", "std"))
    images = load(source="embedded").test.images[:COUNT].float() / 255
    images = (images - mean) / std
    (tmp_path / "net.json").write_text(json.dumps(plan))
    (tmp_path / "net.bin").write_bytes(weights)
    (tmp_path / "net.images").write_bytes(images.numpy().astype("<f4").tobytes())
    words = "tests/play.mjs", tmp_path / "net", NETWORKS[name], LABEL
    subprocess.run(["node", *map(str, words)], check=True, cwd=ROOT)
    said = json.loads((tmp_path / "net.answers").read_text())

    expected, got = model(images), np.reshape(said["out"], (COUNT, -1))
    error, top = np.abs(got - expected.numpy()).max(), expected.sort().values
    clear = top[:, -1] - top[:, -2] > 2 * error
    assert (torch.tensor(got).argmax(1) == expected.argmax(1))[clear].all()
    if precision == "float16":
        assert error < 0.05
        return
    assert error < 1e-4
    seen: list[torch.Tensor] = []
    place = model.get_submodule(NETWORKS[name])
    hook = place.register_forward_hook(lambda *c: seen.append(c[2].requires_grad_()))
    (gradient,) = torch.autograd.grad(model(images)[:, LABEL].sum(), seen)
    hook.remove()
    # A largest value that two share in float32 may send its gradient to either.
    back = np.reshape(said["back"], gradient.shape)
    assert (~np.isclose(back, gradient, rtol=1e-3, atol=1e-4)).mean() < 1e-4
    hook = place.register_forward_hook(
        lambda *c: c[2] * (torch.arange(c[2].shape[1]) % 3).view(-1, 1, 1)
    )
    masked = np.reshape(said["masked"], expected.shape)
    np.testing.assert_allclose(masked, model(images), atol=1e-3)
    hook.remove()
    for layer in model.modules():
        layer.training = isinstance(layer, nn.BatchNorm2d)
    train = np.reshape(said["train"], expected.shape)
    np.testing.assert_allclose(train, model(images), atol=1e-3)
