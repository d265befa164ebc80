"""A trained network on another task: what is cut off, what moves, what stays."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision.models as tv
from torch import nn

from utils import course, data
from utils.course import CourseError
from utils.download import DownloadError
from utils.models import build, weights
from utils.models.transfer import Transfer, pretrained, without_head
from utils.train import evaluate, fit

OURS = sorted(path.name.split("-")[0] for path in weights.OURS.glob("*.pt"))
SMALL = {"stem": "cifar", "width": 0.125}
NETWORKS = {
    "alexnet": (lambda: build("alexnet", num_classes=7, **SMALL), 512),
    "vgg11": (lambda: build("vgg11", num_classes=7, hidden=(64, 256), **SMALL), 32),
    "vgg11_bn": (lambda: build("vgg11_bn", num_classes=7, hidden=(), **SMALL), 64),
    "googlenet": (lambda: build("googlenet_bn", num_classes=7, **SMALL), 128),
    "resnet20": (lambda: build("resnet20", num_classes=7), 64),
    "resnet18": (lambda: build("resnet18", num_classes=7, width=0.25), 128),
    "mobilenet_v2": (lambda: tv.mobilenet_v2(num_classes=7), 1280),
    "densenet121": (lambda: tv.densenet121(num_classes=7), 1024),
    "shufflenet": (lambda: tv.shufflenet_v2_x0_5(num_classes=7), 1024),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_old_head_on_the_body_gives_the_old_logits(name):
    make, features = NETWORKS[name]
    trained = make().eval()
    model = Transfer(trained, 7).eval()
    assert model.head.in_features == features
    last = [m for m in trained.modules() if isinstance(m, nn.Linear)][-1]
    model.head.load_state_dict(last.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(x), trained(x))


def test_the_helpers_of_googlenet_are_cut_off_and_the_last_layer_is_the_right_one():
    trained = build("googlenet", num_classes=7, aux=True, **SMALL).eval()
    model = Transfer(trained, 7).eval()
    assert len(model.body.heads) == 0
    assert len(trained.heads) == 2
    model.head.load_state_dict(trained.fc.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(x), trained(x))


def test_squeezenets_features_are_averaged_over_the_places():
    trained = tv.squeezenet1_1().eval()
    body, features = without_head(trained)
    assert features == 512
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(body(x), trained.features(x).mean((2, 3)))


def test_the_trained_network_stays_as_it_was():
    trained = build("resnet20")
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    model = Transfer(trained, 2)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 2
    fit(model, [(images, labels)], epochs=1, lr=0.1, progress=False)
    assert trained.fc.out_features == 10
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["resnet20", "alexnet"])
def test_a_frozen_body_does_not_move_and_the_head_does(name):
    model = Transfer(NETWORKS[name][0](), 2).freeze()
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "head.weight",
        "head.bias",
    ]
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 2
    fit(model, [(images, labels)], epochs=2, lr=0.1, progress=False)
    changed = [key for key, t in model.state_dict().items() if not t.equal(before[key])]
    assert changed == ["head.weight", "head.bias"]


def test_frozen_features_are_those_of_evaluation_even_in_training_mode():
    model = Transfer(NETWORKS["alexnet"][0](), 2).freeze().train()  # it has dropout
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(x), model(x))
    assert model.training
    assert model.head.training
    model.freeze(False)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_network_with_nothing_to_cut_off_is_refused():
    with pytest.raises(CourseError, match="no last linear layer"):
        Transfer(nn.Sequential(nn.Conv2d(3, 4, 3)), 2)


@pytest.mark.parametrize("name", OURS)
def test_our_own_weights_fit_their_record(name):
    model, found = pretrained(name, "cifar10")
    run = json.loads((weights.OURS / f"{name}-cifar10.json").read_text())
    assert sum(p.numel() for p in model.parameters()) == run["model"]["parameters"]
    assert run["data"]["real"]
    assert found.size == 32
    assert found.classes == data.cifar10(source="embedded").classes
    assert not model.training
    assert torch.isfinite(model(torch.randn(2, 3, 32, 32))).all()


@pytest.mark.parametrize("name", OURS)
def test_our_own_weights_are_as_good_as_their_record_says(name):
    try:
        test = data.cifar10(source="real").test
    except CourseError:
        pytest.skip("no real CIFAR-10 in CNN_COURSE_DATA")
    model, _ = pretrained(name, "cifar10")
    run = json.loads((weights.OURS / f"{name}-cifar10.json").read_text())
    # Not in the record's bfloat16, which not every processor computes in.
    metrics = evaluate(model, test.loader(500), precision="float32")
    assert metrics.accuracy == pytest.approx(run["test_accuracy"], abs=0.002)


def test_there_are_weights_of_a_resnet_and_of_a_vgg():
    assert {"resnet20", "vgg11_bn"} <= set(OURS)
    page = (course.ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for name in OURS:
        run = json.loads((weights.OURS / f"{name}-cifar10.json").read_text())
        [row] = [line for line in page.splitlines() if f"`{name}-cifar10.pt`" in line]
        assert f"{100 * run['test_accuracy']:.2f}" in row
        assert f"{run['model']['parameters']:,}" in row
        assert run["command"].split(" --save")[0] in page


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet18", tv.resnet18),
        ("googlenet_torchvision", lambda: tv.googlenet(init_weights=False)),
        ("squeezenet1_1", tv.squeezenet1_1),
    ],
)
def test_imagenets_weights_give_torchvisions_logits(folder, name, theirs):
    reference = theirs()
    for module in reference.modules():  # torch's own start would let logits vanish
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    path = folder / f"{name.removesuffix('_torchvision')}-imagenet.pth"
    torch.save(reference.state_dict(), path)
    model, found = pretrained(name)
    assert (found.source, found.size) == (path, 224)
    x = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(model(x), reference.eval()(x))


def unreachable(*arguments, **options):
    raise OSError("no route to host")


def test_where_imagenets_weights_cannot_be_had_our_own_take_their_place(
    folder, capsys, monkeypatch
):
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    model, found = pretrained("squeezenet1_1", otherwise="resnet20")
    assert type(model).__name__ == "CifarResNet"
    assert found.source.name == "resnet20-cifar10.pt"
    assert capsys.readouterr().out.startswith("Stand-in: resnet20")
    with pytest.raises(DownloadError, match="squeezenet1_1"):
        pretrained("squeezenet1_1")


def test_at_scale_tiny_our_own_take_their_place_though_they_are_there(folder, capsys):
    (folder / "squeezenet1_1-imagenet.pth").write_bytes(b"never opened")
    _, found = pretrained("squeezenet1_1", otherwise="resnet20")
    assert found.source.name == "resnet20-cifar10.pt"
    assert "scale tiny" in capsys.readouterr().out


def test_damaged_weights_are_no_reason_for_a_stand_in(folder, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    (folder / "squeezenet1_1-imagenet.pth").write_bytes(b"half a file")
    with pytest.raises(CourseError, match="damaged"):
        pretrained("squeezenet1_1", otherwise="resnet20")


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("resnet20", "imagenet1k", "no weights from 'imagenet1k'"),
        ("lenet5", "cifar10", "no weights of 'lenet5'"),
        ("resnet19", "imagenet", "no weights for 'resnet19'"),
    ],
)
def test_what_there_is_not_is_said(name, source, message):
    with pytest.raises(CourseError, match=message):
        pretrained(name, source)


def test_images_are_normalised_as_the_weights_want_them():
    _, found = pretrained("resnet20", "cifar10")
    splits = found.prepare(data.dogs_vs_cats(32, source="embedded"))
    for part in (splits.train, splits.val, splits.test):
        assert (part.mean, part.std) == (found.mean, found.std)
    with pytest.raises(CourseError, match="channel"):
        found.prepare(data.mnist(source="embedded"))
