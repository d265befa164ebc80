"""The timetable of the instructor's page: which sections fit into which session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.outputs import SourceError

LONGEST = 75  # minutes of a session
AT_HOME = "Exercises"  # of every lecture


@dataclass(frozen=True)
class Session:
    """One session: a lecture without some sections, and some of the bug clinic.

    Args:
        lecture: its number, as "04".
        home: sections that students read for themselves, beside the exercises.
        clinic: sections of lecture 10 that fit here.
    """

    lecture: str
    home: Sequence[str]
    clinic: Sequence[str]

    def minutes(self, sections: Mapping[str, Mapping[str, float]]) -> float:
        """How long it takes, by the minutes of all lectures' sections.

        Raises:
            SourceError: it is too long, or names a section that does not exist.
        """
        own, clinic = sections[self.lecture], sections["10"]
        for lecture, names in ((self.lecture, self.home), ("10", self.clinic)):
            for name in set(names) - set(sections[lecture]):
                there = ", ".join(sections[lecture])
                raise SourceError(
                    f"site/timetable.json: lecture {lecture} has no section {name!r};"
                    f" it has: {there}"
                )
        given = [name for name in own if name not in (*self.home, AT_HOME)]
        total = sum(own[name] for name in given)
        total += sum(clinic[name] for name in self.clinic)
        if total > LONGEST:
            raise SourceError(
                f"site/timetable.json: the session with lecture {self.lecture} takes"
                f" {total:.0f} of {LONGEST} minutes: leave more of it for home"
            )
        return total


def table(
    plan: Sequence[Session],
    links: Mapping[str, str],
    sections: Mapping[str, Mapping[str, float]],
) -> str:
    """The timetable in Markdown, one row a session.

    Args:
        plan: the sessions in their order.
        links: number of a lecture -> its title, as a link.
        sections: number of a lecture -> heading -> minutes.
    """
    lines = ["| | lecture | minutes | from the bug clinic | left for home |"]
    lines.append("| ---: | --- | ---: | --- | --- |")
    for number, session in enumerate(plan, start=1):
        cells = [f"{number}", links[session.lecture]]
        cells += [f"{session.minutes(sections):.0f}"]
        lists = (session.clinic, session.home)
        cells += ["<br>".join(f"• {name}" for name in names) for names in lists]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
