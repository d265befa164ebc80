"""Pack all data sets and weights of the course for a room without network.

    python -m tools.bundle pack /media/stick/course-data

packs what lies in CNN_COURSE_DATA (or data/), downloads what is missing, and writes a
list of checksums, as `sha256sum --check` reads it. On each machine of the room,
CNN_COURSE_DATA then names that folder, or a copy of it, and everything runs at any
scale. `python -m tools.bundle check FOLDER` verifies every byte of a copy.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pooch
from tqdm import tqdm

from utils import course, download, photos
from utils.course import CourseError
from utils.files import replacing
from utils.models import pretrained
from utils.photos import shown

NAME = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
# Whose weights for ImageNet the lectures use, at one of the scales.
IMAGENET = ("squeezenet1_1", "alexnet", "vgg16", "resnet34", "googlenet")
Find = Callable[[bool], list[Path]]  # takes whether it may download


def items(root: Path) -> dict[str, Find]:
    """All that the lectures use beside what comes with the course: name -> files."""

    def idx(name: str, online: bool) -> list[Path]:
        folder = download.bring(name, online=online) / name / "raw"
        return sorted(folder.glob("*ubyte*"))

    def cifar10(online: bool) -> list[Path]:
        folder = download.bring("CIFAR10", online=online) / "cifar-10-batches-py"
        return sorted(folder.iterdir())

    def dogs_vs_cats(online: bool) -> list[Path]:
        found = photos.dogs_vs_cats(root / "dogs_vs_cats", online=online)
        return [found.path / photo.name for photo in found.photos]

    def imagenet(name: str, online: bool) -> list[Path]:
        folder = root / pretrained.FOLDER
        return [pretrained.find_imagenet(name, folder, online=online)]

    return {
        "MNIST": partial(idx, "MNIST"),
        "Fashion-MNIST": partial(idx, "FashionMNIST"),
        "CIFAR-10": cifar10,
        "Dogs vs. Cats": dogs_vs_cats,
        **{f"ImageNet: {name}": partial(imagenet, name) for name in IMAGENET},
    }


def pack(dest: Path, *, online: bool = True) -> dict[str, CourseError]:
    """Pack everything that can be had into a bundle, and say so line by line.

    Each file is copied whole or not at all, and the list of checksums is written after
    each data set. So a bundle that was interrupted is completed by packing once more.

    Args:
        dest: a new or empty folder, or a bundle.
        online: whether what is not on the disk may be downloaded, into the data folder.

    Returns:
        What could not be had -> why.

    Raises:
        CourseError: `dest` holds other things, has too little room, or takes no file.
    """
    root, dest = course.data_dir().absolute(), course.expanded(dest).absolute()
    missing: dict[str, CourseError] = {}
    try:
        sums = _open(dest, root)
        for name, find in items(root).items():
            try:
                paths = find(online)
            except CourseError as error:
                missing[name] = error
                reason = getattr(error, "reason", error)
                print(f"{name:24}MISSING: {reason}", flush=True)
                continue
            _require_room(dest, root, paths)
            for path in tqdm(paths, name, file=sys.stderr, delay=1, leave=False):
                place = path.relative_to(root).as_posix()
                sums[place] = _copy(path, dest / place)
            lines = (f"{sha256}  {place}\n" for place, sha256 in sorted(sums.items()))
            with replacing(dest / NAME) as file:
                file.write("".join(lines).encode("utf-8", "surrogateescape"))
            size = sum(path.stat().st_size for path in paths) / 1e6
            print(f"{name:24}{len(paths):>7,} files {size:>9,.1f} MB", flush=True)
    except OSError as error:
        raise CourseError(
            f"{error.filename or dest} cannot be written ({error.strerror}). What is"
            " packed stays: make room, or name another folder, and pack once more."
        ) from error
    return missing


def _open(dest: Path, root: Path) -> dict[str, str]:
    """Make the folder, if need be; the list of what it has already: name -> SHA-256."""
    if dest.resolve() == root.resolve():
        raise CourseError(
            f"{dest} is the data folder itself, which is what is packed. Name another."
        )
    dest.mkdir(parents=True, exist_ok=True)
    if (dest / NAME).is_file():
        return read(dest)
    if any(not path.name.startswith(NAME) for path in dest.iterdir()):
        raise CourseError(
            f"{dest} holds other things, and no bundle. Nothing was changed: name a new"
            " or an empty folder."
        )
    return {}


def _require_room(dest: Path, root: Path, paths: list[Path]) -> None:
    new = (p for p in paths if not (dest / p.relative_to(root)).is_file())
    needed, free = sum(p.stat().st_size for p in new), shutil.disk_usage(dest).free
    if needed > free:
        raise CourseError(
            f"{dest} needs {needed / 1e6:,.0f} MB more, and {free / 1e6:,.0f} MB are"
            " free. Free some space, or name a folder on another disk."
        )


def _copy(source: Path, target: Path) -> str:
    """Copy a file, unless it is there; its SHA-256."""
    sha256 = pooch.file_hash(str(source))
    if not target.is_file() or pooch.file_hash(str(target)) != sha256:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original, replacing(target) as copy:
            shutil.copyfileobj(original, copy, 2**20)
    return sha256


def read(folder: Path) -> dict[str, str]:
    """A bundle's list: name -> SHA-256.

    Raises:
        CourseError: the folder is no bundle, or its list is damaged.
    """
    if not (folder / NAME).is_file():
        raise CourseError(
            f"{folder} is no bundle: it has no {NAME}. Make one:"
            f" python -m tools.bundle pack {folder}"
        )
    text, sums = (folder / NAME).read_text("utf-8", errors="surrogateescape"), {}
    for number, line in enumerate(text.splitlines(), start=1):
        found = LINE.fullmatch(line)
        if not found:
            raise CourseError(
                f"{folder / NAME} is damaged: line {number} is no checksum with a name."
                " Copy the bundle again."
            )
        sums[found[2]] = found[1]
    return sums


def check(folder: Path) -> list[str]:
    """What is wrong with a bundle, each line beginning with a file's name.

    Raises:
        CourseError: the folder is no bundle, or its list is damaged.
    """
    sums, bad = read(folder), []
    for name, sha256 in sums.items():
        if not (folder / name).is_file():
            bad.append(f"{shown(name)} is missing")
        elif pooch.file_hash(str(folder / name)) != sha256:
            bad.append(f"{shown(name)} is not as it was packed (its SHA-256 differs)")
    right = len(sums) - len(bad)
    print(f"{right:,} of {len(sums):,} files in {folder} are as they were packed.")
    return bad


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # "?" for what it lacks, such as ✓ on Windows
    parser = argparse.ArgumentParser(
        prog="python -m tools.bundle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["pack", "check"])
    parser.add_argument("folder", type=Path, help="new or empty, or a bundle")
    parser.add_argument("--offline", action="store_true", help="download nothing")
    options = parser.parse_args(words)
    try:
        if options.command == "check":
            bad = check(options.folder)
            print(*bad, sep="\n", end="\n" * bool(bad))
            return 1 if bad else 0
        missing = pack(options.folder, online=not options.offline)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What is done stays: the same command goes on.")
        return 130
    print(f"\nThe bundle is in {options.folder}. Set CNN_COURSE_DATA to that folder.")
    if missing:
        print("\nMissing; a stand-in takes the place of each, and one line says so:")
        for name, why in missing.items():
            print(f"\n{name}: {why}")
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
