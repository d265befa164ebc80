"""The course as one file: whole, for the website, or without answers, for a class.

python -m tools.release      build/release/cnn-course.zip

A class gets no solutions and none of the speaker's notes. The checks stay, which judge
the answers: who reads their code finds what is right.
"""

from __future__ import annotations

import argparse
import subprocess
import zipfile
from pathlib import Path

from tools import build, outputs
from tools.outputs import SourceError, command
from utils.files import replacing

ARCHIVE = "cnn-course.zip"
OUT = build.ROOT / "build" / "release" / ARCHIVE
PACKED = ("notebooks", "utils", "teaching", "tools", "experiments", "results", "data")
ALONE = ("README.md", "LICENSE", "Makefile", "pyproject.toml", "requirements.txt")
ANSWERS = ("notebooks/solutions/", "notebooks/source/")


def files(*, answers: bool) -> list[str]:
    """The files of the archive, as git knows them, seen from the root."""
    command = ["git", "-C", str(build.ROOT), "ls-files", *PACKED, *ALONE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SourceError("the archive needs git, to know the course's files")
    there = [n for n in done.stdout.splitlines() if (build.ROOT / n).is_file()]
    return sorted(n for n in there if answers or not n.startswith(ANSWERS))


def without_notes(path: Path) -> bytes:
    """A notebook as a class gets it."""
    nb = outputs.load(path)
    kinds = [c.metadata.get("slideshow", {}).get("slide_type") for c in nb.cells]
    pairs = zip(nb.cells, kinds, strict=True)
    nb.cells = [cell for cell, kind in pairs if kind != "notes"]
    return outputs.text_of(nb).encode()


def pack(path: Path, *, answers: bool) -> None:
    """Write what a reader needs to run the course into one file, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = files(answers=answers)
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in names:
            place, source = f"cnn-course/{name}", build.ROOT / name
            if answers or source.suffix != ".ipynb":
                archive.write(source, place)
            else:
                archive.writestr(place, without_notes(source))


def main() -> None:
    """Pack the course for a class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="the archive")
    options = parser.parse_args()
    pack(options.out, answers=False)
    print(options.out)


if __name__ == "__main__":
    command(main)
