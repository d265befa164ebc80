"""Photos of any size: found in folders or a zip, and decoded once, into one file.

The file holds squares of pixels, image after image, and behind them, as JSON, what is
known of them. Training images lie in the order in which they are divided into train and
validation, so each part is a slice of the map, and nothing is copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from utils import course, download
from utils.course import CourseError
from utils.images import balanced_order

LEVELS = np.arange(256)
SHOWN = 5  # problems that a message names
AHEAD = 512  # photos that wait in memory, decoded
FAINT = 10  # of 255: images whose values vary by less have hardly any contrast
STEMS = {  # in the order in which the parts lie in a file
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
SYSTEM = ("thumbs.db", "desktop.ini", "__", "lost+found", "system volume")
MICROSOFT = download.Remote(
    "kagglecatsanddogs_5340.zip",
    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    ),
)


class Part(NamedTuple):
    """What a part of a set holds; decoded photos lie in the order of their division."""

    images: np.ndarray  # uint8 (N, C, H, W)
    labels: np.ndarray  # int64 (N,)
    moments: np.ndarray | None = None  # of photos, int64 (N, 2, C): sums of x and x²


class Photo(NamedTuple):
    """A photo: part, class, name in its source, and what changes when it does."""

    part: str
    label: int
    name: str
    stamp: str


class Source(NamedTuple):
    """A folder, and the photos in it."""

    path: Path
    photos: list[Photo]


# Where they lie


def of_system(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, an index, thumbnails.

    A NAS marks its folders with "@" or "#", Windows its own with "$".
    """
    marked = name[0] in "@#$" and len(name) > 1
    return name[0] == "." or marked or name.lower().startswith(SYSTEM)


def part_of(name: str) -> str | None:
    """The part that a folder's name speaks of: "seg_train", "Testing", "valSet"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    words = {re.sub(r"(set|data|images|imgs?)$", "", word.lower()) for word in words}
    parts = [part for part, stems in STEMS.items() if words & stems]
    return parts[0] if len(parts) == 1 else None


def inside(path: Path) -> dict[str, Path]:
    """The folders in a folder by name, sorted, without those of the system."""
    found = [e for e in path.iterdir() if e.is_dir() and not of_system(e.name)]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}


def listed(root: Path, path: Path) -> list[tuple[str, str]]:
    """All files in `path` and deeper, sorted: name from `root` on, size and time."""
    files = []
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not of_system(name)]
        for file in (Path(place, name) for name in names if not of_system(name)):
            found = file.stat() if file.exists() else file.lstat()
            stamp = f"{found.st_size} {found.st_mtime_ns}"
            files.append((str(file.relative_to(root)), stamp))
    return sorted(files, key=lambda file: Path(file[0]).parts)


def in_folder(path: Path) -> tuple[Source, tuple[str, ...]]:
    """The photos of `path/<class>/...`, or of `path/train/<class>/...`; the classes.

    Folders within a class belong to it. The content decides what is an image, not the
    file's name.
    """
    if not path.is_dir():
        raise CourseError(f"There is no folder {path}. Check it (here: {Path.cwd()}).")
    parts, photos = _parts(path), []
    classes = list(inside(parts["train"]))
    if len(classes) < 2:
        raise CourseError(
            f"{parts['train']} holds {len(classes)} folders. Put the images of each"
            " class, two or more, into a folder with its name."
        )
    for part, folder in parts.items():
        for name, kind in inside(folder).items():
            if name not in classes:
                raise CourseError(f"{kind} is a class that train lacks. Add it there.")
            files, label = listed(path, kind), classes.index(name)
            photos += [Photo(part, label, *file) for file in files]
            if part == "train" and not files:
                raise CourseError(f"{kind} holds no images. Add some, or remove it.")
    return Source(path, photos), tuple(classes)


def _parts(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; one that is not divided is all train."""
    parts: dict[str, Path] = {}
    others = []
    for name, folder in inside(path).items():
        if list(inside(folder)) == [name]:  # packed twice
            folder = folder / name
        part = part_of(name)
        if not part or not inside(folder):
            others.append(folder)
        elif parts.setdefault(part, folder) != folder:  # val and valid
            raise CourseError(
                f"{path} holds two folders for {part}. Put their images into one."
            )
    if "train" not in parts:
        names = [inside(path), *map(inside, others)]
        if any(sum(map(bool, map(part_of, some))) > 1 for some in names):
            raise CourseError(
                f"{path} has parts, but no train with a folder for each class. Put the"
                " parts first, and in each a folder for each class: train/cat."
            )
        return {"train": path}
    unknown = [f for f in others if inside(f).keys() & inside(parts["train"]).keys()]
    if unknown:
        raise CourseError(
            f"{unknown[0]} holds classes, but its name says neither train nor val nor"
            " test. Rename it, or move it elsewhere."
        )
    if others:
        names = ", ".join(folder.name for folder in others)
        print(shown(f"Passed over in {path}, since they hold no classes: {names}."))
    return parts


