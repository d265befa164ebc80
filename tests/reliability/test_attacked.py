"""Files and folders that mean harm, or are odd: nothing runs, fills up, or escapes."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import shutil
import struct
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import samples
import torch
from PIL import Image

from experiments import leaderboard
from tools import pages
from utils import checkpoint, data
from utils.course import CourseError
from utils.datasets import cifar, readers
from utils.datasets.sources import Zip
from utils.look import Table
from utils.models import weights


class Payload:
    """Makes a folder when it is loaded as pickles usually are."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


def plain(content, file, protocol: int) -> None:
    file.write(pickle.dumps(content, protocol))


def as_tar(content, file) -> None:
    """torch's format of before 2016, which older versions trust."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("pickle", "storages", "tensors"):
            member, inner = tarfile.TarInfo(name), pickle.dumps(content, 2)
            member.size = len(inner)
            archive.addfile(member, io.BytesIO(inner))


FORMS = {f"protocol {p}": lambda c, f, p=p: plain(c, f, p) for p in (0, 2, 5)} | {
    "torch": torch.save,
    "torch, old": lambda c, f: torch.save(c, f, _use_new_zipfile_serialization=False),
    "tar": as_tar,
}
READERS = {"weights": weights.load, "checkpoint": checkpoint.read}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reader", READERS)
def test_a_malicious_file_of_tensors_runs_nothing(tmp_path, form, reader):
    victim, path = tmp_path / "victim", tmp_path / "file.pt"
    state = {"format": checkpoint.FORMAT, "weight": Payload(victim)}
    with path.open("wb") as file:
        FORMS[form](state, file)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CourseError, match=r"file\.pt"):
        READERS[reader](path)
    assert sorted(tmp_path.iterdir()) == before
    if form.startswith("protocol"):
        pickle.loads(path.read_bytes())  # the attack is a real one
    elif form != "tar":
        torch.load(path, weights_only=False)
    assert victim.exists() == (form != "tar")


def test_a_malicious_batch_of_cifar10_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    samples.cifar10(tmp_path)
    victim, path = tmp_path / "victim", tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": Payload(victim), "labels": []}))
    with pytest.raises(CourseError, match=r"test_batch in .* is no batch file"):
        data.cifar10(source="real")
    assert not victim.exists()


def tuples(depth: int) -> bytes:
    """A tuple of a tuple twice, and so on: its hash takes 2^depth steps."""
    return b")" + b"2\x86" * depth


HOARDS = {  # pickles of a few bytes that take the memory of the machine, or for ever
    "memo": b"\x80\x04Nr" + struct.pack("<I", 2**31 - 1) + b".",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**34) + b".",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**34) + b".",
    "keys": b"\x80\x04}" + tuples(60) + b"Ns.",
    "many keys": b"\x80\x04}(" + tuples(60) + b"Nu.",
    "pairs": b"\x80\x04(" + tuples(60) + b"Nd.",
    "set": b"\x80\x04\x8f(" + tuples(60) + b"\x90.",
    "frozen set": b"\x80\x04(" + tuples(60) + b"\x91.",
    "function": b"\x80\x04c_codecs\nencode\n}X\4\0\0\0nameNsb.",
}


@pytest.mark.parametrize("name", HOARDS)
def test_a_pickle_that_hoards_is_refused(name):
    with pytest.raises(CourseError, match="is no batch file of CIFAR-10"):
        cifar.read_cifar_batch(io.BytesIO(HOARDS[name]), "batch")


# Archives that unpack to far more than they are

BOMB = 3 * 10**7  # bytes that a bomb unpacks to


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """What Python takes meanwhile is a small part of what a bomb would unpack to."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < BOMB / 4
    finally:
        tracemalloc.stop()


