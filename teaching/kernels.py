"""Where the windows of a kernel lie: on an image, and below several layers of them."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Rectangle

from utils.course import CourseError
from utils.plot import HIGHLIGHT, PALETTE, PAPER, TRAIN, headline

LINE, RING = "#AAAAAA", "#DDDDDD"  # a cell's border; the zeros of the padding
LAST, UNSEEN = PALETTE["orange"], PALETTE["vermillion"]


def windows(image: int = 8, kernel: int = 3, stride: int = 2, padding: int = 1) -> Axes:
    """Draw every place of a window on a square image, and the output they make.

    The first window and its number are framed in blue, the second one dashed, the last
    one in orange; a dot marks the middle of each. What no window covers is hatched.

    Args:
        image: side of the image, in pixels.
        kernel: side of the window.
        stride: pixels from one place to the next.
        padding: rings of zeros around the image.

    Raises:
        CourseError: the window does not fit onto the padded image.
    """
    padded = image + 2 * padding
    if kernel > padded:
        raise CourseError(
            f"A window of {kernel} does not fit onto {image} + 2 · {padding} = {padded}"
            " pixels: take a smaller kernel, or more padding."
        )
    output = (padded - kernel) // stride + 1
    rest = padded - (output - 1) * stride - kernel
    right, below = padded + 4, (padded - output) / 2
    ax = _empty_axes()
    _cells(ax, 0, 0, padded, RING)
    _cells(ax, padding, padding, image, "white")
    _cells(ax, right, below, output, "white")
    _hatch_ends(ax, padded, rest)
    _places(ax, output, kernel, stride)
    _places(ax, output, 1, 1, at=(right, below))
    arrow = {"arrowstyle": "-|>", "color": PAPER, "lw": 1.5}
    ends = (right - 0.8, padded / 2), (padded + 0.8, padded / 2)
    ax.annotate("", *ends, arrowprops=arrow)
    zeros = f" in {padding} ring{'s' * (padding > 1)} of zeros" * (padding > 0)
    _below(ax, 0, padded, padded, f"image {image} × {image}{zeros}")
    _below(ax, right, output, below + output, f"output {output} × {output}")
    ax.set(xlim=(-0.3, right + max(output, 4) + 1), ylim=(padded + 2, -0.3))
    headline(ax.figure, _worked_out(image, kernel, stride, padding))
    return ax


def _worked_out(image: int, kernel: int, stride: int, padding: int) -> str:
    """The formula of the output's side with its numbers, and what is left over."""
    way = image + 2 * padding - kernel
    formula = f"⌊({image} + 2 · {padding} − {kernel}) / {stride}⌋ + 1"
    rest = way % stride
    columns = "1 column is" if rest == 1 else f"{rest} columns are"
    seen = f"; {columns} never visited" if rest else ""
    return f"{formula} = ⌊{way} / {stride}⌋ + 1 = {way // stride + 1}{seen}"


def _empty_axes() -> Axes:
    _, ax = plt.subplots(figsize=(7, 3.2))
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _cells(ax: Axes, x: float, y: float, side: int, color: str) -> None:
    """A square of cells."""
    places = [(x + i, y + j) for i in range(side) for j in range(side)]
    cells = [Rectangle(place, 1, 1) for place in places]
    style = {"facecolor": color, "edgecolor": LINE, "linewidth": 0.6}
    ax.add_collection(PatchCollection(cells, **style))


def _hatch_ends(ax: Axes, side: int, rest: int) -> None:
    """Hatch the last columns and rows."""
    style = {"fill": False, "hatch": "////", "edgecolor": UNSEEN, "linewidth": 0}
    if rest:
        ax.add_patch(Rectangle((side - rest, 0), rest, side, **style))
        ax.add_patch(Rectangle((0, side - rest), side - rest, rest, **style))


def _places(
    ax: Axes, count: int, side: int, step: int, at: tuple[float, float] = (0, 0)
) -> None:
    """Dots for `count` × `count` windows; frames for the first two and the last."""
    x, y = at
    middles = [place * step + side / 2 for place in range(count)]
    dots = [(x + i, y + j) for i in middles for j in middles]
    ax.scatter(*zip(*dots, strict=True), s=10, color=HIGHLIGHT, zorder=4)
    end = (count - 1) * step
    frames = [(end, end, LAST, "-"), (step, 0, TRAIN, ":"), (0, 0, TRAIN, "-")]
    for left, top, color, dashes in frames if count > 1 else frames[-1:]:
        style = {"edgecolor": color, "linestyle": dashes, "linewidth": 2}
        window = Rectangle((x + left, y + top), side, side, fill=False, **style)
        ax.add_patch(window)


def _below(ax: Axes, x: float, width: float, y: float, words: str) -> None:
    ax.text(x + width / 2, y + 0.5, words, ha="center", va="top", fontsize=10)


def receptive_field(layers: int = 3, kernel: int = 3, stride: int = 1) -> Axes:
    """Draw what one value after several equal layers sees, along one row of pixels.

    Args:
        layers: how many convolutions follow one another.
        kernel: side of each one's window.
        stride: step of each one.
    """
    # The distance of two values that are neighbours: a product of strides, in pixels.
    steps = [stride**i for i in range(layers)]
    counts = [1 + (kernel - 1) * sum(steps[: layers - i]) for i in range(layers + 1)]
    half = max(counts[0], 13) / 2 + 1
    ax = _empty_axes()
    ax.set_aspect("auto")
    # A value lies over the middle of its window, and the top one over 0.
    rows = [_spread(count, stride**i) for i, count in enumerate(counts)]
    lines = []
    for level, (below, above) in enumerate(pairwise(rows)):
        for i, x in enumerate(above):
            seen = below[i * stride : i * stride + kernel]
            lines += [((x, level + 1), (pixel, level)) for pixel in seen]
    ax.add_collection(LineCollection(lines, colors=LINE, linewidths=0.7, zorder=1))
    around = _spread(counts[0] + 2 * int(half - counts[0] / 2), 1)
    _row(ax, 0, around, RING, half)
    for level, row in enumerate(rows):
        color = HIGHLIGHT if level == layers else TRAIN if level else PAPER
        _row(ax, level, row, color, half)
        name = f"layer {level}" if level else "image"
        place = {"transform": ax.get_yaxis_transform(), "va": "center"}
        ax.text(1.01, level, f"{name}: {len(row)}", fontsize=10, **place)
    ax.set(xlim=(-half, half), ylim=(-0.4, layers + 0.3))
    plural = f"{layers} layers" if layers > 1 else "one layer"
    sees = f"sees {counts[0]} × {counts[0]} pixels"
    title = f"A value after {plural} of {kernel} × {kernel}, stride {stride}, {sees}"
    headline(ax.figure, title)
    return ax


def _spread(count: int, step: int) -> list[float]:
    """Places of equal distance around 0."""
    return [(i - (count - 1) / 2) * step for i in range(count)]


def _row(ax: Axes, level: int, xs: list[float], color: str, half: float) -> None:
    """Values of a layer as discs, pixels as squares, as large as there is room."""
    area = min(60.0, (165 / half) ** 2)
    marker = "o" if level else "s"
    ax.scatter(xs, [level] * len(xs), s=area, color=color, marker=marker, zorder=2)
