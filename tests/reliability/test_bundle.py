"""A bundle for a classroom: packed once, verified, and never half of one thing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import samples

from tools import bundle
from utils import data
from utils.course import ROOT, CourseError
from utils.models import pretrained

HERE = 8 + 8 + 7 + 20 + 1  # files that `samples.everything` makes
LOADS = (data.mnist, data.fashion_mnist, data.cifar10)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The data folder of whoever packs, with everything but four networks' weights."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setattr(bundle, "IMAGENET", ("squeezenet1_1", "alexnet"))
    return samples.everything(tmp_path / "data", monkeypatch)


@pytest.fixture
def packed(root, tmp_path, monkeypatch) -> Path:
    """A bundle, used in place of the data folder; nothing else is there."""
    bundle.pack(tmp_path / "bundle", online=False)
    shutil.rmtree(root)
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "bundle"))
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
    names = [line[:24].strip() for line in lines]
    assert names == list(bundle.items(root))
    assert "20 files" in lines[3]
    assert lines[5].endswith("MISSING: nothing is downloaded")
    sums = bundle.read(tmp_path / "new" / "bundle")
    assert len(sums) == HERE
    for name in sums:
        copy = tmp_path / "new" / "bundle" / name
        assert copy.read_bytes() == (root / name).read_bytes()


def test_a_bundle_is_all_that_is_needed(packed):
    for load in (*LOADS, lambda **more: data.dogs_vs_cats(8, **more)):
        assert load(source="real").train.real
    assert pretrained.imagenet("squeezenet1_1").state_dict
    if shutil.which("sha256sum"):  # its list is one that this program checks, too
        words = ["sha256sum", "--check", "--strict", "--quiet", bundle.NAME]
        subprocess.run(words, cwd=packed, check=True)


def test_one_flipped_byte_or_a_missing_file_is_named(packed, capsys):
    names = sorted(bundle.read(packed))
    for name in names[:: len(names) // 10]:
        whole = (packed / name).read_bytes()
        flip(packed / name)
        assert bundle.main(["check", str(packed)]) == 1
        said = capsys.readouterr().out
        assert f"{HERE - 1} of {HERE} files in {packed} are as they were pa" in said
        assert f"{name} is not as it was packed" in said
        (packed / name).unlink()
        assert bundle.check(packed) == [f"{name} is missing"]
        (packed / name).write_bytes(whole)
    assert bundle.main(["check", str(packed)]) == 0
    with (packed / bundle.NAME).open("a") as file:
        file.write("no checksum\n")
    assert bundle.main(["check", str(packed)]) == 2
    assert f"is damaged: line {HERE + 1} is no checksum" in capsys.readouterr().err


# Packing into places that are not made for it


def test_packing_twice_changes_nothing_and_mends_what_is_damaged(root, tmp_path):
    dest = tmp_path / "bundle"
    bundle.pack(dest, online=False)
    before = {p: p.stat().st_mtime_ns for p in dest.rglob("*.*") if p.is_file()}
    bundle.pack(dest, online=False)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    flip(dest / "MNIST" / "raw" / "t10k-labels-idx1-ubyte")
    assert len(bundle.check(dest)) == 1
    bundle.pack(dest, online=False)
    assert bundle.check(dest) == []


def test_places_that_take_no_bundle(root, tmp_path, monkeypatch):
    samples.write(tmp_path / "holiday" / "1.png", b"mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CourseError, match=r"holds other things.*Nothing was changed"):
        bundle.pack(tmp_path / "holiday", online=False)
    with pytest.raises(CourseError, match="is the data folder itself"):
        bundle.pack(root, online=False)
    assert sorted(tmp_path.rglob("*")) == before
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(bundle.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CourseError, match=r"needs \d MB more, and 0 MB are free"):
        bundle.pack(tmp_path / "bundle", online=False)
    assert not list((tmp_path / "bundle").iterdir())


def test_interrupted_it_is_completed_later(root, tmp_path, monkeypatch, capsys):
    dest, known = tmp_path / "bundle", Path.replace

    def stop(path, target):
        if path.name == "data_batch_4.part":
            raise KeyboardInterrupt
        return known(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        assert bundle.main(["pack", str(dest), "--offline"]) == 130
    capsys.readouterr()
    assert not list(dest.rglob("*.part"))
    assert len(bundle.read(dest)) == 16  # MNIST and Fashion-MNIST
    assert bundle.main(["pack", str(dest), "--offline"]) == 1  # a network is missing
    said = capsys.readouterr().out
    assert f"The bundle is in {dest}. Set CNN_COURSE_DATA to that folder." in said
    assert "Mend that, or place the file by hand" in said
    assert bundle.check(dest) == []


# The command


def test_a_folder_that_is_no_bundle_is_named(tmp_path, capsys):
    assert bundle.main(["check", str(tmp_path / "数字")]) == 2
    assert "is no bundle" in capsys.readouterr().err


def test_all_imagenet_weights_of_the_lectures_are_packed():
    source = (ROOT / "notebooks" / "source" / "09_dogs_vs_cats.py").read_text("utf-8")
    for name in ("alexnet", "vgg16", "resnet34", "googlenet"):
        assert f'"{name}' in source
        assert name in bundle.IMAGENET
