"""The course's own diagrams, as SVG: networks from left to right, and grids of numbers.

Each kind of layer has one glyph in all lectures. A box's width grows with the channels,
its height with the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from teaching.grids import beside, convolution, grid
from teaching.svg import (
    CONV,
    FILL,
    GAP,
    INK,
    LINEAR,
    MARGIN,
    PAGE,
    STROKE,
    TEXT_LINE,
    Box,
    Diagram,
    line,
    plus,
    text,
    text_width,
)
from utils.course import CourseError
from utils.look import Call, trace

__all__ = ["Diagram", "Stage", "beside", "convolution", "from_model", "grid", "network"]

COLORS = {"input": INK, "conv": CONV, "block": CONV, "pool": INK, "linear": LINEAR}
COLORS |= dict.fromkeys(("norm", "activation", "dropout"), INK)
TALLEST, LOWEST = 140, 18  # pixels: the largest feature map, and a vector
LIFT = 26  # pixels: room for a shortcut above the boxes


@dataclass(frozen=True)
class Stage:
    """One box of a network.

    Attributes:
        kind: input, conv, block, pool, linear, norm, activation or dropout.
        label: what stands below it; long ones wrap.
        channels: of its output; or the number of its values.
        size: height of its output, or (height, width), in pixels; 0 for a vector.
    """

    kind: str
    label: str
    channels: int
    size: int | tuple[int, int] = 0

    @property
    def height(self) -> int:
        """Height of the output in pixels of the feature map."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def shape(self) -> str:
        """Channels × height × width, or the number of values."""
        sides = (self.size, self.size) if isinstance(self.size, int) else self.size
        return "×".join(map(str, (self.channels, *(sides if self.size else ()))))


def network(
    stages: Sequence[Stage],
    *,
    title: str = "",
    alt: str | None = None,
    shortcuts: Sequence[tuple[int, int]] = (),
) -> Diagram:
    """Draw a network from left to right, in more rows where one is not enough.

    Args:
        stages: the boxes in the order they run.
        title: above the picture.
        alt: what it says to those who cannot see it; by default the stages in words.
        shortcuts: pairs (i, j): what stage i puts out is added to what stage j does.

    Raises:
        CourseError: a kind is unknown, or a shortcut does not fit one row.
    """
    unknown = {stage.kind for stage in stages} - COLORS.keys()
    if unknown or not stages:
        raise CourseError(
            f"No glyph for {sorted(unknown) or 'no stages'}: give stages of the kinds"
            f" {', '.join(COLORS)}."
        )
    top = MARGIN + (28 if title else 0)
    body = _heading(title)
    boxes, bottom = _place(stages, top, lift=LIFT if shortcuts else 0)
    for before, box in pairwise(boxes):
        body += _arrow(before, box)
    for i, j in shortcuts:
        body += _shortcut(boxes, i, j)
    for i, box in enumerate(boxes):
        body += _glyph(box, boxes[max(i - 1, 0)].height) + _labels(box)
    words = ", then ".join(f"{s.label} ({s.shape})" for s in stages)
    alt = alt or f"{title or 'A network'}: {words}."
    return Diagram(body, PAGE, bottom, alt)


def _heading(title: str) -> str:
    if not title:
        return ""
    return text(MARGIN, MARGIN + 8, title, anchor="start", weight="bold")


@dataclass(frozen=True)
class _Box(Box):
    """Where a stage stands, its words, and at which height they begin."""

    stage: Stage
    lines: list[str]
    foot: float


def _place(
    stages: Sequence[Stage], top: float, *, lift: float
) -> tuple[list[_Box], float]:
    """Rows of boxes, as few and as equal as fit the page; and where they end."""
    largest = max(stage.height for stage in stages) or 1
    boxes, y = [], top + lift
    for row in _rows(stages):
        spare = (PAGE - 2 * MARGIN - sum(map(_need, row))) / len(row)
        tall = [LOWEST + (TALLEST - LOWEST) * s.height / largest for s in row]
        middle, foot, x = y + max(tall) / 2, y + max(tall) + GAP, float(MARGIN)
        for stage, height in zip(row, tall, strict=True):
            room = _need(stage) + spare
            lines = [*_wrap(stage.label, room - 8), stage.shape]
            center, width = x + room / 2, _width(stage)
            boxes.append(_Box(center, middle, width, height, stage, lines, foot))
            x += room
        words = max(len(box.lines) for box in boxes[-len(row) :])
        y = foot + words * TEXT_LINE + GAP + lift
    return boxes, y - GAP - lift


def _rows(stages: Sequence[Stage]) -> list[Sequence[Stage]]:
    """The stages in as few equal rows as leave room for each one's words."""
    for number in range(1, len(stages) + 1):
        length = math.ceil(len(stages) / number)
        rows = [stages[i : i + length] for i in range(0, len(stages), length)]
        if all(sum(map(_need, row)) <= PAGE - 2 * MARGIN for row in rows):
            break
    return rows


