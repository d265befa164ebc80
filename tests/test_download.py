"""Downloads, against a server on this machine: good, missing, altered, broken, slow.

tests/reliability/test_bad_network.py has the rest of what a network can do.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from server import CONTENT, NAME, running

from utils import course
from utils.datasets import download, transfer
from utils.datasets.download import DownloadError, Remote, fetch


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # no proxy stands in between
    monkeypatch.setattr(download, "PAUSE", 0)
    with running() as server:
        yield server


@pytest.fixture
def remote(server):
    """Make a remote file from kinds of mirrors."""
    return server.remote


def test_a_good_mirror_gives_the_file(remote, server, tmp_path, capfd):
    path = fetch(remote("good", "missing"), tmp_path / "new" / "folder")
    assert path == (tmp_path / "new" / "folder" / NAME).resolve()
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == [NAME]
    assert server.asked == [f"/good/{NAME}"]
    assert capfd.readouterr() == ("", "")  # too short to need a bar


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_others_may_read_the_file(remote, tmp_path):
    assert fetch(remote("good"), tmp_path).stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_is_not_downloaded(remote, server, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert fetch(remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize("bad", ["missing", "altered", "truncated"])
def test_the_next_mirror_is_tried(remote, server, tmp_path, bad):
    assert fetch(remote(bad, "good", "missing"), tmp_path).read_bytes() == CONTENT
    again = [bad] * (bad == "truncated")  # half of it came: one more try
    assert server.kinds() == [bad, *again, "good"]
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_when_all_mirrors_fail_each_is_named_with_its_reason(remote, tmp_path):
    dead = "http://127.0.0.1:9/nobody-listens"
    three = remote("missing", "altered", "truncated")
    all_bad = Remote(three.name, three.sha256, (*three.urls, dead))
    with pytest.raises(DownloadError) as caught:
        fetch(all_bad, tmp_path)
    message = str(caught.value)
    for url in all_bad.urls:
        assert url in message
    assert "answers 404 Not Found" in message
    assert "its SHA-256 differs" in message
    assert "breaks off" in message
    assert "no connection" in message
    assert f"place the file by hand: {(tmp_path / NAME).resolve()}" in message
    assert caught.value.reason == "answers 404 Not Found"
    assert isinstance(caught.value, course.CourseError)
    assert "0.1 MB have arrived, and the next try goes on from them" in message
    (part,) = tmp_path.iterdir()
    assert part.name == f"{NAME}.part"
    assert CONTENT.startswith(part.read_bytes())


@pytest.mark.parametrize("damaged", [CONTENT[:100], b"?" + CONTENT[1:], b""])
def test_a_damaged_file_is_kept_aside_and_fetched_again(
    remote, tmp_path, capsys, damaged
):
    (tmp_path / NAME).write_bytes(damaged)
    path = fetch(remote("good"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert (tmp_path / f"{NAME}.corrupt").read_bytes() == damaged
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "is damaged" in lines[0]
    assert f"{NAME}.corrupt" in lines[0]


def test_a_damaged_file_is_never_used_even_without_network(remote, tmp_path):
    (tmp_path / NAME).write_bytes(b"altered")
    with pytest.raises(DownloadError):
        fetch(remote("missing"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [f"{NAME}.corrupt"]


def test_a_damaged_file_that_cannot_be_moved(remote, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    (tmp_path / NAME).write_bytes(b"altered")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DownloadError, match="Replace it by hand"):
        fetch(remote("good"), tmp_path)


def test_offline_nothing_is_asked_for(remote, server, tmp_path):
    with pytest.raises(DownloadError, match="nothing is downloaded at scale tiny"):
        fetch(remote("good"), tmp_path, online=False)
    assert server.asked == []


def test_no_network_fails_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    dead = ("http://127.0.0.1:9/nobody-listens",) * 3
    began = time.monotonic()
    with pytest.raises(DownloadError, match="no connection"):
        fetch(Remote(NAME, "0" * 64, dead), tmp_path)
    assert time.monotonic() - began < 10


def test_a_slow_mirror_gives_way_to_the_next(remote, server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.1)
    monkeypatch.setattr(transfer, "SLOW", 10**9)
    monkeypatch.setattr(transfer, "CHUNK", 2**14)
    assert fetch(remote("slow", "good"), tmp_path).read_bytes() == CONTENT
    assert server.kinds() == ["slow", "good"]


def test_a_slow_mirror_is_better_than_none(remote, server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.1)
    monkeypatch.setattr(transfer, "SLOW", 10**9)
    monkeypatch.setattr(transfer, "CHUNK", 2**14)
    assert fetch(remote("slow", "missing"), tmp_path).read_bytes() == CONTENT
    asked = server.kinds()
    assert asked == ["slow", "missing", "slow"]


def test_a_file_where_the_folder_should_be(remote, tmp_path):
    (tmp_path / "raw").write_text("not a folder")
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch(remote("good"), tmp_path / "raw")


def test_the_table_is_complete():
    alone = download.DOGS_VS_CATS  # Microsoft's server has no mirror
    files = (*download.MNIST, *download.FASHION_MNIST, download.CIFAR10, alone)
    assert len({file.sha256 for file in files}) == 10
    for file in files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size > 4000
        assert len(file.urls) >= 2 or file is alone
        assert all(url.endswith("/" + file.name) for url in file.urls)


@pytest.mark.parametrize("file", download.MNIST, ids=lambda file: file.name)
def test_checksums_are_those_of_the_real_files(file):
    folder = Path(os.environ.get("CNN_COURSE_DATA", "data")) / "MNIST" / "raw"
    if not (folder / file.name).is_file():
        pytest.skip("no real MNIST in CNN_COURSE_DATA")
    digest = hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
    assert digest == file.sha256
