"""The course's architectures, redrawn in one visual language: as SVG, left to right.

Blue convolves, green connects everything to everything or adds, grey does neither. A
box's height grows with the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product

from teaching.diagrams import Stage, network
from teaching.svg import CONV, FILL, INK, LINEAR, STROKE, Box, Diagram, line, text

COLORS = {"conv": CONV, "linear": LINEAR, "pool": INK, "input": INK, "frozen": INK}
WIDTH = 900  # pixels, as a page


def box(at: Box, kind: str, words: Sequence[str] = (), *, dashed: bool = False) -> str:
    """A layer, with its words inside; what is linear has round corners."""
    color, corner = COLORS[kind], 9 if kind == "linear" else 1
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    drawn = (
        f'<rect x="{at.left:.1f}" y="{at.y - at.height / 2:.1f}" rx="{corner}"'
        f' width="{at.width:.1f}" height="{at.height:.1f}" fill="{FILL[color]}"'
        f' stroke="{color}" stroke-width="{STROKE}"{dashes}/>'
    )
    first = at.y - 9 * (len(words) - 1)
    lines = (text(at.x, first + 18 * i, word) for i, word in enumerate(words))
    return drawn + "".join(lines)


def arrow(*points: tuple[float, float], color: str = INK) -> str:
    """A line through the points, with a tip at the last one."""
    (x0, y0), (x1, y1) = points[-2:]
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    back = x1 - 8 * dx, y1 - 8 * dy
    sides = [(back[0] - 4 * dy * s, back[1] + 4 * dx * s) for s in (1, -1)]
    tip = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x1, y1), *sides])
    return (
        line([*points[:-1], back], color) + f'<polygon points="{tip}" fill="{color}"/>'
    )


def between(one: Box, other: Box, color: str = INK) -> str:
    """An arrow from one box to the next; from row to row with a bend."""
    start, end = (one.right + 2, one.y), (other.left - 2, other.y)
    if one.y == other.y:
        return arrow(start, end, color=color)
    bend = end[0] - 12
    return arrow(start, (bend, one.y), (bend, other.y), end, color=color)


def residual_block() -> Diagram:
    """ResNet's basic block (He et al. 2016, Fig. 2 and 5 left)."""
    stages = [
        Stage("input", "x", 64, 56),
        Stage("conv", "conv 3×3", 64, 56),
        Stage("norm", "BatchNorm", 64, 56),
        Stage("activation", "ReLU", 64, 56),
        Stage("conv", "conv 3×3", 64, 56),
        Stage("norm", "BatchNorm", 64, 56),
        Stage("activation", "ReLU", 64, 56),
    ]
    alt = (
        "A residual block: x goes through a 3×3 convolution, BatchNorm, ReLU, a second"
        " 3×3 convolution and BatchNorm; a shortcut carries x over them, both are"
        " added, and the sum goes through a ReLU. All maps are 64×56×56."
    )
    return network(stages, shortcuts=[(0, 5)], alt=alt, title="y = ReLU(F(x) + x)")


def inception(naive: bool = False) -> Diagram:
    """GoogLeNet's module (Szegedy et al. 2015, Fig. 2): naive, or with reductions."""
    rows = [["", "conv 1×1"], ["conv 1×1", "conv 3×3"], ["conv 1×1", "conv 5×5"]]
    rows.append(["max pool 3×3", "conv 1×1"])
    if naive:
        rows = [["", name] for name in ("conv 1×1", "conv 3×3", "conv 5×5")]
        rows.append(["", "max pool 3×3"])
    middle, last = 120.0, 790.0
    first, joined = Box(70, middle, 100, 56), Box(last, middle, 110, 216)
    body = box(first, "input", ["maps before"])
    body += box(joined, "input", ["concatenate", "channels"])
    for i, row in enumerate(rows):
        y, before = 32 + 58 * i + 1, first
        for word, x in zip(row, (310, 540), strict=True):
            if word:
                kind = "pool" if "pool" in word else "conv"
                here = Box(x, y, 130, 38)
                bend = 160
                start = (before.right + 2, before.y)
                if before is first and before.y != y:
                    body += arrow(
                        start, (bend, before.y), (bend, y), (here.left - 2, y)
                    )
                else:
                    body += arrow(start, (here.left - 2, y))
                body += box(here, kind, [word])
                before = here
        body += arrow((before.right + 2, y), (joined.left - 2, y))
    branches = ", ".join(" then ".join(filter(None, row)) for row in rows)
    kind = "The naive Inception module" if naive else "An Inception module"
    alt = f"{kind}: four branches on the same maps, {branches}; they are concatenated."
    return Diagram(body, WIDTH, 240, alt)


