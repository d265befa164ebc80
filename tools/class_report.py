"""The notebooks that a class handed in: who solved what, and which mistakes were made.

python -m tools.class_report FOLDER [--lms points.csv] [--no-names]

Nothing is executed: the outcomes are what the checks printed when the student saved the
notebook. A student can edit that.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from teaching.check import SIGNS, exercises
from teaching.checks import code_of
from tools import build, deck, kit, outputs
from tools.outputs import SourceError
from utils import files
from utils.course import ROOT, CourseError

OUTCOMES = {sign: outcome for outcome, sign in SIGNS.items()}
CALL = re.compile(r'^check\(\s*["\'](\d\d\.\d+)["\']', re.M)
LINE = re.compile(r"^([✓✗○]) (\d\d\.\d+) (.*?)(?: \(try (\d{1,6})\))?$", re.M)
RECORD = re.compile(r"<!-- check (\d\d\.\d+) hints ((?:[0-9a-f]{4} )+)-->")
COMMON = 10  # mistakes that are told, the most frequent ones
FIXED = ("file", "student", "lecture", "right", "of", "executed", "handed out", "note")


@dataclass
class Handed:
    """One notebook that a student handed in, and what its checks said.

    Attributes:
        file: path inside the folder.
        student: the folder that it lies in; in the folder itself the file's name.
        lecture: as "00"; empty where it is no lecture of the course.
        outcomes: exercise -> right, wrong, unanswered, or not run.
        tries: exercise -> how many answers were checked until then.
        hints: exercise -> the codes of the hints that it was given, the last one last.
        told: code -> what the check said, where the notebook still shows it.
        executed: when its last cell ran, where the notebook says so.
        handed_out: date of the outputs it came with, which tells its version.
        notes: what an instructor should know.
    """

    file: str
    student: str
    lecture: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    hints: dict[str, list[str]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    executed: str = ""
    handed_out: str = ""
    notes: list[str] = field(default_factory=list)


def collect(folder: Path, *, names: bool = True) -> list[Handed]:
    """Read all notebooks in a folder; what cannot be read of one, a note says.

    Args:
        folder: searched with all its folders.
        names: without, students and their files are numbered, in a random order.

    Raises:
        CourseError: there is no such folder, or no notebook in it.
    """
    if not os.path.isdir(folder):  # which no length of a name stops
        raise CourseError(f"{folder} is no folder: unpack what was handed in, first.")
    found = sorted(folder.rglob("*.ipynb"))
    found = [path for path in found if not _hidden(path.relative_to(folder))]
    if not found:
        raise CourseError(f"There is no notebook (.ipynb) in {folder}.")
    handed = [_one(path, folder) for path in found]
    if not names:
        random.SystemRandom().shuffle(handed)  # the order of the files tells names, too
        students = list(dict.fromkeys(one.student for one in handed))
        for number, one in enumerate(handed, start=1):
            one.student = f"student {students.index(one.student) + 1}"
            one.file = f"notebook {number}"
    first: dict[tuple[str, str], Handed] = {}
    for one in handed:
        other = first.setdefault((one.student, one.lecture), one)
        if other is not one and one.lecture:
            one.notes.append(f"the same student and lecture as {other.file}")
            other.notes.append(f"the same student and lecture as {one.file}")
    return handed


def _hidden(path: Path) -> bool:
    """Whether an editor or an archive made this, and no student."""
    return any(part[0] == "." or part == "__MACOSX" for part in path.parts)


def _one(path: Path, folder: Path) -> Handed:
    """What became of one notebook; nothing in it stops the others."""
    inside = path.relative_to(folder)
    handed = Handed(inside.as_posix(), inside.parent.as_posix())
    try:
        if not path.is_file():
            raise OSError("a pipe, which would be waited for, or a folder")
        nb = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        cells = outputs.code_cells(nb)
        called = [name for cell in cells for name in CALL.findall(cell.source)]
    except Exception as error:  # whatever a damaged file brings
        kind = type(error).__name__
        handed.notes.append(f"cannot be read as a notebook ({kind}): ask for it again")
        called = []
    else:
        handed.lecture = next((n[:2] for n in called if n in exercises(n[:2])), "")
        if not handed.lecture:
            handed.notes.append("holds no exercise of this course")
    if handed.student == ".":
        handed.student = _author(path.stem, handed.lecture)
    if handed.lecture:
        try:
            _read(nb, handed)
        except Exception as error:  # anything may stand anywhere in the file
            kind = type(error).__name__
            handed.notes.append(f"is no whole notebook ({kind}): ask for it again")
    return handed


def _author(stem: str, lecture: str) -> str:
    """A file's name without the lecture's, where anything is left of it."""
    names = [p.stem for p in (ROOT / "notebooks").glob(f"{lecture}_*.ipynb")]
    for name in names:
        stem = stem.replace(name, "").strip(" -_.") or stem
    return stem


def _read(nb: NotebookNode, handed: Handed) -> None:
    """Take outcomes and dates out of a notebook's outputs; the last run counts.

    What is odd in it raises any error: then all outcomes are there, or none.
    """
    cells = outputs.code_cells(nb)
    cells.sort(key=lambda cell: cell.get("execution_count") or 0)
    outcomes = dict.fromkeys(exercises(handed.lecture), "not run")
    tries, hints, told = {}, {}, {}
    for cell in cells:
        asked = CALL.findall(cell.source)
        codes = dict(RECORD.findall(_recorded(cell)))
        for sign, name, text, number in LINE.findall(_printed(cell)):
            if name in asked and name in outcomes:
                outcomes[name] = OUTCOMES[sign]
                tries[name] = int(number or sign != SIGNS["unanswered"])
                hints[name] = codes.get(name, "").split()
                if hints[name] and OUTCOMES[sign] == "wrong":
                    told[hints[name][-1]] = text
    handed.outcomes, handed.tries = outcomes, tries
    handed.hints, handed.told = hints, told
    handed.executed = max(filter(None, map(_when, cells)), default="")
    handed.handed_out = str(nb.metadata.get("course", {}).get("date", ""))


def _printed(cell: NotebookNode) -> str:
    streams = [o.text for o in cell.outputs if o.get("name") == "stdout"]
    return "".join(streams)


def _recorded(cell: NotebookNode) -> str:
    """What the checks left in a cell's output beside what they print."""
    return "".join(str(o.get("data", {}).get("text/html", "")) for o in cell.outputs)


