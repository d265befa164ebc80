"""The data sets: read from the disk, verified, divided, or replaced by a stand-in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import samples
import torch

from utils import course, data, download
from utils.course import CourseError
from utils.data import ImageSet, Splits

DEAD = ("http://127.0.0.1:9/nobody-listens/",)
REAL = Path(os.environ.get("CNN_COURSE_DATA", "no folder"))
SETS = {"MNIST": data.mnist, "FashionMNIST": data.fashion_mnist}
SETS["cifar-10-batches-py"] = data.cifar10


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder, at scale small, with mirrors that nobody listens to."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "MIRRORS", dict.fromkeys(download.MIRRORS, DEAD))
    return tmp_path


@pytest.fixture
def full(folder, monkeypatch) -> Path:
    """The same folder with a few images of each set."""
    return samples.everything(folder, monkeypatch)


def same(first: ImageSet, second: ImageSet) -> bool:
    pairs = (first.images, second.images), (first.labels, second.labels)
    return all(torch.equal(*pair) for pair in pairs)


def sizes(splits: Splits) -> tuple[int, ...]:
    return tuple(len(part) for part in (splits.train, splits.val, splits.test))


# From the disk


def test_mnist_from_its_files(folder, monkeypatch, capsys):
    arrays = samples.mnist(folder)
    samples.publish(folder, monkeypatch)
    splits = data.mnist()
    assert sizes(splits) == (90, 10, 20)
    assert splits.classes == tuple("0123456789")
    assert splits.train.images.shape == (90, 1, 28, 28)
    assert (splits.test.name, splits.test.real) == ("MNIST", True)
    test = torch.from_numpy(arrays["t10k-images-idx3-ubyte"])
    assert torch.equal(splits.test.images[:, 0], test)
    for kind in ("*ubyte", "*.gz"):  # gzipped files alone, then the unpacked ones
        for path in (folder / "MNIST" / "raw").glob(kind):
            path.unlink()
        assert same(data.mnist(source="real").train, splits.train)
    assert capsys.readouterr() == ("", "")


def test_fashion_mnist_has_its_own_folder_and_classes(full):
    splits = data.fashion_mnist(source="real")
    assert (splits.classes[0], splits.classes[9]) == ("T-shirt/top", "Ankle boot")
    assert splits.train.name == "Fashion-MNIST"


def test_cifar10_from_its_batch_files_and_from_its_archive(folder, monkeypatch):
    every = samples.cifar10(folder)
    samples.publish(folder, monkeypatch)
    splits = data.cifar10()
    assert sizes(splits) == (90, 10, 20)
    assert np.array_equal(splits.test.images.flatten(1), every[5])
    assert splits.train.images.is_contiguous(memory_format=torch.channels_last)
    # Every training image is in train or in val, with its own label.
    seen = {
        (image.numpy().tobytes(), int(label))
        for part in (splits.train, splits.val)
        for image, label in zip(part.images, part.labels, strict=True)
    }
    assert seen == {(e.tobytes(), i % 10) for b in every[:5] for i, e in enumerate(b)}
    path = samples.archive(folder)
    monkeypatch.setattr(samples.datasets.CIFAR10, "tgz_md5", samples.md5(path))
    shutil.rmtree(folder / "cifar-10-batches-py")
    assert same(data.cifar10().train, splits.train)
    shutil.rmtree(folder / "cifar-10-batches-py")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CourseError, match=r"cifar-10-python\.tar\.gz is damaged"):
        data.cifar10()


@pytest.mark.parametrize("name", SETS)
def test_a_flipped_byte_in_any_file_is_an_error_that_names_it(full, name, capsys):
    for path in [p for p in (full / name).rglob("*") if p.is_file()]:
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(CourseError, match=f"{path.name} is damaged"):
                SETS[name]()
        path.write_bytes(whole)
    assert SETS[name]().train.real
    assert capsys.readouterr().out == ""


def test_a_set_of_which_a_file_is_missing_is_no_reason_for_a_stand_in(full):
    (full / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(CourseError, match=r"cifar-10-batches-py lacks data_batch_3"):
        data.cifar10()


# The data folder


@pytest.mark.parametrize("mark", ['"{}"', "'{}'", " {} ", '"{}'])
def test_quotes_in_the_variable_are_none_of_the_path(full, monkeypatch, mark):
    monkeypatch.setenv("CNN_COURSE_DATA", mark.format(full))
    assert course.data_dir() == full
    assert data.mnist().train.real


@pytest.mark.parametrize("wrong", ["{}x", '"{}/nowhere "', "{}/file", "~nobodyhere/x"])
@pytest.mark.parametrize("call", [course.start, data.mnist, data.dogs_vs_cats])
def test_a_data_folder_that_is_not_there_is_named(folder, monkeypatch, wrong, call):
    samples.write(folder / "file", b"no folder")
    monkeypatch.setenv("CNN_COURSE_DATA", wrong.format(folder))
    said = "CNN_COURSE_DATA(: .* cannot be looked into| does not exist)"
    with pytest.raises(CourseError, match=said) as error:
        call()
    assert ("nowhere '" in str(error.value)) == ("nowhere " in wrong)  # spaces show


@pytest.mark.skipif(sys.platform == "win32", reason="such a path leads nowhere there")
@pytest.mark.parametrize("path", ["a\0b", "a" * 5000, "~nobodyhere/x"])
def test_a_path_that_cannot_be_one(path):
    with pytest.raises(CourseError, match=r"looked into: .* correct the path"):
        data.image_folder(path)


@pytest.mark.parametrize("name", ["my data", "Übung 数据", "50% #1 [old] 'a' & $b"])
def test_a_data_folder_with_any_name(tmp_path, monkeypatch, name):
    root = samples.everything(tmp_path / name, monkeypatch)
    monkeypatch.setenv("CNN_COURSE_DATA", str(root))
    for _ in range(2):  # the second time from the cache
        for load in (*SETS.values(), lambda **more: data.dogs_vs_cats(8, **more)):
            assert load(source="real").train.real


# Validation split, mean and std


def test_validation_split_is_stratified_and_repeats(folder, monkeypatch):
    samples.mnist(folder, n=1000)
    samples.publish(folder, monkeypatch)
    first, again, other = data.mnist(), data.mnist(), data.mnist(seed=1)
    assert first.val.labels.bincount().tolist() == [10] * 10
    assert first.train.labels.bincount().tolist() == [90] * 10
    assert same(first.val, again.val)
    assert same(first.train, again.train)
    assert not same(first.val, other.val)
    assert len(data.mnist(val_fraction=0.25).val) == 250


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(CourseError, match=f"val_fraction={fraction}"):
        data.mnist(source="embedded", val_fraction=fraction)


def test_mean_and_std_are_those_of_the_training_set(full):
    for splits in (data.cifar10(), data.dogs_vs_cats(8, source="real")):
        values = splits.train.images.double() / 255
        expected = values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0)
        for part in (splits.train, splits.val, splits.test):
            torch.testing.assert_close(
                torch.tensor((part.mean, part.std), dtype=torch.float64),
                torch.stack(expected),
                atol=5.1e-5,
                rtol=0,
            )
        assert all(round(x, 4) == x for x in splits.train.mean + splits.train.std)


def test_a_channel_of_one_value_has_a_std_of_one():
    images = torch.full((4, 2, 3, 3), 51, dtype=torch.uint8)
    assert data._mean_std(images) == ((0.2, 0.2), (1.0, 1.0))


# Stand-ins


def test_at_scale_tiny_only_the_stand_in_is_used(full, monkeypatch, capsys):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    splits = data.mnist()
    assert (splits.train.real, splits.train.name) == (False, "MNIST (stand-in)")
    assert sizes(splits) == (1350, 150, 297)
    assert capsys.readouterr().out == (
        "Stand-in: 1,797 scanned digits of scikit-learn in place of MNIST"
        " (scale tiny; CNN_COURSE_SCALE=small takes the real images).\n"
    )
    assert data.mnist(source="real").train.real
    shutil.rmtree(full / "MNIST")
    with pytest.raises(CourseError, match="nothing is downloaded at scale tiny"):
        data.mnist(source="real")


@pytest.mark.parametrize("name", data.DATASETS)
def test_without_network_the_stand_in_says_so_in_one_line(
    folder, monkeypatch, capsys, name
):
    dead = data.photos.MICROSOFT._replace(urls=DEAD)
    monkeypatch.setattr(data.photos, "MICROSOFT", dead)
    splits = data.DATASETS[name]()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Stand-in: ")
    assert "no connection; data/README.md says how" in lines[0]
    assert not splits.train.real
    with pytest.raises(CourseError, match="place the file by hand"):
        data.DATASETS[name](source="real")
    data.DATASETS[name](source="embedded")
    assert 'source="embedded"' in capsys.readouterr().out


def test_digits_look_like_mnist():
    train, val, test, classes = data.fashion_mnist(source="embedded")  # digits, too
    assert (classes, train.name) == (tuple("0123456789"), "Fashion-MNIST (stand-in)")
    images = torch.cat([train.images, val.images, test.images])
    labels = torch.cat([train.labels, val.labels, test.labels])
    assert labels.bincount().min() == 174
    assert test.labels.bincount().min() >= 28
    border = images.clone()
    border[:, :, 4:24, 4:24] = 0
    assert (border.max(), images.max()) == (0, 255)
    # Means of the classes tell most digits apart, so the labels are the right ones.
    flat = images.flatten(1).float()
    means = torch.stack([flat[labels == k].mean(0) for k in range(10)])
    nearest = torch.cdist(flat, means).argmin(1)
    assert (nearest == labels).float().mean() > 0.85


def test_the_stand_ins_never_change():
    # Written down once, so that CI gives the same everywhere.
    val = data.mnist(source="embedded").val
    assert val.labels[:10].tolist() == [3, 5, 1, 4, 6, 9, 7, 0, 2, 8]
    assert (val.mean, val.std) == ((0.1579,), (0.2933,))


def test_an_unknown_source_is_refused():
    with pytest.raises(CourseError, match="no source 'internet': choose one of 'auto'"):
        data.mnist(source="internet")


# The real sets


@pytest.mark.skipif(
    not (REAL / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").is_file(),
    reason="no real MNIST in CNN_COURSE_DATA",
)
def test_real_mnist(monkeypatch):
    train, val, test, _ = data.mnist(source="real")
    assert (len(train), len(val), len(test)) == (54_000, 6_000, 10_000)
    assert train.mean[0] == pytest.approx(0.1307, abs=0.001)
    assert train.std[0] == pytest.approx(0.3081, abs=0.001)
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.skipif(
    not (REAL / "cifar-10-batches-py" / "test_batch").is_file(),
    reason="no real CIFAR-10 in CNN_COURSE_DATA",
)
def test_real_cifar10(monkeypatch):
    train, val, test, _ = data.cifar10(source="real")
    for part, n in ((train, 4500), (val, 500), (test, 1000)):
        assert part.labels.bincount().tolist() == [n] * 10
    assert train.mean == pytest.approx((0.491, 0.482, 0.447), abs=0.001)
    assert train.std == pytest.approx((0.247, 0.2435, 0.2616), abs=0.001)
