"""The course for a class: no solutions, and none of the speaker's notes.

python -m tools.release      build/release/cnn-course.zip

The checks stay, which judge the answers: who reads their code finds what is right.
"""

from __future__ import annotations

import argparse
import io
import os
import zipfile
from pathlib import Path

from tools import build, front, outputs

OUT = build.ROOT / "build" / "release" / front.ARCHIVE
LEFT_OUT = ("notebooks/solutions/", "notebooks/source/")


def content(name: str) -> bytes:
    """A file of the course, as a class gets it."""
    path = build.ROOT / name
    if path.suffix != ".ipynb":
        return path.read_bytes()
    nb = outputs.load(path)
    nb.cells = [
        cell
        for cell in nb.cells
        if cell.metadata.get("slideshow", {}).get("slide_type") != "notes"
    ]
    return outputs.text_of(nb).encode()


def pack(path: Path) -> None:
    """Write the archive: the whole of it, or nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in front.files():
            if not name.startswith(LEFT_OUT):
                archive.writestr(f"cnn-course/{name}", content(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(file.getvalue())
    os.replace(part, path)


def main() -> int:
    """Pack the course for a class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="the archive")
    options = parser.parse_args()
    pack(options.out)
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