def _when(cell: NotebookNode) -> str:
    """When a cell ended, in UTC, as JupyterLab or Colab may note it; else empty."""
    noted = cell.metadata.get("execution", {}).get("shell.execute_reply", "")
    milliseconds = cell.metadata.get("executionInfo", {}).get("timestamp")
    if isinstance(milliseconds, (int, float)):
        time = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        noted = time.isoformat()
    return str(noted)[:16].replace("T", " ")


def rows(handed: list[Handed]) -> Iterator[list[str]]:
    """The table: a head, then a row for each notebook."""
    lectures = sorted({one.lecture for one in handed if one.lecture})
    names = [name for lecture in lectures for name in exercises(lecture)]
    yield [
        *FIXED,
        *names,
        *(f"{n} {what}" for what in ("tries", "hints") for n in names),
    ]
    for one in handed:
        right = sum(outcome == "right" for outcome in one.outcomes.values())
        counts = [str(right), str(len(one.outcomes))] if one.outcomes else ["", ""]
        row = [one.file, one.student, one.lecture, *counts]
        row += [one.executed, one.handed_out, "; ".join(one.notes)]
        row += [one.outcomes.get(name, "") for name in names]
        row += [str(one.tries.get(name, "")) for name in names]
        for name in names:
            reasons = [reason(name, code, one.told) for code in one.hints.get(name, [])]
            row.append("; ".join(text for text, _ in reasons))
        yield [_harmless(text) for text in row]


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running a file's name as a formula."""
    return f"'{text}" if text.startswith(tuple("=+-@\t\r\n")) else text


def points(handed: list[Handed]) -> Iterator[list[str]]:
    """What an LMS imports: a row for each student, one point for each exercise."""
    best: dict[str, dict[str, int]] = defaultdict(dict)
    for one in (one for one in handed if one.lecture and one.outcomes):
        right = sum(outcome == "right" for outcome in one.outcomes.values())
        lectures = best[one.student]
        lectures[one.lecture] = max(right, lectures.get(one.lecture, 0))
    known = sorted({lecture for lectures in best.values() for lecture in lectures})
    yield ["student", *(f"{n} (of {len(exercises(n))})" for n in known)]
    for student, lectures in sorted(best.items()):
        yield [_harmless(student), *(str(lectures.get(n, "")) for n in known)]


