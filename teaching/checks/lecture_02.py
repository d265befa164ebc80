"""Self-checks of lecture 02: views, mixed labels, draws, and who keeps the label."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching.checks import Wrong, call, describe, exercise, expect_number, expect_parts
from utils.data import mnist
from utils.train import evaluate

# change -> for each task that must refuse it, what it does to a label there
BREAKS: dict[str, dict[str, str]] = {
    "shift": {},
    "mirror": {
        "digits": "a mirrored 2 or 7 is no digit that anybody writes.",
        "traffic signs": '"keep left" becomes "keep right" in a mirror.',
    },
    "quarter turn": {
        "digits": "two quarter turns make a 6 out of a 9.",
        "traffic signs": 'an arrow "ahead", turned, says "turn left".',
    },
    "any hue": {
        "traffic signs": "a red disc forbids, a blue one commands.",
        "satellite": "with another hue a dry field is as green as a forest.",
    },
}
TASKS = ("digits", "traffic signs", "satellite")
NOTHING_LOST = {
    "shift": "a few pixels to the side: what would anybody call it now?",
    "mirror": "seen from above, left and right are alike.",
    "quarter turn": "seen from above, no direction is special.",
    "any hue": "grey has no hue: what does the change do to it?",
}


@exercise("02.1")
def number_of_views(answer: Any) -> str:
    """Different images after a crop with padding 2 and a flip."""
    expect_number(
        answer,
        50,
        unit="views",
        misconceptions={
            25: "these are the crops; each of them may be mirrored too.",
            8: "along one side there are more than 2 places.",
            4: "along one side there are more than 2 places, and the flip is missing.",
            32: "4 steps have one place more than steps, and that on each side.",
            16: "2 on both sides of the padding are 4 steps: how many places?",
            10: "a row and a column are drawn, each with 5 places.",
            20: "rows and columns are drawn together: multiply their places.",
            2048: "32 × 32 places: the window would leave the padded image.",
            27: "each crop comes as it is and mirrored: multiply.",
            18: "0 to 2 are three places; the padding is on both sides.",
            2592: "count the places of the window, not the pixels.",
            100: "HorizontalFlip exchanges left and right, not top and bottom.",
            51: "the unchanged photograph is one of the crops.",
            49: "the unchanged photograph counts too; each crop comes twice.",
            48: "the unchanged photograph counts too; each crop comes twice.",
            5: "a row and a column are drawn, and the flip is missing.",
            9: "0 to 2 are three places; the padding is on both sides. Then the flip.",
            72: "36 − 32 are 4 steps: they have 5 places, not 6.",
            162: "these are the views with a padding of 4; here it is 2.",
            81: "these are the crops with a padding of 4; here it is 2.",
        },
        hint="The padded side is 36. In how many places does a window of 32 fit there?",
    )
    return "(36 − 32 + 1)² = 25 windows, each with two sides."


@exercise("02.2")
def mixed_label(answer: Any) -> str:
    """The label of 0.7 times class 3 and 0.3 times class 5."""
    if isinstance(answer, (Mapping, str)):
        raise Wrong(f"Ten numbers are wanted, one for each class, not {answer!r}.")
    try:
        got = torch.as_tensor(answer, dtype=torch.float64).flatten()
    except (TypeError, ValueError):
        raise Wrong(f"Ten numbers are wanted, not {describe(answer)}.") from None
    if len(got) != 10:
        raise Wrong(
            f"A label has a share for each of ten classes; here are {len(got)}."
        )
    right = torch.zeros(10, dtype=torch.float64)
    right[3], right[5] = 0.7, 0.3
    if torch.allclose(got, right, atol=1e-3):
        return "the network should say what it sees: 70 % of one, 30 % of the other."
    hint = "λ of the first label and 1 − λ of the second, each with a single 1."
    if torch.allclose(got, right[[0, 1, 2, 5, 4, 3, 6, 7, 8, 9]], atol=1e-3):
        raise Wrong("The shares are exchanged: λ belongs to the image of 3.", hint)
    if any(torch.allclose(got, right.roll(k), atol=1e-3) for k in (-1, 1)):
        raise Wrong("Classes are counted from 0: class 3 is the fourth number.", hint)
    if got.count_nonzero() == 1:
        raise Wrong("This names one class alone; the image shows two.", hint)
    if got.count_nonzero() > 2:
        raise Wrong("Two classes get a share, and no other.", hint)
    of_two = {
        "A share does not depend on the number of its class.": (2.1, 1.5),
        "The shares are λ and 1 − λ themselves, not their squares.": (0.49, 0.09),
        "λ is 0.7, so the two images have unequal shares.": (0.5, 0.5),
    }
    for reason, pair in of_two.items():
        if torch.allclose(got[[3, 5]], got.new_tensor(pair), atol=1e-3):
            raise Wrong(reason, hint)
    if not torch.isclose(got.sum(), torch.tensor(1.0, dtype=torch.float64), atol=1e-3):
        raise Wrong(f"Shares have the sum 1; yours have {got.sum():.3g}.", hint)
    raise Wrong("The shares are those of λ = 0.7, of class 3 and of class 5.", hint)


@exercise("02.3")
def sideways(function: Any) -> str:
    """A shift to the left or right with a draw for each example."""
    torch.manual_seed(0)
    images = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8)
    got = _moved(function, images, seed=0)
    steps = _steps(got, images)
    if set(steps) == {0}:
        raise Wrong("Nothing moves: each example comes back as it is.")
    if len(set(steps)) == 1:
        raise Wrong(
            f"All 64 examples moved by {steps[0]}: that is one draw for the batch.",
            "Draw len(images) numbers, and index with one place for each example.",
        )
    if sorted(set(steps)) != list(range(-3, 4)):
        places = "From −3 to 3 there are 2 × 3 + 1 = 7 places, 0 among them."
        moves = f"With most=3 it moves by {sorted(set(steps))} pixels."
        raise Wrong(moves, places, reason=places)
    if not torch.equal(got, _moved(function, images, seed=0)):
        raise Wrong(
            "The same generator gave another result: a draw came from elsewhere.",
            "Pass generator=generator to torch.rand or torch.randint.",
        )
    _accepts_other_limit(function, images)
    return "every example moves by itself, and the type stays uint8."


def _moved(function: Any, images: Tensor, *, seed: int, **options: Any) -> Tensor:
    """What the student's function makes of the images; shape and type are right."""
    if not callable(function):
        raise Wrong(f"A function is wanted here, not {describe(function)}.")
    generator = torch.Generator().manual_seed(seed)

    def moved(x: Tensor) -> Any:
        return function(x, generator, **options)

    moved.__name__ = getattr(function, "__name__", "function")
    got = call(moved, images)
    if not torch.is_tensor(got):
        raise Wrong(f"It returns {describe(got)}, not a tensor.")
    if got.ndim > images.ndim:
        raise Wrong(
            "Each example comes back in more than one place.",
            "Index with torch.arange(len(images)) and one place for each example.",
        )
    if got.shape != images.shape:
        told = "Pad the sides by `most`, then take a window of the old width."
        if got.shape[:3] != images.shape[:3]:
            told = "All examples come back, with channels, height, width in this order."
        shapes = f"{tuple(images.shape)} became {tuple(got.shape)}"
        raise Wrong(f"{shapes}: the size must stay.", told)
    if got.dtype != images.dtype:
        raise Wrong(f"uint8 became {got.dtype}: moving pixels needs no new values.")
    return got


