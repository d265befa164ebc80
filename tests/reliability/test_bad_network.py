"""Downloads over a network that breaks in every way: the right file, or a message."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from server import CONTENT, NAME, Server, running

from utils.course import ROOT
from utils.datasets import download, transfer
from utils.datasets.download import DownloadError, fetch

SIZE = len(CONTENT)
GIVES = ("good", "whole", "moved", "breaks", "reset", "nameless", "liar")
FAILS = (
    "missing",
    "forbidden",
    "busy",
    "altered",
    "truncated",
    "page",
    "loop",
    "empty",
)
FAILS += ("older",)


@pytest.fixture
def server(monkeypatch):
    """A server, and a client that has no time to lose."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(transfer, "ANSWER", 0.4)
    with running() as server:
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_part(folder: Path, content: bytes, name: str = f"{NAME}.part") -> Path:
    """What an earlier download left behind."""
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("kind", GIVES)
def test_what_gives_the_file_in_the_end(server, tmp_path, kind):
    assert fetch(server.remote(kind, size=SIZE), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


@pytest.mark.parametrize("kind", [*FAILS, "stalled"])
def test_the_next_mirror_is_tried(server, tmp_path, kind):
    assert fetch(server.remote(kind, "good"), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]
    assert server.kinds()[-1] == "good"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "answers 404 Not Found"),
        ("forbidden", "answers 403 Forbidden"),
        ("busy", "answers 503 Service Unavailable"),
        ("page", "sends another file (its size differs)"),
        ("altered", "sends another file (its SHA-256 differs)"),
        ("loop", "redirects without end"),
        ("truncated", "breaks off "),
        ("stalled", "breaks off (ReadTimeoutError)"),
    ],
)
def test_without_another_mirror_it_is_said_what_to_do(server, tmp_path, kind, said):
    with pytest.raises(DownloadError) as caught:
        fetch(server.remote(kind, size=SIZE), tmp_path)
    message = str(caught.value)
    assert f"{server.url(kind)}: {said}" in message
    assert f"place the file by hand: {tmp_path / NAME}" in message
    assert NAME not in names(tmp_path)


def test_a_download_goes_on_where_it_broke_off(server, tmp_path):
    fetch(server.remote("breaks"), tmp_path)
    first, *others = server.ranges
    assert first is None
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in others]
    assert starts == sorted(starts)
    assert starts[0] == SIZE // 2


def test_another_mirror_goes_on_where_the_first_broke_off(server, tmp_path):
    fetch(server.remote("stalled", "good"), tmp_path)
    assert server.ranges[-1] == f"bytes={SIZE // 2}-"


