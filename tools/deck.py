"""A lecture's slides as its source writes them: cells marked `slide="only"`.

One Markdown cell is one slide: a heading, text, pictures by name, and what to say. A
line `. . .` begins what appears at the next key; a line `Note:` what the speaker sees.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tools import percent
from tools.outputs import SourceError
from tools.percent import Cell

# Limits of a deck, of a session of 75 minutes, and of a slide.
SLIDES, MINUTES = 40, (40, 65)
HEADING, CODE_LINES, CODE_COLUMNS, CODE_SHARE = 60, 8, 68, 1 / 3
WORDS, WORDS_BESIDE = 50, 30  # without, and beside a picture
NOTE_WORDS = 8

STEP = re.compile(r"^\. \. \.$", re.M)
NOTE = re.compile(r"^Note: *", re.M)
TIME = re.compile(r"^(\d+(?:\.5)?) min\. *")
PICTURE = re.compile(
    r"^!\[(?P<alt>.*?)\]\((?P<kind>run|draw|play):(?P<what>.+)\)$", re.M
)
VALUE = re.compile(r"\{\{(.+?)\}\}", re.S)
CODE = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)
TABLE = re.compile(r"^\|.*\|$", re.M)
RESULT = re.compile(r"^>", re.M)
WORD = re.compile(r"[^\W_][^\s]*")


@dataclass(frozen=True)
class Slide:
    """One slide.

    Attributes:
        text: of its cell.
        part: of the lecture that it belongs to.
        lecture: the stem of its source.
    """

    text: str
    part: str = ""
    lecture: str = ""

    @cached_property
    def heading(self) -> str:
        """Its claim; without the marks of Markdown."""
        found = re.match(r"#{1,2} +(.+)", self.text)
        return found[1].strip() if found else ""

    @property
    def is_title(self) -> bool:
        """Whether it opens the lecture."""
        return self.text.startswith("# ")

    @cached_property
    def steps(self) -> list[str]:
        """What is seen first, and what appears with each key; without the heading."""
        shown = NOTE.split(self.text, maxsplit=1)[0]
        shown = shown.partition("\n")[2] if self.heading else shown
        return [step.strip() for step in STEP.split(shown)]

    @cached_property
    def note(self) -> str:
        """What the speaker sees, without the minutes."""
        return TIME.sub("", self._spoken)

    @cached_property
    def minutes(self) -> float:
        """How long it is shown; 0 where its notes do not say it."""
        found = TIME.match(self._spoken)
        return float(found[1]) if found else 0.0

    @property
    def _spoken(self) -> str:
        return [*NOTE.split(self.text, maxsplit=1), ""][1].strip()

    @property
    def code(self) -> list[str]:
        """Its pieces of code."""
        return [match.rstrip() for step in self.steps for match in CODE.findall(step)]

    @property
    def pictures(self) -> list[re.Match]:
        """Its pictures: alt text, kind, and what they show."""
        return [match for step in self.steps for match in PICTURE.finditer(step)]

    @property
    def words(self) -> int:
        """Words to read, without the heading, code, and what tables or figures hold."""
        return sum(len(WORD.findall(prose(step))) for step in self.steps)


@dataclass(frozen=True)
class Deck:
    """The slides of a lecture or a session, and the code that draws for them.

    Attributes:
        name: the stem of the lecture's source, or of the session's file.
        slides: in their order.
        cells: those of the deck that hold code.
        names: of a figure or result -> the cell of the notebook that shows it.
        notebook: the cells of the notebook that hold code.
        sources: the decks that a session's slides are taken from.
        sheet: what the lecture's sheet shows beside recap and formulas.
    """

    name: str
    slides: list[Slide]
    cells: list[Cell] = field(default_factory=list)
    names: dict[str, Cell] = field(default_factory=dict)
    notebook: list[Cell] = field(default_factory=list)
    sources: list[Deck] = field(default_factory=list)
    sheet: str = ""

    def cell(self, what: str) -> Cell | None:
        """The cell of this name; else the one cell of the notebook with this code."""
        found = [cell for cell in self.notebook if what in cell.text]
        return self.names.get(what) or (found[0] if len(found) == 1 else None)

    @property
    def minutes(self) -> float:
        """How long it takes, by the notes of its slides."""
        return sum(slide.minutes for slide in self.slides)

    def clock(self, number: int) -> str:
        """At which minute a slide begins, as the speaker sees it."""
        start = sum(slide.minutes for slide in self.slides[: number - 1])
        return f"Minute {start:g} of {self.minutes:g}."

    def home(self, slide: Slide) -> Deck:
        """The lecture's deck that a slide belongs to."""
        return next((d for d in self.sources if d.name == slide.lecture), self)

    def where(self, number: int) -> str:
        """How a message names a slide."""
        heading = self.slides[number - 1].heading
        return f"{self.name}, slide {number}" + (f" “{heading}”" if heading else "")


