"""A lecture on paper: its slides with notes, two a page, and one page to learn from.

python -m tools.handout 07   build/handout/07_resnet.pdf and 07_resnet_sheet.pdf

Chromium, Chrome or Edge makes the PDFs. Both are written, or neither.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path

from tools import build, deck, room
from tools.browser import chromium
from tools.deck import Deck
from tools.drawn import Stage
from tools.outputs import SourceError, command

OUT = build.ROOT / "build" / "handout"
SECONDS = 180
PAGE = re.compile(rb"/Type */Page\b")
TAKEN_HOME = "to take home"  # ends the heading of each deck's recap


def pages(lesson: Deck, *, answers: bool = True) -> dict[str, str]:
    """Name of each PDF -> the page that Chromium prints.

    Raises:
        SourceError: a slide is over a limit, or the lecture lacks its sheet.
    """
    found = deck.faults(lesson)
    if found:
        raise SourceError("\n".join(found))
    shown = lesson if answers else deck.unanswered(lesson)
    common = {
        "title": lesson.slides[0].heading,
        "number": lesson.name[:2],
        "css": room.styles("room/room.css", "room/paper.css"),
    }
    about = {"": {"slides": room.slides_of(shown)}, "_sheet": {"sheet": sheet(lesson)}}
    paper = room.template("paper.html")
    return {f"{lesson.name}{n}.pdf": paper.render(common | a) for n, a in about.items()}


def sheet(lesson: Deck) -> str:
    """The page to learn from: a drawing, recap, formulas, shapes and results."""
    recap = [s for s in lesson.slides if s.heading.endswith(TAKEN_HOME)]
    if not lesson.sheet or len(recap) != 1:
        raise SourceError(
            f'{lesson.name} needs one cell slide="sheet", and one slide whose heading'
            f" ends in “{TAKEN_HOME}”"
        )
    drawing, *sections = re.split(r"^(?=## )", lesson.sheet, flags=re.M)
    sections.insert(0, f"## To take home\n\n{recap[0].steps[0]}")
    found = [
        f"{slide.heading}\n\n{formula}"
        for slide in lesson.slides
        for formula in re.findall(r"\$\$.*?\$\$", slide.text, re.S)
    ]
    if found:
        sections.insert(1, "## Formulas\n\n" + "\n\n".join(found))
    stage = Stage(lesson)
    top, *below = (
        room.elements(list(room.parts(0, part, stage))) for part in (drawing, *sections)
    )
    return f'<div class="top">{top}</div><div class="columns">' + "".join(
        f"<section>{section}</section>" for section in below
    )


def printed(text: str, program: str) -> bytes:
    """A page as PDF.

    Raises:
        SourceError: Chromium fails.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_text(text, encoding="utf-8")
        command = [program, "--headless", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}"]
        if getattr(os, "geteuid", lambda: 1)() == 0:
            command.append("--no-sandbox")  # which root cannot have
        try:
            done = subprocess.run(
                [*command, source.as_uri()], capture_output=True, timeout=SECONDS
            )
            said = done.stderr.decode("utf-8", "replace").strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        if not target.is_file():
            last = said.rpartition("\n")[2]
            raise SourceError(f"{program} printed nothing: {last}")
        return target.read_bytes()


def write(lesson: Deck, folder: Path = OUT, *, answers: bool = True) -> list[Path]:
    """Write a lecture's PDFs; returns the files.

    Raises:
        SourceError: there is no Chromium, or the sheet is longer than its page.
    """
    program = chromium()
    if not program:
        raise SourceError(
            "no Chromium, Chrome or Edge found, which prints the PDFs: install one, or"
            " say in the variable CHROMIUM where it is"
        )
    whole = pages(lesson, answers=answers)
    made = {name: printed(text, program) for name, text in whole.items()}
    count = len(PAGE.findall(made[f"{lesson.name}_sheet.pdf"]))
    if count != 1:
        raise SourceError(f"{lesson.name}: its sheet takes {count} pages; right is 1")
    folder.mkdir(parents=True, exist_ok=True)
    for name, pdf in made.items():
        (folder / name).write_bytes(pdf)
    return [folder / name for name in made]


def main() -> None:
    """Print the lectures that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", nargs="*", help="such as 07; all by default")
    parser.add_argument("--no-answers", action="store_true", help="nor notes")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the PDFs")
    options = parser.parse_args()
    for source in build.lectures(options.lecture):
        answers = not options.no_answers
        made = write(deck.read(source), options.out, answers=answers)
        print(*made, sep="\n", flush=True)


if __name__ == "__main__":
    command(main)
