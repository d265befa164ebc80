"""The style of the course's figures: sizes, colours with a meaning, labels at lines."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

# Okabe and Ito's colours, told apart by readers with every kind of colour vision.
PALETTE = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "reddish purple": "#CC79A7",
    "grey": "#666666",
}
# A colour's meaning is the same in every figure, and a line style goes with it.
TRAIN = PALETTE["blue"]  # solid
VALIDATION = PALETTE["vermillion"]  # dashed
PAPER = PALETTE["grey"]  # dotted
HIGHLIGHT = PALETTE["bluish green"]

# A family of networks shares a colour; a deeper member is darker.
MODEL_COLORS = {
    "Two-layer CNN": "#8A7F00",
    "LeNet-5": "#000000",
    "AlexNet": "#E69F00",
    "VGG-11": "#A5D8F5",
    "VGG-13": "#7CC5EE",
    "VGG-16": "#56B4E9",
    "VGG-19": "#2E86BD",
    "GoogLeNet": "#CC79A7",
    "ResNet-18": "#4DC3A0",
    "ResNet-20": "#26B08A",
    "ResNet-34": "#00A076",
    "ResNet-50": "#007A5A",
    "ResNet-56": "#006147",
    "ResNet-110": "#00432F",
}
# For runs that are no networks of the course; the colours with a meaning come last.
OTHERS = [
    PALETTE[name]
    for name in ("reddish purple", "orange", "sky blue", "black", "bluish green")
] + [TRAIN, VALIDATION]

STYLE = {
    "figure.figsize": (7, 3),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.dpi": 110,
    "savefig.format": "png",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
}


def use_style() -> None:
    """Set the course's style; in a notebook also PNG figures of exactly their size."""
    mpl.rcParams.update(STYLE)
    mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=OTHERS)
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if hasattr(shell, "kernel"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # The default crops a figure to what is drawn, so that sizes vary.
        set_matplotlib_formats("png", bbox_inches=None)


def headline(figure: Figure, title: str | None) -> None:
    """Write the finding or the question over the whole figure, from its left edge."""
    if title:
        figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left")


def color_of(label: str, index: int) -> str:
    """The network's own colour, or the next one for a run that is no network."""
    return MODEL_COLORS.get(label, OTHERS[index % len(OTHERS)])


def ink(color: str) -> str:
    """The colour, darkened until text in it is legible on white (contrast 4.5)."""
    rgb = np.array(to_rgb(color))
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = rgb * 0.95
    return to_hex(tuple(rgb))


def _luminance(rgb: np.ndarray) -> float:
    """Relative luminance as in the Web Content Accessibility Guidelines, 0 to 1."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


class End(NamedTuple):
    """The right end of a line, in data units, and the label that belongs beside it."""

    x: float
    y: float
    text: str
    color: str


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Write each line's name beside its end, moved apart where they would overlap.

    Call it when the limits are set: the layout makes room at the right of the axes.
    """
    ends = [end for end in ends if end.text and np.isfinite(end.y)]
    if not ends:
        return
    ax.figure.draw_without_rendering()
    pixel = ax.figure.dpi / 72
    texts = [textwrap.fill(end.text, 18) for end in ends]
    heights = [(1 + text.count("\n")) * 12.5 * pixel for text in texts]
    edge = ax.get_xlim()[1]
    where = [ax.transData.transform((min(e.x, edge), e.y)) for e in ends]
    box = ax.get_window_extent()
    ys = spread([y for _, y in where], heights, box.y0, box.y1)
    for end, text, (x, old), new in zip(ends, texts, where, ys, strict=True):
        far = abs(new - old) > 4 * pixel or box.x1 - x > 0.1 * box.width
        line = {"arrowstyle": "-", "color": end.color, "lw": 0.7, "shrinkA": 1}
        away = ScaledTranslation((12 if far else 6) / 72, 0, ax.figure.dpi_scale_trans)
        ax.annotate(
            text,
            (min(end.x, edge), end.y),
            (1, (new - old) / pixel),
            textcoords=(ax.transAxes + away, "offset points"),
            color=ink(end.color),
            fontsize=10,
            linespacing=1.1,
            va="center",
            annotation_clip=False,
            arrowprops=line | {"shrinkB": 3, "relpos": (0, 0.5)} if far else None,
        )


def spread(
    centers: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Move intervals apart so that none overlap, as little as their squares allow.

    Args:
        centers: where each would be best.
        heights: how much room each needs.
        low: where the room begins; it grows if the heights do not fit.
        high: where the room ends.

    Returns:
        The new centres, in the order given.
    """
    order = np.argsort(centers, kind="stable")
    sizes = np.array(heights)[order]
    steps = np.cumsum(sizes) - sizes / 2  # centres of a gapless stack from 0
    groups: list[list[float]] = []  # neighbours that touch: sum of places, number
    for center, step in zip(np.array(centers)[order], steps, strict=True):
        groups.append([center - step, 1])
        while len(groups) > 1 and (
            groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]
        ):
            place, number = groups.pop()
            groups[-1] = [groups[-1][0] + place, groups[-1][1] + number]
    places = np.concatenate([[total / n] * int(n) for total, n in groups])
    top = max(high - sizes.sum(), low)
    moved = np.clip(places, low, top) + steps
    return list(moved[np.argsort(order)])
