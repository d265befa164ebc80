"""Photos of any size: found in folders or a zip, decoded once into one mapped file.

The file holds squares of pixels, image after image, and behind them, as JSON, what is
known of them. Training images lie in the order in which they are divided into train and
validation, so each part is a slice of the map, and nothing is copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from utils import course, download
from utils.course import CourseError
from utils.files import replacing, shown

STEMS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "lost+found"}
SYSTEM |= {"system volume information"}
MICROSOFT = download.Remote(
    "kagglecatsanddogs_5340.zip",
    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    ),
)
LEVELS = np.arange(256)
SHOWN = 5  # problems that a message names
AHEAD = 64  # photos that are decoded before their turn
SPARE = 2**28  # bytes that are left free on the disk: others need some, too
FEW_LEVELS = 60  # of 256: a set that uses fewer has hardly any contrast
FOREIGN = (  # how files begin that lie beside photos, and what they are
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC: convert to JPEG or install pillow-heif"),
    (rb".{4}ftypavi", "AVIF: convert to JPEG or install a newer pillow"),
    (rb".{4}ftyp|\x1aE\xdf\xa3", "a film, no image; leave it out"),
    (rb"version https://git-lfs", "a git-LFS pointer, no image: run git lfs pull"),
    (rb"\s*<(!doctype )?html", "a web page, no image; download it again"),
    (rb"\s*<(\?xml|svg|!doctype svg)", "SVG, which has no pixels; convert it to PNG"),
    (rb"%PDF", "a PDF, no image; convert it to PNG"),
    (rb"PK\x03\x04", "a zip, no image; unpack it"),
    (rb"\Z", "an empty file; copy it again, or leave it out"),
)


class Photo(NamedTuple):
    """A photo: part, class, name in its source, and what changes when it does."""

    part: str
    label: int
    name: str
    stamp: str


class Source(NamedTuple):
    """Photos in a folder, or in a zip; `open` gives what Pillow reads."""

    path: Path
    photos: list[Photo]
    open: Callable[[Photo], Path | IO[bytes]]


class Part(NamedTuple):
    """Images uint8 (N, C, H, W), labels int64 (N,), and, of decoded photos, moments.

    Moments, int64 (N, 2, C), are each image's sum and sum of squares by channel. Where
    there are some, training images lie in the order in which they are divided.
    """

    images: np.ndarray
    labels: np.ndarray
    moments: np.ndarray | None = None


def of_system(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, an index, thumbnails.

    A NAS marks its folders with "@" or "#", Windows its own with "$".
    """
    marked = name[0] in "@#$" and len(name) > 1
    return name[0] == "." or marked or name.lower() in SYSTEM


def part_of(name: str) -> str | None:
    """The part that a folder's name speaks of: "seg_train", "Testing", "valSet"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    words = {re.sub(r"(set|data|images|imgs?)$", "", word.lower()) for word in words}
    parts = [part for part, stems in STEMS.items() if words & stems]
    return parts[0] if len(parts) == 1 else None


def inside(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without those of the system."""
    with _looking():
        found = [e for e in path.iterdir() if e.is_dir() and not of_system(e.name)]
    return sorted(found, key=lambda entry: entry.name)


def listed(root: Path, path: Path) -> list[tuple[str, str]]:
    """All files in `path` and deeper, sorted: name from `root` on, size and time."""

    def stop(error: OSError) -> None:
        raise error

    found = []
    with _looking():
        for place, folders, names in os.walk(path, onerror=stop):
            folders[:] = [name for name in folders if not of_system(name)]
            found += [Path(place, name) for name in names if not of_system(name)]
    files = []
    for file in sorted(found, key=lambda file: file.parts):
        stamp = "none"  # a link that leads nowhere: reading it says so
        with contextlib.suppress(OSError):
            stamp = f"{file.stat().st_size} {file.stat().st_mtime_ns}"
        files.append((str(file.relative_to(root)), stamp))
    return files


@contextlib.contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"{error.filename} cannot be looked into ({error.strerror}). Change its"
            " permissions, or move it elsewhere."
        ) from error


