"""What the front page shows of the course: its lectures and its results.

Everything here is drawn from the notebooks and from `results/`; the page itself,
`site/index.md`, holds only words and the places of these parts.
"""

from __future__ import annotations

import html
import io
import re
import zlib
from functools import partial
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import leaderboard
from teaching import kept
from tools import outputs
from tools.colab import badges, repository
from tools.lectures import Lecture
from utils.course import ROOT

PICTURE = 60_000  # bytes of a card's picture, at most
INK, BLUE = "#010203", "#4794c8"  # the colour of text, of the page; one for both themes
COLOURED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color")
DRAWN = dict.fromkeys((*COLOURED, "ytick.color"), INK)
DRAWN |= {"svg.fonttype": "path", "font.size": 12, "axes.titlecolor": INK}
DRAWN |= {"figure.figsize": (3.3, 4)}  # narrow: it has to fit a phone
DRAWN |= {"axes.spines.top": False, "axes.spines.right": False}
UNDATED = {"Date": None, "Creator": None}


def picture(lecture: Lecture) -> tuple[str, bytes, str] | None:
    """A lecture's first small figure: its kind, its bytes, and what it shows."""
    for cell in lecture.notebook.cells:
        for kind, data, alt in outputs.pictures(cell) if "alt" in cell.metadata else ():
            if len(data) <= PICTURE:
                return kind[6:9], data, alt  # svg or png
    return None


def cards(chosen: list[Lecture]) -> str:
    """A card for each lecture: picture, title, question, minutes."""
    items = []
    for one in chosen:
        found, image = picture(one), ""
        if found:
            place = f"_static/cards/{one.number}.{found[0]}"
            image = f'<img src="{place}" alt="{html.escape(found[2])}">'
        run = round(one.stamp.get("seconds", 0) / 60)
        minutes = f"{one.minutes} minutes of lecture, {run} to run on a laptop"
        items.append(
            f'<li><a href="notebooks/{one.path.stem}.html">{image}<strong>{one.number}'
            f" · {html.escape(one.title)}</strong>"
            f"<span>{html.escape(one.question)}</span><small>{minutes}</small></a></li>"
        )
    return '```{raw} html\n<ul class="cards">' + "\n".join(items) + "</ul>\n```"


def boards() -> dict[str, leaderboard.Row]:
    """What the figures call each kept run on CIFAR-10 -> its seeds, the best first."""
    rows = leaderboard.rows(leaderboard.runs(), "CIFAR-10")
    return {
        row.network.partition(" (")[0]
        + ", BatchNorm" * ("(BatchNorm" in row.network): row
        for row in rows
    }


def scoreboard() -> str:
    """Test accuracy of each kept run on CIFAR-10: mean and range of its seeds."""
    items = []
    for label, row in boards().items():
        values = [100 * accuracy for accuracy in row.values("test_accuracy")]
        spent = mean(kept.cost(run) for run in row.runs)
        epochs = len(row.epochs("seconds")) // len(values)
        place = f"--low:{min(values):.1f};--high:{max(values):.1f}"
        items.append(
            f"<li><strong>{html.escape(label)}</strong> <small>{epochs} epochs,"
            f" {kept.counted(row.runs)}</small> <span>{mean(values):.1f} % in"
            f' {spent:,.0f} min</span><i style="{place};--mean:{mean(values):.1f}"></i>'
        )
    body = "</li>\n".join(items)
    return f'```{{raw}} html\n<ul class="board">{body}</li></ul>\n```'


def by_minute() -> str:
    """Validation accuracy against processor minutes of the same runs, drawn."""
    names = {label: row.runs[0]["name"] for label, row in boards().items()}
    with plt.rc_context(DRAWN):
        ax = kept.by_minute(names)
        for text in ax.texts:
            text.set_color(INK)
        ends = ", ".join(f"{x:,.0f} minutes and {y:.0f} %" for x, y in ends_of(ax))
        alt = (
            "Validation accuracy over processor minutes, a line a network. They end at"
        )
        return svg(ax.figure, f"{alt} {ends}, in the order of the list above.")


def ends_of(ax: Axes) -> list[tuple[float, float]]:
    """Where the lines of a figure end."""
    return [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in ax.lines]


def svg(figure: Figure, alt: str) -> str:
    """A figure as a part of the page, whose text has the colour of the page's."""
    held = io.StringIO()
    figure.savefig(
        held, format="svg", bbox_inches="tight", transparent=True, metadata=UNDATED
    )
    plt.close(figure)
    _, _, text = held.getvalue().partition("<svg ")
    text = re.sub(r" <metadata>.*?</metadata>\n", "", text, flags=re.S)
    text = re.sub(INK, "currentColor", text, flags=re.I)
    mark = f"f{zlib.crc32(alt.encode()):x}-"  # two figures of a page share no names
    text = re.sub(r'( id="|href="#|url\(#)', rf"\1{mark}", text)
    text = re.sub(r"(?<=\d\.\d{4})\d+", "", text)
    label = f'role="img" aria-label="{html.escape(alt)}"'
    drawn = f'<svg class="drawn" {label} {text.strip()}'
    return f'```{{raw}} html\n<div class="wide">{drawn}</div>\n```'


def put(chosen: list[Lecture], out: Path) -> None:
    """Write the cards' pictures into a site."""
    folder = out / "_static" / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    for one in chosen:
        found = picture(one)
        if found:
            (folder / f"{one.number}.{found[0]}").write_bytes(found[1])


def fill(text: str, chosen: list[Lecture]) -> str:
    """A page with the cards, the figures and the buttons that it asks for."""
    parts = {"scoreboard": scoreboard, "by minute": by_minute}
    parts |= {"launch": partial(launch, chosen), "cards": partial(cards, chosen)}
    for name, make in parts.items():
        if f"<!-- {name} -->" in text:
            text = text.replace(f"<!-- {name} -->", make())
    return text


def launch(chosen: list[Lecture]) -> str:
    """Where the first lecture opens with one click; nothing if nowhere."""
    found = badges(repository(ROOT), chosen[0].file) if chosen else {}
    links = ", ".join(f"[{name}]({link})" for name, (link, _) in found.items())
    return f"Without installing anything: open lecture 00 in {links}." if found else ""
