"""The data sets: from the disk, from stand-ins, from folders of images."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tools import stand_ins
from utils import data
from utils.course import CourseError
from utils.datasets import download, pixels, standins
from utils.datasets.loader import ImageSet, Splits

RNG = np.random.default_rng(0)
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer")
OBJECTS += ("dog", "frog", "horse", "ship", "truck")
DEAD = ("http://127.0.0.1:9/nobody-listens",)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder, at scale small, with mirrors that nobody listens to."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("MNIST", "FASHION_MNIST"):
        files = getattr(download, name)
        monkeypatch.setattr(download, name, [f._replace(urls=DEAD) for f in files])
    monkeypatch.setattr(download, "CIFAR10", download.CIFAR10._replace(urls=DEAD))
    return tmp_path


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory, monkeypatch) -> None:
    """Keep the caches of test images out of the course's data folder."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def few_drawings(monkeypatch) -> None:
    monkeypatch.setattr(standins, "DRAWN", {"train": (100, 0), "test": (20, 1)})


def same(first: ImageSet, second: ImageSet) -> bool:
    return torch.equal(first.images, second.images) and torch.equal(
        first.labels, second.labels
    )


def write_idx(path: Path, values: np.ndarray, pack=bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    path.write_bytes(pack(header + values.tobytes()))


def write_mnist(folder: Path, n: int = 100, name: str = "MNIST") -> dict:
    arrays = {
        "train-images-idx3-ubyte": RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.array([i % 10 for i in range(n)], np.uint8),
        "t10k-images-idx3-ubyte": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.array([i % 10 for i in range(20)], np.uint8),
    }
    for file, values in arrays.items():
        write_idx(folder / name / "raw" / file, values)
    return arrays


def write_cifar(folder: Path, n: int = 20) -> np.ndarray:
    folder.mkdir()
    every = RNG.integers(0, 256, (6, n, 3072), dtype=np.uint8)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name, part in zip(names, every, strict=True):
        content = {"data": part, "labels": [i % 10 for i in range(n)]}
        (folder / name).write_bytes(pickle.dumps(content))
    return every


# From the disk


def test_mnist_from_plain_files(folder, capsys):
    arrays = write_mnist(folder)
    splits = data.mnist()
    assert isinstance(splits, Splits)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [
        90,
        10,
        20,
    ]
    assert splits.classes == tuple("0123456789")
    assert splits.train.images.shape == (90, 1, 28, 28)
    assert (splits.test.name, splits.test.real) == ("MNIST", True)
    test = torch.from_numpy(arrays["t10k-images-idx3-ubyte"])
    assert torch.equal(splits.test.images[:, 0], test)
    assert capsys.readouterr() == ("", "")


def test_mnist_from_gzipped_files(folder, monkeypatch):
    arrays = write_mnist(folder)
    expected = data.mnist()
    files = []
    for name, values in arrays.items():
        path = folder / "MNIST" / "raw" / name
        path.unlink()
        write_idx(path.with_name(name + ".gz"), values, gzip.compress)
        digest = download.pooch.file_hash(str(path) + ".gz")
        files.append(download.Remote(name + ".gz", digest, DEAD))
    monkeypatch.setattr(download, "MNIST", files)
    for ours, theirs in zip(list(data.mnist())[:3], list(expected)[:3], strict=True):
        assert same(ours, theirs)


def test_fashion_mnist_has_its_own_folder_and_classes(folder):
    write_mnist(folder, name="FashionMNIST")
    splits = data.fashion_mnist(source="real")
    assert splits.classes[0] == "T-shirt/top"
    assert splits.classes[9] == "Ankle boot"
    assert splits.train.name == "Fashion-MNIST"


def test_cifar10_from_its_batch_files(folder):
    every = write_cifar(folder / "cifar-10-batches-py")
    splits = data.cifar10()
    assert len(splits.train) + len(splits.val) == 100
    assert len(splits.test) == 20
    assert splits.classes == OBJECTS
    assert np.array_equal(splits.test.images.flatten(1), every[5])
    assert splits.train.images.is_contiguous(memory_format=torch.channels_last)
    # Every training image is in train or in val, with its own label.
    seen = {
        (image.numpy().tobytes(), int(label))
        for part in (splits.train, splits.val)
        for image, label in zip(part.images, part.labels, strict=True)
    }
    assert seen == {(e.tobytes(), i % 10) for b in every[:5] for i, e in enumerate(b)}


def test_cifar10_from_its_archive(folder, monkeypatch):
    write_cifar(folder / "cifar-10-batches-py")
    expected = data.cifar10()
    path = folder / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    for file in (folder / "cifar-10-batches-py").iterdir():
        file.unlink()
    digest = download.pooch.file_hash(str(path))
    known = download.Remote(path.name, digest, DEAD)
    monkeypatch.setattr(download, "CIFAR10", known)
    splits = data.cifar10(source="real")
    assert same(splits.train, expected.train)
    assert same(splits.test, expected.test)
    # The same archive, damaged, is set aside and never used.
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(download.DownloadError):
        data.cifar10(source="real")
    assert (folder / "cifar-10-python.tar.gz.corrupt").exists()


def write_images(folder: Path, n: int = 2, classes=stand_ins.CLASSES, size: int = 32):
    images = {}
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            image = RNG.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{i}.png")
            images[name, i] = image
    return images


def test_cifar10_from_images_by_class(folder):
    write_images(folder / "cifar10" / "train", 3)
    test = write_images(folder / "cifar10" / "test", 2)
    splits = data.cifar10(source="real")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (27, 3, 20)
    assert splits.test.labels.tolist() == [i for i in range(10) for _ in range(2)]
    frogs = splits.test.images[splits.test.labels == 6]
    assert np.array_equal(frogs[1].permute(1, 2, 0), test["frog", 1])


def test_images_that_are_not_cifar10_are_refused(folder):
    write_images(folder / "cifar10" / "train", 1, ("cat", "dog"))
    with pytest.raises(CourseError, match="is not CIFAR-10: it needs the folders"):
        data.cifar10()


def test_damaged_files_on_the_disk_are_an_error_and_no_stand_in_hides_it(
    folder, capsys
):
    write_mnist(folder)
    labels = folder / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(CourseError, match=r"train-labels.*is damaged: 99 values"):
        data.mnist()
    write_idx(labels, np.full(100, 10, np.uint8))
    with pytest.raises(CourseError, match="MNIST: labels run from 10 to 10"):
        data.mnist()
    write_idx(labels, np.zeros(99, np.uint8))
    with pytest.raises(CourseError, match="MNIST: 100 images need 100 labels"):
        data.mnist()
    labels.write_bytes(labels.with_name("train-images-idx3-ubyte").read_bytes())
    with pytest.raises(
        CourseError, match=r"train-labels.* 3 dimensions where 1 belong"
    ):
        data.mnist()
    assert capsys.readouterr().out == ""


# Validation split, mean and std


def test_validation_split_is_stratified_and_repeats(folder):
    write_mnist(folder, 1000)
    first, again, other = data.mnist(), data.mnist(), data.mnist(seed=1)
    assert first.val.labels.bincount().tolist() == [10] * 10
    assert first.train.labels.bincount().tolist() == [90] * 10
    assert same(first.val, again.val)
    assert same(first.train, again.train)
    assert not same(first.val, other.val)
    assert len(data.mnist(val_fraction=0.25).val) == 250


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_a_fraction_that_is_none_is_refused(folder, fraction):
    with pytest.raises(CourseError, match=f"val_fraction={fraction}"):
        data.mnist(source="embedded", val_fraction=fraction)


def test_mean_and_std_are_those_of_the_training_set(folder):
    write_cifar(folder / "cifar-10-batches-py")
    train, val, test, _ = data.cifar10()
    values = train.images.double() / 255
    expected = values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0)
    for part in (train, val, test):
        torch.testing.assert_close(
            torch.tensor((part.mean, part.std), dtype=torch.float64),
            torch.stack(expected),
            atol=5.1e-5,
            rtol=0,
        )
    assert all(round(x, 4) == x for x in train.mean + train.std)


