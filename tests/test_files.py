"""Files that are replaced as a whole, and names from outside on any terminal."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from utils import files, photos
from utils.course import ROOT


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("there", [None, b"old"])
def test_the_new_file_takes_the_place_of_the_old(tmp_path, there):
    path = tmp_path / "run.json"
    if there:
        path.write_bytes(there)
    with files.replacing(path) as file:
        file.write(b"new")
        assert (path.read_bytes() if there else path.exists()) == (there or False)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_is_begun_and_not_finished_leaves_no_trace(tmp_path, error):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")

    def write() -> None:
        with files.replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["run.json"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    target, path = tmp_path / "disk" / "file", tmp_path / "run.json"
    try:
        path.symlink_to(Path("disk") / "file")
    except OSError:
        pytest.skip("this account makes no links")
    with files.replacing(path) as file:
        file.write(b"new")
    assert path.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "disk") == ["file"]


KILLED = """
import os, signal, sys
from pathlib import Path
from utils import files
with files.replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_killed_process_leaves_is_written_over(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == ["run.json", "run.json.part"]
    assert path.read_bytes() == b"old"
    with files.replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="no folder can be opened there")
def test_a_power_cut_finds_one_of_them_whole(tmp_path, monkeypatch):
    """What the disk was told to keep, and when: a cut may come between any two steps.

    The content must be there before the name is, and the name before we go on.
    """
    path, told = tmp_path / "run.json", []
    force, rename = os.fsync, Path.replace

    def note_force(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        told.append(("force", size if size == 100_000 else "the folder"))
        force(descriptor)

    def note_rename(part: Path, target: Path) -> Path:
        told.append(("rename", target.name))
        return rename(part, target)

    monkeypatch.setattr(os, "fsync", note_force)
    monkeypatch.setattr(Path, "replace", note_rename)
    with files.replacing(path) as file:
        file.write(b"x" * 100_000)
    expected = [("force", 100_000), ("rename", "run.json"), ("force", "the folder")]
    assert told == expected


@pytest.mark.parametrize(
    "name",
    ["M\udcfcller.png", "a\nb.png", "\x1b[31mred.png", "x" * 60_000, "\u202egpj"],
)
def test_a_name_from_outside_is_one_short_line_of_plain_text(name):
    text = photos.shown(name)
    assert text.isprintable()
    assert 0 < len(text) < 600
    assert photos.shown("Zoë/猫 1.jpg is no image.") == "Zoë/猫 1.jpg is no image."
