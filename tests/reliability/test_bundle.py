"""A bundle for a classroom: packed once, verified, and never half of one thing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from PIL import Image

from tools import bundle
from tools import bundle_command as command
from utils import data
from utils.course import ROOT, CourseError
from utils.datasets import manifest
from utils.models import weights

SETS = {
    "MNIST/raw/train-images-idx3-ubyte": data.mnist,
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": data.fashion_mnist,
    "cifar-10-batches-py/data_batch_3": data.cifar10,
    "dogs_vs_cats/train/dog.7.jpg": lambda **options: data.dogs_vs_cats(8, **options),
}
HERE = 4 + 4 + 6 + 20 + 1  # files that `samples.everything` makes


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The data folder of whoever packs, with everything but four networks' weights."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setattr(bundle, "IMAGENET", ("squeezenet1_1", "alexnet"))
    return samples.everything(tmp_path / "data")


@pytest.fixture
def packed(root, tmp_path, monkeypatch) -> Path:
    """A bundle, used in place of the data folder; nothing else is there."""
    bundle.pack(tmp_path / "bundle", online=False)
    shutil.rmtree(root)
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "bundle"))
    monkeypatch.setattr(manifest, "_verified", {})
    monkeypatch.setattr("requests.get", lambda *a, **k: pytest.fail("a download"))
    return tmp_path / "bundle"


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_everything_is_packed_and_what_is_not_is_named(root, tmp_path, capsys):
    missing = bundle.pack(tmp_path / "new" / "bundle", online=False)
    assert list(missing) == ["ImageNet: alexnet"]
    assert "alexnet-owt-7be5be79.pth" in str(missing["ImageNet: alexnet"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:24].strip() for line in lines] == [
        "MNIST",
        "Fashion-MNIST",
        "CIFAR-10",
        "Dogs vs. Cats",
        "ImageNet: squeezenet1_1",
        "ImageNet: alexnet",
    ]
    assert "20 files" in lines[3]
    assert lines[5].endswith("MISSING: downloads are switched off")
    sums = manifest.read(tmp_path / "new" / "bundle")
    assert len(sums) == HERE
    for name in sums:
        packed, original = tmp_path / "new" / "bundle" / name, root / name
        assert packed.read_bytes() == original.read_bytes()


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_the_list_is_one_that_sha256sum_checks(packed):
    words = ["sha256sum", "--check", "--strict", "--quiet", manifest.NAME]
    subprocess.run(words, cwd=packed, check=True)


def test_a_bundle_is_all_that_is_needed(packed):
    for load in SETS.values():
        assert load(source="real").train.real
    assert weights.imagenet("squeezenet1_1").state_dict


@pytest.mark.parametrize("name", SETS)
def test_one_flipped_byte_is_refused_by_the_files_name(packed, name):
    flip(packed / name)
    for source in ("real", "auto"):  # no stand-in hides it
        with pytest.raises(CourseError, match=f"damaged: {name} is not as it was pac"):
            SETS[name](source=source)
    for other in set(SETS) - {name}:
        assert SETS[other](source="real").train.real


def test_one_flipped_byte_of_the_weights_is_refused(packed):
    flip(packed / "weights" / "squeezenet1_1-imagenet.pth")
    with pytest.raises(
        CourseError, match=r"squeezenet1_1-imagenet\.pth is not as it was"
    ):
        weights.imagenet("squeezenet1_1")


def test_a_file_that_is_missing_is_refused(packed):
    (packed / "dogs_vs_cats" / "train" / "cat.3.jpg").unlink()
    with pytest.raises(CourseError, match=r"dogs_vs_cats/train/cat\.3\.jpg is missing"):
        data.dogs_vs_cats(8)


def test_each_file_is_read_once_to_be_verified(packed, monkeypatch):
    read: list[str] = []
    known = manifest.sha256_of
    monkeypatch.setattr(
        manifest, "sha256_of", lambda path: read.append(path.name) or known(path)
    )
    for _ in range(2):
        data.mnist(source="real")
    monkeypatch.setattr(manifest, "_verified", {})  # as in another process
    data.mnist(source="real")
    assert len(read) == 4
    images = packed / "MNIST" / "raw" / "train-images-idx3-ubyte"
    flip(images)
    with pytest.raises(CourseError, match="train-images"):
        data.mnist(source="real")
    assert len(read) == 5  # the others have not changed


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[1]", b"{", b'{"MNIST": 1}'),
        b"[" * 100_000,
        b'{"MNIST": %s}' % (b"[" * 900 + b"]" * 900),
    ],
    ids=["empty", "list", "half", "number", "deep", "rather deep"],
)
def test_a_damaged_memory_of_what_was_verified_does_no_harm(
    packed, monkeypatch, content
):
    data.mnist(source="real")
    for path in (packed / "cache").glob("verified*"):
        path.write_bytes(content)
    monkeypatch.setattr(manifest, "_verified", {})
    assert data.mnist(source="real").train.real


@pytest.mark.parametrize(
    "line",
    [
        "no checksum",
        *(f"{'0' * 64}  {name}" for name in ("../secret", "/etc/passwd", ".")),
        *(f"{'0' * 64}  {name}" for name in ("..\\..\\secret", "\\secret", "C:secret")),
    ],
)
def test_a_damaged_or_forged_list_is_refused(packed, line):
    with (packed / manifest.NAME).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(CourseError, match="SHA256SUMS is damaged: line 38 is no"):
        data.mnist()


def test_a_name_that_no_file_can_have_is_missing_and_shown(packed):
    with (packed / manifest.NAME).open("a") as file:
        file.write(f"{'0' * 64}  MNIST/raw/a\0b\n")
    with pytest.raises(CourseError, match=r"damaged: MNIST/raw/a\\x00b is missing"):
        data.mnist()


@pytest.mark.skipif(sys.platform == "win32", reason="it is not there, simply")
def test_a_folder_that_cannot_be_looked_for_is_no_bundle(root):
    path = Path("a" * 5000)
    for call in (bundle.check, bundle.pack):
        with pytest.raises(CourseError, match="Correct the path, or change"):
            call(path)


@pytest.mark.skipif(sys.platform == "win32", reason="anybody's home has a path there")
def test_the_home_of_nobody_takes_no_bundle(root, capsys):
    assert command.main(["bundle", "~nobodyhere/x", "--offline"]) == 2
    assert "'~nobodyhere/x' cannot be looked into" in capsys.readouterr().err


# Packing into places that are not made for it


def test_packing_twice_changes_nothing(root, tmp_path, capsys):
    dest = tmp_path / "bundle"
    bundle.pack(dest, online=False)
    before = {path: path.stat().st_mtime_ns for path in dest.rglob("*.*")}
    (dest / "notes.txt").write_text("mine")
    capsys.readouterr()
    bundle.pack(dest, online=False)
    assert capsys.readouterr().out.count("there already") == 5
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (dest / "notes.txt").read_text() == "mine"


def test_a_damaged_file_of_a_bundle_is_packed_again(root, tmp_path):
    dest = tmp_path / "bundle"
    bundle.pack(dest, online=False)
    flip(dest / "MNIST" / "raw" / "t10k-labels-idx1-ubyte")
    assert len(bundle.check(dest)) == 1
    bundle.pack(dest, online=False)
    assert bundle.check(dest) == []


def test_a_folder_with_other_things_is_not_touched(root, tmp_path):
    dest = tmp_path / "holiday"
    Image.new("RGB", (8, 8)).save(samples.write(dest / "1.png", b""))
    before = sorted(dest.rglob("*"))
    with pytest.raises(CourseError, match=r"holds other things.*Nothing was changed"):
        bundle.pack(dest, online=False)
    assert sorted(dest.rglob("*")) == before


def test_a_first_writing_that_was_killed_is_no_other_thing(root, tmp_path):
    dest = tmp_path / "bundle"
    samples.write(dest / f"{manifest.NAME}.part", b"# Data of the cou")
    bundle.pack(dest, online=False)
    assert bundle.check(dest) == []
    assert not list(dest.glob("*.part"))


def test_a_file_in_the_way_is_not_overwritten(root, tmp_path):
    dest = tmp_path / "bundle"
    manifest.write(samples.write(dest / manifest.NAME, b"").parent, {})
    mine = samples.write(dest / "MNIST" / "raw" / "train-labels-idx1-ubyte", b"mine")
    with pytest.raises(CourseError, match=r"train-labels-idx1-ubyte is in the way"):
        bundle.pack(dest, online=False)
    assert mine.read_bytes() == b"mine"


def test_the_data_folder_itself_is_no_place_for_a_bundle(root):
    with pytest.raises(CourseError, match="is the data folder itself"):
        bundle.pack(root, online=False)


def test_too_little_room_is_said_before_anything_is_copied(root, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(bundle.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CourseError, match=r"needs \d MB more in .*Nothing was changed"):
        bundle.pack(tmp_path / "bundle", online=False)
    assert list((tmp_path / "bundle").iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_is_packed(root, tmp_path, monkeypatch):
    dest, known = tmp_path / "bundle", Path.replace

    def full(path, target):
        if path.name == "data_batch_4.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return known(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(CourseError, match=r"\(No space left on device\)\. What is"):
            bundle.pack(dest, online=False)
    assert not list(dest.rglob("*.part"))
    assert len(manifest.read(dest)) == 8  # MNIST and Fashion-MNIST
    bundle.pack(dest, online=False)
    assert len(manifest.read(dest)) == HERE
    assert bundle.check(dest) == []


def test_interrupted_and_packed_again_it_is_whole(root, tmp_path, monkeypatch):
    dest, known = tmp_path / "bundle", bundle._place

    def stop(source, *others):
        if source.name == "cat.5.jpg":
            raise KeyboardInterrupt
        return known(source, *others)

    with monkeypatch.context() as patch:
        patch.setattr(bundle, "_place", stop)
        assert command.main(["bundle", str(dest), "--offline"]) == 130
    assert len(manifest.read(dest)) == 14
    assert command.main(["bundle", str(dest), "--offline"]) == 1  # a network is missing
    assert bundle.check(dest) == []


# The command


def test_the_command_says_what_is_missing_and_what_to_do(root, tmp_path, capsys):
    dest = tmp_path / "bundle"
    assert command.main(["bundle", str(dest), "--offline"]) == 1
    said = capsys.readouterr().out
    assert f"The bundle is in {dest}. Set CNN_COURSE_DATA to that folder." in said
    assert "Leave out --offline and run again, or place the file by hand" in said
    assert command.main(["check", str(dest)]) == 0
    flip(dest / "MNIST" / "raw" / "t10k-labels-idx1-ubyte")
    assert command.main(["check", str(dest)]) == 1
    said = capsys.readouterr().out
    assert f"{HERE - 1} of {HERE} files in {dest} are as they were packed." in said
    assert "MNIST/raw/t10k-labels-idx1-ubyte is not as it was packed" in said
    assert command.main(["check", str(root)]) == 2
    assert "is no bundle" in capsys.readouterr().err


def test_the_command_runs_as_a_module():
    words = [sys.executable, "-m", "utils.data", "--help"]
    ended = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, env=os.environ
    )
    assert ended.returncode == 0
    assert "for a room without network" in ended.stdout


def test_all_imagenet_weights_of_the_lectures_are_packed():
    names = set(bundle.IMAGENET)
    source = (ROOT / "notebooks" / "source" / "09_dogs_vs_cats.py").read_text("utf-8")
    for name in ("alexnet", "vgg16", "resnet34", "googlenet"):
        assert f'"{name}' in source
    assert names == {"squeezenet1_1", "alexnet", "vgg16", "resnet34", "googlenet"}
