"""The pages of the benchmarks: tables and a chart, made from the recorded files."""

from __future__ import annotations

import re
import textwrap
from itertools import compress
from pathlib import Path
from typing import Any

from benchmarks.measure import Group, Target, Timing
from benchmarks.suites import SUITES
from experiments import record
from utils import course

RESULTS = course.ROOT / "results" / "benchmarks"
PAGE = course.ROOT / "benchmarks" / "README.md"
CHART = "ratios.png"
MARKED = re.compile(
    r"(<!-- benchmark: (.+?) -->\n).*?(<!-- end of benchmark -->)", re.S
)
CHARTED = ("input-cpu", "epoch-cpu")
NO_VERDICT = "no verdict: the machine was busy"
Record = dict[str, Any]


def recorded(folder: Path = RESULTS) -> dict[str, Record]:
    """The records in a folder by name, such as "input-cpu"."""
    paths = [path for name in SUITES for path in sorted(folder.glob(f"{name}-*.json"))]
    return {path.stem: record.read(path) for path in paths}


def groups(found: Record) -> list[Group]:
    """The groups of a record."""
    return [Group.from_dict(state) for state in found["groups"]]


def table(group: Group) -> str:
    """A group as a table in Markdown, and beneath it what became of its targets.

    Seconds stand alone where no images are counted: turns hold different numbers.
    """
    first = group.timings[0].name
    keys = list(dict.fromkeys(k for t in group.timings for k in t.facts))
    heads = ["way", f"times {first}", "images/s", "seconds", "worst / median", *keys]
    rows = [row(group, timing, keys) for timing in group.timings]
    filled = [any(cells) for cells in zip(*rows, strict=True)]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    lines = [list(compress(line, filled)) for line in lines]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    verdicts = "".join(f"- {verdict(group, target)}\n" for target in group.targets)
    return f"{text}\n{verdicts}" if verdicts else text


def row(group: Group, timing: Timing, keys: list[str]) -> list[str]:
    """The cells of an arm."""
    if timing.skipped:
        return [timing.name, f"skipped: {timing.skipped}", *[""] * (3 + len(keys))]
    ratio = group.ratio(timing.name)
    times = "busy" if ratio is None else f"{ratio:.2f}"
    return [
        timing.name,
        times if timing.examples else "",
        f"{timing.rate:,.0f}" if timing.examples else "",
        "" if timing.examples else f"{timing.median:.3g}",
        f"{timing.spread:.2f}" if len(timing.seconds) > 1 else "",
        *(str(timing.facts.get(key, "")) for key in keys),
    ]


def verdict(group: Group, target: Target) -> str:
    """Whether a target was reached, in one line."""
    wanted = f"{target.arm} against {target.over}, at least {target.least:g} wanted"
    pair = group.timing(target.arm), group.timing(target.over)
    if None in pair:
        return f"{wanted}: not measured"
    ratio = group.ratio(target.arm, target.over)
    if ratio is None:
        return f"{wanted}: {NO_VERDICT}"
    outcome = "reached" if ratio >= target.least else "missed"
    return f"{wanted}: {ratio:.2f}, {outcome}"


def section(found: Record) -> str:
    """All tables of a record, and beneath them where and how it was measured."""
    tables = [f"**{g.title}**\n\n{table(g)}\n" for g in groups(found)]
    machine = found["machine"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    where = f"{machine['device']}, {threads}, {machine['system']}"
    origin = f"{where}, torch {machine['torch']}, {found['clock']} clock,"
    return (
        "".join(tables) + f"{origin} commit {found['commit']}: `{found['command']}`\n"
    )


def fill(text: str, records: dict[str, Record]) -> str:
    """A page with its marked places made anew: `<!-- benchmark: input-cpu -->`."""

    def made(match: re.Match[str]) -> str:
        name = match[2]
        if name == "chart":
            inside = f"{answer(records)}![{describe(records)}]({CHART})\n"
        elif name in records:
            inside = section(records[name])
        else:
            suite, device = name.rsplit("-", 1)
            whose = "GPU" if device == "cuda" else "processor"
            inside = f"No {whose}'s figures have been published yet:"
            inside += f" `python -m benchmarks {suite} --device {device}` makes them.\n"
        return match[1] + inside + match[3]

    return MARKED.sub(made, text)


def ratios(records: dict[str, Record]) -> dict[str, dict[str, float]]:
    """What the chart shows: {title: {arm: ratio}}, of groups with several verdicts."""
    shown: dict[str, dict[str, float]] = {}
    for name in CHARTED:
        for group in groups(records[name]) if name in records else []:
            if len(group.timings) > 2:
                pairs = [
                    (t.name, group.ratio(t.name)) for t in group.timings if t.seconds
                ]
                shown[group.title] = {n: r for n, r in pairs if r is not None}
    return shown


def answer(records: dict[str, Record]) -> str:
    """How many times as fast ours is, in a line for each panel of the chart."""
    lines = [
        f"- **{arms['ours']:.1f} times**: {title[0].lower()}{title[1:]}\n"
        for title, arms in ratios(records).items()
        if "ours" in arms
    ]
    return "".join([*lines, "\n"] if lines else [])


def describe(records: dict[str, Record]) -> str:
    """The chart in words, for those who do not see it."""
    parts = [
        f"{title.split(':')[0]}: "
        + ", ".join(f"{arm} {ratio:.1f}" for arm, ratio in arms.items())
        for title, arms in ratios(records).items()
    ]
    return "Bars: speed as a multiple of the tutorial loop. " + "; ".join(parts)


def draw(records: dict[str, Record], path: Path) -> None:
    """Draw the chart: one panel a group, one bar an arm, the tutorial loop at 1."""
    import matplotlib.pyplot as plt

    from utils.plot import HIGHLIGHT, PALETTE, PAPER

    shown = ratios(records)
    if not shown:
        return
    course.use_style()
    counts = [len(arms) for arms in shown.values()]
    figure, axes = plt.subplots(
        len(shown),
        figsize=(7, 0.7 * len(shown) + 0.32 * sum(counts)),
        height_ratios=counts,
        squeeze=False,
    )
    for ax, (title, arms) in zip(axes[:, 0], shown.items(), strict=True):
        mine = [arm.startswith("ours") for arm in arms]
        colors = [HIGHLIGHT if own else PALETTE["sky blue"] for own in mine]
        drawn = ax.barh(list(arms), list(arms.values()), 0.62, color=colors)
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.bar_label(drawn, fmt="%.1f", padding=4, bbox=white, zorder=3)
        ax.axvline(1, color=PAPER, linestyle=":")
        ax.invert_yaxis()
        ax.margins(x=0.1)
        ax.grid(False)
        ax.set_title(textwrap.fill(title, 46))
    axes[-1, 0].set_xlabel("speed, as a multiple of the tutorial loop")
    figure.savefig(path)
    plt.close(figure)


def main() -> int:
    """Fill the page and draw the chart."""
    records = recorded()
    old = PAGE.read_text(encoding="utf-8")
    new = fill(old, records)
    if new != old:
        PAGE.write_text(new, encoding="utf-8")
    draw(records, PAGE.with_name(CHART))
    print(
        f"{PAGE.relative_to(course.ROOT)} shows {', '.join(records) or 'nothing yet'}."
    )
    return 0
