"""A lecture's teaching kit: poll questions as slides and for an LMS, and an exam.

python -m tools.kit [04 ...]   build/kit/04_poll.html, 04_poll.gift, 04_exam.html, ...

Its source, site/kit/NN.md, names for each wrong option what the lecture's check would
say to it.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import re
from pathlib import Path
from typing import NamedTuple

from tools import build, deck
from tools.deck import Deck, Slide
from tools.drawn import Stage
from tools.outputs import SourceError, command
from tools.percent import Cell

SOURCES, OUT = build.ROOT / "site" / "kit", build.ROOT / "build" / "kit"
LETTERS = "ABCD"
PARTS = re.compile(
    r"\A(```python\n(?P<code>.*?)```\n\n)?"
    r"# Poll\n(?P<polls>.*)^# Exam\n(?P<exams>.*)\Z",
    re.M | re.S,
)
POLL = re.compile(
    r"(?P<heading>[^\n]+)\n\n(?P<question>.+?)\n\n(?P<options>(?:^- .+\n)+)\n"
    r"Why: (?P<why>[^\n]+)\nShow: (?P<show>[^\n]+)",
    re.M | re.S,
)
EXAM = re.compile(
    r"(?P<title>[^\n]+)\n\n(?P<question>.+?)\n\nAnswer: (?P<answer>.+?)\n\n"
    r"(?P<rubric>(?:^- \d+: .+\n?)+)",
    re.M | re.S,
)
WRONG = re.compile(r"(?P<text>.+?) <- (?P<exercise>\d\d\.\d+) (?P<reason>.+)")
SPECIAL = re.compile(r"[~=#{}:\\]")  # of GIFT
ASKED, WHY = 260, 170  # characters of a question and its reason, on a slide
LISTED = """
.slide ol { list-style: upper-alpha; padding-left: 1.6em; }
.results blockquote strong { float: left; margin-right: 28px; line-height: 1; }
"""
PRINTED = """
body { max-width: 46em; margin: 2em auto; padding: 0 1em; font: 12pt/1.45 sans-serif; }
pre { padding: 0.6em; background: #f3f6f8; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
h2 { margin-top: 1.6em; }
ul { padding-left: 1.2em; } .anchor-link { display: none; }
section { break-inside: avoid; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>{css}</style></head><body>
<main><h1>{title}</h1>{body}</main></body></html>
"""


class Option(NamedTuple):
    """One answer of a poll; a wrong one with the exercise whose check knows it."""

    text: str
    exercise: str = ""
    reason: str = ""


class Poll(NamedTuple):
    """A question; the first one of its options is right.

    Attributes:
        heading: what it is about.
        question: its last paragraph asks.
        options: the right one, and what misconceptions give.
        why: the right one is right.
        show: begins the heading of the slide to go back to.
    """

    heading: str
    question: str
    options: list[Option]
    why: str
    show: str

    def mixed(self) -> list[Option]:
        """The options in an order that tells nothing, the same every time."""
        texts = [(self.heading + one.text).encode() for one in self.options]
        keys = [hashlib.sha1(text).hexdigest() for text in texts]
        return [one for _, one in sorted(zip(keys, self.options, strict=True))]


class Exam(NamedTuple):
    """A question of an exam, with its model answer and what gives how many points."""

    title: str
    question: str
    answer: str
    rubric: list[tuple[int, str]]

    @property
    def points(self) -> int:
        """What a whole answer gives."""
        return sum(points for points, _ in self.rubric)


class Kit(NamedTuple):
    """The questions of a lecture; `lecture` is the stem of its source."""

    lecture: str
    polls: list[Poll]
    exams: list[Exam]


def read(lecture: str, *, fill: bool = False) -> Kit:
    """The kit of a lecture, such as "04_vgg".

    Args:
        lecture: the stem of its source.
        fill: put in the values of `{{ ... }}`, as in the lecture's deck.

    Raises:
        SourceError: there is none, or it is not of the form that CONTRIBUTING.md shows.
    """
    path = SOURCES / f"{lecture[:2]}.md"
    if not path.is_file():
        raise SourceError(f"lecture {lecture[:2]} has no kit: {path} is missing")
    text = path.read_text(encoding="utf-8")
    parts = PARTS.match(text)
    if parts is None:
        raise SourceError(f"{path.name}: it has two parts, # Poll and then # Exam")
    asked, examined = parts["polls"], parts["exams"]
    if fill:
        code = Cell("code", parts["code"] or "0")
        try:
            stage = Stage(Deck(lecture, [], [code]))
            asked, examined = _filled(asked, stage), _filled(examined, stage)
        except SourceError as error:
            raise SourceError(f"{path.name}: {error}") from None
    polls = [_poll(found, path.name) for found in _each(asked, POLL, path.name)]
    exams = []
    for found in _each(examined, EXAM, path.name):
        rubric = re.findall(r"- (\d+): (.+)", found["rubric"])
        words = found["title"], found["question"], found["answer"]
        exams.append(Exam(*words, [(int(points), what) for points, what in rubric]))
    return Kit(lecture, polls, exams)


def _filled(text: str, stage: Stage) -> str:
    """The text with its values; long whole numbers get their commas."""

    def value(match: re.Match) -> str:
        text = html.unescape(stage.value(match[1]))
        text = f"{int(text):,}" if re.fullmatch(r"-?\d{4,}", text) else text
        return re.sub(r"^-(?=\d)", "−", text)

    return deck.VALUE.sub(value, text)


def _each(text: str, form: re.Pattern, name: str) -> list[re.Match]:
    """Every question of a part, or which one is not of its form."""
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    found = [form.fullmatch(section.strip()) or section for section in sections]
    for one in found:
        if isinstance(one, str):
            heading = one.partition("\n")[0]
            raise SourceError(f"{name}: “{heading}” is not of the form of a question")
    return found


def _poll(found: re.Match, name: str) -> Poll:
    heading, lines = found["heading"], found["options"].strip().split("\n")
    right, *others = [line.removeprefix("- ") for line in lines]
    wrong = [WRONG.fullmatch(line) for line in others]
    if not 2 <= len(wrong) < len(LETTERS) or not all(wrong) or " <- " in right:
        raise SourceError(
            f"{name}: “{heading}” needs a right option, then two or three wrong ones,"
            " each as in `- 49 <- 04.1 what the check says to it`"
        )
    for what, most in (("question", ASKED), ("why", WHY)):
        if len(found[what]) > most:
            many = deck.over(len(found[what]), most, f"characters of its {what}")
            raise SourceError(f"{name}: “{heading}” has {many}")
    options = [Option(right), *(Option(*match.groups()) for match in wrong)]
    return Poll(heading, found["question"], options, found["why"], found["show"])


def gift(kit: Kit) -> str:
    """The poll as Moodle and others import it, with a sentence to each wrong option."""
    lines = [f"$CATEGORY: $course$/Convolutional networks/{kit.lecture}", ""]
    for number, poll in enumerate(kit.polls, start=1):
        right, *wrong = poll.options
        name = f"{kit.lecture[:2]}-{number} {poll.heading}"
        lines += [f"::{_escaped(name)}::[markdown]{_escaped(poll.question)}{{"]
        lines += [f"={_escaped(right.text)}"]
        lines += [f"~{_escaped(o.text)}#{_escaped(_sentence(o.reason))}" for o in wrong]
        lines += [f"####{_escaped(poll.why)}", "}", ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", text).replace("\n", r"\n")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def slide_of(poll: Poll, lesson: Deck) -> int:
    """The number of the slide that explains it, in the lecture's deck.

    Raises:
        SourceError: no heading of the deck begins so, or several do.
    """
    headings = [slide.heading for slide in lesson.slides]
    found = [i for i, text in enumerate(headings, 1) if text.startswith(poll.show)]
    if len(found) != 1:
        raise SourceError(
            f"{lesson.name[:2]}.md, “{poll.heading}”: {len(found)} slides have a"
            f" heading that begins with {poll.show!r}; right is one"
        )
    return found[0]


def poll_page(kit: Kit, title: str, lesson: Deck, *, answers: bool) -> str:
    """The poll as slides in the look of the decks: question, hands, then the answer."""
    from tools import room  # here: who only reads a kit may lack its packages

    cells = [Slide(f"# Poll: {title}\n\nNote: Show of hands, or cards A to D.")]
    for poll in kit.polls:
        *context, question = poll.question.split("\n\n")
        options = poll.mixed()
        listed = "\n".join(f"{i}. {o.text}" for i, o in enumerate(options, 1))
        letter = LETTERS[options.index(poll.options[0])]
        told = "\n".join(
            f"- {name}: {_sentence(option.reason)}"
            for name, option in zip(LETTERS, options, strict=False)
            if option.reason
        )
        shown = f"{lesson.name[:2]}-{slide_of(poll, lesson)}"
        note = "Hands; then a minute with a neighbour, and hands again. What a wrong"
        note += f" answer means:\n\n{told}\n\nTo explain it, show slide {shown} again."
        parts = [f"## {poll.heading}", *context, f"### {question}", listed, ". . ."]
        parts += [f"> **{letter}** {poll.why}", f"Note: {note}"]
        cells.append(Slide("\n\n".join(parts), "Poll"))
    asked = Deck(kit.lecture, cells)
    shown = asked if answers else deck.unanswered(asked)
    return room.shown(shown, LISTED)


def exam_page(kit: Kit, title: str, *, answers: bool) -> str:
    """The exam's questions on one page to print, with or without what is right."""
    from tools import room

    parts = []
    for number, exam in enumerate(kit.exams, start=1):
        text = f"## {number}. {exam.title} ({exam.points} points)\n\n{exam.question}"
        if answers:
            rubric = "\n".join(
                f"- **{n} point{'s' * (n != 1)}:** {what}" for n, what in exam.rubric
            )
            text += f"\n\n**Model answer.** {exam.answer}\n\n**Points**\n\n{rubric}"
        parts.append(f"<section>{room.rendered(text)}</section>")
    title = f"{kit.lecture[:2]} · {title}: exam{', with answers' if answers else ''}"
    return PAGE.format(title=html.escape(title), css=PRINTED, body="".join(parts))


def files(source: Path, *, answers: bool = True) -> dict[str, str]:
    """Name of each file of a lecture's kit -> what it holds.

    Args:
        source: the lecture's path.
        answers: without, for the class: poll and exam, and what is right nowhere.
    """
    kit, lesson = read(source.stem, fill=True), deck.read(source)
    title, number = lesson.slides[0].heading, source.stem[:2]
    made = {
        f"{number}_poll.html": poll_page(kit, title, lesson, answers=answers),
        f"{number}_exam.html": exam_page(kit, title, answers=False),
    }
    if not answers:
        return made
    return made | {
        f"{number}_poll.gift": gift(kit),
        f"{number}_exam_answers.html": exam_page(kit, title, answers=True),
    }


def links(stems: list[str]) -> str:
    """A table of the kits, for a page beside the folder `kit` of the website.

    Raw HTML: neither Sphinx nor its search read what the links lead to.
    """
    shown = ("poll.html", "poll.gift", "exam.html", "exam_answers.html")
    lines = ["| | slides | for an LMS | exam | model answers |", "|---" * 5 + "|"]
    for number in (stem[:2] for stem in stems):
        cells = [f'<a href="kit/{number}_{name}">{name}</a>' for name in shown]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(names: list[str], out: Path, *, answers: bool = True) -> list[Path]:
    """Write the kits of these lectures, all by default: all of them, or nothing."""
    made = {}
    for source in build.lectures(names):
        made |= files(source, answers=answers)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return [out / name for name in made]


def main() -> None:
    """Write the kits that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lecture", nargs="*", help="such as 04; all by default")
    parser.add_argument("--no-answers", action="store_true", help="for the class")
    parser.add_argument("--out", type=Path, help="folder of the kits")
    options = parser.parse_args()
    answers = not options.no_answers
    # Not beside the answers: who hands out the folder hands out no more than it says.
    out = options.out or (OUT if answers else OUT.with_name("kit-class"))
    print(*write(options.lecture, out, answers=answers), sep="\n")


if __name__ == "__main__":
    command(main)
