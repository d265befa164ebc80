"""Read the files that data sets come in: IDX, and photos."""

from __future__ import annotations

import gzip
import io
import math
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from utils.course import CourseError

LARGEST = 2**28  # bytes of any of these files, unpacked: more is a bomb
REMEDY = "Delete it and run again: it is then downloaded."


def read_idx(path: Path, dimensions: int | None = None) -> np.ndarray:
    """Read an IDX file of bytes, as MNIST's are, gzipped or plain.

    Args:
        dimensions: how many there must be; None takes any number.

    Returns:
        uint8, in the shape that the file states: (N, H, W) for images, (N,) for labels.

    Raises:
        CourseError: another kind of file, or a damaged one.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LARGEST + 1)
            if len(data) > LARGEST:
                raise OSError(f"it unpacks to more than {LARGEST / 1e6:,.0f} MB")
    except (OSError, EOFError, zlib.error) as error:
        raise CourseError(f"{path} cannot be read ({error}). {REMEDY}") from error
    if data[:3] != b"\0\0\x08" or len(data) < 4 or len(data) < 4 + 4 * data[3]:
        raise CourseError(
            f"{path} is no IDX file of bytes: it begins with {data[:4].hex() or 'none'}"
            f" in place of 00000801 (labels) or 00000803 (images). {REMEDY}"
        )
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4).tolist()
    if dimensions not in (None, len(shape)):
        raise CourseError(
            f"{path} holds {len(shape)} dimensions where {dimensions} belong. Is it"
            f" another file's content? {REMEDY}"
        )
    values = data[4 + 4 * len(shape) :]
    if len(values) != math.prod(shape):
        raise CourseError(
            f"{path} is damaged: {len(values)} values follow where its header says"
            f" {math.prod(shape)} ({' x '.join(map(str, shape))}). {REMEDY}"
        )
    return np.frombuffer(bytearray(values), np.uint8).reshape(shape)


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