def dogs_vs_cats(root: Path, *, online: bool | None = None) -> Source:
    """The photos in `root`: of Kaggle's folders or zips, or Microsoft's, downloaded."""
    kaggle = "train.zip", "dogs-vs-cats.zip", "train.zip"  # which lies in the second
    for name in ("", *kaggle, MICROSOFT.name):
        archive = root / name
        if name == MICROSOFT.name:
            archive = download.fetch(MICROSOFT, root, online=online)
        if archive.is_file():
            download.unpack(archive)
        for holder in (part_of, "PetImages".__eq__):
            photos = [p for p in _by_name(root) if holder(Path(p.name).parts[0])]
            if any(photo.part == "train" for photo in photos):
                return Source(root, photos)
    raise CourseError(f"{archive} holds no photos of cats and dogs. Delete it.")


def _by_name(root: Path) -> list[Photo]:
    """Those in a folder that are named as `train/cat.0.jpg` or `PetImages/Cat/0.jpg`.

    Others, such as Kaggle's `test1/1.jpg`, have no known class.
    """
    photos = []
    for name, stamp in listed(root, root):
        *above, file = Path(name.lower()).parts
        part = next(filter(None, map(part_of, Path(name).parts[:-1])), "train")
        for label, kind in enumerate(("cat", "dog")):
            if file.startswith(f"{kind}.") or {*above[-1:]} & {kind, f"{kind}s"}:
                photos.append(Photo(part, label, name, stamp))
    return photos


def shown(text: str) -> str:
    """A text from outside in one line: no terminal acts on it, and it is not long."""
    text = text if len(text) <= 500 else f"{text[:250]} ... {text[-250:]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


# What is in them


def decode_photo(file: Path, size: int | None = None) -> np.ndarray:
    """Read an image as RGB, upright, whatever its format and mode: uint8 (H, W, 3).

    16-bit grey is scaled to 8 bits, what is transparent becomes white, and of an
    animation the first frame is taken. `size`, in pixels, is what the shorter side
    becomes (antialiased), before the central square is cut out.
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


def _problem(error: Exception, file: Path) -> str:
    """What is wrong with an image file, and what to do about it, in a few words."""
    if not isinstance(error, Image.UnidentifiedImageError):
        return f"damaged or unreadable ({error}); copy it again, or leave it out"
    unknown = "no image, or of a kind unknown to Pillow; convert it, or leave it out"
    return download.kind_of(file) or unknown


def decoded(
    source: Source, size: int, name: str, *, seed: int, skip_bad: bool = False
) -> dict[str, Part]:
    """The photos of a source as squares, by part; from the cache where they lie there.

    `name` is that of the set, and of its file in the cache; `seed` that of the order in
    which training images are divided. `skip_bad` leaves files out that cannot be read.
    """
    if not isinstance(size, int) or size < 1:
        raise CourseError(f"size={size!r} is no side in pixels. Use 1 or more.")
    parts = {p: [x for x in source.photos if x.part == p] for p in STEMS}
    labels = torch.tensor([photo.label for photo in parts["train"]]).long()
    order = balanced_order(labels, seed=seed).tolist()
    parts["train"] = [parts["train"][i] for i in order]
    source = source._replace(photos=[*chain(*parts.values())])
    key = repr((Image.__version__, [tuple(photo) for photo in source.photos]))
    version = hashlib.sha256(key.encode()).hexdigest()
    path = _folder() / f"photos-{name}-{seed}-{size}.pixels"
    if _kept(path, size, version) is None:
        _decode_all(source, size, path, version, skip_bad)
    pixels, rows, problems = _kept(path, size, version)
    if problems:
        print(f"Left out {_named(source, problems, ' ')}.")
    labels, moments = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
    _look(source, moments / size**2)
    found, begin = {}, 0
    for part, n in Counter(row[0] for row in rows).items():
        some = slice(begin, begin := begin + n)
        images = pixels[some].transpose(0, 3, 1, 2)
        found[part] = Part(images, labels[some], moments[some])
    return found


def _folder() -> Path:
    """Where decoded photos are kept: in the data folder, if it takes files."""
    folder = course.data_dir() / "cache"
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        folder, why = Path(tempfile.gettempdir()), error.strerror
        print(f"The data folder takes no file ({why}): decoded photos lie in {folder}.")
    return folder


def _kept(
    path: Path, size: int, version: str
) -> tuple[np.ndarray, list[list], list[str]] | None:
    """Pixels (N, size, size, 3), mapped, a row for each, and the problems; or None.

    Pixels may be written to, and the file does not change.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(-8, io.SEEK_END)
            begin = end - int.from_bytes(file.read(8), "little")
            file.seek(begin)
            made, rows, problems = json.loads(file.read(end - begin))
            shape = (len(rows), size, size, 3)
            if made == version and math.prod(shape) == begin:
                return np.memmap(file, np.uint8, "c", shape=shape), rows, problems
    except (OSError, ValueError, TypeError):
        pass  # there is none, of these files, or it is damaged
    return None