def test_a_channel_of_one_value_has_a_std_of_one():
    assert data._measure(torch.full((4, 2, 3, 3), 51, dtype=torch.uint8)) == (
        (0.2, 0.2),
        (1.0, 1.0),
    )


# Stand-ins


def test_at_scale_tiny_only_the_stand_in_is_used(folder, monkeypatch, capsys):
    write_mnist(folder)
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    splits = data.mnist()
    assert (splits.train.real, splits.train.name) == (False, "MNIST (stand-in)")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1350, 150, 297)
    assert capsys.readouterr().out == (
        "Stand-in: 1,797 scanned digits of scikit-learn in place of MNIST"
        " (scale tiny; CNN_COURSE_SCALE=small takes the real images).\n"
    )


def test_at_scale_tiny_real_reads_the_disk_but_downloads_nothing(folder, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    with pytest.raises(CourseError, match="nothing is downloaded at scale tiny"):
        data.mnist(source="real")
    write_mnist(folder)
    assert data.mnist(source="real").train.real


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_without_network_the_stand_in_says_so_in_one_line(
    folder, few_drawings, capsys, name
):
    splits = data.load(name)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Stand-in: ")
    assert "no connection; data/README.md says how" in lines[0]
    assert not splits.train.real
    with pytest.raises(CourseError, match="place the file by hand"):
        data.load(name, source="real")
    data.load(name, source="embedded")
    assert 'source="embedded"' in capsys.readouterr().out


def test_digits_look_like_mnist():
    parts = standins.digits()
    images = np.concatenate([parts["train"][0], parts["test"][0]])
    labels = np.concatenate([parts["train"][1], parts["test"][1]])
    assert images.shape == (1797, 1, 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(labels).min() == 174
    assert np.bincount(parts["test"][1]).min() >= 28
    border = images.copy()
    border[:, :, 4:24, 4:24] = 0
    assert border.max() == 0
    assert images.max() == 255
    # Means of the classes tell most digits apart, so the labels are the right ones.
    flat = images.reshape(1797, -1).astype(float)
    means = np.stack([flat[labels == k].mean(0) for k in range(10)])
    nearest = ((flat[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels).mean() > 0.85


def test_fashion_mnists_stand_in_has_the_classes_of_digits():
    splits = data.fashion_mnist(source="embedded")
    assert splits.classes == tuple("0123456789")
    assert splits.train.name == "Fashion-MNIST (stand-in)"


def test_the_stand_ins_never_change():
    # Written down once, so that CI gives the same everywhere.
    val = data.mnist(source="embedded").val
    assert val.labels[:10].tolist() == [3, 5, 1, 4, 6, 9, 7, 0, 2, 8]
    assert (val.mean, val.std) == ((0.1579,), (0.2933,))


def test_drawings_have_the_names_of_cifar10():
    assert standins.DRAWINGS.classes == OBJECTS
    assert sum(n for n, _ in standins.DRAWN.values()) == 6000


def test_drawings_are_made_once_and_kept(folder, few_drawings, monkeypatch):
    first = data.cifar10(source="embedded")
    assert (len(first.train), len(first.val), len(first.test)) == (90, 10, 20)
    kept = list((folder / "cache").iterdir())
    assert len(kept) == 2
    assert all(path.suffix == ".npz" for path in kept)
    monkeypatch.setattr(
        stand_ins, "cifar10", lambda *args, **kwargs: pytest.fail("drawn")
    )
    assert same(data.cifar10(source="embedded").train, first.train)


@pytest.mark.parametrize("damage", [b"", b"not an archive", None])
def test_a_damaged_cache_is_made_again(folder, few_drawings, damage):
    first = data.cifar10(source="embedded")
    for path in (folder / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert same(data.cifar10(source="embedded").train, first.train)
    for path in (folder / "cache").iterdir():
        with np.load(path) as kept:
            assert set(kept) == {"images", "labels"}


def test_a_cache_of_older_drawings_is_not_used(folder, few_drawings, tmp_path_factory):
    data.cifar10(source="embedded")
    old = {path.name for path in (folder / "cache").iterdir()}
    changed = tmp_path_factory.mktemp("code") / "sketches.py"
    changed.write_text("# other drawings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_ins, "__file__", str(changed))
        data.cifar10(source="embedded")
    new = {path.name for path in (folder / "cache").iterdir()}
    assert len(new) == 2  # the older ones are gone
    assert not new & old


def test_a_folder_that_takes_no_cache_does_no_harm(folder, few_drawings):
    (folder / "cache").write_text("a file where the folder should be")
    assert len(data.cifar10(source="embedded").test) == 20
    assert (folder / "cache").is_file()


def test_a_cache_that_cannot_be_written_leaves_nothing(
    folder, few_drawings, monkeypatch
):
    def full(file, **arrays):
        file.write(b"the first bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(standins.np, "savez", full)
    assert len(data.cifar10(source="embedded").test) == 20
    assert list((folder / "cache").iterdir()) == []


# Names


@pytest.mark.parametrize("name", ["mnist", "MNIST", "Fashion-MNIST", "fashion mnist"])
def test_load_knows_a_set_however_it_is_spelt(name):
    assert len(data.load(name, source="embedded").test) == 297


def test_an_unknown_set_is_refused():
    with pytest.raises(
        CourseError, match="mnist, fashion_mnist, cifar10, dogs_vs_cats, or use"
    ):
        data.load("imagenet")


def test_an_unknown_source_is_refused():
    with pytest.raises(CourseError, match="source='internet' is none of auto, real"):
        data.mnist(source="internet")


# Folders of images


def test_a_folder_is_divided_evenly_and_the_same_every_time(tmp_path):
    write_images(tmp_path, 20, ("cat", "dog", "owl"), size=8)
    splits = data.image_folder(tmp_path, size=8)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (42, 9, 9)
    assert splits.classes == ("cat", "dog", "owl")
    for part in (splits.train, splits.val, splits.test):
        counts = part.labels.bincount(minlength=3)
        assert counts.max() == counts.min()
    again = data.image_folder(str(tmp_path), 8)
    assert same(splits.test, again.test)
    assert not same(splits.test, data.image_folder(tmp_path, 8, seed=1).test)
    assert (splits.train.name, splits.train.real) == (tmp_path.name, True)
    every = torch.cat([splits.train.images, splits.val.images, splits.test.images])
    assert len(every.flatten(1).unique(dim=0)) == 60


def test_images_and_labels_belong_together(tmp_path):
    images = write_images(tmp_path, 5, ("cat", "dog"), size=8)
    splits = data.image_folder(tmp_path, 8)
    found = {}
    for part in (splits.train, splits.val, splits.test):
        for image, label in zip(part.images, part.labels, strict=True):
            found[image.permute(1, 2, 0).numpy().tobytes()] = part.classes[label]
    assert found == {image.tobytes(): name for (name, _), image in images.items()}


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (("train",), (14, 3, 3)),
        (("train", "test"), (17, 3, 4)),
        (("train", "val"), (17, 4, 3)),
        (("Train", "Validation", "Test"), (20, 4, 4)),
    ],
)
def test_parts_that_are_given_are_kept(tmp_path, given, sizes):
    for part in given:
        n = 10 if part.lower() == "train" else 2
        write_images(tmp_path / part, n, ("cat", "dog"), size=8)
    splits = data.image_folder(tmp_path, 8)
    assert (len(splits.train), len(splits.val), len(splits.test)) == sizes


def test_two_folders_of_one_part_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        write_images(tmp_path / part, 5, ("cat", "dog"), size=8)
    with pytest.raises(CourseError, match="holds 2 folders for val: val, valid"):
        data.image_folder(tmp_path, 8)


def test_a_class_may_be_called_train(tmp_path):
    write_images(tmp_path, 5, ("bus", "train"), size=8)
    assert data.image_folder(tmp_path, 8).classes == ("bus", "train")


def test_parts_without_classes_are_not_taken_for_classes(tmp_path):
    write_images(tmp_path, 5, ("train", "test"), size=8)  # as Kaggle packs them
    with pytest.raises(CourseError, match="but no folders for the classes in train"):
        data.image_folder(tmp_path)


def test_nested_folders_suffixes_and_files_that_do_not_count(tmp_path, capsys):
    write_images(tmp_path, 5, ("cat", "dog"), size=8)
    (tmp_path / "cat" / "1.png").rename(tmp_path / "cat" / "1.PNG")
    (tmp_path / "dog" / "more" / "deep").mkdir(parents=True)
    (tmp_path / "dog" / "4.png").rename(tmp_path / "dog" / "more" / "deep" / "4.PnG")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".hidden.png"):
        (tmp_path / "cat" / name).write_bytes(b"no image")
    (tmp_path / "README.txt").write_text("not in a class")
    for name in ("__MACOSX", ".git", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    splits = data.image_folder(tmp_path, 8)
    assert splits.classes == ("cat", "dog")
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 10
    assert capsys.readouterr().out == ""


def test_a_missing_folder(tmp_path):
    with pytest.raises(CourseError, match=r"no folder .*nowhere.* Check the path"):
        data.image_folder(tmp_path / "nowhere")


not_windows = pytest.mark.skipif(
    sys.platform == "win32", reason="there, such a path leads nowhere, simply"
)


@pytest.mark.parametrize(
    "path",
    [
        "a\0b",
        pytest.param("a" * 5000, marks=not_windows),
        pytest.param("~nobodyhere/x", marks=not_windows),
    ],
    ids=["NUL", "long", "home"],
)
def test_a_path_that_cannot_be_one(path):
    with pytest.raises(CourseError, match=r"^The path .*\)\. Correct the path, or"):
        data.image_folder(path)


@not_windows
@pytest.mark.parametrize("load", [data.mnist, data.cifar10, data.dogs_vs_cats])
def test_a_data_folder_that_cannot_be_looked_for(folder, monkeypatch, load):
    monkeypatch.setenv("CNN_COURSE_DATA", "a" * 5000)
    with pytest.raises(CourseError, match=r"^CNN_COURSE_DATA 'a+' cannot be looked"):
        load()


def test_an_empty_folder(tmp_path):
    with pytest.raises(CourseError, match=r"holds no folder.*put each one's images"):
        data.image_folder(tmp_path)


def test_one_class(tmp_path):
    write_images(tmp_path, 2, ("cat",))
    with pytest.raises(
        CourseError, match=r"holds one class, cat\. A classifier needs two"
    ):
        data.image_folder(tmp_path)


def test_an_empty_class(tmp_path):
    write_images(tmp_path, 2, ("cat", "dog"))
    (tmp_path / "owl").mkdir()
    with pytest.raises(
        CourseError, match=r"holds no images of owl\. Add some, or remove"
    ):
        data.image_folder(tmp_path)


def test_a_class_that_only_the_test_has(tmp_path):
    write_images(tmp_path / "train", 2, ("cat", "dog"))
    write_images(tmp_path / "test", 2, ("cat", "cow"))
    with pytest.raises(CourseError, match="cow is a class that the training images do"):
        data.image_folder(tmp_path)


def test_too_few_images_to_divide(tmp_path):
    write_images(tmp_path, 1, ("cat", "dog"))
    with pytest.raises(CourseError, match="too few"):
        data.image_folder(tmp_path)


def spoil(folder: Path, n: int = 7) -> None:
    for i in range(n):
        (folder / "cat" / f"bad{i}.jpg").write_bytes(b"no image")
    path = folder / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:100])


def test_all_bad_files_are_counted_and_the_first_ones_named(tmp_path):
    write_images(tmp_path, 10, ("cat", "dog"))
    spoil(tmp_path)
    with pytest.raises(CourseError) as caught:
        data.image_folder(tmp_path)
    message = str(caught.value)
    assert message.startswith("8 of 27 files in")
    assert f"{tmp_path / 'cat' / 'bad0.jpg'}: no image" in message
    assert "bad4.jpg" in message
    assert "bad5.jpg" not in message
    assert "and 3 more" in message
    assert "skip_bad=True" in message


def test_bad_files_are_left_out_on_request_and_said_so_once(tmp_path, capsys):
    write_images(tmp_path, 10, ("cat", "dog"))
    spoil(tmp_path, 1)
    splits = data.image_folder(tmp_path, skip_bad=True)
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 19
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Left out 2 of 21 files: ")
    assert "bad0.jpg: no image" in lines[0]
    assert "1.png: damaged" in lines[0]


def test_photos_of_all_modes_in_one_folder(tmp_path, capsys):
    write_images(tmp_path, 2, ("cat", "dog"))
    photo = Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    photo.convert("CMYK").save(tmp_path / "cat" / "cmyk.jpg")
    photo.convert("L").save(tmp_path / "cat" / "grey.jpg")
    photo.quantize(8).save(tmp_path / "cat" / "palette.png")
    Image.fromarray(np.zeros((40, 60), np.uint16)).save(tmp_path / "dog" / "deep.png")
    photo.convert("RGBA").save(tmp_path / "dog" / "alpha.png")
    for name in ("a.gif", "b.gif"):
        photo.save(
            tmp_path / "dog" / name, save_all=True, append_images=[photo.rotate(90)]
        )
    splits = data.image_folder(tmp_path, 16)
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 11
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("2 frames; the first one is used. So it is with 1 more.")


# Decoded photos


def test_a_flipped_bit_behind_the_pixels_is_noticed_or_changes_nothing(tmp_path):
    path, shape = tmp_path / "photos-1.pixels", (2, 2, 3)
    with pixels.Writer(path, (3, *shape)) as writer:
        for value in range(3):
            writer.add(np.full(shape, value, np.uint8))
        about = {"labels": np.array([0, 1, 0]), "said": np.arange(5, dtype=np.uint8)}
        writer.finish(about)
    whole, noticed = path.read_bytes(), 0
    for place in range(3 * 12, len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            found = pixels.read(path, shape)
            noticed += found is None
            if found:  # in the zip's own notes, such as a date
                assert found.about.keys() == about.keys()
                for name, values in about.items():
                    assert np.array_equal(found.about[name], values)
    assert noticed > 8 * len(whole) / 2


def test_pixels_of_another_number_of_photos_are_not_read(tmp_path):
    path, shape = tmp_path / "photos-1.pixels", (2, 2, 3)
    with pixels.Writer(path, (3, *shape)) as writer:
        for _ in range(3):
            writer.add(np.zeros(shape, np.uint8))
        writer.finish({"labels": np.zeros(3)})
    whole = path.read_bytes()
    end = pixels.END.pack(2, len(whole) - 2 * 12 - pixels.END.size, pixels.SIGN)
    path.write_bytes(whole[: -len(end)] + end)  # the third, as if in the zip
    assert pixels.read(path, shape) is None


def test_what_is_no_array_is_not_read(tmp_path):
    path, packed = tmp_path / "photos-1.pixels", io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.npy", b"no array")
    end = pixels.END.pack(0, packed.tell(), pixels.SIGN)
    path.write_bytes(packed.getvalue() + end)
    assert pixels.read(path, (2, 2, 3)) is None


FORGED = {
    "nothing": {},
    "a label too few": {"labels": np.zeros(11, np.int64)},
    "moments of another shape": {"moments": np.zeros((12, 2), np.int64)},
    "more photos than there are": {"counts": np.array([99, -1, -1])},
    "findings that are none": {"findings": np.arange(9, dtype=np.uint8)},
    "findings of another kind": {
        "findings": np.frombuffer(b'{"files": 12, "problems": [1]}', np.uint8)
    },
    "an array that nobody knows": {"more": np.zeros(3)},
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_cache_of_photos_is_made_again(folder, tmp_path_factory, forged):
    photos = tmp_path_factory.mktemp("photos")
    for name in ("cat/1", "cat/2", *(f"dog/{i}" for i in range(1, 11))):
        file = photos / f"{name}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (len(name) * 20, int(name[4:]) * 20, 99)).save(file)
    right = data.image_folder(photos, 8).train.images
    [path] = (folder / "cache").glob("photos-*.pixels")
    stored = pixels.read(path, (8, 8, 3))
    about = stored.about | FORGED[forged] if FORGED[forged] else {}
    with pixels.Writer(path, (len(stored.pixels), 8, 8, 3)) as writer:
        for one in stored.pixels:
            writer.add(one * 0)
        writer.finish(about)
    assert torch.equal(data.image_folder(photos, 8).train.images, right)


# The real sets

REAL = Path(os.environ.get("CNN_COURSE_DATA", "no folder"))


@pytest.mark.skipif(
    not (REAL / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").is_file(),
    reason="no real MNIST in CNN_COURSE_DATA",
)
def test_real_mnist(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(REAL))
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
    monkeypatch.setenv("CNN_COURSE_DATA", str(REAL))
    train, val, test, _ = data.cifar10(source="real")
    assert train.labels.bincount().tolist() == [4500] * 10
    assert val.labels.bincount().tolist() == [500] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.mean == pytest.approx((0.491, 0.482, 0.447), abs=0.001)
    assert train.std == pytest.approx((0.247, 0.2435, 0.2616), abs=0.001)
