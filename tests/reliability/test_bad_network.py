"""Downloads over a network that breaks in every way: the right file, or a message."""

from __future__ import annotations

import contextlib
import errno
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server import CONTENT, NAME, running

from utils import download
from utils.course import CourseError
from utils.download import DownloadError, Remote, fetch

SIZE = len(CONTENT)
GIVES = ("good", "whole", "moved", "breaks", "liar")
FAILS = {  # what is said of each
    "missing": "answers 404 Not Found",
    "busy": "answers 503 Service Unavailable",
    "page": "sends a web page",
    "altered": "sends another file (its checksum differs)",
    "truncated": "breaks off",
}


@pytest.fixture
def server(monkeypatch):
    """A server, and a client that has no time to lose."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "ANSWER", 0.4)
    with running() as server:
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_part(folder: Path, content: bytes) -> None:
    """What an earlier download left behind."""
    (folder / f"{NAME}.part").write_bytes(content)


@pytest.mark.parametrize("kind", GIVES)
def test_what_gives_the_file_in_the_end(server, tmp_path, kind, capfd):
    path = fetch(server.remote(kind), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == [NAME]
    assert capfd.readouterr() == ("", "")  # too short to need a bar
    fetch(server.remote("missing"), path.parent)  # what is there is not asked for
    assert server.kinds()[-1] != "missing"


@pytest.mark.parametrize("kind", [*FAILS, "stalled"])
def test_the_next_mirror_is_tried(server, tmp_path, kind):
    assert fetch(server.remote(kind, "good"), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]
    assert server.kinds()[-1] == "good"


def test_without_another_mirror_it_is_said_what_to_do(server, tmp_path):
    for kind, said in FAILS.items():
        with pytest.raises(DownloadError) as caught:
            fetch(server.remote(kind), tmp_path / kind)
        message = str(caught.value)
        assert f"{server.url(kind)}: {said}" in message
        assert f"place the file by hand: {tmp_path / kind / NAME}" in message
        assert caught.value.reason == said
        assert not (tmp_path / kind / NAME).exists()
    dead = server.remote("good")._replace(urls=("http://127.0.0.1:9/nobody",) * 3)
    began = time.monotonic()
    with pytest.raises(DownloadError, match="no connection"):
        fetch(dead, tmp_path)
    assert time.monotonic() - began < 10


def test_a_damaged_file_is_an_error_and_stays(server, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(CourseError, match=f"{NAME} is damaged.* Delete it") as caught:
        fetch(server.remote("good"), tmp_path)
    assert not isinstance(caught.value, DownloadError)
    assert server.asked == []


def test_offline_and_at_tiny_nothing_is_asked_for(server, tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match=r"nothing is downloaded\."):
        fetch(server.remote("good"), tmp_path, online=False)
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    with pytest.raises(DownloadError, match="nothing is downloaded at scale tiny"):
        fetch(server.remote("good"), tmp_path)
    assert server.asked == []


# Going on where a transfer broke off


def test_a_download_goes_on_where_it_broke_off(server, tmp_path):
    fetch(server.remote("breaks"), tmp_path)
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in server.ranges]
    assert starts == sorted(starts)
    assert starts[0] == 0 < SIZE // 2 - 2**11 < starts[1]


def test_another_mirror_and_another_run_go_on(server, tmp_path):
    fetch(server.remote("stalled", "good"), tmp_path / "a")
    assert server.ranges[-1] != "bytes=0-"
    with pytest.raises(DownloadError):
        fetch(server.remote("truncated"), tmp_path / "b")
    (part,) = (tmp_path / "b").iterdir()
    assert CONTENT.startswith(part.read_bytes())
    assert fetch(server.remote("good"), tmp_path / "b").read_bytes() == CONTENT
    assert server.ranges[-1] != "bytes=0-"
    assert names(tmp_path / "b") == [NAME]


@pytest.mark.parametrize(
    "left",
    [CONTENT[:1000], bytes(1000), CONTENT, CONTENT + b"more"],
    ids=["begin", "another file's", "whole", "longer"],
)
@pytest.mark.parametrize("kind", ["good", "breaks", "liar", "whole"])
def test_what_was_left_never_spoils_the_file(server, tmp_path, left, kind):
    leave_part(tmp_path, left)
    assert fetch(server.remote(kind), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


# Slow mirrors, full disks, the stop button


def test_a_slow_mirror_gives_way_and_is_better_than_none(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    fetch(server.remote("limited", "good"), tmp_path / "a")
    assert server.kinds() == ["limited", "good"]
    assert server.ranges[-1] != "bytes=0-"  # what had come was kept
    fetch(server.remote("limited", "missing"), tmp_path / "b")
    assert server.kinds()[2:] == ["limited", "missing", "limited"]


def test_a_full_disk_keeps_nothing(server, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.tqdm, "update", full)
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch(server.remote("good", "whole"), tmp_path / "raw")
    assert not list(tmp_path.glob("raw/*"))  # the disk needs the room
    assert len(server.asked) == 1  # another mirror would not help


def test_stopped_by_the_student_it_goes_on_later(server, tmp_path, monkeypatch):
    known, blocks = download.tqdm.update, []

    def stop(bar, n):
        blocks.append(n)
        if len(blocks) > 2:
            raise KeyboardInterrupt
        return known(bar, n)

    with monkeypatch.context() as patch:
        patch.setattr(download.tqdm, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(server.remote("good"), tmp_path)
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] != "bytes=0-"


def test_two_that_download_one_file_at_once(server, tmp_path):
    with ThreadPoolExecutor() as two:
        paths = list(two.map(fetch, [server.remote("limited")] * 2, [tmp_path] * 2))
    assert [path.read_bytes() for path in paths] == [CONTENT] * 2
    assert names(tmp_path) == [NAME]


def test_any_mirrors_in_any_order(server, tmp_path, thorough, keep):
    """Of random mirrors: the right file if one gives it, else a word; never another."""
    draw, rounds = random.Random(0), 1000 if thorough else 40
    got = 0
    for folder in (tmp_path / str(i) for i in range(rounds)):
        kinds = draw.choices((*GIVES, *FAILS), k=draw.randint(1, 4))
        folder.mkdir()
        if draw.random() < 0.3:
            begin = draw.choice([CONTENT, bytes(SIZE)])[: draw.randint(0, SIZE)]
            leave_part(folder, begin)
        with contextlib.suppress(DownloadError):
            fetch(server.remote(*kinds), folder)
        path = folder / NAME
        assert path.exists() or not set(kinds) & set(GIVES), (kinds, names(folder))
        assert not path.exists() or path.read_bytes() == CONTENT
        got += path.exists()
    assert got > rounds / 2
    keep(
        "bad_network",
        f"{rounds:,} downloads from mirrors with random faults: {got} gave the right"
        f" file, and {rounds - got}, where no mirror had it, a message; no other file",
        downloads=rounds,
        right=got,
        message=rounds - got,
    )


@pytest.mark.parametrize("name", download.MIRRORS)
def test_every_file_has_two_mirrors_or_more(name):
    assert len(download.MIRRORS[name]) >= 2
    assert all(url.startswith("http") for url in download.MIRRORS[name])
    assert Remote("a", "md5:" + "0" * 32, ()).matches(Path(__file__)) is False
