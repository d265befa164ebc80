"""The words of `python -m utils.data`, and what they do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bundle import check, pack
from utils import files
from utils.course import CourseError

ABOUT = """\
The data of the course for a room without network.

  python -m utils.data bundle /media/stick/course-data

packs the data sets and weights that lie in CNN_COURSE_DATA (or data/), downloads what
is missing, and writes a list of checksums. On each machine of the room, CNN_COURSE_DATA
then names that folder, or a copy of it, and everything runs at any scale.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    files.print_anything()
    parser = _parser()
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        if options.command == "check":
            bad = check(options.folder)
            print(*map(files.shown, bad), sep="\n", end="\n" * bool(bad))
            return 1 if bad else 0
        missing = pack(options.dest, online=not options.offline)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What is done stays: the same command goes on.")
        return 130
    print(f"\nThe bundle is in {options.dest}. Set CNN_COURSE_DATA to that folder.")
    print(f"A copy of it is verified by: python -m utils.data check {options.dest}")
    if missing:
        print("\nMissing; a stand-in takes the place of each, and one line says so:")
        for name, why in missing.items():
            print(f"\n{name}: {why}")
    return 1 if missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utils.data",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    text = "pack data sets and weights, with their checksums"
    add = commands.add_parser(
        "bundle", help=text, description=pack.__doc__.split("\n")[0]
    )
    add.add_argument(
        "dest",
        type=Path,
        metavar="DEST",
        help="a new or empty folder, or an earlier bundle, which is completed",
    )
    add.add_argument(
        "--offline", action="store_true", help="download nothing: pack what is here"
    )
    text = "verify every file of a bundle, or of a copy of one"
    add = commands.add_parser(
        "check", help=text, description=check.__doc__.split("\n")[0]
    )
    add.add_argument("folder", type=Path, metavar="FOLDER", help="the bundle")
    return parser
