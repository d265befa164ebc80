"""Tables of the recorded runs: what `python -m experiments.train --out results` wrote.

python -m experiments.leaderboard            fill the tables of the pages from results/
python -m experiments.leaderboard --check    fail where a table differs from the files
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from experiments import record
from experiments.runs import PLAN
from utils import course
from utils.course import CourseError

RESULTS = course.ROOT / "results"
PAGES = ("README.md", "site/leaderboard.md", "benchmarks/README.md")
GOALS = (0.8, 0.9, 0.92)  # validation accuracies
FAMILIES = {"resnet": "ResNet", "plain": "Plain", "vgg": "VGG"}
NAMES = {"alexnet": "AlexNet", "googlenet": "GoogLeNet", "lenet5": "LeNet-5"}
NAMES |= {"two_layer_cnn": "Two-layer CNN", "squeezenet1_1": "SqueezeNet 1.1"}
NAMES |= {"kernel_net": "Small network", "speedrun": "Speed-run"}
WEIGHTS = {"imagenet": "ImageNet", "cifar10": "CIFAR-10"}
# Columns that stand in a table if its rows differ, and what one line says if not.
OPTIONAL = {
    "weights": "weights: {}",
    "pixels": "images of {} pixels",
    "epochs": "{} epochs",
    "seeds": "{} seeds",
    "device": "{}",
}
BOARD = "scoreboard"  # what the plan calls its runs on all of CIFAR-10
TEXT = ("network", "weights", "device")  # to the left; numbers stand to the right
MARKED = re.compile(r"(<!-- results: (.+?) -->\n).*?(<!-- end of results -->)", re.S)
Record = dict[str, Any]
# After each epoch: the time so far, and the accuracy, a fraction.
Course = tuple[Sequence[float], Sequence[float]]


def runs(folder: str | Path = RESULTS) -> list[Record]:
    """The records in a folder, those of one name beside each other.

    Raises:
        CourseError: a file is no record, lacks what tables need, or is one of a
            stand-in: it does not belong here.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        found.append(run := record.read(path))
        record.check(path, run)
        if not run["data"]["real"]:
            raise CourseError(
                f"{run['name']}, seed {run['seed']}, was measured on a stand-in. Remove"
                f" it from {folder}: results are those on real images."
            )
    return found