def lying(method: int, name: str) -> bytes:
    """A zip of one bomb, which declares the size of a small photo."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr(name, bytes(BOMB))
    true, told = struct.pack("<I", BOMB), struct.pack("<I", 5000)
    assert content.getvalue().count(true) == 2  # with the member, and in the list
    return content.getvalue().replace(true, told)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("inner", ["", "train.zip"])
def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path, method, inner):
    path = samples.write(tmp_path / "x.zip", lying(method, inner or "cat.jpg"))
    with little_memory():
        source = Zip(path, lambda name: ("train", 0), inner=inner)
        with pytest.raises(CourseError, match=r"CRC-32|compression method"):
            source.open(source.photos[0])


def test_weights_that_would_unpack_to_gigabytes_are_refused(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"weight": torch.zeros(10**6)}, path)
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for read in READERS.values():
        with pytest.raises(CourseError, match=r"bomb\.pt"):
            read(tmp_path / "bomb.pt")
    assert len(weights.load(path)["weight"]) == 10**6


def test_a_gzip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST", 10**5)
    path = samples.write(tmp_path / "images", gzip.compress(bytes(BOMB)))
    with little_memory(), pytest.raises(CourseError, match="unpacks to more than 0 MB"):
        readers.read_idx(path)


def test_a_batch_that_unpacks_to_more_than_any_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(cifar, "LARGEST", 10**5)
    bomb = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(bytes(BOMB))))
    with little_memory(), pytest.raises(CourseError, match="more than 0 MB"):
        cifar.read_cifar_batch(bomb, "batch")


@pytest.mark.parametrize("name", ["cifar-10-batches-py/data_batch_1", "padding"])
def test_a_tar_bomb_is_not_unpacked(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cifar, "LARGEST", 10**5)
    path = tmp_path / "c.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for _ in range(3):
            member = tarfile.TarInfo(name)
            member.size = BOMB
            archive.addfile(member, io.BytesIO(bytes(BOMB)))
    with little_memory(), pytest.raises(CourseError, match="more than 0 MB"):
        cifar.read_cifar10(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG that claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(10**5)))
    parts = [chunk(b"IHDR", head), *more, rows, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BOMBS = {
    "wide": png(60_000, 60_000),
    "endless": png(2**31 - 1, 2**31 - 1),
    "text": png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8)))),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_image_bomb_is_left_out(tmp_path, monkeypatch, capsys, name, packed):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    samples.photos(tmp_path)
    folder = tmp_path / "dogs_vs_cats"
    samples.write(folder / "train" / "cat.bomb.png", BOMBS[name])
    if packed:
        with zipfile.ZipFile(folder / "train.zip", "w") as archive:
            for file in sorted((folder / "train").iterdir()):
                archive.write(file, f"train/{file.name}")
        shutil.rmtree(folder / "train")
    splits = data.dogs_vs_cats(8, source="real")
    assert len(splits.train) + len(splits.val) + len(splits.test) == 20
    assert "Left out 1 of 21 files" in capsys.readouterr().out


# Folders as students have them


def read_all(root: Path) -> None:
    """Every loader that reads from the data folder."""
    for load in (data.mnist, data.fashion_mnist, data.cifar10):
        assert load(source="real").train.real
    assert data.dogs_vs_cats(8, source="real").train.real
    assert not data.cifar10(source="embedded").train.real
    found = weights.imagenet("squeezenet1_1")
    assert found.source.is_relative_to(root)


@pytest.fixture
def few_drawings(monkeypatch):
    monkeypatch.setattr(
        "utils.datasets.standins.DRAWN", {"train": (50, 0), "test": (20, 1)}
    )


@pytest.mark.parametrize("name", ["my data", "Übung 数据", "50% #1 [old] 'a' & $b"])
def test_a_data_folder_with_any_name(tmp_path, monkeypatch, few_drawings, name):
    root = samples.everything(tmp_path / name)
    monkeypatch.setenv("CNN_COURSE_DATA", str(root))
    read_all(root)
    read_all(root)  # from the cache


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_data_folder_behind_a_link(tmp_path, monkeypatch, few_drawings):
    samples.everything(tmp_path / "real")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real", target_is_directory=True)
    monkeypatch.setenv("CNN_COURSE_DATA", str(link))
    read_all(link)


@contextlib.contextmanager
def read_only(root: Path) -> Iterator[None]:
    """Nobody may write to the folder, not even who runs the tests as root."""
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    as_root = os.geteuid() == 0
    try:
        if as_root:
            os.seteuid(65534)
        yield
    finally:
        if as_root:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_data_folder_that_may_only_be_read(monkeypatch, few_drawings, capsys):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # pytest's own folders are closed to others
        root = samples.everything(Path(place) / "data")
        monkeypatch.setenv("CNN_COURSE_DATA", str(root))
        read_all(root)  # all that Python imports late is imported now
        shutil.rmtree(root / "cache")
        with read_only(root):
            with pytest.raises(OSError, match="denied"):
                (root / "new").touch()
            read_all(root)
        assert not (root / "cache").exists()
    assert "the decoded photos stay in memory" in capsys.readouterr().out


# What is shown in a page

HOSTILE = "<script>alert('cat')</script>"


def test_names_with_html_in_them_are_shown_as_they_are(tmp_path):
    shown = [
        Table(
            [(HOSTILE, HOSTILE, "1", "1"), ("total", "", "1", "1")], 1, 1
        )._repr_html_(),
    ]
    made = leaderboard.read(next(leaderboard.RESULTS.glob("*.json")))
    made["model"]["name"] = made["machine"]["device"] = HOSTILE
    shown.append(leaderboard.Table([leaderboard.Row((made,))])._repr_html_())
    cell = nbformat.v4.new_code_cell("print(splits.classes)")
    cell.outputs = [
        nbformat.v4.new_output("stream", text=HOSTILE),
        nbformat.v4.new_output("execute_result", {"text/plain": f"({HOSTILE!r},)"}),
        nbformat.v4.new_output("error", ename="E", evalue=HOSTILE, traceback=[HOSTILE]),
    ]
    pages.write(
        nbformat.v4.new_notebook(cells=[cell]), tmp_path / "page.html", tmp_path
    )
    shown.append((tmp_path / "page.html").read_text(encoding="utf-8"))
    for page in shown:
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_class_may_be_called_anything(tmp_path):
    from utils import pictures

    names = ("<b>cat</b>", "a$b$", "$\\frac$", "50 %")
    for name in names:
        for i in range(4):
            path = tmp_path / name.replace("/", "") / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), "red").save(path)
    splits = data.image_folder(tmp_path, 8)
    figure = pictures.image_grid(
        splits.train.images[:4], [splits.classes[i] for i in range(4)]
    )
    figure.figure.canvas.draw()
    logits = torch.eye(len(splits.classes))
    shown = pictures.confusion(
        logits, torch.arange(len(splits.classes)), splits.classes
    )
    shown.figure.canvas.draw()


def test_what_was_tried(request, keep):
    """Comes last: the figure counts for a run in which all else has passed."""
    if request.session.testsfailed:
        pytest.skip("another test has failed")
    pickles = len(FORMS) * len(READERS) + 1
    bombs = 2 * len(BOMBS) + 9
    keep(
        "attacked",
        f"{pickles} malicious files of tensors and of CIFAR-10, {len(HOARDS)} pickles"
        f" that hoard, {bombs} bombs: nothing ran, unpacked or was taken",
        pickles=pickles,
        hoards=len(HOARDS),
        bombs=bombs,
    )