def mistakes(handed: list[Handed]) -> Iterator[str]:
    """The mistakes that several students made: how many, which one, what to show."""
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    told: dict[str, str] = {}
    for one in handed:
        told |= one.told
        for name, codes in one.hints.items():
            for code in codes:
                made[name, code].add(one.student)
    common = sorted(made.items(), key=lambda item: (-len(item[1]), item[0]))
    for (name, code), students in common[:COMMON]:
        if len(students) < 2:
            return
        read = {one.student for one in handed if name in one.outcomes}
        text, show = reason(name, code, told)
        yield f"{name}  {len(students)} of {len(read)}: {text}{show}"


def reason(name: str, code: str, told: dict[str, str]) -> tuple[str, str]:
    """What a hint said, and what to show: by the poll, or by what a notebook shows."""
    return known(name[:2]).get(code, (told.get(code, f"hint {code}"), ""))


@cache
def known(lecture: str) -> dict[str, tuple[str, str]]:
    """Code of a mistake that a lecture's poll asks for -> what it is, what to show."""
    found, lesson = {}, None
    try:
        [source] = build.lectures([lecture])
        with suppress(ModuleNotFoundError):  # who only teaches may lack jupytext
            lesson = deck.read(source)
        for poll in kit.read(source.stem).polls:
            show = f" Show the slide “{poll.show}” again."
            if lesson:
                number = kit.slide_of(poll, lesson)
                heading = lesson.slides[number - 1].heading
                show = f" Show slide {lecture}-{number} again, “{heading}”."
            for option in poll.options[1:]:
                found[code_of(option.reason)] = option.reason, show
    except SourceError as error:
        print(f"no slides to show: {error}", file=sys.stderr)
    return found


def write(table: Iterator[list[str]], out: Path) -> None:
    """Write a table as CSV, whole or not at all; spreadsheets see its encoding.

    What UTF-8 does not hold, such as parts of a name in Latin-1, is escaped.

    Raises:
        CourseError: there is no room or no permission, or `out` is no regular file.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    try:
        with files.replacing(out) as file:
            file.write(text.getvalue().encode("utf-8-sig", "backslashreplace"))
    except OSError as error:
        raise CourseError(
            f"{out} cannot be written ({error.strerror}). If a spreadsheet has it open,"
            " close it; or name another --out."
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 1 where nothing was written."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="Put each student's files into a folder of the student's name, or all"
        " files into one folder, under the students' names.",
    )
    parser.add_argument("folder", type=Path, help="searched with all its folders")
    parser.add_argument("--out", type=Path, default=Path("class.csv"))
    parser.add_argument("--lms", type=Path, help="CSV file of points, for an LMS")
    parser.add_argument("--no-names", action="store_true", help="number the students")
    parser.add_argument("--force", action="store_true", help="overwrite CSV files")
    args = parser.parse_args(argv)
    try:
        if args.lms and args.lms.absolute() == args.out.absolute():
            raise CourseError(f"{args.out}: one file cannot hold both tables.")
        for option, out in (("--out", args.out), ("--lms", args.lms)):
            if out and os.path.exists(out) and not args.force:
                raise CourseError(
                    f"{out} exists: name another {option}, or add --force."
                )
            if out and not os.path.isdir(out.parent):
                raise CourseError(f"There is no folder {out.parent}: create it first.")
        handed = collect(args.folder, names=not args.no_names)
        write(rows(handed), args.out)
        if args.lms:
            write(points(handed), args.lms)
    except CourseError as error:
        print(f"class_report: {error}", file=sys.stderr)
        return 1
    for one in handed:
        for note in one.notes:
            print(f"{one.file}: {note}", file=sys.stderr)
    read = sum(bool(one.outcomes) for one in handed)
    print(f"{args.out}: {read} of {len(handed)} notebooks read, nothing executed")
    for line in mistakes(handed):
        print(line)
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a file's name may be anything
    sys.exit(main())
