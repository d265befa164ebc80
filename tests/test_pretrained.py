"""Trained weights: where they are found, what a file is, and another task for them."""

from __future__ import annotations

import hashlib
import json
import struct
import types
import zipfile

import pytest
import requests
import torch
import torchvision.models as tv
from torch import nn
from torchvision.transforms.functional import normalize

from utils import course, data, recipe
from utils.course import CourseError
from utils.download import DownloadError
from utils.models import MODELS, build, load_torchvision
from utils.models import pretrained as module
from utils.models.pretrained import OURS, Transfer, load, pretrained, without_head
from utils.train import evaluate, fit

NAMES = sorted(path.name.split("-")[0] for path in OURS.glob("*-cifar10.pt"))
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


@pytest.mark.parametrize(
    ("make", "pixels"),
    [
        (lambda: build("googlenet", num_classes=7, aux=True, **SMALL), 32),
        (lambda: build("googlenet_bn", num_classes=7, aux=True, **SMALL), 32),
        (lambda: tv.googlenet(num_classes=7, init_weights=False), 64),
        (lambda: tv.inception_v3(num_classes=7, init_weights=False), 80),
        (
            lambda: tv.inception_v3(
                num_classes=7, aux_logits=False, init_weights=False
            ),
            80,
        ),
    ],
)
def test_helper_heads_are_cut_off_and_the_network_trains(make, pixels):
    trained = make().eval()
    model = Transfer(trained, 7).eval()
    model.head.load_state_dict(trained.fc.state_dict())
    x = torch.randn(2, 3, pixels, pixels)
    torch.testing.assert_close(model(x), trained(x))
    names = dict(model.body.named_modules())
    assert not any(name.lower().startswith(("aux", "heads.")) for name in names)
    logits = model.train()(x)
    nn.functional.cross_entropy(logits, torch.tensor([0, 6])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


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


@pytest.mark.parametrize("name", NAMES)
def test_our_own_weights_fit_their_record(name):
    model, found = pretrained(name, "cifar10")
    run = json.loads((OURS / f"{name}-cifar10.json").read_text())
    assert sum(p.numel() for p in model.parameters()) == run["model"]["parameters"]
    assert run["data"]["real"]
    assert found.size == 32
    assert found.classes == data.cifar10(source="embedded").classes
    assert not model.training
    assert torch.isfinite(model(torch.randn(2, 3, 32, 32))).all()


@pytest.mark.parametrize("name", NAMES)
def test_our_own_weights_are_as_good_as_their_record_says(name):
    try:
        test = data.cifar10(source="real").test
    except CourseError:
        pytest.skip("no real CIFAR-10 in CNN_COURSE_DATA")
    model, _ = pretrained(name, "cifar10")
    run = json.loads((OURS / f"{name}-cifar10.json").read_text())
    # Not in the record's bfloat16, which not every processor computes in.
    with recipe.use_precision("float32"):
        metrics = evaluate(model, test.loader(500))
    assert metrics.accuracy == pytest.approx(run["test_accuracy"], abs=0.002)


def test_there_are_weights_of_a_resnet_and_of_a_vgg():
    assert {"resnet20", "vgg11_bn"} <= set(NAMES)
    page = (course.ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        run = json.loads((OURS / f"{name}-cifar10.json").read_text())
        [row] = [line for line in page.splitlines() if f"`{name}-cifar10.pt`" in line]
        assert f"{100 * run['test_accuracy']:.2f}" in row
        assert f"{run['model']['parameters']:,}" in row
        assert run["command"].split(" --save")[0] in page


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", refuse)


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
    for layer in reference.modules():  # torch's own start would let logits vanish
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    path = folder / f"{name.removesuffix('_torchvision')}-imagenet.pth"
    torch.save(reference.state_dict(), path)
    model, found = pretrained(name)
    assert (found.source, found.size) == (path, 224)
    x = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(model(x), reference.eval()(x))


def test_where_imagenets_weights_cannot_be_had_our_own_take_their_place(
    folder, no_network, capsys
):
    model, found = pretrained("squeezenet1_1", otherwise="resnet20")
    assert type(model).__name__ == "CifarResNet"
    assert found.source.name == "resnet20-cifar10.pt"
    assert capsys.readouterr().out.startswith("Stand-in: resnet20")
    with pytest.raises(DownloadError, match=r"squeezenet1_1.*no connection") as error:
        pretrained("squeezenet1_1")
    assert str(folder) in str(error.value)
    assert "https://download.pytorch.org/models/squeezenet1_1" in str(error.value)


def test_at_scale_tiny_our_own_take_their_place_though_they_are_there(
    folder, capsys, monkeypatch
):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    (folder / "squeezenet1_1-imagenet.pth").write_bytes(b"never opened")
    _, found = pretrained("squeezenet1_1", otherwise="resnet20")
    assert found.source.name == "resnet20-cifar10.pt"
    assert "scale tiny" in capsys.readouterr().out
    with pytest.raises(DownloadError, match="scale tiny"):
        pretrained("resnet18")


def test_damaged_weights_are_no_reason_for_a_stand_in(folder):
    (folder / "squeezenet1_1-imagenet.pth").write_bytes(b"half a file")
    with pytest.raises(CourseError, match="damaged"):
        pretrained("squeezenet1_1", otherwise="resnet20")


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("resnet20", "imagenet1k", "no weights from 'imagenet1k'"),
        ("lenet5", "cifar10", "Of 'lenet5' there are no weights"),
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


def test_torchvisions_file_is_taken_if_its_hash_is_right(folder, monkeypatch):
    made = folder / "made.pth"
    torch.save({"weight": torch.arange(3.0)}, made)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    first = tv.ResNet18_Weights.IMAGENET1K_V1
    entry = types.SimpleNamespace(transforms=first.transforms, meta=first.meta)
    entry.url = f"https://example.org/resnet18-{digest[:8]}.pth"
    monkeypatch.setattr(module, "published", lambda name: entry)
    placed = made.rename(folder / entry.url.rsplit("/")[-1])
    found = module.imagenet("resnet18")
    assert found.source == placed
    assert (found.mean[0], found.std[0], found.size) == (0.485, 0.229, 224)
    assert len(found.classes) == 1000
    placed.write_bytes(b"half a file")
    with pytest.raises(CourseError, match=f"{placed.name} is damaged"):
        module.imagenet("resnet18")


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_images_are_centred_at_a_half_where_torchvision_does_so(folder, name):
    torch.save({"weight": torch.arange(3.0)}, folder / f"{name}-imagenet.pth")
    found, entry = module.imagenet(name), module.published(name)
    with torch.device("meta"):
        theirs = tv.get_model(name, transform_input=True, init_weights=False)
    usual, image = entry.transforms(), torch.rand(1, 3, 8, 8)
    expected = theirs._transform_input(normalize(image, usual.mean, usual.std))
    torch.testing.assert_close(normalize(image, found.mean, found.std), expected)


def safetensors() -> bytes:
    head = json.dumps({"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    return struct.pack("<Q", len(head)) + head.encode() + bytes(4)


def cut(path) -> None:
    torch.save({"weight": torch.arange(1000.0)}, path)
    path.write_bytes(path.read_bytes()[:-500])


def old_network(path) -> None:
    torch.save(nn.Linear(2, 2), path, _use_new_zipfile_serialization=False)


def photos(path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/cat.jpg", b"cat")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
KINDS = {  # a file in place of weights: how it is made, and what is said of it
    "whole network": (lambda p: torch.save(nn.Linear(2, 2), p), "a whole network"),
    "old network": (old_network, "a whole network"),
    "safetensors": (lambda p: p.write_bytes(safetensors()), "it is safetensors"),
    "LFS": (lambda p: p.write_bytes(LFS), "git-LFS pointer: `git lfs pull`"),
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><html>"), "a web page"),
    "XML": (lambda p: p.write_text("<?xml?><Error>NoSuchKey"), "a web page"),
    "Keras": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n"), "HDF5, as Keras"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08\x00"), "packed with gzip"),
    "JSON": (lambda p: p.write_text('{"depth": 18}'), "it is JSON"),
    "empty": (lambda p: p.write_bytes(b""), "an empty file"),
    "cut off": (cut, "cut short or not in torch's format"),
    "zip": (photos, "cut short or not in torch's format"),
    "text": (lambda p: p.write_text("hello"), "cut short or not in torch's format"),
    "list": (lambda p: torch.save([1, 2], p), "is no state dict"),
    "numbers": (lambda p: torch.save({"epoch": 3}, p), "is no state dict"),
    "missing": (lambda p: None, "There is no file"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_holds_no_weights_is_named_for_what_it_is(tmp_path, kind):
    make, message = KINDS[kind]
    path = tmp_path / "weights.pt"
    make(path)
    with pytest.raises(CourseError) as error:
        load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    for advice in ("emove", "elete", "fetched"):
        assert advice not in str(error.value)


def lightning(state):
    more = {"epoch": 3, "pytorch-lightning_version": "2.5", "loops": {}}
    return {"state_dict": {f"model.{n}": t for n, t in state.items()}, **more}


def prefixed(prefix):
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


CHECKPOINTS = ("a checkpoint", "under another name", "with an average")
WRAPPED = {
    "nn.DataParallel": (prefixed("module."), "'module.'"),
    "torch.compile": (prefixed("_orig_mod."), "'_orig_mod.'"),
    "both": (prefixed("module._orig_mod."), "'module._orig_mod.'"),
    "the other way": (prefixed("_orig_mod.module."), "'_orig_mod.module.'"),
    "Lightning": (lightning, "'model.'"),
    "a checkpoint": (lambda state: {"epoch": 3, "model_state_dict": state}, ""),
    "under another name": (lambda state: {"epoch": 3, "net": state}, ""),
    "with an average": (lambda state: {"state_dict": state, "ema": {"a": 1}}, ""),
    "plain": (lambda state: state, ""),
    "a part called model": (prefixed("model."), None),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_wrappers_put_before_every_name_is_left_out(tmp_path, capsys, kind):
    wrap, said = WRAPPED[kind]
    state = build("resnet18", num_classes=5, width=1 / 8).state_dict()
    torch.save(wrap(state), tmp_path / "weights.pt")
    found = load(tmp_path / "weights.pt")
    out = capsys.readouterr().out
    if said is None:
        assert list(found) == list(wrap(state))
        return
    assert list(found) == list(state)
    assert said in out
    assert len(out.splitlines()) == bool(said)
    if kind not in ("Lightning", *CHECKPOINTS):  # what a student gives directly
        net = load_torchvision(
            MODELS["resnet18"](num_classes=5, width=1 / 8), wrap(state)
        )
        assert torch.equal(net.fc.bias, state["fc.bias"])