def in_folder(path: Path) -> tuple[Source, tuple[str, ...]]:
    """The photos of `path/<class>/...`, or of `path/train/<class>/...` and other parts.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name.

    Returns:
        The photos, and the classes, sorted by name.

    Raises:
        CourseError: the folder is missing, or is not divided into classes.
    """
    if not path.is_dir():
        raise CourseError(
            f"There is no folder {path}. Check the path (here is {Path.cwd()})."
        )
    parts, photos = _parts(path), []
    classes = [folder.name for folder in inside(parts["train"])]
    if len(classes) < 2:
        found = f"one class, {classes[0]}" if classes else "no folder"
        raise CourseError(
            f"{parts['train']} holds {found}. A classifier needs two classes or more:"
            " put each one's images into a folder with its name."
        )
    for part, folder in parts.items():
        for kind in inside(folder):
            if kind.name not in classes:
                raise CourseError(
                    f"{kind} is a class that the training images do not have"
                    f" ({', '.join(classes)}). Rename it, or add it there."
                )
            files, label = listed(path, kind), classes.index(kind.name)
            photos += [Photo(part, label, *file) for file in files]
            if part == "train" and not files:
                raise CourseError(
                    f"{folder} holds no images of {kind.name}. Add some, or remove the"
                    " folder."
                )
    return Source(path, photos, lambda photo: path / photo.name), tuple(classes)


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    parts: dict[str, Path] = {}
    others, named = [], set()
    for folder in inside(path):
        inner = inside(folder)
        while len(inner) == 1 and inner[0].name == folder.name:  # packed twice
            folder, inner = inner[0], inside(inner[0])
        part = part_of(folder.name)
        named |= {part} - {None}
        if not part or not inner:
            others.append(folder)
        elif part in parts:  # val and valid, or train and Train
            raise CourseError(
                f"{path} holds two folders for {part}: {parts[part].name} and"
                f" {folder.name}. Put their images into one of them."
            )
        else:
            parts[part] = folder
    if "train" not in parts:
        if len(named) > 1:
            raise CourseError(
                f"{path} has parts ({', '.join(sorted(named))}), but no folders for the"
                " classes in train. Put each class's images into a folder there."
            )
        return {"train": path}
    classes = {folder.name for folder in inside(parts["train"])}
    for folder in others:
        if classes & {entry.name for entry in inside(folder)}:
            raise CourseError(
                f"{folder} holds classes, but its name says neither train nor val nor"
                " test. Rename it, or move it elsewhere."
            )
    if others:
        names = ", ".join(folder.name for folder in others)
        print(shown(f"Passed over in {path}, since they hold no classes: {names}."))
    return parts


def dogs_vs_cats(root: Path, *, online: bool | None = None) -> Source:
    """The photos in `root`, or else those of Microsoft's zip, downloaded into it.

    Kaggle's folders come first, then its zips, Microsoft's zip, and its folder.

    Raises:
        DownloadError: there are none, and there is no download.
        CourseError: a zip is damaged.
    """
    files = listed(root, root) if root.is_dir() else []
    photos = _by_name(files)
    kaggle = [p for p in photos if part_of(Path(p.name).parts[0])]
    microsoft = [p for p in photos if Path(p.name).parts[0] == "PetImages"]
    if any(photo.part == "train" for photo in kaggle):
        return Source(root, kaggle, lambda photo: root / photo.name)
    for name in ("train.zip", "dogs-vs-cats.zip"):  # the first lies in the second, too
        if (root / name).is_file():
            return in_zip(root / name, inner="train.zip")
    if microsoft and not (root / MICROSOFT.name).is_file():
        return Source(root, microsoft, lambda photo: root / photo.name)
    return in_zip(download.fetch(MICROSOFT, root, online=online))


def _by_name(files: list[tuple[str, str]]) -> list[Photo]:
    """Those that are named as `train/cat.0.jpg` or `PetImages/Cat/0.jpg`.

    Others, such as Kaggle's `test1/1.jpg`, have no known class.
    """
    photos = []
    for name, stamp in files:
        *above, file = name.replace("\\", "/").split("/")
        if not file or any(of_system(entry) for entry in (*above, file) if entry):
            continue
        part = next(filter(None, map(part_of, above)), "train")
        for label, kind in enumerate(("cat", "dog")):
            holder = above[-1].lower() if above else ""
            if file.lower().startswith(f"{kind}.") or holder in (kind, f"{kind}s"):
                photos.append(Photo(part, label, name, stamp))
    return photos


