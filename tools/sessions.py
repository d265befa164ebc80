"""The sessions of the course, as `site/timetable.json` lists them: a deck each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools import build, deck
from tools.deck import Deck
from tools.outputs import SourceError

TIMETABLE = "site/timetable.json"
CLINIC = "10"
PART = "The bug clinic"


@dataclass(frozen=True)
class Session:
    """One session: a lecture's deck without some slides, and some of the bug clinic.

    Args:
        lecture: its number, as "04".
        home: headings of slides that are left for home.
        clinic: headings of slides of the clinic that are shown here.
    """

    lecture: str
    home: Sequence[str]
    clinic: Sequence[str]

    def deck(self, number: int, decks: dict[str, Deck]) -> Deck:
        """Its slides in their order, the clinic's before what is taken home.

        Args:
            number: of the session.
            decks: number of a lecture -> its deck.

        Raises:
            SourceError: a slide is named that does not exist.
        """
        own, clinic = decks[self.lecture], decks[CLINIC]
        for lesson, names in ((own, self.home), (clinic, self.clinic)):
            there = [slide.heading for slide in lesson.slides]
            for name in set(names) - set(there):
                raise SourceError(
                    f"{TIMETABLE}: {lesson.name} has no slide {name!r}; it has:"
                    f" {'; '.join(there)}"
                )
        slides = [slide for slide in own.slides if slide.heading not in self.home]
        shown = [slide for slide in clinic.slides if slide.heading in self.clinic]
        slides[-2:-2] = [replace(slide, part=PART) for slide in shown]
        return Deck(f"session_{number}", slides, sources=[own, clinic])


def timetable() -> list[Session]:
    """The sessions in their order."""
    listed = json.loads((build.ROOT / TIMETABLE).read_text("utf-8"))
    return [Session(**session) for session in listed]


def decks(plan: Sequence[Session]) -> list[Deck]:
    """The deck of each session of a plan."""
    read = {source.stem[:2]: deck.read(source) for source in build.lectures([])}
    return [one.deck(number, read) for number, one in enumerate(plan, start=1)]


def deck_of(number: str) -> Deck:
    """The deck of the session with this number.

    Raises:
        SourceError: there is no such session.
    """
    plan = timetable()
    if number not in [f"{n}" for n in range(1, len(plan) + 1)]:
        there = ", ".join(f"{n} ({s.lecture})" for n, s in enumerate(plan, start=1))
        raise SourceError(
            f"there is no session {number!r}; there are, with their lectures: {there}"
        )
    return decks(plan)[int(number) - 1]