def _decode_all(
    source: Source, size: int, path: Path, version: str, skip_bad: bool
) -> None:
    """Decode every photo into a file; it gets its name once it is whole."""
    rows, problems = [], []
    try:
        # Two may decode at once, each in a folder of its own.
        with tempfile.TemporaryDirectory(dir=path.parent) as own:
            with Path(own, path.name).open("wb") as file:
                for photo, image, told in _read(source, size):
                    if image is None:
                        problems.append(f"{photo.name}: {told}")
                    else:
                        file.write(image.data)
                        rows.append([photo.part, photo.label, told])
                if problems and not (skip_bad and rows):
                    raise CourseError(
                        f"Not to be used: {_named(source, problems)}\nRepair or"
                        " remove them, or pass skip_bad=True to leave them out."
                    )
                tail = json.dumps([version, rows, sorted(problems)]).encode()
                file.write(tail + len(tail).to_bytes(8, "little"))
            Path(own, path.name).replace(path)
    except OSError as error:
        raise CourseError(
            f"The decoded photos cannot be written to {path} ({error.strerror}). Free"
            " some space, let CNN_COURSE_DATA name a folder on another disk, or ask for"
            " a smaller size."
        ) from error


def _read(source: Source, size: int) -> Iterator[tuple[Photo, Any, Any]]:
    """Decode in threads: photo, pixels, and their moments (2, 3) as lists.

    Of a file that cannot be read: photo, None, and what is wrong with it.
    """

    def read(photo: Photo) -> tuple[Photo, Any, Any]:
        try:
            image = decode_photo(source.path / photo.name, size)
        except Exception as error:  # Pillow's formats raise what they like
            return photo, None, _problem(error, source.path / photo.name)
        counts = np.array(Image.fromarray(image).histogram(), np.int64).reshape(3, 256)
        return photo, image, [(counts @ LEVELS**power).tolist() for power in (1, 2)]

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()  # all formats: threads that do it at once miss some
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool,
        tqdm(desc="Decoding", total=len(source.photos), delay=1, leave=False) as bar,
    ):
        warnings.simplefilter("ignore")  # of Pillow's, that is left for errors
        for i in range(0, len(source.photos), AHEAD):
            for result in pool.map(read, source.photos[i : i + AHEAD]):
                yield result
                bar.update()


def _named(source: Source, problems: list[str], between: str = "\n  ") -> str:
    """How many files are bad and the first ones, whatever their names may hold."""
    lines = [shown(f"{source.path}{os.sep}{line}") for line in sorted(problems)]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"and {len(lines) - SHOWN} more"]
    count = f"{len(problems)} of {len(source.photos)} files"
    return f"{count}:{between}" + between.join(lines)


def _look(source: Source, moments: np.ndarray) -> None:
    """Say in one line that images have no contrast, from their means of x and x²."""
    spread = np.sqrt((moments[:, 1] - moments[:, 0] ** 2).clip(0)).max(1)
    if (n := (spread < FAINT).sum()) > len(spread) / 2:
        print(
            f"{n} of {len(spread)} images in {shown(str(source.path))} are of one"
            " colour, or nearly: white on a transparent ground vanishes, and 12 bits in"
            " files of 16 are dark. Stretch their contrast first."
        )
