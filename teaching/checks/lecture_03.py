"""Self-checks of lecture 03: sizes, groups, LRN, colours, a layer less, votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
    in_order,
    labelled,
    without,
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
            38: "that is without the padding of 2 on either side, or without + 1.",
            39.25: "a step that does not fit is not taken: round down.",
            40: "a step that does not fit is not taken: round down.",
            55: "that is for 224 pixels; here are 160.",
            80: "the stride is 4, and the kernel of 11 takes its place, too.",
            39**2: "the side, not side × side.",
        },
        {20: "a window of 3 and not of 2: (39 − 3) / 2 + 1.", 18: "one too few: + 1."},
        {
            10: "round down: (19 − 3) / 2 + 1.",
            8: "one too few: + 1.",
            7: "convolution 2 has padding 2 and keeps 19 pixels.",
        },
        {
            5: "round down: (9 − 3) / 2 + 1.",
            3: "one too few: + 1.",
            9: "pool 3 comes after convolution 5, and halves too.",
        },
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
        6400: "that is for maps of 5 × 5; yours are 4 × 4.",
        1024: "that is for maps of 2 × 2; yours are 4 × 4.",
        256 * 81: "that is before pool 3.",
        2048: "a map of side 4 holds 4 × 4 numbers, not 4 + 4.",
        4096**2: "these are weights; asked is how many numbers enter.",
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
        (
            54,
            {
                55: "that needs 227 pixels, or padding.",
                53: "one too few: + 1.",
                56: "the first window takes 11 pixels: subtract them before dividing.",
            },
            "⌊(224 − 11) / 4⌋ + 1.",
        ),
        (
            290_400,
            {
                253_440: "this is 55 · 48 · 96, as printed; the maps have 55 · 55.",
                145_200: "that is one GPU's half.",
                3025: "that is one channel of 96.",
                279_936: "these maps have 55 · 55 values, as the sentence says.",
                34_944: "these are the layer's parameters, not its values.",
                69_984: "that is after the pooling.",
            },
            "Side × side × channels.",
        ),
        (
            2178,
            {
                2048: "a crop can begin at 33 places a side: 256 − 224 + 1.",
                1089: "each may be mirrored: twice as many.",
                1024: "33 places a side, not 32, and mirrored or not.",
                4356: "there are two sides, not four: mirrored or not.",
                66: "33 places in each of two directions: 33 · 33.",
                10: "ten crops are for the test; in training a crop lies anywhere.",
                578: "a crop has 32 pixels of room, not 16.",
            },
            "Places · places · 2.",
        ),
        (
            6400,
            {
                9216: "maps of 6 × 6 come from 227 pixels.",
                25: "that is one channel of 256.",
                9600: "256 channels leave the last convolution, not 384.",
                12_544: "a step that does not fit is not taken: round down.",
                36_864: "two poolings give 12 × 12; there are three.",
                1280: "a map of side 5 holds 5 × 5 values.",
                30_976: "maps of 11 × 11 are not the end: 54, and three poolings.",
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
        other = "Group i of the channels, dimension 1 of x, meets group i of the"
        other += " kernels, dimension 0 of weight."
        if groups == 3:
            other = "Two groups went well, three do not: use `groups`."
        try:
            with without(F, "conv2d", "Without the argument groups.", _in_groups):
                got = call(function, x, weight, groups)
        except Wrong as wrong:
            raise Wrong(wrong.hints[0], other) from None
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


def _in_groups(*args: Any, groups: int = 1, **_: Any) -> bool:
    return groups != 1 or any(group != 1 for group in args[6:])


def _shape_hint(got: Tensor, right: Tensor, groups: int) -> str:
    """What a wrong shape betrays."""
    if got.ndim != 4:
        return (
            "torch.stack makes a new axis; torch.cat joins along the channels, dim=1."
        )
    if got.shape[0] == groups * right.shape[0]:
        return "Join the groups along the channels: torch.cat(..., dim=1)."
    if got.shape[1] * groups == right.shape[1]:
        return (
            "Only one group's channels come back: divide the channels, dimension 1, and"
            " join all results along it."
        )
    if got.shape[2] != right.shape[2]:
        return "No padding: a 3 × 3 kernel takes two pixels away."
    return "Each group has its own part of the channels and of the kernels."


def _value_hint(got: Tensor, x: Tensor, weight: Tensor, groups: int) -> str:
    """What wrong values of the right shape betray."""
    kernels = weight.chunk(groups)
    first = x.chunk(groups, dim=1)[0]
    if torch.allclose(got, torch.cat([F.conv2d(first, w) for w in kernels], 1)):
        return "all kernels read the first group of channels."
    parts = x.chunk(groups, dim=1)
    turns = [weight[i::groups] for i in range(groups)]
    every = [x[:, i::groups] for i in range(groups)]
    own = [F.conv2d(a, w) for a, w in zip(parts, kernels, strict=True)]
    known = {
        "a group is a block of neighbouring channels, not every g-th one.": torch.cat(
            [F.conv2d(a, w) for a, w in zip(every, kernels, strict=True)], 1
        ),
        "a group's kernels are neighbours, not every g-th one.": torch.cat(
            [F.conv2d(a, w) for a, w in zip(parts, turns, strict=True)], 1
        ),
        "the groups' results stand one after the other, not in turns.": torch.stack(
            own, dim=2
        ).flatten(1, 2),
        "no ReLU is asked for.": torch.cat(own, 1).relu(),
        "the kernels are turned round: F.conv2d takes them as they are.": F.conv2d(
            x, weight.flip(2, 3), groups=groups
        ),
        "each kernel reads all channels, not those of its group alone.": F.conv2d(
            x, weight.repeat(1, groups, 1, 1)
        ),
    }
    for reason, wrong in known.items():
        if torch.allclose(got, wrong, atol=1e-4):
            return reason
    return "the values differ: group i of the channels meets group i of the kernels."


@exercise("03.4")
def papers_lrn(answer: Any) -> str:
    """torch's layer with the paper's constants."""
    if isinstance(answer, nn.Sequential) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, nn.LocalResponseNorm):
        raise Wrong(f"Build nn.LocalResponseNorm, not {describe(answer)}.")
    alone = "torch divides alpha alone by its size."
    sizes = {
        2: "as size: 2 on either side and the channel itself are 5.",
        11: "as size: n = 5 is the whole window, not one side of it.",
        3: "as size: that was the example's n, the paper has 5.",
    }
    alphas = {
        1e-4: "as alpha; torch divides it by size, the paper does not.",
        2e-5: "as alpha; that divides once more. torch divides already.",
        0.75: "as alpha: that is the paper's β; the order is size, alpha, beta, k.",
        25e-4: "as alpha: torch divides by its size once.",
        3e-4: "as alpha: 3 was the example's n, here it is 5.",
    }
    betas = {1.0: "as beta: that was the example's.", 3.75: f"as beta: {alone}"}
    ks = {
        1.0: "as k: that is torch's default, the paper has 2.",
        10.0: f"as k: {alone}",
    }
    given = [answer.size, answer.alpha, answer.beta, answer.k]
    papers = [[5, alpha, 0.75, 2] for alpha in (1e-4, 5e-4)]
    if given not in papers and sorted(given) in map(sorted, papers):
        raise Wrong(f"{given}: the order is size, alpha, beta, k.")
    size = "n is the number of channels in a window: torch's size."
    alpha = "alpha / size must be 10⁻⁴."
    expect_number(answer.size, 5, misconceptions=sizes, hint=size)
    expect_number(answer.alpha, 5e-4, misconceptions=alphas, hint=alpha)
    expect_number(answer.beta, 0.75, misconceptions=betas, hint="β = 0.75.")
    expect_number(answer.k, 2.0, misconceptions=ks, hint="k = 2.")
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
    close = 1e-4 * max(1.0, shift.abs().max().item())
    if not torch.allclose(shift, mean[:, :, None, None], atol=close):
        if (got - got.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-6:
            raise Wrong("This is the shift alone: add it to the images.")
        small = got - before / 255
        if (small - small.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-4:
            raise Wrong("The images are in [0, 1] already: do not divide by 255.")
        raise Wrong(
            "The shift differs from pixel to pixel.",
            "One colour for each image: shape (N, 3, 1, 1) is spread over all pixels.",
        )
    if not torch.equal(call(function, before.clone(), draws), got):
        raise Wrong("The same draws gave another result: take α from `draws`.")
    _check_directions(mean, before)
    return "each image moves as a whole, along the colours that vary."


def _check_directions(shifts: Tensor, images: Tensor) -> None:
    """Accept shifts λ p for draws of 1, in any order and with either sign."""
    rows = images.movedim(1, -1).reshape(-1, 3)
    variances, components = torch.linalg.eigh(rows.T.cov())
    right = _spread(rows.T.cov())
    if _matches(shifts[:3], right):
        if not torch.allclose(shifts[3:], 2 * shifts[:3], rtol=1e-3, atol=1e-6):
            raise Wrong("Twice the draw must give twice the shift, and no other.")
        return
    if shifts.abs().max() < 1e-7:
        raise Wrong("Nothing is shifted.")
    if torch.allclose(shifts, shifts[:1].expand_as(shifts)):
        raise Wrong("All images get one shift: each has its own row of `draws`.")
    means = images.mean(dim=(2, 3))
    sizes = torch.linalg.svdvals(rows - rows.mean(dim=0)).flip(0)
    known = {
        "`draws` are the α already: no further 0.1.": 0.1 * right,
        "These are the variances of single channels: take eigh's components.": (
            torch.diag(rows.var(dim=0))
        ),
        "Subtract the mean colour: a covariance is around the mean.": _spread(
            rows.T @ rows / len(rows)
        ),
        "Take the colours of all pixels, not the mean colour of each image.": _spread(
            means.T.cov()
        ),
        "Singular values are no variances: λ = s² / (n − 1).": (components * sizes).T,
        "Multiply by the variances, do not divide.": (components / variances).T,
        "Each variance has its own component: keep eigh's order.": (
            components * variances.flip(0)
        ).T,
        "The images are in [0, 1]: no factor 255.": 255 * right,
        "Again, the images are in [0, 1]: no factor 255.": 255**2 * right,
        "One covariance of the whole batch, not one of each image.": torch.stack(
            [_spread(x.flatten(1).cov())[i] for i, x in enumerate(images[:3])]
        ),
    }
    for reason, other in known.items():
        if _matches(shifts[:3], other):
            raise Wrong(reason)
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


def _spread(covariance: Tensor) -> Tensor:
    """λ p for each principal component, one a row."""
    variances, components = torch.linalg.eigh(covariance)
    return (components * variances).T


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
    close = gaps < 0.02 * scale.T + 1e-7
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
    if count == sum(weight.numel() for weight in call(build, 1 / 16).parameters()):
        raise Wrong("shallow(1 / 8) is as large as shallow(1 / 16): use `width`.")
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.modules())
    if convolutions != 4:
        raise Wrong(f"It has {convolutions} convolutions; four are wanted.")
    hint = "Only convolution 5 goes: it takes and gives 256 · width channels."
    expect_module(model, (2, 3, 32, 32), (2, 10), parameters=whole - CONV_5, hint=hint)
    if {m.p for m in model.modules() if isinstance(m, nn.Dropout)} != {0.2}:
        raise Wrong("Another dropout than that of whole(width): begin with it.")
    points: list[float] = []
    seen: list[list[tuple[list[float], list[float]]]] = []
    for pair in _parts(pairs, None, "a pair of histories for each seed"):
        both = _parts(pair, 2, "two histories for each seed, of what fit(...) returns")
        if not all(getattr(history, "rows", None) for history in both):
            raise Wrong(f"{describe(both[0])} is no history: give what fit returns.")
        if len({len(history.rows) for history in both}) > 1:
            raise Wrong("The two networks of a seed had different numbers of epochs.")
        results = [(h["val_loss"], h["val_accuracy"]) for h in both]
        if results[0] == results[1]:
            raise Wrong("Both histories of a seed are one run, or of one network.")
        if results in seen:
            raise Wrong("Two pairs are the same run: give another seed to each.")
        seen.append(results)
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
        if isinstance(got, (list, tuple, np.ndarray)) and len(got) == 200:
            got = torch.as_tensor(got)
        if not torch.is_tensor(got) or got.shape != (200,):
            raise Wrong(
                f"(5, 200, 4) gives {describe(got)}, not 200 classes.",
                "The networks are dimension 0, the classes dimension 2.",
            )
        classes = logits.argmax(2)
        if torch.equal(
            got.double().round().long(), classes.double().mean(0).round().long()
        ):
            raise Wrong("This is a mean of class numbers; average the probabilities.")
        if got.is_floating_point():
            raise Wrong("These are probabilities: return the class of the largest.")
        known = {
            "the mean of the logits; average the probabilities.": logits.mean(0),
            "the largest single probability; average first.": logits.softmax(2).amax(0),
            "the first network's alone.": logits[0],
            "a softmax over the images, not over the classes.": (
                logits.softmax(1).mean(0)
            ),
            "a softmax over the networks, not over the classes.": (
                logits.softmax(0).mean(0)
            ),
            "the smallest of the probabilities; average them.": (
                logits.softmax(2).amin(0)
            ),
            "the median of the probabilities; average them.": (
                logits.softmax(2).median(0).values
            ),
            "the class of the smallest mean; take the largest.": (
                -logits.softmax(2).mean(0)
            ),
            "of sigmoids; a softmax takes all classes together.": (
                logits.sigmoid().mean(0)
            ),
            "of powers that are not divided by their sum yet.": logits.exp().mean(0),
        }
        right = logits.softmax(2).mean(0).argmax(1)
        for what, scores in known.items():
            if torch.equal(got, scores.argmax(1)):
                raise Wrong(f"This is {what}", reason=what)
        if torch.equal(got, classes.mode(0).values):
            raise Wrong("This is each network's own class, and the most frequent one.")
        if not torch.equal(got, right):
            raise Wrong("Some classes differ.", "softmax, mean, argmax, in this order.")
    return "equal for 800 images of five networks."


def _parts(answer: Any, number: int | None, what: str) -> Sequence[Any]:
    """The parts of an answer; `number` of them, or any."""
    parts = answer if isinstance(answer, Mapping) else in_order(answer)
    listed = isinstance(parts, (tuple, list))
    if not listed or (number is not None and len(parts) != number):
        raise Wrong(f"Give {what}, not {describe(answer)}.")
    return parts