def two_towers() -> Diagram:
    """AlexNet on two GPUs (Krizhevsky et al. 2012, Fig. 2); poolings are not drawn."""
    maps = [(48, 55), (128, 27), (192, 13), (192, 13), (128, 13)]
    lower, upper, body = 255.0, 95.0, ""
    photo = Box(50, 175, 70, 110)
    body += box(photo, "input", ["photo", "3×227²"])
    towers = []
    for y in (upper, lower):
        boxes = [
            Box(155 + 92 * i, y, 62, 40 + 1.4 * s) for i, (_, s) in enumerate(maps)
        ]
        boxes += [Box(155 + 92 * i, y, 66, 44) for i in (5, 6)]
        towers.append(boxes)
    end = Box(830, 175, 76, 44)
    for mine, other in (towers, towers[::-1]):
        body += arrow((photo.right + 2, 175), (mine[0].left - 2, mine[0].y))
        for i, (one, two) in enumerate(pairwise(mine)):
            body += between(one, two)
            if i in (1, 4, 5):  # conv 3 and the linear layers read both towers
                start, stop = (one.right + 2, one.y), other[i + 1]
                away = 8 if stop.y > one.y else -8
                body += arrow(start, (stop.left - 2, stop.y - away))
        body += arrow((mine[-1].right + 2, mine[-1].y), (end.left - 2, 175))
        for i, (channels, side) in enumerate(maps):
            body += box(mine[i], "conv", [f"{channels}×", f"{side}²"])
        for at in mine[5:]:
            body += box(at, "linear", ["2048"])
    body += box(end, "linear", ["1000"])
    names = ["conv 11×11", "conv 5×5", "conv 3×3", "conv 3×3", "conv 3×3", "linear"]
    for i, name in enumerate([*names, "linear"]):
        body += text(towers[0][i].x, 345, name)
    body += text(end.x, 345, "linear")
    body += text(50, 22, "GPU 1", weight="bold") + text(50, 318, "GPU 2", weight="bold")
    alt = (
        "AlexNet of 2012 in two towers, one a GPU: five convolutions of 48, 128, 192,"
        " 192 and 128 channels each, two linear layers of 2,048 units each, and one of"
        " 1,000 for both. Only the third convolution and the linear layers read both."
    )
    return Diagram(body, WIDTH, 360, alt)


def resnet34_beside_plain34_and_vgg19() -> Diagram:
    """Three networks layer by layer (He et al. 2016, Fig. 3)."""
    sizes = (224, 112, 56, 28, 14, 7)
    vgg = [(s, 64 * 2 ** min(i, 3)) for i, s in enumerate(sizes[:5]) for _ in range(2)]
    for at, layer in ((6, (56, 256)), (10, (28, 512)), (14, (14, 512))):
        vgg[at:at] = [layer] * 2
    plain = [(112, 64)]
    for count, side, channels in (
        (6, 56, 64),
        (8, 28, 128),
        (12, 14, 256),
        (6, 7, 512),
    ):
        plain += [(side, channels)] * count
    body = ""
    rows = {"VGG-19": (vgg, 3), "34 layers, plain": (plain, 1), "ResNet-34": (plain, 1)}
    for number, (name, (convs, linear)) in enumerate(rows.items()):
        y, boxes = 74 + 135 * number, []
        body += text(10, y - 57, name, anchor="start", weight="bold")
        for i, (side, _) in enumerate(convs):
            boxes.append(Box(18 + 24.2 * i, y, 14, 12 + 0.33 * side))
        ends = [Box(boxes[-1].x + 24.2 * (i + 1), y, 14, 14) for i in range(linear)]
        for one, two in pairwise([*boxes, *ends]):
            body += line([(one.right, y), (two.left, y)])
        body += "".join(box(at, "conv") for at in boxes)
        body += "".join(box(at, "linear") for at in ends)
        for channels in dict.fromkeys(c for _, c in convs):
            same = [
                b.x for b, (_, c) in zip(boxes, convs, strict=True) if c == channels
            ]
            body += text((same[0] + same[-1]) / 2, y + 56, f"{channels}")
        body += text(ends[-1].right + 5, y, "1000", anchor="start")
        if name == "ResNet-34":
            body += "".join(_over(boxes, i) for i in range(0, len(convs) - 1, 2))
    alt = (
        "Three networks layer by layer: VGG-19 with 16 convolutions of 64 to 512"
        " channels and three linear layers; a plain network with 33 convolutions and"
        " one linear layer; ResNet-34, the same with a shortcut over every two"
        " convolutions. Numbers are channels; a box is as high as its maps."
    )
    return Diagram(body, WIDTH, 408, alt)


def _over(boxes: Sequence[Box], i: int) -> str:
    """A shortcut over the two layers behind layer i."""
    start, end = boxes[i].right + 5, boxes[i + 2].right + 5
    y = boxes[i].y
    top = y - max(b.height for b in boxes[i + 1 : i + 3]) / 2 - 12
    # Slanted, so that one can be told from the next.
    return arrow((start, y), (start + 7, top), (end - 7, top), (end, y), color=LINEAR)


