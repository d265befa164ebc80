"""What the front page shows of the course: its lectures, its results, all of it packed.

Everything here is drawn from the notebooks, from `results/` and from the files that git
knows; the page itself, `site/index.md`, holds only words and the places of these parts.
"""

from __future__ import annotations

import base64
import html
import subprocess
import zipfile
from pathlib import Path

from experiments import leaderboard
from tools.colab import badges, repository
from tools.lectures import Lecture
from tools.outputs import SourceError
from utils.course import ROOT

PICTURE = 60_000  # bytes of a card's picture, at most
ARCHIVE = "cnn-course.zip"
PACKED = ("notebooks", "utils", "teaching", "tools", "experiments", "results", "data")
ALONE = ("README.md", "LICENSE", "Makefile", "pyproject.toml", "requirements.txt")


def picture(lecture: Lecture) -> tuple[str, bytes, str] | None:
    """A lecture's first small figure: its kind, its bytes, and what it shows."""
    for cell in lecture.notebook.cells:
        alt = cell.metadata.get("alt")
        for output in cell.get("outputs", []) if alt else []:
            data = output.get("data", {})
            if "image/svg+xml" in data:
                made = "svg", "".join(data["image/svg+xml"]).encode(), alt
            elif "image/png" in data:
                made = "png", base64.b64decode(data["image/png"]), alt
            else:
                continue
            if len(made[1]) <= PICTURE:
                return made
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


def scoreboard(path: Path) -> str:
    """Draw accuracy against CPU minutes of the kept runs on CIFAR-10; its alt text."""
    import matplotlib.pyplot as plt

    found = leaderboard.runs()
    rows = [
        row for of in ("scoreboard", "CIFAR-10") for row in leaderboard.rows(found, of)
    ]
    points = []
    for row in sorted(rows, key=lambda row: row.average("test_accuracy")):
        spent = sum(row.epochs("seconds")) / len(row.runs) / 60
        name = f"{row.network.partition(' (')[0]}, {row.cells()['epochs']} epochs"
        points.append((name, [100 * x for x in row.values("test_accuracy")], spent))
    with plt.rc_context({"svg.fonttype": "path", "font.size": 12}):
        figure, ax = plt.subplots(figsize=(8, 0.8 + 0.45 * len(points)))
        for y, (_, values, spent) in enumerate(points):
            mean = sum(values) / len(values)
            ax.plot([min(values), max(values)], [y, y], lw=3, color="#56B4E9")
            ax.plot(mean, y, "o", color="#0072B2")
            told = f"{mean:.1f} % in {spent:.0f} minutes"
            ax.annotate(told, (max(values), y), (8, -4), textcoords="offset points")
        ax.set_yticks(range(len(points)), [name for name, _, _ in points])
        ax.set(xlabel="CIFAR-10 test photos right (%)", xlim=(None, 100))
        ax.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    told = ", ".join(f"{n}: {sum(v) / len(v):.1f} % in {s:.0f}" for n, v, s in points)
    return f"Test accuracy on CIFAR-10, and minutes of training on one core. {told}."


def files() -> list[str]:
    """The files of the archive, as git knows them, seen from the root."""
    command = ["git", "-C", str(ROOT), "ls-files", *PACKED, *ALONE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SourceError("the archive needs git, to know the course's files")
    return sorted(name for name in done.stdout.splitlines() if (ROOT / name).is_file())


def pack(path: Path) -> None:
    """Write everything that a reader needs to run the course into one file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files():
            archive.write(ROOT / name, f"cnn-course/{name}")


def put(chosen: list[Lecture], out: Path) -> None:
    """Write the cards' pictures and the archive into a site."""
    folder = out / "_static" / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    for one in chosen:
        found = picture(one)
        if found:
            (folder / f"{one.number}.{found[0]}").write_bytes(found[1])
    pack(out / ARCHIVE)


def fill(text: str, chosen: list[Lecture], static: Path) -> str:
    """The front page with its cards and its scoreboard."""
    static.mkdir(parents=True, exist_ok=True)
    if "<!-- scoreboard -->" in text:
        alt = scoreboard(static / "scoreboard.svg")
        text = text.replace("<!-- scoreboard -->", f"![{alt}](static/scoreboard.svg)")
    text = text.replace("<!-- launch -->", launch(chosen))
    return text.replace("<!-- cards -->", cards(chosen))


def launch(chosen: list[Lecture]) -> str:
    """Where the first lecture opens with one click; nothing if nowhere."""
    found = badges(repository(ROOT), chosen[0].file) if chosen else {}
    links = ", ".join(f"[{name}]({link})" for name, (link, _) in found.items())
    return f"Without installing anything: open lecture 00 in {links}." if found else ""