@dataclass(frozen=True)
class Row:
    """The runs of one name, which differ in their seed alone."""

    runs: tuple[Record, ...]

    def values(self, key: str) -> list[float]:
        """One number of each run."""
        return [run[key] for run in self.runs]

    def epochs(self, column: str) -> list[float]:
        """One number of each epoch of each run.

        Of a speed the best one counts: other work on the machine can only slow it down.
        """
        return [row[column] for run in self.runs for row in run["history"]["rows"]]

    def accuracy(self) -> str:
        """Test accuracy in percent: mean, and standard deviation over the seeds."""
        values = [100 * value for value in self.values("test_accuracy")]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        return f"{mean(values):.2f}{spread}"

    def courses(self) -> list[Course]:
        """Of each run, in processor minutes: its epochs are alike, each counts equally.

        Of older records only a clock's minutes are known.
        """
        made = []
        for run in self.runs:
            rows, spent = run["history"]["rows"], run.get("processor_seconds")
            each = (spent or run["seconds"]) / 60 / len(rows)
            passed = [each * (n + 1) for n in range(len(rows))]
            made.append((passed, [row.get("val_accuracy") or 0.0 for row in rows]))
        return made

    @property
    def network(self) -> str:
        """The network, as its authors write it."""
        return title(self.runs[0]["model"]["name"], self.runs[0]["model"]["options"])

    @property
    def weights(self) -> str:
        """Where the weights came from, and which of them were trained."""
        start = self.runs[0].get("start")
        if not start:
            return "random"
        how = "frozen" if start.get("frozen") else "fine-tuned"
        source = str(start.get("weights"))
        return f"{WEIGHTS.get(source, source)}, {how}"

    def cells(self) -> dict[str, str]:
        """Heading -> text, as the tables show it."""
        first = self.runs[0]
        model, machine = first["model"], first["machine"]
        memory = [peak for run in self.runs if (peak := run.get("peak_memory_bytes"))]
        spent = [s / 60 for run in self.runs if (s := run.get("processor_seconds"))]
        count = machine["threads"]
        threads = f", {count} thread{'s' * (count > 1)}"
        together = first.get("processes") or 1
        processes = f", {together} processes" if together > 1 else ""
        return {
            "network": self.network,
            "weights": self.weights,
            "test accuracy (%)": self.accuracy(),
            "pixels": f"{first['data']['shape'][-1]}",
            "epochs": f"{len(first['history']['rows'])}",
            "seeds": f"{len(self.runs)}",
            # Of the seed that had to share the machine least.
            "CPU minutes": f"{min(spent):,.1f}" if spent else "",
            "s/epoch": f"{min(self.epochs('seconds')):,.3g}",
            "parameters": f"{model['parameters']:,}",
            "multiply-adds (M)": f"{model['multiply_adds'] / 1e6:,.1f}",
            "memory (GB)": f"{max(memory) / 1e9:.1f}" if memory else "",
            "device": machine["device"].replace("cpu", f"CPU{threads}") + processes,
        }

    def minutes(self) -> dict[str, str]:
        """Heading -> text, of the table that tells when a run reached an accuracy."""
        cells, courses = self.cells(), self.courses()
        told = {key: cells[key] for key in ("network", *OPTIONAL)}
        when = {f"minutes to {100 * g:.0f} %": reached(courses, g, min) for g in GOALS}
        return told | when


def times(courses: Sequence[Course], goal: float) -> list[float]:
    """When the runs that reached an accuracy were there first."""
    paired = (zip(*course, strict=True) for course in courses)
    first = (next((t for t, a in pairs if a >= goal), None) for pairs in paired)
    return [t for t in first if t is not None]


def reached(
    courses: Sequence[Course], goal: float, of: Callable[[list[float]], float] = median
) -> str:
    """When runs reached an accuracy, in one number, and how many did if not all."""
    found = times(courses, goal)
    if not found:
        return "not reached"
    part = f" ({len(found)} of {len(courses)} seeds)" * (len(found) < len(courses))
    return f"{of(found):.2f}{part}"


def title(model: str, options: dict[str, Any]) -> str:
    """A network's name as its authors write it, and what it was built with."""
    plain = model.removesuffix("_bn")
    family = re.fullmatch(r"(resnet|plain|vgg)(\d+)", plain)
    text = f"{FAMILIES[family[1]]}-{family[2]}" if family else NAMES.get(plain, plain)
    parts = ["BatchNorm"] if plain != model else []
    parts += [
        f"{key} {value}" if value != [] else f"no {key} layers"
        for key, value in options.items()
        if key != "stem"
    ]
    return text + (f" ({', '.join(parts)})" if parts else "")


def rows(found: Iterable[Record], table: str) -> list[Row]:
    """The tested runs of a table, by name, the best mean test accuracy first.

    On CIFAR-10, a network's run on the plan's scoreboard takes the place of older ones.

    Args:
        found: all the records.
        table: a purpose of the plan, as "depth"; or the name of a data set, for the
            runs on it that no purpose of the plan has, with those of the scoreboard.
    """
    planned = {run.name: run.purposes for run in PLAN}
    named: dict[str, list[Record]] = defaultdict(list)
    replaced = set()
    for run in found:
        if run.get("test_accuracy") is None or "diverged" in run:
            continue
        of = planned.get(run["name"], (run["data"]["name"],))
        if BOARD in of:
            replaced.add(subject(run))
            of = (*of, run["data"]["name"])
        if table in of:
            named[run["name"]].append(run)
    made = [
        Row(tuple(same))
        for name, same in named.items()
        if name in planned or subject(same[0]) not in replaced
    ]
    return sorted(made, key=lambda row: -mean(row.values("test_accuracy")))


