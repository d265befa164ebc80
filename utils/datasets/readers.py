"""Read the files that data sets come in: IDX, and photos."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import re
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from utils.course import CourseError

LARGEST = 2**28  # bytes of any of these files, unpacked: more is a bomb
LARGE = 8 * 10**6  # pixels: more are decoded one picture at a time, up to 1.4 GB each
ONE_LARGE = threading.Lock()
WORK = 2 * 10**9  # pixels that all scans of a JPEG may go over: a few seconds
EXTERNAL = {"EPS", "IPTC"}  # for EPS, Pillow starts Ghostscript; IPTC may hold an EPS
SCAN, END = b"\xda", b"\xd9"  # a JPEG's markers, after b"\xff"
MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])(..)?", re.DOTALL)
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
    try:
        return np.frombuffer(bytearray(values), np.uint8).reshape(shape)
    except ValueError as error:  # too many dimensions, or none long and others endless
        raise CourseError(
            f"{path} is damaged: no array has the shape that its header says ({error})."
            f" {REMEDY}"
        ) from error


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
        CourseError: no image, a damaged one, one too large to be a photo, or of a
            format that needs another program.
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
        # Closed, since an error's traceback would keep its pixels in memory.
        with contextlib.closing(Image.open(file, formats=_formats())) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":
                tell(f"{name} has {image.n_frames} frames; the first one is used.")
                image.seek(0)
            _refuse_huge(image, reduced=bool(size))
            _refuse_endless(image)
            pixels = image.width * image.height
            if size:
                image.draft(None, (2 * size, 2 * size))  # JPEG: skip unseen detail
            if _plain_jpeg(image):
                pixels = image.width * image.height
            with ONE_LARGE if pixels > LARGE else contextlib.nullcontext():
                rgb = _upright_rgb(image)
                if size:
                    rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    # Pillow's formats raise what they like; whatever it is, the file is at fault.
    except Exception as error:
        raise CourseError(f"{name}: {_cause(error)}") from error
    return np.array(rgb)


def _formats() -> list[str]:
    """All that Pillow reads by itself."""
    Image.init()  # does nothing but the first time
    return [name for name in Image.ID if name not in EXTERNAL]


def _plain_jpeg(image: Image.Image) -> bool:
    """Whether a picture needs no more memory than its size after `draft` says."""
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def _refuse_huge(image: Image.Image, *, reduced: bool) -> None:
    """Refuse what Pillow warns of, 89 million pixels; it refuses twice that itself.

    A camera's JPEG of 12,000 x 9,000 is welcome where it is decoded at an eighth of its
    size, which takes little memory. A progressive one is held as a whole all the same.
    """
    limit = Image.MAX_IMAGE_PIXELS or math.inf
    if image.width * image.height > limit and not (reduced and _plain_jpeg(image)):
        raise Image.DecompressionBombWarning


def _refuse_endless(image: Image.Image) -> None:
    """Refuse a JPEG that goes over its pixels again and again, for minutes."""
    if image.format not in ("JPEG", "MPO"):
        return
    image.fp.seek(0)
    data = image.fp.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST / 1e6:,.0f} MB")
    most = WORK // (image.width * image.height)
    # Counting bytes is quick, but finds those of a preview, or of a film at the end.
    if data.count(b"\xff" + SCAN) > most and _scans(data) > most:
        raise ValueError(f"more than {most} scans of so many pixels")


def _scans(data: bytes) -> int:
    """How often a JPEG goes over its pixels: a progressive one does so 10 times."""
    scans = place = 0
    while (found := MARKER.search(data, place)) and found[1] != END:
        scans += found[1] == SCAN
        place = found.end(1) + int.from_bytes(found[2] or b"", "big")
    return scans


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