def in_zip(path: Path, *, inner: str = "") -> Source:
    """The photos in a zip, which is read as it is; an inner zip is unpacked beside it.

    Raises:
        CourseError: no zip, or a damaged one.
    """
    try:
        archive = zipfile.ZipFile(path)
        if inner in archive.namelist():
            with archive.open(inner) as packed, replacing(path.parent / inner) as out:
                shutil.copyfileobj(packed, out, 2**20)
            return in_zip(path.parent / inner)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CourseError(
            f"{path} is no zip, or cannot be unpacked ({error}). Copy or download it"
            " again, or unpack it there: its folders are read as well."
        ) from error
    infos = sorted(archive.infolist(), key=lambda info: info.filename)
    photos = _by_name(
        [(info.filename, f"{info.file_size} {info.CRC}") for info in infos]
    )
    lock = threading.Lock()

    def read(photo: Photo) -> IO[bytes]:
        with lock:
            return io.BytesIO(archive.read(photo.name))

    return Source(path, photos, read)


def decode_photo(file: Path | IO[bytes], size: int | None = None) -> np.ndarray:
    """Read an image as RGB, upright, whatever its format and mode.

    16-bit grey is scaled to 8 bits, what is transparent becomes white, and of an
    animation the first frame is taken.

    Args:
        size: resize the shorter side to it (antialiased), and cut out the central
            square; None leaves the image as it is. In pixels.

    Returns:
        uint8 (H, W, 3).
    """
    with Image.open(file) as image:
        if size:
            image.draft(None, (2 * size, 2 * size))  # JPEG: skip unseen detail
        rgb = _upright_rgb(image)
    if size:
        rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    return np.array(rgb)


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


def _problem(error: Exception, file: Path | IO[bytes] | None) -> str:
    """What is wrong with an image file, and what to do about it, in a few words."""
    if not isinstance(error, Image.UnidentifiedImageError):
        return f"damaged or unreadable ({error}); copy it again, or leave it out"
    begin = file.read_bytes() if isinstance(file, Path) else file.getvalue()
    for pattern, what in FOREIGN:
        if re.match(pattern, begin[:200], re.DOTALL | re.IGNORECASE):
            return what
    return "no image, or of a kind unknown to Pillow; convert it, or leave it out"


def require_size(size: int) -> None:
    """Raise a `CourseError` unless this is a side in pixels."""
    if not isinstance(size, int) or size < 1:
        raise CourseError(f"size={size!r} is no side in pixels. Use 1 or more.")


def decoded(
    source: Source, size: int, name: str, *, skip_bad: bool = False
) -> dict[str, Part]:
    """The photos of a source as squares, by part; from the cache where they lie there.

    Args:
        size: of the squares, in pixels; see `decode_photo`.
        name: of the file in the cache, in which a newer one replaces the older.
        skip_bad: leave files out that cannot be read, and say so, in place of an error.

    Raises:
        CourseError: files are no images, or there is no room for the pixels.
    """
    require_size(size)
    lines = [
        Image.__version__,
        *("\0".join(map(str, photo)) for photo in source.photos),
    ]
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    version = hashlib.sha256(text).hexdigest()[:12]
    path = course.data_dir() / "cache" / f"photos-{name}-{size}-{version}.pixels"
    path = _with_room(path, 3 * size * size * len(source.photos))
    kept = _kept(path, size)
    if kept is None:
        _decode_all(source, size, path, skip_bad)
        kept = _kept(path, size)
    pixels, about = kept
    _report(source, about)
    names, labels = np.array(about["parts"]), np.array(about["labels"], np.int64)
    moments, parts = np.array(about["moments"], np.int64), {}
    for part in dict.fromkeys(about["parts"]):
        first, last = np.flatnonzero(names == part)[[0, -1]]
        rows = slice(first, last + 1)
        images = pixels[rows].transpose(0, 3, 1, 2)
        parts[part] = Part(images, labels[rows], moments[rows])
    return parts


def _with_room(path: Path, needed: int) -> Path:
    """The path, or one in the system's folder for such files if no room is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        writable = free > needed + SPARE and os.access(path.parent, os.W_OK)
        reason = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} are free"
    except OSError as error:
        writable, reason = False, error.strerror
    if writable or path.is_file():
        return path
    other = Path(tempfile.gettempdir(), path.name)
    print(f"No room in {path.parent} ({reason}): decoded photos lie in {other}.")
    return other


def _kept(path: Path, size: int) -> tuple[np.ndarray, dict[str, Any]] | None:
    """Pixels (N, size, size, 3), mapped, and what is known of them; None: no such file.

    They may be written to, and the file does not change.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(-8, io.SEEK_END)
            begin = end - int.from_bytes(file.read(8), "little")
            file.seek(begin)
            about = json.loads(file.read(end - begin))
            shape = (len(about["labels"]), size, size, 3)
            if np.prod(shape) == begin:
                return np.memmap(file, np.uint8, "c", shape=shape), about
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or it is damaged
    return None