def test_another_run_goes_on_where_the_last_one_was_left(server, tmp_path):
    with pytest.raises(DownloadError, match="the next try goes on from them"):
        fetch(server.remote("truncated"), tmp_path)
    assert names(tmp_path) == [f"{NAME}.part"]
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={SIZE // 2}-"
    assert names(tmp_path) == [NAME]


def test_what_an_older_file_left_is_not_glued_to_a_newer_one(server, tmp_path):
    leave_part(tmp_path, bytes(1000))  # not how the file begins
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize("kind", ["page", "empty", "missing"])
def test_what_a_hotel_sends_does_not_replace_what_has_arrived(server, tmp_path, kind):
    leave_part(tmp_path, CONTENT[:1000])
    with pytest.raises(DownloadError, match=r"its size differs|answers 4"):
        fetch(server.remote(kind, size=SIZE), tmp_path)
    assert fetch(server.remote("good", size=SIZE), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000-"


def test_a_wrong_beginning_does_not_count_as_progress(server, tmp_path):
    leave_part(tmp_path, bytes(SIZE - 5000))
    assert fetch(server.remote("breaks"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_server_that_cannot_count_is_asked_for_the_whole(server, tmp_path, size):
    leave_part(tmp_path, CONTENT[:1000])
    fetch(server.remote("liar", size=size), tmp_path)
    assert server.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_whole_or_longer(server, tmp_path, left):
    leave_part(tmp_path, left)
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


def test_a_killed_downloads_part_is_taken_over_once_nobody_writes_it(server, tmp_path):
    alive = leave_part(tmp_path, CONTENT[:300], f"{NAME}.77-0123abcd.part")
    dead = leave_part(tmp_path, CONTENT[:200], f"{NAME}.78-0123abcd.part")
    long_ago = time.time() - transfer.QUIET - 1
    os.utime(dead, (long_ago, long_ago))
    fetch(server.remote("good"), tmp_path)
    assert server.ranges == ["bytes=200-"]
    assert alive.exists()


def test_50_kB_a_second_is_enough_where_there_is_no_better(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(transfer, "PATIENCE", 0.3)
    limited = server.remote("limited", "missing")
    assert fetch(limited, tmp_path).read_bytes() == CONTENT
    assert server.kinds() == ["limited", "missing", "limited"]
    resumed = int(server.ranges[-1].removeprefix("bytes=").rstrip("-"))
    assert 10_000 < resumed < 60_000  # what had come was kept


def test_a_trickle_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.1)
    monkeypatch.setattr(transfer, "CRAWL", 10**9)
    with pytest.raises(DownloadError, match="sends next to nothing"):
        fetch(server.remote("trickle"), tmp_path)


def test_a_disk_that_fills_up(server, tmp_path, monkeypatch):
    add = transfer.Part.add

    def full(part, data):
        add(part, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer.Part, "add", full)
    with pytest.raises(DownloadError, match=r"cannot be written to \(No space left"):
        fetch(server.remote("good", "whole"), tmp_path)
    assert names(tmp_path) == []  # it needs the room
    assert len(server.asked) == 1  # another mirror would not help


def test_a_disk_without_room_is_not_filled(server, tmp_path, monkeypatch):
    usage = transfer.shutil.disk_usage(tmp_path)._replace(free=50_000)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match="0 MB are needed, 0 are free"):
        fetch(server.remote("good"), tmp_path)
    assert names(tmp_path) == []


def test_stopped_by_the_student_it_goes_on_later(server, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer._Progress, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(server.remote("good"), tmp_path)
    assert names(tmp_path) == [f"{NAME}.part"]
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] is not None


FETCH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from utils.datasets.download import Remote, fetch
name, sha256, url = sys.argv[3:]
fetch(Remote(name, sha256, (url,)), Path(sys.argv[2]))
"""


def test_two_processes_that_download_one_file(server, tmp_path):
    file = server.remote("limited")
    command = [sys.executable, "-c", FETCH, str(ROOT), str(tmp_path), *file[:2]]
    both = [subprocess.Popen([*command, file.urls[0]]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that stop")
def test_a_download_that_sleeps_does_not_write_to_the_one_that_went_on(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(transfer, "QUIET", 0.5)
    file = server.remote("limited")
    command = [sys.executable, "-c", FETCH, str(ROOT), str(tmp_path), *file[:2]]
    with subprocess.Popen([*command, file.urls[0]]) as sleeper:
        try:
            while not any(part.stat().st_size for part in tmp_path.iterdir()):
                assert sleeper.poll() is None
                time.sleep(0.01)
            sleeper.send_signal(signal.SIGSTOP)
            time.sleep(2 * transfer.QUIET)
            fetch(server.remote("good"), tmp_path)
        finally:
            sleeper.send_signal(signal.SIGCONT)
        assert sleeper.wait(60) == 0
    assert server.ranges[-1] is not None  # what had come was used
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


def test_any_mirrors_in_any_order(server, tmp_path, monkeypatch, thorough, keep):
    """Of random mirrors: the right file if one gives it, else a word; never another."""
    monkeypatch.setattr(transfer, "PATIENCE", 0.1)
    draw, rounds = random.Random(0), 1000 if thorough else 40
    got, at_once = 0, [tmp_path / str(i) for i in range(rounds)]
    for folder in at_once:
        kinds = draw.choices(GIVES + FAILS, k=draw.randint(1, 4))
        folder.mkdir()
        if draw.random() < 0.3:
            leave_part(
                folder, draw.choice([CONTENT, bytes(SIZE)])[: draw.randint(0, SIZE)]
            )
        remote = server.remote(*kinds, size=draw.choice([SIZE, None]))
        with contextlib.suppress(DownloadError):
            fetch(remote, folder)
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


def test_many_threads_download_one_file(server: Server, tmp_path):
    errors: list[Exception] = []

    def one(kind: str) -> None:
        try:
            assert fetch(server.remote(kind), tmp_path).read_bytes() == CONTENT
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(kind,)) for kind in GIVES * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(tmp_path) == [NAME]
