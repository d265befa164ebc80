"""Read the files that data sets come in: IDX, CIFAR-10's batches, photos."""

from __future__ import annotations

import gzip
import math
import pickle
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from utils.course import CourseError

CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_TRAIN = tuple(f"data_batch_{k}" for k in range(1, 6))
CIFAR10_TEST = ("test_batch",)
CIFAR10_FILES = (*CIFAR10_TRAIN, *CIFAR10_TEST)
_REMEDY = "Delete it and run again: it is then downloaded."


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes, as MNIST's are, gzipped or plain.

    Returns:
        uint8, in the shape that the file states: (N, H, W) for images, (N,) for labels.

    Raises:
        CourseError: another kind of file, or a damaged one.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CourseError(f"{path} cannot be read ({error}). {_REMEDY}") from error
    if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise CourseError(
            f"{path} is no IDX file of bytes: it begins with {data[:4].hex() or 'none'}"
            f" in place of 00000801 (labels) or 00000803 (images). {_REMEDY}"
        )
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4).tolist()
    values = data[4 + 4 * len(shape) :]
    if len(values) != math.prod(shape):
        raise CourseError(
            f"{path} is damaged: {len(values)} values follow where its header says"
            f" {math.prod(shape)} ({' x '.join(map(str, shape))}). {_REMEDY}"
        )
    return np.frombuffer(bytearray(values), np.uint8).reshape(shape)


class _Described:
    """An array or its type as a pickle describes it: data that does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = self.state = arguments

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """Make the array; NumPy itself refuses bytes for anything but numbers."""
        if len(self.state) == 4:  # from pickle protocol 5 on
            data, kind, shape, fortran = *self.state[:3], self.state[3] == "F"
        else:
            _, shape, kind, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        values = np.frombuffer(data, kind.arguments[0])
        return values.reshape(shape, order="F" if fortran else "C")


_PARTS = {  # of a pickled array: NumPy 1's addresses; NumPy 2 writes `numpy._core`
    "numpy.ndarray": None,  # is only passed on to the next
    "numpy.core.multiarray._reconstruct": _Described,
    "numpy.core.numeric._frombuffer": _Described,
    "numpy.dtype": _Described,
    "_codecs.encode": lambda text, _: text,
}


class _DataUnpickler(pickle.Unpickler):
    """Loads arrays and plain Python values; whatever else a file asks for, it refuses.

    NumPy's own functions would follow a forged array anywhere in memory.
    """

    def find_class(self, module: str, name: str) -> Any:
        address = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if address not in _PARTS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _PARTS[address]


def read_cifar_batch(file: IO[bytes], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one batch file of CIFAR-10: images uint8 (n, 3, 32, 32), labels int64 (n,).

    Args:
        file: opened for reading bytes. Nothing in it is executed.
        name: what an error calls it.

    Raises:
        CourseError: no such file, or a damaged one.
    """
    try:
        batch = _DataUnpickler(file, encoding="latin1").load()
        images, labels = batch["data"], batch["labels"]
        images = images.array()
        labels = labels.array() if isinstance(labels, _Described) else labels
        labels = np.array(labels, np.int64)
        if images.dtype != np.uint8 or images.shape != (len(labels), 3 * 32 * 32):
            raise ValueError(f"{images.dtype} {images.shape}, {len(labels)} labels")
        if labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    # A damaged pickle can raise anything at all.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CourseError(
            f"{name} is no batch file of CIFAR-10, or is damaged ({reason}). {_REMEDY}"
        ) from error
    return images.reshape(-1, 3, 32, 32), labels


def read_cifar10(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read CIFAR-10 from its folder of batch files or from `cifar-10-python.tar.gz`.

    The archive is read where it is: nothing is unpacked onto the disk.

    Returns:
        "train" and "test", each images uint8 (N, 3, 32, 32) and labels int64 (N,).

    Raises:
        CourseError: a file is missing or damaged.
    """
    batches = {}
    try:
        for name, file in _cifar10_files(path):
            batches[name] = read_cifar_batch(file, f"{name} in {path}")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise CourseError(f"{path} cannot be read ({error}). {_REMEDY}") from error
    missing = [name for name in CIFAR10_FILES if name not in batches]
    if missing:
        raise CourseError(f"{path} holds no {', '.join(missing)}. {_REMEDY}")

    def join(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = zip(*(batches[name] for name in names), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    return {"train": join(CIFAR10_TRAIN), "test": join(CIFAR10_TEST)}


def _cifar10_files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Open each batch file in the folder or in the archive; links lead nowhere."""
    if path.is_dir():
        for file in (path / name for name in CIFAR10_FILES):
            if file.exists():
                with file.open("rb") as opened:
                    yield file.name, opened
        return
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            known = place.parent.name == CIFAR10_FOLDER and place.name in CIFAR10_FILES
            if known and member.isreg():
                yield place.name, archive.extractfile(member)


def read_photo(
    path: Path, *, size: int | None = None, tell: Callable[[str], Any] = print
) -> np.ndarray:
    """Read an image file as RGB, upright, whatever its format and mode.

    16-bit grey is scaled to 8 bits, what is transparent becomes white, and of an
    animation the first frame is taken.

    Args:
        size: resize the shorter side to it (antialiased), and cut out the central
            square; None leaves the image as it is. In pixels.
        tell: gets one line about frames that were left out.

    Returns:
        uint8 (H, W, 3).

    Raises:
        CourseError: no image, a damaged one, or one too large to be a photo.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_photo(path, str(path), size=size, tell=tell)


def decode_photo(
    file: Path | IO[bytes], name: str, *, size: int | None, tell: Callable[[str], Any]
) -> np.ndarray:
    """Read a photo as `read_photo` does, and call it `name`.

    Any number of threads may do so at once; Pillow's warnings are the caller's.
    """
    try:
        with Image.open(file) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":
                tell(f"{name} has {image.n_frames} frames; the first one is used.")
                image.seek(0)
            _refuse_huge(image, reduced=bool(size))
            if size:
                image.draft(None, (2 * size, 2 * size))  # JPEG: skip unseen detail
            rgb = _upright_rgb(image)
    # Pillow's formats raise what they like; whatever it is, the file is at fault.
    except Exception as error:
        raise CourseError(f"{name}: {_cause(error)}") from error
    if size:
        rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    return np.array(rgb)


def _refuse_huge(image: Image.Image, *, reduced: bool) -> None:
    """Refuse what Pillow warns of, 89 million pixels; it refuses twice that itself.

    A camera's JPEG of 12,000 x 9,000 is welcome where it is decoded at an eighth of its
    size, which takes little memory. A progressive one is held as a whole all the same.
    """
    plain_jpeg = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    limit = Image.MAX_IMAGE_PIXELS or math.inf
    if image.width * image.height > limit and not (reduced and plain_jpeg):
        raise Image.DecompressionBombWarning


def _upright_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        grey = np.asarray(image)  # 16 bits, in most files
        if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError("brightness in 32 bits has no known range")
        # 65535 is 255 x 257; Pillow's own conversion would cut values off at 255.
        grey = (grey.astype(np.uint32) + 128) // 257
        image = Image.fromarray(grey.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _cause(error: Exception) -> str:
    """What is wrong with an image file, and what to do about it, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check its name"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS // 10**6
        return f"more than {limit} million pixels; save it smaller, or leave it out"
    if isinstance(error, Image.UnidentifiedImageError):
        return "no image, or of a kind unknown to Pillow; convert it, or leave it out"
    return f"damaged or unreadable ({error}); copy it again, or leave it out"
