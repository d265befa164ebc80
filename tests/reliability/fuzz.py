"""Feed the course's file readers with broken and forged bytes.

    python tests/reliability/fuzz.py idx --inputs 100000

tries so many inputs, guided by the lines of `utils` that they reach. It needs atheris,
which has wheels for Linux: pip install atheris. test_fuzz.py gives the same targets to
Hypothesis. A target takes any bytes, and lets no error pass but the documented one.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import json
import pickle
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
guided: contextlib.AbstractContextManager = contextlib.nullcontext()
if __name__ == "__main__":
    import atheris

    guided = atheris.instrument_imports(include=["utils", "pickle"])

with guided:
    import numpy as np
    from PIL import Image

    from experiments import leaderboard
    from utils import course
    from utils.course import CourseError
    from utils.datasets import (
        cifar,
        decoded,
        folders,
        manifest,
        photos,
        pixels,
        readers,
    )
    from utils.datasets.findings import Findings
    from utils.datasets.sources import Zip

MEMORY = Path("/dev/shm")


@functools.cache
def scratch() -> Path:
    """A folder for this process, in memory where the system has such."""
    parent = MEMORY if MEMORY.is_dir() else None
    keeper = tempfile.TemporaryDirectory(prefix="fuzz-", dir=parent)
    scratch.keeper = keeper  # it lives as long as the process
    return Path(keeper.name)


def written(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# The readers


def idx(data: bytes) -> None:
    """An IDX file, plain or gzipped."""
    values = readers.read_idx(written(data, "train-images-idx3-ubyte"))
    assert values.dtype == np.uint8
    assert values.flags.writeable


def cifar_batch(data: bytes) -> None:
    """A batch file of CIFAR-10, which is a pickle."""
    images, labels = cifar.read_cifar_batch(io.BytesIO(data), "data_batch_1")
    assert images.shape == (len(labels), 3, 32, 32)
    assert labels.min() >= 0 <= 9 >= labels.max()


def image_folder(data: bytes) -> None:
    """A photo in a folder of photos; its first byte says under which name."""
    names = ("1.png", "1.jpg", "none", "Ünïcode & more.gif", "deep/er/1.bmp", ".hidden")
    root = scratch() / "photos"
    for kind in ("cat", "dog"):
        if not (root / kind / "0.png").exists():
            good = io.BytesIO()
            Image.new("RGB", (4, 4), "red").save(good, "png")
            written(good.getvalue(), f"photos/{kind}/0.png")
    path = written(data[1:], f"photos/cat/{names[data[0] % len(names) if data else 0]}")
    try:
        parts, classes = folders.read_folder(root, 4)
        assert parts["train"].images.shape[1:] == (3, 4, 4)
        assert classes == ("cat", "dog")
    finally:
        path.unlink()


def photo_zip(data: bytes) -> None:
    """A zip of photos, as Kaggle and Microsoft pack them."""
    archive = Zip(written(data, "train.zip"), photos.sort, inner="train.zip")
    archive.fingerprint()
    for photo in archive.photos:
        with contextlib.suppress(CourseError):  # the others are still of use
            file = archive.open(photo)
            readers.decode_photo(file, photo.name, size=4, tell=str)


def record(data: bytes) -> None:
    """The record of a run, and the tables that are made of it."""
    written(data, "runs/run.json")
    runs = leaderboard.runs(scratch() / "runs")
    rows = leaderboard.leaderboard(runs, runs[0]["data"]["name"])
    if rows:
        table = leaderboard.Table(rows)
        table.markdown().encode()  # as a page takes it
        html = table._repr_html_()
        assert "<script" not in html
        html.encode()


def checksums(data: bytes) -> None:
    """The list of a bundle, and the bundle, which holds one file."""
    folder = written(data, f"bundle/{manifest.NAME}").parent
    written(DIGITS, "bundle/MNIST/raw/digits")
    sums = manifest.read(folder)
    assert sums is not None
    for name in sums:
        for place in (PurePosixPath(name), PureWindowsPath(name)):
            assert not place.anchor
            assert ".." not in place.parts
    manifest._verified.clear()
    with mock.patch.object(course, "data_dir", return_value=folder):
        for _ in range(2):  # and again, when it is known
            manifest.verify("MNIST/raw")
        manifest.verify(*sums)


def decoded_photos(data: bytes) -> None:
    """Photos of 2x2 pixels in the cache, and what is made of them."""
    photos = decoded._kept(written(data, "photos.pixels"), 2)
    if photos is None:
        raise CourseError("The photos are decoded again.")
    with contextlib.redirect_stdout(io.StringIO()):
        photos.findings.report(Path("photos"), skip_bad=True)
    for images, labels, moments in photos.parts(ordered=True).values():
        assert images.shape == (len(labels), 3, 2, 2)
        assert moments.shape == (len(labels), 2, 3)
        np.bincount(labels, minlength=2)
        images.sum()


# Good files, from which the inputs grow


def idx_seeds() -> list[bytes]:
    import gzip

    plain = (
        b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4)) + bytes(24)
    )
    return [plain, b"\0\0\x08\1\0\0\0\5" + bytes(5), gzip.compress(plain, mtime=0)]


def cifar_seeds() -> list[bytes]:
    batch = {"data": np.zeros((1, 3072), np.uint8), "labels": [3], "more": "text"}
    array = {**batch, "labels": np.array([3])}
    return [pickle.dumps(x, p) for x in (batch, array) for p in (0, 2, 4, 5)]


def photo_seeds() -> list[bytes]:
    made = []
    for mode, kind in enumerate(("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")):
        file = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):  # not in every Pillow
            Image.linear_gradient("L").resize((9, 7)).save(file, kind)
            made.append(bytes([mode]) + file.getvalue())
    return made


def zip_seeds() -> list[bytes]:
    photo = photo_seeds()[0][1:]
    made = []
    for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", way) as archive:
            archive.writestr("train/cat.0.jpg", photo)
            archive.writestr("train/dog.0.jpg", photo[:40])
        made.append(file.getvalue())
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("train.zip", made[-1])
        made.append(file.getvalue())
    return made


def record_seeds() -> list[bytes]:
    paths = sorted((ROOT / "results").glob("*.json"))[::20]
    made = []
    for path in paths:
        run = json.loads(path.read_text("utf-8"))
        run["history"]["rows"] = run["history"]["rows"][:2]
        made.append(json.dumps(run).encode())
    return made


DIGITS = b"digits"


def checksum_seeds() -> list[bytes]:
    sha256 = hashlib.sha256(DIGITS).hexdigest().encode()
    line = sha256 + b"  MNIST/raw/digits\n"
    binary = line.replace(b"  ", b" *").replace(b"\n", b"\r\n")
    return [b"# Data\n" + line, binary, b"", line + sha256 + b"  ./MNIST/raw/digits\n"]


def pixel_seeds() -> list[bytes]:
    made = []
    told = {"problems": ["cat/1.jpg: no image"], "animations": ["dog/2.gif: 2 frames"]}
    for counts, findings in (
        ((2, -1, -1), Findings(2)),
        ((2, 1, 2), Findings(6, **told)),
        ((0, -1, -1), Findings(1, ["1.jpg: closed"], denied=["1.jpg"])),
    ):
        n = sum(count for count in counts if count > 0)
        said = json.dumps(asdict(findings)).encode()
        path = scratch() / "good-1.pixels"
        with pixels.Writer(path, (n, 2, 2, 3)) as writer:
            for value in range(n):
                writer.add(np.full((2, 2, 3), value, np.uint8))
            about = {
                "labels": np.arange(n) % 2,
                "moments": np.zeros((n, 2, 3), np.int64),
                "counts": np.array(counts),
                "findings": np.frombuffer(said, np.uint8),
            }
            writer.finish(about)
        made.append(path.read_bytes())
    return made


Target = tuple[Callable[[bytes], None], Callable[[], list[bytes]]]
TARGETS: dict[str, Target] = {
    "idx": (idx, idx_seeds),
    "cifar": (cifar_batch, cifar_seeds),
    "image_folder": (image_folder, photo_seeds),
    "zip": (photo_zip, zip_seeds),
    "results": (record, record_seeds),
    "manifest": (checksums, checksum_seeds),
    "pixels": (decoded_photos, pixel_seeds),
}


def attempt(name: str, data: bytes) -> None:
    """One input: nothing happens, or a `CourseError` with a remedy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(CourseError):
            TARGETS[name][0](data)


def main() -> None:
    """Run the command line; atheris ends the process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=100_000)
    options = parser.parse_args()
    course.data_dir = scratch  # the cache, too, lies in memory
    corpus = scratch() / "corpus"
    corpus.mkdir()
    seeds = TARGETS[options.target][1]()
    for i, seed in enumerate(seeds):
        (corpus / str(i)).write_bytes(seed)
    settings = [f"-runs={options.inputs}", f"-max_len={max(map(len, seeds)) + 1000}"]
    settings += ["-seed=1", "-len_control=0", "-rss_limit_mb=4096", "-timeout=60"]
    settings += [f"-artifact_prefix={corpus}/bad-", str(corpus)]
    atheris.Setup([sys.argv[0], *settings], functools.partial(attempt, options.target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
