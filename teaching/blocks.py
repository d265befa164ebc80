"""The blocks that networks are made of, as chains of boxes: for slides and notebooks.

The visual language is that of `architectures`: blue convolves, green is linear or adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from teaching.architectures import WIDTH, arrow, between, box
from teaching.svg import CONV, LINEAR, Box, Diagram, plus, text, text_width

HIGH = 48  # pixels of a box with two lines of words
Part = tuple[str, str]  # kind of a box, and its words; lines end with "|"


def chain(
    y: float, parts: Sequence[Part], left: float = 16, right: float = WIDTH - 16
) -> tuple[str, list[Box]]:
    """Boxes from left to right with arrows between; a "+" is a sum on its ring."""
    widths = [18 if kind == "+" else needed(words) for kind, words in parts]
    gap = min(90.0, (right - left - sum(widths)) / max(1, len(parts) - 1))
    x = (left + right - sum(widths) - gap * (len(parts) - 1)) / 2
    boxes, body = [], ""
    for (kind, words), width in zip(parts, widths, strict=True):
        dashed, kind = kind.endswith("!"), kind.rstrip("!")
        high = max(HIGH, 12 + 18 * len(words.split("|")))
        here = Box(x + width / 2, y, width, 18 if kind == "+" else high)
        if boxes:
            body += between(boxes[-1], here)
        if kind == "+":
            body += plus(here.x, y)
        elif kind == "text":
            body += text(here.x, y, words, weight="bold")
        else:
            body += box(here, kind, words.split("|"), dashed=dashed)
        boxes.append(here)
        x += width + gap
    return body, boxes


def needed(words: str) -> float:
    """The width of a box with these words."""
    return max(map(text_width, words.split("|"))) + 14


def around(start: Box, end: Box, lift: float = 52) -> str:
    """A shortcut from behind one box, over those between, down to a sum."""
    x, top = start.right + 8, start.y - lift
    path = [(x, start.y), (x, top), (end.x, top), (end.x, end.y - end.height / 2 - 2)]
    return arrow(*path, color=LINEAR)


def left_text(y: float, words: str) -> str:
    """A line of words at the left edge."""
    return text(16, y, words, anchor="start", weight="bold")


def copying_layers() -> Diagram:
    """A shallow network, and a deeper one that computes the same."""
    stages = ["stage 1|6 layers", "stage 2|6 layers", "stage 3|6 layers"]
    body, left = left_text(20, "20 layers, trained") + left_text(170, "56 layers"), 16
    copies: list[Part] = [("frozen!", "12 layers|that copy")]
    deep: list[Part] = [("input", "photo"), ("conv", "conv")]
    for stage in stages:
        deep += [("conv", stage), *copies]
    drawn, below = chain(225, [*deep, ("linear", "linear")], left)
    body += drawn
    above = [Box(at.x, 75, at.width, HIGH) for at in (below[0], below[1], *below[2::2])]
    words = ["photo", "conv", *stages, "linear"]
    kinds = ["input", "conv", "conv", "conv", "conv", "linear"]
    for one, two in pairwise(above):
        body += between(one, two)
    for at, kind, word in zip(above, kinds, words, strict=True):
        body += box(at, kind, word.split("|"))
    for at in above[1:]:
        body += arrow((at.x, 103), (at.x, 197), color=CONV)
    body += text((above[2].x + above[3].x) / 2, 135, "the same weights")
    alt = (
        "A trained network of 20 layers, and below it one of 56: the same stages with"
        " the same weights, and after each of them 12 layers that copy their input."
    )
    return Diagram(body, WIDTH, 265, alt)


def plain_and_residual() -> Diagram:
    """Two layers that must learn all of H, and two that learn what to add."""
    layers: list[Part] = [("conv", "conv 3×3"), ("pool", "ReLU"), ("conv", "conv 3×3")]
    first, _ = chain(80, [("text", "x"), *layers, ("text", "H(x)")])
    second, at = chain(250, [("text", "x"), *layers, ("+", ""), ("text", "F(x) + x")])
    body = first + second + around(at[0], at[4])
    body += left_text(24, "plain: the layers learn H(x), all of it")
    body += left_text(165, "residual: the layers learn F(x), what to add")
    body += text(at[2].x, 212, "the shortcut carries x")
    alt = (
        "Above, a plain pair of 3×3 convolutions turns x into H(x). Below, the same"
        " pair computes F(x), and a shortcut around it adds x: the sum is F(x) + x."
    )
    return Diagram(body, WIDTH, 295, alt)


def gradient_roads() -> Diagram:
    """Three residual blocks, and the roads of the gradient through them."""
    parts: list[Part] = [("text", "loss")]
    for name in ("F₃", "F₂", "F₁"):
        parts += [("+", ""), ("conv", f"{name}: conv 3×3|conv 3×3")]
    parts += [("text", "first layer")]
    body, at = chain(150, parts)
    for i in (1, 3, 5):
        x, y = at[i].x, at[i].y
        end = at[i + 1].right + 12
        body += arrow((x, y - 11), (x, 80), (end, 80), (end, y - 2), color=LINEAR)
        body += text((x + end) / 2, 62, "times 1")
        body += text(at[i + 1].x, 196, f"times F{'₃₂₁'[i // 2]}′")
    body += left_text(18, "from the loss backwards: at each block two roads")
    alt = (
        "The gradient runs from the loss back through three residual blocks. At each it"
        " takes two roads: through the layers, where it is multiplied by F′, and around"
        " them, where it stays as it is. One road has no layer at all."
    )
    return Diagram(body, WIDTH, 220, alt)


def three_shortcuts() -> Diagram:
    """What stands in the shortcut where a block changes the shape (He et al., 3.3)."""
    ways = {
        "A: pad with zeros": ("pool", "every 2nd pixel,|and zeros", "0 weights"),
        "B: project where needed": ("conv", "conv 1×1|stride 2", "8,448 weights"),
        "C: project everywhere": (
            "conv",
            "conv 1×1 in|every block",
            "8,448; in later blocks 16,640",
        ),
    }
    body = ""
    for i, (name, (kind, words, cost)) in enumerate(ways.items()):
        left = 12 + 300 * i
        start = Box(left + 30, 190, 48, 70)
        layers = Box(left + 140, 190, 110, 56)
        there = Box(left + 146, 80, 134, HIGH)
        end = Box(left + 232, 190, 18, 18)
        body += box(start, "input", ["64×", "56²"])
        body += between(start, layers) + between(layers, end)
        body += box(layers, "conv", ["2 × conv 3×3", "stride 2, 1"])
        x = start.right + 8
        body += arrow((x, 190), (x, 80), (there.left - 2, 80), color=LINEAR)
        path = [(there.right + 2, 80), (end.x, 80), (end.x, 179)]
        body += arrow(*path, color=LINEAR) + box(there, kind, words.split("|"))
        body += plus(end.x, end.y) + text(end.x + 14, 225, "128×28²")
        body += text(left + 140, 24, name, weight="bold")
        body += text(left + 140, 258, cost)
    alt = (
        "Three blocks from 64×56×56 to 128×28×28. Shortcut A takes every second pixel"
        " and fills new channels with zeros, for 0 weights; B has a 1×1 convolution"
        " with stride 2, 8,448 weights; C has one in every block, with 16,640 weights"
        " in those that follow."
    )
    return Diagram(body, WIDTH, 275, alt)


def basic_and_bottleneck() -> Diagram:
    """Both blocks of He et al. 2016, Fig. 5; a box is as high as it has channels."""
    body = ""
    rows = {
        "basic block, 64 channels": [("conv 3×3", 64), ("conv 3×3", 64)],
        "bottleneck, 256 channels": [
            ("conv 1×1", 64),
            ("conv 3×3", 64),
            ("conv 1×1", 256),
        ],
    }
    for i, (name, layers) in enumerate(rows.items()):
        y, channels = 100 + 190 * i, layers[-1][1]
        boxes = [Box(110, y, 60, 20 + channels / 3.2)]
        boxes += [
            Box(290 + 165 * j, y, 110, 34 + c / 4) for j, (_, c) in enumerate(layers)
        ]
        end = Box(boxes[-1].right + 60, y, 18, 18)
        for one, two in pairwise([*boxes, end]):
            body += between(one, two)
        body += box(boxes[0], "input", [str(channels)])
        for at, (word, c) in zip(boxes[1:], layers, strict=True):
            body += box(at, "conv", [word, f"{c}"])
        body += around(boxes[0], end, 72 if i else 62) + plus(end.x, y)
        body += left_text(y - 80 - 10 * i, name)
    alt = (
        "Above, the basic block: two 3×3 convolutions of 64 channels and a shortcut."
        " Below, the bottleneck: 256 channels, a 1×1 convolution to 64, a 3×3 on 64, a"
        " 1×1 back to 256, and a shortcut."
    )
    return Diagram(body, WIDTH, 350, alt)


def before_and_after_the_sum() -> Diagram:
    """The block of 2015, and the pre-activation block (He et al. 2016b, Fig. 1)."""
    layer: list[Part] = [("conv", "conv"), ("pool!", "BatchNorm"), ("pool", "ReLU")]
    first = [("text", "x"), *layer, *layer[:2], ("+", ""), layer[2], ("text", "y")]
    pre = [layer[1], layer[2], layer[0]]
    second = [("text", "x"), *pre, *pre, ("+", ""), ("text", "y")]
    above, at = chain(95, first)
    below, there = chain(240, second)
    body = above + below + around(at[0], at[6]) + around(there[0], there[7])
    for one, two in [*pairwise(at[6:]), *pairwise(there[7:])]:
        body += between(one, two, LINEAR)  # the road of x goes on behind the sum
    body += left_text(22, "2015") + left_text(168, "2016")
    alt = (
        "Above, the first block: conv, BatchNorm, ReLU, conv, BatchNorm, sum, ReLU."
        " Below, pre-activation: BatchNorm, ReLU, conv, twice, then the sum, and"
        " nothing after it."
    )
    return Diagram(body, WIDTH, 280, alt)


def the_same_plus() -> Diagram:
    """Blocks of later networks: the shortcut stays, what it goes around changes."""
    rows: dict[str, list[Part]] = {
        "ResNeXt, 2017: many narrow paths at once": [
            ("text", "x"),
            ("conv", "conv 1×1"),
            ("conv", "conv 3×3|32 groups"),
            ("conv", "conv 1×1"),
            ("+", ""),
        ],
        "Transformer, as built today: no convolution": [
            ("text", "x"),
            ("pool!", "LayerNorm"),
            ("linear", "attention"),
            ("+", ""),
            ("pool!", "LayerNorm"),
            ("linear", "linear, ReLU,|linear"),
            ("+", ""),
        ],
        "DenseNet, 2017: side by side in place of a sum": [
            ("text", "x"),
            ("conv", "conv 1×1"),
            ("conv", "conv 3×3"),
            ("pool", "concatenate"),
        ],
    }
    body = ""
    for i, (name, parts) in enumerate(rows.items()):
        y = 86 + 125 * i
        drawn, at = chain(y, parts)
        body += drawn + left_text(y - 66, name)
        ends = [j for j, (kind, _) in enumerate(parts) if kind == "+"]
        starts = [0, *ends]
        for start, end in zip(starts, ends or [len(parts) - 1], strict=False):
            body += around(at[start], at[end], 42)
    alt = (
        "Three later blocks. ResNeXt: convolutions in 32 groups, and a shortcut with a"
        " sum. Transformer: LayerNorm and attention, a sum, LayerNorm and two linear"
        " layers, a sum. DenseNet: the shortcut is concatenated, not added."
    )
    return Diagram(body, WIDTH, 372, alt)


def chain_rule() -> Diagram:
    """One image through two layers to its loss, and the slopes on the way back."""
    values = [
        "w₁|0.5",
        "a = w₁ x|1.0",
        "h = tanh a|0.762",
        "z = w₂ h|2.285",
        "loss|0.097",
    ]
    kinds = ["input", "linear", "pool", "linear", "input"]
    body, at = chain(105, list(zip(kinds, values, strict=True)))
    slopes = ["x = 2", "1 − h² = 0.42", "w₂ = 3", "p − 1 = −0.092"]
    for one, two, slope in zip(at, at[1:], slopes, strict=False):
        y = 175
        body += arrow((two.x, y), (one.x, y), color=LINEAR)
        body += text((one.x + two.x) / 2, y + 22, slope)
    body += left_text(24, "forward: one value after the other, for x = 2")
    body += left_text(
        236, "backward: 2 · 0.42 · 3 · (−0.092) = −0.233, the slope of the loss over w₁"
    )
    alt = (
        "A chain: the weight w₁ is 0.5, a = w₁ x is 1, h = tanh a is 0.762, z = w₂ h is"
        " 2.285, the loss 0.097. Back along it the slopes −0.092, 3, 0.42 and 2 are"
        " multiplied to −0.233."
    )
    return Diagram(body, WIDTH, 255, alt)


def googlenet() -> Diagram:
    """GoogLeNet with its nine modules and two heads (Szegedy et al. 2015, Fig. 3)."""
    modules = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512}
    modules |= {"4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    parts: list[Part] = [("input", "photo|3"), ("conv", "stem|192")]
    for name, channels in modules.items():
        parts += [("pool", "max")] * (name in ("4a", "5a"))
        parts.append(("conv", f"{name}|{channels}"))
    parts += [("pool", "mean|1024"), ("linear", "linear|1000")]
    body, at = chain(95, parts, 4, WIDTH - 4)
    sides = {"28 × 28": (2, 3), "14 × 14": (5, 9), "7 × 7": (11, 12)}
    for words, (first, last) in sides.items():
        body += text((at[first].x + at[last].x) / 2, 38, words, weight="bold")
    for i in (5, 8):
        head = Box(at[i].x + 40, 205, 130, HIGH)
        body += arrow((at[i].x, 121), (at[i].x, 179), color=LINEAR)
        body += box(
            head, "linear", ["auxiliary head,", "in training only"], dashed=True
        )
    alt = (
        "GoogLeNet: a stem, modules 3a and 3b on 28×28, 4a to 4e on 14×14, 5a and 5b on"
        " 7×7, a mean over each of 1,024 maps and one linear layer. After 4a and 4d an"
        " auxiliary head branches off, which is used in training only."
    )
    return Diagram(body, WIDTH, 240, alt)
