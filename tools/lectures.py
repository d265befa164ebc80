"""What the README and the website say about each lecture, taken from its notebook.

python -m tools.lectures    fill the tables of README and website
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from tools import build, deck, outputs, sessions
from tools.colab import badges, buttons, repository
from tools.deck import Deck
from tools.execute import Outcome
from tools.outputs import SourceError, command
from tools.sessions import Session

PAGES = ("README.md", "site/instructor.md")
MARKED = re.compile(r"(<!-- (lectures|timetable) -->\n).*?(<!-- end of \2 -->)", re.S)
QUESTIONS = {
    "00": "What does a convolutional network compute, and how does one learn to read"
    " digits?",
    "01": "When does a network learn by heart, how do we notice, and what helps?",
    "02": "Which changes to an image keep its label, and what are they worth?",
    "03": "What made one network win in 2012, and what of it still holds?",
    "04": "Why three small kernels in place of a large one, and what does depth buy?",
    "05": "How can a deeper network cost less?",
    "06": "What changes when each layer's input is normalised, and where does it go"
    " wrong?",
    "07": "Why do deeper plain networks get worse, and why does adding the input repair"
    " them?",
    "08": "What does a trained network know about a task that it has never seen?",
    "09": "How far do four architectures get with two thousand photos, and how far does"
    " ImageNet?",
    "10": "The program runs and is wrong: which questions find the fault?",
    "11": "How much can a network learn in the minutes that ResNet-20 needs?",
}


@dataclass(frozen=True)
class Lecture:
    """One lecture: its notebook, and what stands in it."""

    path: Path

    @cached_property
    def notebook(self) -> NotebookNode:
        """The student's notebook, with its kept outputs."""
        found = outputs.load(self.path)
        if found is None:
            raise SourceError(f"{self.path} is missing; run tools.build")
        return found

    @property
    def file(self) -> str:
        """The notebook, as seen from the course's folder."""
        return f"notebooks/{self.path.name}"

    @property
    def solutions(self) -> str:
        """The notebook with its exercises filled in, as seen from the same folder."""
        return f"notebooks/solutions/{self.path.name}"

    @property
    def number(self) -> str:
        """Such as 04."""
        return self.path.stem[:2]

    @property
    def title(self) -> str:
        """The notebook's only heading of level 1."""
        return self.notebook.cells[0].source.partition("\n")[0].lstrip("# ")

    def linked(self, folder: str) -> str:
        """Its title as a link, from a page in `folder` of the course."""
        return f"[{self.title}]({'../' if folder else ''}{self.file})"

    @property
    def question(self) -> str:
        """What the lecture answers, in one sentence."""
        if self.number not in QUESTIONS:
            raise SourceError(
                f"say in QUESTIONS of {__file__} what {self.path} answers"
            )
        return QUESTIONS[self.number]

    @cached_property
    def deck(self) -> Deck:
        """Its slides."""
        return deck.read(self.path.parent / "source" / f"{self.path.stem}.py")

    @property
    def minutes(self) -> int:
        """How long it takes to give the lecture from its slides."""
        return round(self.deck.minutes)

    @property
    def stamp(self) -> dict:
        """Date, scale, data, device, torch and seconds of the run that is kept."""
        return self.notebook.metadata.get("course", {})

    @property
    def headline(self) -> str:
        """What that run measured, in one line."""
        return Outcome(self.path.stem, self.notebook, 0).headline

    @property
    def verified(self) -> str:
        """When and with what the notebook was last run from top to bottom."""
        if not self.stamp:
            return "never yet"
        data = {"real": "the real data", "stand-in": "stand-ins for the data"}
        device = self.stamp["device"].replace("cpu", "a CPU")
        return (
            f"{self.stamp['date']}, at scale {self.stamp['scale']} on"
            f" {data[self.stamp['data']]}, in {self.stamp['seconds']:,} s on {device}"
            f" with torch {self.stamp['torch']}"
        )


def all_lectures(root: Path = build.ROOT) -> list[Lecture]:
    """The lectures in their order."""
    sources = build.lectures([], root)
    return [Lecture(build.target(source, solutions=False)) for source in sources]


def table(found: list[Lecture], folder: str) -> str:
    """The lectures in Markdown.

    Args:
        found: one row each.
        folder: where the page lies that shows it, as seen from the course's folder.
    """
    heads = ["", "lecture", "slides (min)", "run (s)", "measured"]
    heads += ["open in"] if repository(build.ROOT) else []
    aligned = ["---", "---", "---:", "---:", "---", "---"][: len(heads)]
    lines = [heads, aligned, *(row(one, folder)[: len(heads)] for one in found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(lecture: Lecture, folder: str) -> list[str]:
    """The cells of one lecture; its badges are pictures in the README alone.

    A page of the website asks no other host for pictures.
    """
    place = repository(build.ROOT), lecture.file
    plain = [f"[{name}]({link})" for name, (link, _) in badges(*place).items()]
    return [
        lecture.number,
        f"**{lecture.linked(folder)}**<br>{lecture.question}",
        f"{lecture.minutes}",
        f"{lecture.stamp['seconds']:,}",
        lecture.headline.replace("|", r"\|"),
        " ".join(plain) if folder else buttons(*place),
    ]


def schedule(plan: Sequence[Session], decks: Sequence[Deck], links: list[str]) -> str:
    """The timetable in Markdown, one row a session.

    Args:
        plan: the sessions in their order.
        decks: what each of them shows.
        links: the title of each one's lecture, as a link.
    """
    lines = ["| session | lecture | minutes |", "| ---: | --- | ---: |"]
    for session, shown, link in zip(plan, decks, links, strict=True):
        parts = [link, *(f"• clinic: {name}" for name in session.clinic)]
        parts += [f"• for home: {name}" for name in session.home]
        cells = [shown.name.rpartition("_")[2], "<br>".join(parts)]
        lines.append(f"| {' | '.join(cells)} | {shown.minutes:.0f} |")
    return "\n".join(lines) + "\n"


def plan(found: list[Lecture]) -> str:
    """The timetable in Markdown, with links as seen from `site/`.

    Raises:
        SourceError: a session is too long, or names a slide that does not exist.
    """
    listed = sessions.timetable()
    shown = sessions.decks(listed)
    faults = [fault for one in shown for fault in deck.faults(one)]
    if faults:
        raise SourceError(f"{sessions.TIMETABLE}: " + "; ".join(faults))
    links = {one.number: f"{one.number} · {one.linked('site')}" for one in found}
    return schedule(listed, shown, [links[one.lecture] for one in listed])


def fill(text: str, found: list[Lecture], folder: str = "") -> str:
    """A page in `folder` with its marked tables made anew."""

    def made(match: re.Match) -> str:
        new = table(found, folder) if match[2] == "lectures" else plan(found)
        return match[1] + new + match[3]

    return MARKED.sub(made, text)


def main() -> None:
    """Fill the tables."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    found = all_lectures()
    for name in PAGES:
        page, folder = build.ROOT / name, name.rpartition("/")[0]
        text = fill(page.read_text(encoding="utf-8"), found, folder)
        page.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    command(main)