def quick(found: Sequence[Record]) -> list[Row]:
    """The plan's runs that reach the first goal on all of CIFAR-10, soonest first.

    Those of the speed-run without one of its tricks have tables of their own.
    """
    purposes = {purpose for run in PLAN for purpose in run.purposes} - {"tricks"}
    made = {row.runs[0]["name"]: row for p in purposes for row in rows(found, p)}
    soon = [(times(row.courses(), GOALS[0]), row) for row in made.values()]
    fast = [(median(found), row) for found, row in soon if found]
    fast.sort(key=lambda pair: (pair[0], pair[1].runs[0]["name"]))  # a set has no order
    return [row for _, row in fast]


def subject(run: Record) -> tuple[str, str]:
    """Which network a run trained, and on what."""
    return run["model"]["name"], run["data"]["name"]


def scores(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Test accuracies (fractions) over the seeds, for `plot.spread`.

    The names tell what a network was built with and began from only where rows differ.
    """
    names = [row.network.partition(" (")[0] for row in rows]
    if len({row.weights for row in rows}) > 1:
        starts = [row.weights.replace("random", "from scratch") for row in rows]
        names = [f"{name}: {start}" for name, start in zip(names, starts, strict=True)]
    if len(set(names)) < len(rows):
        names = [f"{row.network}: {row.weights}" for row in rows]
    values = [row.values("test_accuracy") for row in rows]
    return dict(zip(names, values, strict=True))


def table(rows: Iterable[Row], of: Callable[[Row], dict[str, str]] = Row.cells) -> str:
    """Rows as a table in Markdown: text to the left, numbers to the right.

    What all rows share stands in a line below it; columns without text are left out.
    """
    cells = [{k: _literal(t) for k, t in of(row).items()} for row in rows]
    if not cells:
        raise CourseError(
            "No run is recorded for this table: python -m experiments.train --out"
            " results makes one, and make experiments those of the plan."
        )
    same = [key for key in OPTIONAL if len({row[key] for row in cells}) == 1]
    heads = [h for h in cells[0] if h not in same and any(row[h] for row in cells)]
    if "CPU minutes" in heads:  # a clock's count what else the machine did
        heads = [h for h in heads if h != "s/epoch"]
    lines = [heads, ["---" if h in TEXT else "---:" for h in heads]]
    lines += [[row[h] for h in heads] for row in cells]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    shared = "; ".join(OPTIONAL[key].format(cells[0][key]) for key in same)
    return text + (f"\nIn each row: {shared}.\n" if shared else "")


def _literal(text: str) -> str:
    """One line of UTF-8, of which Markdown takes nothing as a tag or a cell's end."""
    line = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return html.escape(line, quote=False).replace("|", "&#124;")


def fill(text: str, found: list[Record]) -> str:
    """A page with its marked tables made anew: `<!-- results: CIFAR-10 -->`."""

    def made(match: re.Match) -> str:
        if match[2] == "minutes":
            inside = table(quick(found), Row.minutes)
        else:
            inside = table(rows(found, match[2]))
        return match[1] + inside + match[3]

    return MARKED.sub(made, text)


def main() -> int:
    """Fill the pages, or check that there is nothing to fill."""
    parser = argparse.ArgumentParser(prog="python -m experiments.leaderboard")
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    try:
        found, stale = runs(), []
        for name in PAGES:
            page = course.ROOT / name
            old = page.read_text(encoding="utf-8")
            new = fill(old, found)
            stale += [name] if new != old else []
            if new != old and not options.check:
                page.write_text(new, encoding="utf-8", newline="\n")
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    if options.check and stale:
        pages = ", ".join(stale)
        print(f"differs from results/: {pages}; run make results", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
