"""What the pages compute, against torch: logits, batch statistics, gradients."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tools import export
from utils import data
from utils.course import ROOT, CourseError
from utils.models import pretrained

# Network -> where the gradient is taken: before every kind of layer that it has.
NETWORKS = {
    "lenet5-mnist": "c1.0",
    "alexnet-cifar10": "stem.conv.0",
    "vgg11_bn-cifar10": "features.0.0",
    "googlenet_bn-cifar10": "stem.conv3.conv",
    "resnet20-cifar10": "layer2.0.conv1",
}
COUNT, LABEL = 16, 3


def images_for(about: dict, count: int) -> torch.Tensor:
    """The first test images, normalised as the network's training images were."""
    load = data.mnist if about["shape"][0] == 1 else data.cifar10
    moments = {key: torch.tensor(about[key]).view(-1, 1, 1) for key in ("mean", "std")}
    pixels = load(source="embedded").test.images[:count].float() / 255
    return (pixels - moments["mean"]) / moments["std"]


def ask(folder: Path, name: str, images: torch.Tensor, *more: str) -> dict:
    """What the engine in node says of images."""
    if not shutil.which("node"):
        pytest.skip("needs node")
    (folder / f"{name}.images").write_bytes(images.numpy().astype("<f4").tobytes())
    command = ["node", str(ROOT / "tests/play.mjs"), str(folder), name, *more]
    subprocess.run(command, check=True)
    return json.loads((folder / f"{name}.answers").read_text())


def model_of(name: str) -> nn.Module:
    model, source = name.split("-")
    if source == "cifar10":
        return pretrained.pretrained(model, "cifar10")[0]
    from utils.models import build

    net = build(model)
    net.load_state_dict(pretrained.load(export.WEIGHTS / f"{name}.pt"))
    return net.eval()


def write(folder: Path, name: str, made: tuple[dict, bytes]) -> dict:
    (folder / f"{name}.json").write_text(json.dumps(made[0]))
    (folder / f"{name}.bin").write_bytes(made[1])
    return made[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_page_computes_what_torch_computes(name, tmp_path):
    about = write(tmp_path, name, export.kept(name, "float32"))
    images, model = images_for(about, COUNT), model_of(name)
    answers = ask(tmp_path, name, images, NETWORKS[name], str(LABEL))
    seen: list[torch.Tensor] = []
    place = model.get_submodule(NETWORKS[name])
    hook = place.register_forward_hook(
        lambda *call: seen.append(call[2].requires_grad_()) or call[2].retain_grad()
    )
    model.requires_grad_(False)
    model(images[:8])[:, LABEL].sum().backward()
    hook.remove()
    with torch.no_grad():
        expected = model(images)
        for layer in model.modules():
            layer.training = isinstance(layer, nn.BatchNorm2d)
        trained = model(images[:8])
    got = np.reshape(answers["out"], expected.shape)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_allclose(
        np.reshape(answers["train"], trained.shape), trained, atol=1e-3
    )
    back = np.reshape(answers["back"], seen[0].shape)
    # A largest value that two share in float32 may send its gradient to either.
    far = ~np.isclose(back, seen[0].grad, rtol=1e-3, atol=1e-4)
    assert far.mean() < 1e-4
    error, ms = np.abs(got - expected.numpy()).max(), answers["ms"]
    print(f"{name}: {error:.1e} on {COUNT} images, {ms:.0f} ms of a processor each")


def test_half_precision_keeps_the_class_where_the_margin_allows(tmp_path):
    name = "resnet20-cifar10"
    about = write(tmp_path, name, export.kept(name))
    images = images_for(about, 16)
    expected = model_of(name)(images).detach().numpy()
    got = np.reshape(ask(tmp_path, name, images)["out"], expected.shape)
    error = np.abs(got - expected).max()
    top = np.sort(expected)
    clear = top[:, -1] - top[:, -2] > 2 * error
    assert error < 0.05
    assert clear.sum() > 12
    assert (got.argmax(1) == expected.argmax(1))[clear].all()


def test_what_a_page_cannot_do_is_named():
    with pytest.raises(CourseError, match="no layer LSTM"):
        export.steps(nn.Sequential(nn.LSTM(2, 2)))
    with pytest.raises(CourseError, match="There is no x in data/weights"):
        export.kept("x")
    big = nn.Linear(1, 1)
    nn.init.constant_(big.weight, 1e6)
    with pytest.raises(CourseError, match="does not fit into float16"):
        export.plan(nn.Sequential(big), {}, "float16")