def _decode_all(source: Source, size: int, path: Path, skip_bad: bool) -> None:
    """Decode every photo into a file; it gets its name once it is whole."""
    about: dict[str, Any] = {"parts": [], "labels": [], "moments": [], "problems": []}
    levels, about["flat"] = np.zeros(256, bool), 0
    # Two may decode at once.
    part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            for photo, image, histogram in _read(source, size):
                if isinstance(image, str):
                    about["problems"].append(f"{photo.name}: {image}")
                    continue
                file.write(image.data)
                sums = histogram @ LEVELS, histogram @ LEVELS**2
                about["moments"].append(np.stack(sums).tolist())
                about["parts"].append(photo.part)
                about["labels"].append(photo.label)
                about["flat"] += int((histogram > 0).sum()) == 3
                levels |= histogram.any(0)
            about["problems"].sort()
            _refuse(source, about, skip_bad)
            about["levels"] = np.flatnonzero(levels)[[0, -1]].tolist()
            tail = json.dumps(about).encode()
            file.write(tail + len(tail).to_bytes(8, "little"))
        part.replace(path)
    except OSError as error:
        if not path.is_file():  # else another process was faster
            raise CourseError(
                f"The decoded photos cannot be written to {path} ({error.strerror})."
                " Free some space, let CNN_COURSE_DATA name a folder on another disk,"
                " or ask for a smaller size."
            ) from error
    finally:
        part.unlink(missing_ok=True)
    for older in path.parent.glob(f"{path.stem.rsplit('-', 1)[0]}-*{path.suffix}"):
        with contextlib.suppress(OSError):  # Windows keeps what is open
            if older != path:
                older.unlink()


def _read(source: Source, size: int) -> Iterator[tuple[Photo, Any, Any]]:
    """Decode in threads: photo, pixels (size, size, 3), histogram (3, 256).

    In place of the pixels of a file that cannot be read stands what is wrong with it.
    """

    def read(photo: Photo) -> tuple[Photo, Any, Any]:
        file = None
        try:
            file = source.open(photo)
            image = decode_photo(file, size)
        except Exception as error:  # Pillow's formats raise what they like
            return photo, _problem(error, file), None
        histogram = Image.fromarray(image).histogram()
        return photo, image, np.array(histogram, np.int64).reshape(3, 256)

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()  # all formats: threads that do it at once miss some
    look = {"desc": "Decoding", "unit": " photos", "delay": 1, "leave": False}
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool,
        tqdm(total=len(source.photos), file=sys.stderr, **look) as bar,
    ):
        warnings.simplefilter("ignore")  # of Pillow's, that is left for errors
        for i in range(0, len(source.photos), AHEAD):
            for result in pool.map(read, source.photos[i : i + AHEAD]):
                bar.update()
                yield result


def _named(source: Source, problems: list[str], between: str) -> str:
    """The first problems, escaped: a file system takes anything in a name."""
    lines = [shown(f"{source.path}{os.sep}{line}") for line in problems[:SHOWN]]
    more = len(problems) - SHOWN
    return between.join(lines + ([f"and {more} more"] if more > 0 else []))


def _refuse(source: Source, about: dict[str, Any], skip_bad: bool) -> None:
    """Raise if files are bad, unless they are to be skipped and others are not."""
    bad, good = about["problems"], len(about["labels"])
    if good == 0 or (bad and not skip_bad):
        lines = _named(source, bad, between="\n  ")
        raise CourseError(
            f"{len(bad)} of {good + len(bad)} files in {shown(str(source.path))} cannot"
            f" be used:\n  {lines}\n"
            "Repair or remove them, or pass skip_bad=True to leave them out."
        )


def _report(source: Source, about: dict[str, Any]) -> None:
    """Say what was left out, and what a look at the pixels would tell."""
    bad, good, place = about["problems"], len(about["labels"]), shown(str(source.path))
    lowest, highest = about["levels"]
    if bad:
        names = _named(source, bad, between="; ")
        print(f"Left out {len(bad)} of {good + len(bad)} files: {names}.")
    if about["flat"] > good / 2:
        print(
            f"{about['flat']} of {good} images in {place} are of one colour: nothing"
            " can be learnt from them. White on a transparent ground vanishes, since it"
            " is laid over white."
        )
    elif highest - lowest < FEW_LEVELS:
        print(
            f"The images in {place} use levels {lowest} to {highest} of 0 to 255, as 12"
            " bits in files of 16 do: hardly any contrast. Stretch them first."
        )