def transfer() -> Diagram:
    """A network's body, copied for another task: frozen, or trained along."""
    names, body = ["block 1", "block 2", "block 3", "block 4"], ""
    xs = [200.0 + 125 * i for i in range(5)]
    heights = [92.0, 76.0, 60.0, 46.0, 40.0]
    for y, photos, head in ((70.0, "ImageNet", "1000"), (250.0, "your photos", "2")):
        boxes = [Box(x, y, 86, h) for x, h in zip(xs, heights, strict=True)]
        first = Box(70, y, 104, 44)
        for one, two in pairwise([first, *boxes]):
            body += between(one, two)
        body += box(first, "input", [photos])
        for i, at in enumerate(boxes[:-1]):
            still = y > 100 and i < 3
            body += box(at, "frozen" if still else "conv", [names[i]], dashed=still)
        body += box(boxes[-1], "linear", [f"head: {head}"])
    for x, height, below in zip(xs[:-1], heights, heights, strict=False):
        body += arrow((x, 72 + height / 2), (x, 248 - below / 2))
    for words, y in (("source", 30), ("target", 210)):
        body += text(18, y, words, anchor="start", weight="bold")
    body += text(825, 70, "all trained") + text(xs[1] + 62, 160, "copied")
    body += text(xs[4], 212, "new")
    body += text(xs[1], 318, "frozen: no gradient") + text(xs[3], 318, "small steps")
    body += text(xs[4], 318, "trained")
    alt = (
        "Transfer: the four blocks of a network trained on ImageNet are copied. In the"
        " target network the first three are frozen, the fourth is trained in small"
        " steps, and a new head for two classes takes the place of that for 1,000."
    )
    return Diagram(body, WIDTH, 335, alt)


def norm_axes() -> Diagram:
    """Which values share one mean and variance (after Wu and He 2018, Fig. 2)."""
    examples, channels, cell = 4, 6, 26
    kinds = {
        "BatchNorm": lambda n, c: c == 1,
        "LayerNorm": lambda n, c: n == 1,
        "InstanceNorm": lambda n, c: (n, c) == (1, 1),
        "GroupNorm": lambda n, c: n == 1 and c < 3,
    }
    body = ""
    for number, (name, together) in enumerate(kinds.items()):
        left, top = 50 + 217 * number, 52
        for n, c in product(range(examples), range(channels)):
            at = Box(left + cell * (c + 0.5), top + cell * (n + 0.5), cell, cell)
            color = CONV if together(n, c) else INK
            body += (
                f'<rect x="{at.left:.1f}" y="{at.y - cell / 2:.1f}" width="{cell}"'
                f' height="{cell}" fill="{CONV if color == CONV else "white"}"'
                f' stroke="#999999"/>'
            )
        middle = left + cell * channels / 2
        body += text(middle, 16, name, weight="bold")
        body += text(middle, 38, "channels C →")
        body += (
            f'<g transform="rotate(-90 {left - 14} {top + 52})">'
            f"{text(left - 14, top + 52, '← examples N')}</g>"
        )
    body += text(
        450, 184, "A cell is one map of H × W values; blue: one mean for all of it"
    )
    alt = (
        "Four tables of examples and channels, each cell a map of H×W values. BatchNorm"
        " averages over a column, one channel of all examples; LayerNorm over a row,"
        " one example; InstanceNorm over one cell; GroupNorm over half of a row."
    )
    return Diagram(body, WIDTH, 200, alt)


def dropout_thinned() -> Diagram:
    """A network, and what dropout leaves of it in one step (Srivastava et al. 2014)."""
    sizes, dropped = (4, 5, 5, 2), {(0, 2), (1, 0), (1, 3), (2, 1), (2, 2), (2, 4)}
    body = ""
    for number, title in enumerate(("all units", "thinned: this step trains these")):
        off = dropped if number else set()
        left, places = 60 + 440 * number, {}
        for layer, units in enumerate(sizes):
            for unit in range(units):
                y = 140 + 46 * (unit - (units - 1) / 2)
                places[layer, unit] = left + 110 * layer, y
        for (layer, unit), start in places.items():
            for other in range(sizes[layer + 1] if layer + 1 < len(sizes) else 0):
                if not {(layer, unit), (layer + 1, other)} & off:
                    body += _thin(start, places[layer + 1, other])
        for key, (x, y) in places.items():
            body += _unit(x, y, alive=key not in off)
        body += text(left + 165, 16, title, weight="bold")
    alt = (
        "Left, a network of layers with 4, 5, 5 and 2 units, all of them connected."
        " Right, the same after dropout: six crossed-out units have lost their"
        " connections, and the smaller network that remains is trained in this step."
    )
    return Diagram(body, WIDTH, 265, alt)


def _thin(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{LINEAR}" stroke-width="1"/>'


def _unit(x: float, y: float, *, alive: bool) -> str:
    color = LINEAR if alive else INK
    dashes = "" if alive else ' stroke-dasharray="4 3"'
    circle = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="14" fill="{FILL[color]}"'
        f' stroke="{color}" stroke-width="{STROKE}"{dashes}/>'
    )
    if alive:
        return circle
    strokes = (line([(x - 7, y - 7 * s), (x + 7, y + 7 * s)]) for s in (1, -1))
    return circle + "".join(strokes)