def _need(stage: Stage) -> float:
    """The width that a stage cannot do without: its box, or its longest word."""
    words = [*stage.label.split(), stage.shape]
    return max(_width(stage) + 2 * GAP, *(text_width(word) + 8 for word in words))


def _width(stage: Stage) -> float:
    return 8 + 6 * math.log2(1 + stage.channels)


def _wrap(label: str, room: float) -> list[str]:
    lines = [""]
    for word in label.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if text_width(longer) <= room else [*lines, word]
    return list(filter(None, lines))


def _glyph(box: _Box, height_before: float) -> str:
    """The box of one layer; a pooling narrows from the height before to its own."""
    kind, color = box.stage.kind, COLORS[box.stage.kind]
    style = f'fill="{FILL[color]}" stroke="{color}" stroke-width="{STROKE}"'
    x, y, w, h = box.left, box.y - box.height / 2, box.width, box.height
    if kind in ("norm", "dropout"):
        style += ' stroke-dasharray="5 4"'
    if kind == "pool":
        a, b = height_before / 2, h / 2
        corners = [(x, -a), (x + w, -b), (x + w, b), (x, a)]
        points = " ".join(f"{px:.1f},{box.y + py:.1f}" for px, py in corners)
        return f'<polygon points="{points}" {style} stroke-linejoin="round"/>'
    corner = h / 2 if kind == "linear" else 1
    glyph = _rectangle(x, y, w, h, f'rx="{min(corner, 9):.1f}" {style}')
    if kind == "block":
        glyph += _rectangle(x + 5, y + 5, w - 10, h - 10, style)
    if kind == "activation":
        glyph += line([(x + 5, box.y), (box.x, box.y), (x + w - 5, box.y - h / 4)])
    if kind == "dropout":
        glyph += line([(x + 5, y + 5), (x + w - 5, y + h - 5)])
    return glyph


def _rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} {style}/>'


def _labels(box: _Box) -> str:
    """The words below a box, the shape of its output last."""
    return "".join(
        text(box.x, box.foot + i * TEXT_LINE, words)
        for i, words in enumerate(box.lines)
    )


def _arrow(before: _Box, box: _Box) -> str:
    """From one box to the next; at the end of a row out of it and into the next."""
    if before.y == box.y:
        return _pointed(before.right + 3, box.left - 3, box.y)
    out = line([(before.right + 3, before.y), (PAGE - MARGIN / 2, before.y)])
    return out + _pointed(MARGIN / 2, box.left - 3, box.y)


def _pointed(start: float, end: float, y: float) -> str:
    tip = f"{end:.1f},{y:.1f} {end - 8:.1f},{y - 4:.1f} {end - 8:.1f},{y + 4:.1f}"
    return line([(start, y), (end - 7, y)]) + f'<polygon points="{tip}" fill="{INK}"/>'


def _shortcut(boxes: list[_Box], i: int, j: int) -> str:
    """Over the boxes between, from behind stage i to a sum behind stage j."""
    if not 0 <= i < j < len(boxes) or boxes[i].y != boxes[j].y:
        raise CourseError(
            f"The shortcut from stage {i} to {j} does not stay in one row: use fewer"
            " stages, or shorter labels."
        )
    y, start, end = boxes[i].y, boxes[i].right + 7, boxes[j].right + 10
    top = y - max(box.height for box in boxes[i : j + 1]) / 2 - LIFT + 10
    path = line([(start, y), (start, top), (end, top), (end, y - 7)], color=LINEAR)
    return path + plus(end, y, ring=7, arm=4)


def from_model(model: nn.Module, shape: tuple[int, ...], *, title: str = "") -> Diagram:
    """Draw the convolutions, poolings and linear layers of a network, as they run.

    Args:
        model: the network.
        shape: (C, H, W) of one example.
        title: above the picture.

    Raises:
        CourseError: a layer cannot take what it gets.
    """
    calls, _, _ = trace(model, shape)
    stages = [Stage("input", "input", shape[0], shape[1:] or 0)]
    stages += [stage for call in calls if (stage := _stage(call))]
    return network(stages, title=title)


def _stage(call: Call) -> Stage | None:
    """The box of a layer; None for those that change no shape and learn little."""
    layer, (_, channels, *sides) = call.module, call.output
    name = type(layer).__name__
    size = tuple(sides) if sides else 0
    if isinstance(layer, nn.Linear):
        return Stage("linear", "linear", channels)
    side = getattr(layer, "kernel_size", "")
    side = side[0] if isinstance(side, tuple) else side
    window = f"{side}×{side}"
    if isinstance(layer, nn.Conv2d):
        step = f", stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
        return Stage("conv", f"conv {window}{step}", channels, size)
    if "Pool" in name:
        kind = "max" if "Max" in name else "average"
        reach = "global" if size == (1, 1) else "adaptive"
        label = f"{kind} pool {window}" if side else f"{reach} {kind} pool"
        return Stage("pool", label, channels, size)
    return None
