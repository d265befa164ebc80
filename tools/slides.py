"""Slide decks from the lectures' sources: one self-contained file each.

python -m tools.slides [04 ...]      build/slides/04_vgg.html, with the kept outputs
python -m tools.slides --session 8   build/slides/session_8.html, by the timetable
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools import build, deck, room, sessions
from tools.deck import Deck
from tools.outputs import command

OUT = build.ROOT / "build" / "slides"


def write(lesson: Deck, folder: Path = OUT, *, answers: bool = True) -> Path:
    """Write a deck; returns the file."""
    whole = room.page(lesson, answers=answers)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lesson.name}.html"
    path.write_text(whole, encoding="utf-8", newline="\n")
    return path


def main() -> None:
    """Write the decks that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", nargs="*", help="such as 04; all by default")
    parser.add_argument("--session", help="such as 8: one of the timetable")
    parser.add_argument("--no-answers", action="store_true", help="nor notes")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the decks")
    options = parser.parse_args()
    if options.session is not None:
        wanted = [sessions.deck_of(options.session)]
    else:
        wanted = [deck.read(source) for source in build.lectures(options.lecture)]
    for lesson in wanted:
        written = write(lesson, options.out, answers=not options.no_answers)
        print(f"{written}  {written.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    command(main)