def read(source: Path) -> Deck:
    """The deck that a lecture's source writes.

    Raises:
        SourceError: it writes none, or two cells have one name.
    """
    cells, part, slides = percent.read(source), "", []
    sheet = "\n".join(c.text for c in cells if c.options.get("slide") == "sheet")
    for cell in cells:
        if cell.options.get("slide") != "only" or cell.kind != "markdown":
            continue
        part = cell.options.get("part", part)
        slides.append(Slide(cell.text, part, source.stem))
    named = [cell for cell in cells if "name" in cell.options]
    names = {cell.options["name"]: cell for cell in named}
    twice = [n for n in names if sum(cell.options["name"] == n for cell in named) > 1]
    if twice:
        raise SourceError(f"{source.name}: two cells have the name {twice[0]!r}")
    if not slides:
        raise SourceError(f'{source.name} has no slides: cells with slide="only"')
    code = [cell for cell in cells if cell.kind == "code"]
    own = [cell for cell in code if cell.for_deck]
    others = [cell for cell in code if not cell.for_deck]
    return Deck(source.stem, slides, own, names, others, sheet=sheet)


def unanswered(deck: Deck) -> Deck:
    """A deck for those who have not been asked yet: no answers, and no notes."""
    return replace(deck, slides=[asked(slide) for slide in deck.slides])


def asked(slide: Slide) -> Slide:
    """A slide up to its first question."""
    steps = slide.steps
    asks = ["?" in prose(step) for step in steps]
    asks[0] |= "?" in slide.heading
    shown = steps[: asks.index(True) + 1] if True in asks else steps
    first = slide.text.partition("\n")[0] if slide.heading else ""
    return replace(slide, text=f"{first}\n\n" + "\n\n. . .\n\n".join(shown))


def faults(deck: Deck) -> list[str]:
    """What a deck has too much or too little of, each with its slide and its limit."""
    found = [
        f"{deck.where(number)}: {fault}"
        for number, slide in enumerate(deck.slides, start=1)
        for fault in [*of_slide(slide), *of_names(slide, deck.home(slide))]
    ]
    for picture in PICTURE.finditer(deck.sheet):
        if picture["kind"] == "run" and not deck.cell(picture["what"]):
            found.append(f"{deck.name}, sheet: {missing(picture['what'], deck)}")
    count, coded = len(deck.slides), sum(bool(slide.code) for slide in deck.slides)
    if count > SLIDES:
        found.append(f"{deck.name}: {over(count, SLIDES, 'slides')}")
    if coded > count * CODE_SHARE:
        most = int(count * CODE_SHARE)
        found.append(f"{deck.name}: {over(coded, most, 'slides with code')}")
    least, most = MINUTES
    if not least <= deck.minutes <= most:
        right = f"right are {least} to {most}"
        found.append(f"{deck.name}: {deck.minutes:g} minutes; {right}")
    return found


def of_slide(slide: Slide) -> Iterator[str]:
    """What is wrong with one slide."""
    if not slide.heading:
        yield "no heading: its first line is `## ` and a claim"
    if len(slide.heading) > HEADING:
        yield over(len(slide.heading), HEADING, "characters of heading")
    beside = bool(slide.pictures or any(TABLE.search(step) for step in slide.steps))
    most = WORDS_BESIDE if beside else WORDS
    if slide.words > most:
        yield over(slide.words, most, "words" + " beside a picture" * beside)
    for code in slide.code:
        lines = code.split("\n")
        if len(lines) > CODE_LINES:
            yield over(len(lines), CODE_LINES, "lines of code")
        if (wide := max(map(len, lines))) > CODE_COLUMNS:
            yield over(wide, CODE_COLUMNS, "columns of code")
        if not parses(code):
            yield f"code that Python cannot read: {lines[0]!r}"
    if not slide.minutes:
        yield "no time: its notes begin as in `Note: 2 min. Ask ...`"
    if (count := len(slide.note.split())) < NOTE_WORDS:
        yield f"notes of {count} words; right are {NOTE_WORDS} or more"


def of_names(slide: Slide, deck: Deck) -> Iterator[str]:
    """Pictures that no cell shows, and answers that stand beside their question."""
    for picture in slide.pictures:
        if picture["kind"] == "run" and not deck.cell(picture["what"]):
            yield missing(picture["what"], deck)
    first = slide.steps[0]
    runs = [m["what"] for m in PICTURE.finditer(first) if m["kind"] == "run"]
    shown = [deck.cell(what) for what in runs]
    outcome = RESULT.search(first) or any(cell and not cell.for_deck for cell in shown)
    if "?" in prose(first) and outcome:
        yield "a question with its answer: begin the answer with a line `. . .`"


def missing(what: str, deck: Deck) -> str:
    """That no cell, or more than one, is called so."""
    there = ", ".join(deck.names) or "none"
    return f"no cell has name={what!r}, and no one cell this code; there are: {there}"


def over(count: int, most: int, what: str) -> str:
    """How a limit is exceeded."""
    return f"{count} {what}, {count - most} over {most}"


def parses(code: str) -> bool:
    """Whether a piece of code, which may begin within a function, is Python."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def prose(step: str) -> str:
    """The text of a step to read as sentences: no code, table, picture or formula."""
    for pattern in (CODE, TABLE, PICTURE):
        step = pattern.sub("", step)
    step = VALUE.sub("1", step)
    return re.sub(r"\$\$.*?\$\$|<[^>]*>|[*>`#]", "", step, flags=re.S)
