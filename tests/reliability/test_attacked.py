"""Files that mean harm, and folders that are odd: nothing runs, nothing is lost."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import samples
import torch

from experiments import leaderboard
from tools.run import write_page
from utils import checkpoint, data
from utils.course import CourseError
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


def test_a_pickle_in_place_of_a_batch_file_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    samples.cifar10(tmp_path)
    samples.publish(tmp_path, monkeypatch)
    victim, path = tmp_path / "victim", tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": Payload(victim), "labels": []}))
    with pytest.raises(CourseError, match="test_batch is damaged"):
        data.cifar10(source="real")
    assert not victim.exists()


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
def test_a_data_folder_that_may_only_be_read(monkeypatch, capsys):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # pytest's own folders are closed to others
        root = samples.everything(Path(place) / "data", monkeypatch)
        monkeypatch.setenv("CNN_COURSE_DATA", str(root))
        loads = (data.mnist, data.fashion_mnist, data.cifar10)
        for load in loads:  # all that Python imports late is imported now
            load(source="real")
        with read_only(root), tempfile.TemporaryDirectory() as temporary:
            monkeypatch.setattr(tempfile, "tempdir", temporary)
            with pytest.raises(OSError, match="denied"):
                (root / "new").touch()
            for load in (*loads, lambda **more: data.dogs_vs_cats(8, **more)):
                assert load(source="real").train.real
        assert not (root / "cache").exists()
    assert "decoded photos lie in" in capsys.readouterr().out


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
    notebook = nbformat.v4.new_notebook(cells=[cell])
    write_page(notebook, tmp_path / "page.html", tmp_path)
    shown.append((tmp_path / "page.html").read_text(encoding="utf-8"))
    for page in shown:
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
