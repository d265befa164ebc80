"""Files that mean harm, and folders that are odd: nothing runs, nothing is lost."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import pytest
import samples
import torch

from experiments import leaderboard
from utils import checkpoint, data
from utils.course import CourseError
from utils.look import Table
from utils.models import pretrained


class Payload:
    """Makes a folder when it is loaded as pickles usually are."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


FORMS = {
    "pickle": pickle.dump,
    "torch": torch.save,
    "torch, old": lambda c, f: torch.save(c, f, _use_new_zipfile_serialization=False),
}
READERS = {"weights": pretrained.load, "checkpoint": checkpoint.read}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reader", READERS)
def test_a_malicious_file_of_tensors_runs_nothing(tmp_path, form, reader):
    victim, path = tmp_path / "victim", tmp_path / "file.pt"
    state = {"format": checkpoint.FORMAT, "weight": Payload(victim)}
    with path.open("wb") as file:
        FORMS[form](state, file)
    with pytest.raises(CourseError, match=r"file\.pt"):
        READERS[reader](path)
    assert [one.name for one in tmp_path.iterdir()] == ["file.pt"]
    if form == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert victim.exists()  # the attack is a real one


def test_a_pickle_in_place_of_a_batch_file_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    samples.cifar10(tmp_path)
    samples.publish(tmp_path, monkeypatch)
    victim, path = tmp_path / "victim", tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": Payload(victim), "labels": []}))
    with pytest.raises(CourseError, match="test_batch is damaged"):
        data.cifar10(source="real")
    assert not victim.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_data_folder_that_may_only_be_read(monkeypatch, capsys):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # pytest's own folders are closed to others
        root = samples.everything(Path(place) / "data", monkeypatch)
        monkeypatch.setenv("CNN_COURSE_DATA", str(root))
        loads = (data.mnist, data.fashion_mnist, data.cifar10)
        for load in loads:  # all that Python imports late is imported now
            load(source="real")
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            folder.chmod(0o555)
        os.seteuid(65534 if (user := os.geteuid()) == 0 else user)  # root may all
        try:
            with tempfile.TemporaryDirectory() as temporary:
                monkeypatch.setattr(tempfile, "tempdir", temporary)
                for load in (*loads, lambda **more: data.dogs_vs_cats(8, **more)):
                    assert load(source="real").train.real
        finally:
            os.seteuid(user)
            root.chmod(0o755)
        assert not (root / "cache").exists()
    assert "decoded photos lie in" in capsys.readouterr().out


# What is shown in a page

HOSTILE = "<script>alert('cat')</script>"


def test_names_with_html_in_them_are_shown_as_they_are():
    rows = [(HOSTILE, HOSTILE, "1", "1"), ("total", "", "1", "1")]
    shown = [Table(rows)._repr_html_()]
    made = leaderboard.runs()[0]
    made["model"]["name"] = made["machine"]["device"] = HOSTILE
    shown.append(leaderboard.table([leaderboard.Row((made,))]))
    for page in shown:
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
