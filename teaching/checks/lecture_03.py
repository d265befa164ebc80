"""Self-checks of lecture 03: sizes, groups, LRN, colours, a layer less, votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching.checks import (
    Wrong,
    call,
    describe,
    exercise,
    expect_module,
    expect_number,
    expect_numbers,
    labelled,
)

SIDES = ("convolution 1", "pool 1", "pool 2", "pool 3")
CONV_5 = 32 * (32 * 9 + 1)  # parameters of convolution 5 at an eighth of the width


@exercise("03.1")
def smaller_photograph(answer: Any) -> str:
    """Sides of 160x160 through the form of 2014, and the numbers that come out."""
    sides, numbers = _parts(answer, 2, "the sides and the numbers")
    sides = _parts(sides, 4, "four sides")
    known: tuple[dict[float, str], ...] = (
        {
            38: "that is without padding; this form pads by 2 on either side.",
            39.25: "a step that does not fit is not taken: round down.",
            40: "a step that does not fit is not taken: round down.",
        },
        {20: "a window of 3 and not of 2: (39 − 3) / 2 + 1.", 18: "one too few: + 1."},
        {10: "round down: (19 − 3) / 2 + 1.", 8: "one too few: + 1."},
        {5: "round down: (9 − 3) / 2 + 1.", 3: "one too few: + 1."},
    )
    right = (39, 19, 9, 4)
    for name, side, size, slips in zip(SIDES, sides, right, known, strict=True):
        hint = "⌊(n + 2p − k) / s⌋ + 1; convolutions 2 to 5 keep the size."
        with labelled(f"{name}:"):
            expect_number(side, size, misconceptions=slips, hint=hint)
    slips = {
        16: "that is one channel; there are 256.",
        9216: "that is for maps of 6 × 6; yours are smaller.",
        384 * 16: "256 channels leave the last convolution, not 384.",
    }
    with labelled("numbers:"):
        expect_number(
            numbers, 4096, misconceptions=slips, hint="Channels × side × side."
        )
    return "160 → 39 → 19 → 9 → 4, and 256 · 4 · 4 = 4,096."


@exercise("03.2")
def printed_numbers(answer: Any) -> str:
    """A side of 224 pixels, the first layer's values, an image's views, 6,400."""
    parts = (
        (54, {55: "that needs 227 pixels, or padding.", 53: "one too few: + 1."}, ""),
        (
            290_400,
            {
                253_440: "this is 55 · 48 · 96, as printed; the maps have 55 · 55.",
                145_200: "that is one GPU's half.",
                3025: "that is one channel of 96.",
            },
            "Side × side × channels.",
        ),
        (
            2178,
            {
                2048: "a crop can begin at 33 places a side: 256 − 224 + 1.",
                1089: "each may be mirrored: twice as many.",
                1024: "33 places a side, not 32, and mirrored or not.",
                66: "33 places in each of two directions: 33 · 33.",
            },
            "Places · places · 2.",
        ),
        (
            6400,
            {
                9216: "maps of 6 × 6 come from 227 pixels.",
                25: "that is one channel of 256.",
                9600: "256 channels leave the last convolution, not 384.",
            },
            "54 → 26 → 12 → 5.",
        ),
    )
    expect_numbers(answer, parts)
    return "54, 290,400, 2,178 and 6,400."


@exercise("03.3")
def grouped_convolution(function: Any) -> str:
    """A convolution in groups, equal to torch's."""
    generator = torch.Generator().manual_seed(0)
    for c_in, c_out, groups, k in (
        (4, 6, 2, 3),
        (6, 6, 3, 1),
        (8, 4, 4, 3),
        (3, 5, 1, 3),
    ):
        x = torch.randn(2, c_in, 7, 7, generator=generator)
        weight = torch.randn(c_out, c_in // groups, k, k, generator=generator)
        got = call(function, x, weight, groups)
        right = F.conv2d(x, weight, groups=groups)
        what = f"{c_in} to {c_out} channels in {groups} groups"
        if not torch.is_tensor(got):
            raise Wrong(f"{what}: {describe(got)} comes back, not a tensor.")
        if got.shape != right.shape:
            raise Wrong(
                f"{what}: shape {tuple(got.shape)}, not {tuple(right.shape)}.",
                _shape_hint(got, right, groups),
            )
        if not torch.allclose(got, right, atol=1e-4):
            reason = _value_hint(got, x, weight, groups)
            raise Wrong(f"{what}: {reason}", reason=reason)
    return "equal to torch's in four cases."


def _shape_hint(got: Tensor, right: Tensor, groups: int) -> str:
    """What a wrong shape betrays."""
    if got.shape[0] == groups * right.shape[0]:
        return "Join the groups along the channels: torch.cat(..., dim=1)."
    if got.shape[1] * groups == right.shape[1]:
        return "Only one group's channels come back: join all of them, do not add them."
    if got.shape[2] != right.shape[2]:
        return "No padding: a 3 × 3 kernel takes two pixels away."
    return "Each group has its own part of the channels and of the kernels."


def _value_hint(got: Tensor, x: Tensor, weight: Tensor, groups: int) -> str:
    """What wrong values of the right shape betray."""
    kernels = weight.chunk(groups)
    first = x.chunk(groups, dim=1)[0]
    if torch.allclose(got, torch.cat([F.conv2d(first, w) for w in kernels], 1)):
        return "all kernels read the first group of channels."
    strided = torch.cat(
        [F.conv2d(x[:, i::groups], w) for i, w in enumerate(kernels)], dim=1
    )
    if torch.allclose(got, strided):
        return "a group is a block of neighbouring channels, not every g-th one."
    return "the values differ: group i of the channels meets group i of the kernels."


@exercise("03.4")
def papers_lrn(answer: Any) -> str:
    """torch's layer with the paper's constants."""
    if not isinstance(answer, nn.LocalResponseNorm):
        raise Wrong(f"Build nn.LocalResponseNorm, not {describe(answer)}.")
    expect_number(
        answer.size, 5, hint="n is the number of channels in a window: torch's size."
    )
    expect_number(
        answer.alpha,
        5e-4,
        misconceptions={
            1e-4: "as alpha; torch divides it by size, the paper does not.",
            2e-5: "as alpha; that divides once more. torch divides already.",
        },
        hint="alpha / size must be 10⁻⁴.",
    )
    expect_number(answer.beta, 0.75, hint="β = 0.75.")
    known = {1.0: "as k: that is torch's default, the paper has 2."}
    expect_number(answer.k, 2.0, misconceptions=known, hint="k = 2.")
    return "5 · 10⁻⁴ / 5 = 10⁻⁴."


@exercise("03.5")
def colour_shift(function: Any) -> str:
    """A shift of each image along the principal components of the colours."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.tensor([[0.3, 0.0, 0.0], [0.2, 0.1, 0.0], [0.1, 0.1, 0.02]])
    colours = torch.randn(6 * 64, 3, generator=generator) @ mixing.T
    images = 0.5 + 0.2 * colours.view(6, 8, 8, 3).movedim(-1, 1)
    draws = torch.cat([torch.eye(3), 2 * torch.eye(3)])
    before = images.clone()
    got = call(function, images, draws, copied=False)
    if not torch.is_tensor(got) or got.shape != images.shape:
        raise Wrong(f"It returns {describe(got)}, not images {tuple(images.shape)}.")
    if not torch.equal(images, before):
        raise Wrong("The images that were passed in are changed: return new ones.")
    shift = got - before
    mean = shift.mean(dim=(2, 3))
    if not torch.allclose(shift, mean[:, :, None, None], atol=1e-4):
        raise Wrong(
            "The shift differs from pixel to pixel.",
            "One colour for each image: shape (N, 3, 1, 1) is spread over all pixels.",
        )
    _check_directions(mean, before)
    return "each image moves as a whole, along the colours that vary."


def _check_directions(shifts: Tensor, images: Tensor) -> None:
    """Accept shifts λ p for draws of 1, in any order and with either sign."""
    rows = images.movedim(1, -1).reshape(-1, 3)
    variances, components = torch.linalg.eigh(rows.T.cov())
    right = (components * variances).T  # one row for each component
    if _matches(shifts[:3], right):
        if not torch.allclose(shifts[3:], 2 * shifts[:3], rtol=1e-3, atol=1e-6):
            raise Wrong("Twice the draw must give twice the shift, and no other.")
        return
    if shifts.abs().max() < 1e-7:
        raise Wrong("Nothing is shifted.")
    if _matches(shifts[:3], (components * variances.sqrt()).T):
        raise Wrong(
            "The shift is α √λ p: the paper takes the variance λ, not its root."
        )
    if _matches(shifts[:3], components.T):
        raise Wrong("The shift is α p: multiply by the variance λ too.")
    if _matches(shifts[:3], components * variances[:, None]):
        raise Wrong("eigh gives the components as columns; yours are the rows.")
    raise Wrong(
        "A draw of 1 for one component does not give λ p.",
        "rows = images.movedim(1, -1).reshape(-1, 3), then torch.linalg.eigh of their"
        " covariance, 3 × 3.",
    )


def _matches(shifts: Tensor, right: Tensor) -> bool:
    """Whether the rows are the same, up to their order and their signs."""
    scale = right.norm(dim=1, keepdim=True)
    gaps = torch.stack(
        [
            torch.minimum((shifts - row).norm(dim=1), (shifts + row).norm(dim=1))
            for row in right
        ],
        dim=1,
    )
    close = gaps < 0.02 * scale.T
    return bool(close.any(dim=0).all() and close.any(dim=1).all())


@exercise("03.6")
def one_convolution_less(answer: Any) -> str:
    """AlexNet without its fifth convolution, and what that costs on each seed."""
    build, pairs = _parts(answer, 2, "the function and the pairs of histories")
    model = call(build, 1 / 8)
    whole = 897_074
    count = sum(weight.numel() for weight in model.parameters())
    if count == whole:
        raise Wrong(
            "shallow(1 / 8) still has all the parameters of the whole network.",
            "nn.Identity() in the place of features[4] gives back what it gets.",
        )
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.modules())
    if convolutions != 4:
        raise Wrong(f"It has {convolutions} convolutions; four are wanted.")
    hint = "Only convolution 5 goes: it takes and gives 256 · width channels."
    expect_module(model, (2, 3, 32, 32), (2, 10), parameters=whole - CONV_5, hint=hint)
    points = []
    for pair in _parts(pairs, None, "a pair of histories for each seed"):
        both = _parts(pair, 2, "two histories for each seed, of what fit(...) returns")
        if not all(getattr(history, "rows", None) for history in both):
            raise Wrong(f"{describe(both[0])} is no history: give what fit returns.")
        if len({len(history.rows) for history in both}) > 1:
            raise Wrong("The two networks of a seed had different numbers of epochs.")
        if both[0].rows == both[1].rows:
            raise Wrong("Both histories of a seed are one run.")
        before, after = (100 * history.best["val_accuracy"] for history in both)
        points.append(before - after)
    if len(points) < 2:
        raise Wrong("One seed shows no spread: give the pairs of two at least.")
    low, high = min(points), max(points)
    sign = "the seeds disagree on the sign" if low < 0 < high else "one sign in all"
    return f"{', '.join(f'{p:+.1f}' for p in points)} points lost: {sign}."


@exercise("03.7")
def vote(function: Any) -> str:
    """The class of the largest mean probability over networks."""
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(5, 200, 4, generator=generator)
        logits *= 6 * torch.rand(5, 200, 1, generator=generator)
        got = call(function, logits)
        if not torch.is_tensor(got) or got.shape != (200,):
            raise Wrong(
                f"(5, 200, 4) gives {describe(got)}, not 200 classes.",
                "The networks are dimension 0, the classes dimension 2.",
            )
        known = {
            "the mean of the logits; average the probabilities.": logits.mean(0),
            "the largest single probability; average first.": logits.softmax(2).amax(0),
            "the first network's alone.": logits[0],
            "a softmax over the images or the networks, not over the classes.": (
                logits.softmax(1).mean(0)
            ),
        }
        right = logits.softmax(2).mean(0).argmax(1)
        for what, scores in known.items():
            if torch.equal(got, scores.argmax(1)):
                raise Wrong(f"This is {what}", reason=what)
        if torch.equal(got, logits.argmax(2).mode(0).values):
            raise Wrong("This is each network's own class, and the most frequent one.")
        if not torch.equal(got, right):
            raise Wrong("Some classes differ.", "softmax, mean, argmax, in this order.")
    return "equal for 800 images of five networks."


def _parts(answer: Any, number: int | None, what: str) -> Sequence[Any]:
    """The parts of an answer; `number` of them, or any."""
    listed = isinstance(answer, (tuple, list)) or torch.is_tensor(answer)
    if not listed or (number is not None and len(answer) != number):
        raise Wrong(f"Give {what}, not {describe(answer)}.")
    return answer