def _steps(got: Tensor, images: Tensor) -> list[int]:
    """By how many pixels each example moved to the right."""
    width = images.shape[3]
    by_step = {k: _shifted(images, k) for k in range(-width, width + 1)}
    steps = []
    for i in range(len(images)):
        found = [k for k, moved in by_step.items() if torch.equal(got[i], moved[i])]
        if not found:
            raise Wrong(_what_else(got[i], images[i]))
        steps.append(found[0])
    return steps


def _shifted(images: Tensor, step: int) -> Tensor:
    """All images moved to the right by `step`, zeros behind them."""
    return F.pad(images, [step, -step])


def _what_else(got: Tensor, image: Tensor) -> str:
    """Name what happened to an example that did not move sideways."""
    ways = range(-image.shape[-1], image.shape[-1])
    if any(torch.equal(got, image.roll(k, 2)) for k in ways):
        return "What leaves on one side comes back on the other: zeros should come in."
    if any(torch.equal(got, F.pad(image, [0, 0, k, -k])) for k in ways):
        return "It moves up and down. Sideways is the last dimension, the width."
    if torch.equal(got, image.flip(-1)):
        return "An example is mirrored, not moved."
    both = (F.pad(image, [i, -i, k, -k]) for i in ways for k in ways)
    if any(torch.equal(got, moved) for moved in both):
        return "It moves up or down as well; only the last dimension is the width."
    if got.amin() > 0:
        return "Zeros should come in at the border; here something else does."
    if any(torch.equal(got[0, 0], F.pad(image[0, 0], [k, -k])) for k in ways):
        return "Its channels or its rows move apart: one draw for each example."
    return "An example is no copy of the image, moved sideways, with zeros behind it."


def _accepts_other_limit(function: Any, images: Tensor) -> None:
    """With most=1 nothing moves by more than one pixel."""
    steps = _steps(_moved(function, images, seed=1, most=1), images)
    if max(map(abs, steps)) > 1:
        raise Wrong("With most=1 an example moved by more than 1: use `most`.")


