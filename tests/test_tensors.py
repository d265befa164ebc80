"""Files of tensors that would take the memory of the machine, or its time."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from utils.course import CourseError
from utils.models import weights
from utils.training import checkpoint, tensors

DEEP = 60  # a key of 2^60 steps
HOARDS = {
    "a bytearray of 2 GB": b"\x80\x02cbuiltins\nbytearray\nJ"
    + struct.pack("<i", 2**31 - 1)
    + b"\x85R.",
    "a key of tuples in tuples": b"\x80\x02})q\0"
    + b"h\0h\0\x86q\0" * DEEP
    + b"N"
    + b"s.",
    "many such keys": b"\x80\x02}()q\0" + b"h\0h\0\x86q\0" * DEEP + b"Nu.",
    "tuples of three": b"\x80\x02})q\0" + b"h\0h\0h\0\x87q\0" * DEEP + b"Ns.",
    "marked tuples": b"\x80\x02})q\0" + b"(h\0h\0tq\0" * DEEP + b"Ns.",
    "what lies nowhere": b"\x80\x02h\7.",
}
READERS = {"weights": weights.load, "checkpoint": checkpoint.read}


def in_zip(pickled: bytes, path: Path) -> None:
    """A file as torch writes it, with another pickle."""
    torch.save({"weight": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, pickled if name.endswith("data.pkl") else content)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "before 2020"])
@pytest.mark.parametrize("name", HOARDS)
def test_a_hoard_is_refused_before_it_grows(tmp_path, name, packed, reader):
    path = tmp_path / "file.pt"
    if packed:
        in_zip(HOARDS[name], path)
    else:
        path.write_bytes(HOARDS[name])
    with pytest.raises(CourseError, match=r"file\.pt"):
        READERS[reader](path)
    with pytest.raises(pickle.UnpicklingError):
        tensors.load(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_writes_is_read(tmp_path, zipped):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    groups = [{"params": [weight]} for weight in model.parameters()]
    optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.9))  # one tuple, many times
    model(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    path = tmp_path / "file.pt"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    found = tensors.load(path)
    for name, weight in state["model"].items():
        assert torch.equal(found["model"][name], weight)
    assert found["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
