"""Trained weights: where they are found, and what is said when they are not."""

from __future__ import annotations

import hashlib

import pytest
import requests
import torch
from torchvision import models

from utils.course import CourseError
from utils.models import load_torchvision, resnet18, weights

ENTRY = models.ResNet18_Weights.IMAGENET1K_V1


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


def save(path):
    state = {"weight": torch.arange(3.0)}
    torch.save(state, path)
    return state


def test_weights_come_with_what_their_images_need(folder, no_network):
    save(folder / "resnet18-imagenet.pth")
    found = weights.imagenet("resnet18")
    torch.testing.assert_close(found.state_dict["weight"], torch.arange(3.0))
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.std == (0.229, 0.224, 0.225)
    assert len(found.classes) == 1000
    assert found.classes[0] == "tench"
    assert found.source == folder / "resnet18-imagenet.pth"


def test_googlenets_images_are_centred_at_a_half(tmp_path):
    save(tmp_path / "any.pth")
    found = weights.imagenet("googlenet", tmp_path / "any.pth")
    assert found.mean == found.std == (0.5, 0.5, 0.5)


def test_torchvisions_file_is_taken_if_its_hash_is_right(folder, monkeypatch):
    made = folder / "made.pth"
    save(made)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()

    class Entry:
        url = f"https://example.org/resnet18-{digest[:8]}.pth"
        transforms, meta = ENTRY.transforms, ENTRY.meta

    monkeypatch.setattr(weights, "_published", lambda name: Entry)
    placed = made.rename(folder / Entry.url.rsplit("/")[-1])
    assert weights.imagenet("resnet18").source == placed
    placed.write_bytes(b"half a file")
    with pytest.raises(CourseError, match=f"{placed.name} is damaged.* Delete it"):
        weights.imagenet("resnet18")


def test_no_network_says_where_to_put_the_file(folder, no_network):
    with pytest.raises(CourseError, match="no connection") as error:
        weights.imagenet("resnet18")
    assert str(folder) in str(error.value)
    assert ENTRY.url in str(error.value)


def test_scale_tiny_downloads_nothing(folder, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    monkeypatch.setattr(requests, "get", lambda *a, **k: pytest.fail("a download"))
    with pytest.raises(CourseError, match="scale tiny"):
        weights.imagenet("resnet18")


@pytest.mark.parametrize("name", ["resnet19", "ResNet18_Weights.V9", "lenet5"])
def test_an_unknown_network_is_named(name):
    with pytest.raises(CourseError, match=f"no weights for '{name}'"):
        weights.imagenet(name)


def test_one_set_of_several_can_be_named(tmp_path):
    save(tmp_path / "any.pth")
    one = weights._published("ResNet50_Weights.IMAGENET1K_V2")
    assert one is models.ResNet50_Weights.IMAGENET1K_V2
    assert weights._published("resnet50") is models.ResNet50_Weights.IMAGENET1K_V1


def test_loaded_weights_fit_the_courses_network(tmp_path):
    theirs = models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    found = weights.imagenet("resnet18", tmp_path / "resnet18.pth")
    ours = load_torchvision(resnet18(num_classes=2), found.state_dict, head=False)
    x = torch.randn(2, 3, 64, 64)
    theirs.fc = ours.fc
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("content", ["text", "list", "nothing"])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    if content == "text":
        path.write_text("hello")
    elif content == "list":
        torch.save([1, 2], path)
    with pytest.raises(CourseError, match=r"weights\.pth"):
        weights.load(path)


def test_the_courses_own_weights_are_named():
    with pytest.raises(CourseError, match="no weights of 'lenet5' for CIFAR-10"):
        weights.cifar10("lenet5")