@exercise("02.4")
def who_keeps_the_label(answer: Any) -> str:
    """Which changes keep all labels of three tasks."""
    if not isinstance(answer, Mapping) or set(answer) != set(TASKS):
        raise Wrong(f"Give a list for each of {', '.join(map(repr, TASKS))}.")
    kept = {task: {c for c in BREAKS if task not in BREAKS[c]} for task in TASKS}
    if all(set(answer[task]) == set(BREAKS) - kept[task] for task in TASKS):
        raise Wrong("These are the changes that break a label; name the others.")
    for task in TASKS:
        chosen = answer[task]
        chosen = {chosen} if isinstance(chosen, str) else chosen
        if isinstance(chosen, Mapping) or not set(chosen) <= set(BREAKS):
            known = ", ".join(map(repr, BREAKS))
            raise Wrong(f"{task}: give a list with words of {known}.")
        for change, broken in BREAKS.items():
            if change in chosen and task in broken:
                raise Wrong(
                    f"{task}: one of your changes breaks a label.",
                    f'It is "{change}": {broken[task]}',
                    reason=broken[task],
                )
            if change not in chosen and task not in broken:
                raise Wrong(
                    f"{task}: one more change keeps every label.",
                    f'What about "{change}": {NOTHING_LOST[change]}',
                    reason=NOTHING_LOST[change],
                )
    return "the same change is right for one task and wrong for another."


@exercise("02.5")
def how_far_to_turn(answer: Any) -> str:
    """Networks that learned turned digits, and their accuracy on upright ones."""
    networks, given = expect_parts(answer, 2, "Give networks and accuracies")
    if not all(isinstance(part, Mapping) for part in answer):
        raise Wrong("Give two dicts: {degrees: network} and {degrees: accuracy}.")
    if not all(isinstance(network, nn.Module) for network in networks.values()):
        raise Wrong("The first dict holds networks, the second accuracies.")
    for right in given.values():
        if not isinstance(right, Real) and not hasattr(right, "item"):
            raise Wrong(
                f"An accuracy is a number, as .accuracy, not {describe(right)}."
            )
    found = {float(degrees): float(right) for degrees, right in given.items()}
    if not {0.0, 15.0, 45.0, 90.0, 180.0} <= set(found) & set(map(float, networks)):
        raise Wrong("Measure for each of 0, 15, 45, 90 and 180 degrees.")
    if len(set(map(id, networks.values()))) < len(networks):
        raise Wrong(
            "All strengths share one network: was a new one trained for each?",
            "Call train_digits(..., (augment.Rotation(d),)) anew for each d.",
        )
    with redirect_stdout(None):  # of a stand-in the notebook has told already
        digits = mnist()
    upright, test = digits.val.loader(500), digits.test.loader(500)
    for degrees, network in networks.items():
        measured, got = evaluate(network, upright), found[float(degrees)]
        right = measured.accuracy
        if abs(right - got) > 0.005:
            others = {
                "percent; a fraction is asked for.": 100 * right,
                "the error; give the accuracy.": 1 - right,
                "the loss; give the accuracy.": measured.loss,
                "rounded; give it as it was measured.": round(right, 1),
                "a gain; give the accuracy.": 0.0,
                "of the test digits; use the validation digits.": (
                    evaluate(network, test).accuracy
                ),
            }
            for other, one in networks.items():
                others.setdefault(f"that of {other}°.", evaluate(one, upright).accuracy)
            what = next((k for k, v in others.items() if abs(v - got) < 1e-4), "")
            hint = "Measure on the validation digits as they are, without augment=."
            if got > 2 * right and not what:
                hint = "Is this the network that was trained?"
            raise Wrong(
                f"The network for {degrees}° reads {right:.1%} of upright digits; you"
                f" have {got:.4g}." + (f" This is {what}" if what else ""),
                hint,
            )
    _check_turned({float(k): network for k, network in networks.items()}[180.0])
    best = max(found, key=lambda degrees: found[degrees])
    return f"best at {best:g}°; at 180° it costs {found[0.0] - found[180.0]:.1%}."


def _check_turned(network: Any) -> None:
    """Reject a network that did not learn digits turned by any angle."""
    with redirect_stdout(None):
        val = mnist().val
    turns = [replace(val, images=val.images.rot90(k, (2, 3))) for k in range(4)]
    right = [evaluate(network, turn.loader(500)).accuracy for turn in turns]
    if min(right) < 0.6 * max(right):
        why = "It learned something else: Rotation(180) draws an angle for each digit."
        if right[0] == max(right):
            why = "It learned upright digits: was its augmentation handed over?"
        told = ", ".join(f"{90 * k}° {share:.0%}" for k, share in enumerate(right))
        raise Wrong(f"The network for 180° reads unequally: turned by {told}.", why)
