"""The course runs with the network off; so do its slides, its checks and its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import bundle
from utils.course import ROOT

LECTURES = [path.stem[:2] for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
TESTS = ("loader", "course", "data", "photos", "pretrained", "lenet", "check", "train")
REAL = Path(os.environ.get("CNN_COURSE_DATA", "no folder"))
STAND_IN = r"Stand-in: [^<\n]+ in place of ([^(<\n]+?) \("
ALONE = 'ip link set lo up && exec "$@"'  # in a network with nothing but itself


class Offline:
    """Runs Python with every socket to another machine blocked, in its children, too.

    On Linux that may, they live in a network namespace of their own besides.
    """

    def __init__(self, folder: Path) -> None:
        self.log = folder / "tried.txt"
        self.log.touch()
        blocked = Path(__file__).with_name("no_network")
        self.env = os.environ | {
            "PYTHONPATH": str(blocked),
            "NO_NETWORK_LOG": str(self.log),
            "CNN_COURSE_SCALE": "tiny",
            "CNN_COURSE_DATA": str(folder),
        }
        self.prefix: list[str] = []
        alone = ["unshare", "-rn", "sh", "-c", ALONE, "sh"]
        if shutil.which("unshare"):
            tried = subprocess.run([*alone, "true"], capture_output=True)
            self.prefix = alone if tried.returncode == 0 else []

    def python(self, *command: str, **env: str) -> str:
        """What a command prints; it must end well."""
        ended = subprocess.run(
            [*self.prefix, sys.executable, *command],
            cwd=ROOT,
            env=self.env | env,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        return ended.stdout

    def tried(self) -> list[str]:
        """The machines that someone tried to reach."""
        return self.log.read_text(encoding="utf-8").split()


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    return Offline(tmp_path)


CALLS = """
import socket, subprocess, sys, urllib.request
for call in (
    lambda: socket.create_connection(("192.0.2.1", 80), 1),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: urllib.request.urlopen("http://192.0.2.2", timeout=1),
):
    try:
        call()
    except OSError:
        continue
    sys.exit("reached")
if sys.argv[1:]:
    sys.exit(subprocess.run([sys.executable, *sys.orig_argv[1:-1]]).returncode)
"""


def test_the_network_is_off(offline):
    offline.python("-c", CALLS, "again, in a child")
    assert offline.tried() == ["192.0.2.1", "example.org", "192.0.2.2"] * 2


def test_the_course_runs_at_tiny(offline, tmp_path, thorough, keep):
    lectures = LECTURES if thorough else LECTURES[-1:]  # of one set only: it is fast
    out, began = tmp_path / "ran", time.perf_counter()
    said = offline.python("-m", "tools.run", "--out", str(out), *lectures)
    assert "FAILED" not in said
    assert len(list(out.glob("*.ipynb"))) == len(lectures)
    offline.python("-m", "tools.slides", "--out", str(tmp_path / "decks"), *lectures)
    assert len(list((tmp_path / "decks").glob("*.html"))) == len(lectures)
    assert offline.tried() == []
    if thorough:
        offline.python("-m", "tools.build", "--check")
    names = TESTS if thorough else TESTS[:1]
    files = [f"tests/test_{name}.py" for name in names]
    offline.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    assert offline.tried() == []
    keep(
        "no_network",
        f"{len(lectures)} lectures, their slides, the checks and {len(names)} files of"
        " tests, with no network; nothing asked for one",
        lectures=len(lectures),
        seconds=round(time.perf_counter() - began),
    )


LOAD = """
from utils import data
from utils.models.pretrained import pretrained
sets = [data.mnist(source="real"), data.cifar10(source="real")]
sets.append(data.dogs_vs_cats(64, source="real"))
pretrained("squeezenet1_1")
assert all(splits.train.real for splits in sets)
"""


def test_a_bundle_of_the_real_data_is_enough(
    offline, tmp_path, monkeypatch, thorough, keep
):
    if not thorough or not (REAL / "dogs_vs_cats").is_dir():
        pytest.skip("minutes, and the real data sets in CNN_COURSE_DATA")
    dest = tmp_path / "bundle"
    missing = bundle.pack(dest, online=False)
    assert all(name.startswith(("Fashion", "ImageNet")) for name in missing)
    sums = bundle.read(dest)
    packed = sum((dest / name).stat().st_size for name in sums)
    offline.python("-c", LOAD, CNN_COURSE_DATA=str(dest), CNN_COURSE_SCALE="small")
    assert offline.tried() == []
    keep(
        "bundle",
        f"{len(sums):,} files, {packed / 1e6:,.0f} MB; with no network data sets and"
        " weights load from it; one flipped byte is refused",
        files=len(sums),
        megabytes=round(packed / 1e6),
        missing=len(missing),
    )
