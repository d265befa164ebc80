"""Self-checks of lecture 01: dropout's scale, early stopping, a log, wrong labels."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_module,
    expect_number,
    expect_numbers,
    expect_parameters,
    expect_parts,
    expect_weights,
    in_order,
)
from utils import course
from utils.data import ImageSet, mnist
from utils.train import evaluate


@exercise("01.1")
def through_dropout(answer: Any) -> str:
    """A value of 6 behind dropout with p = 0.25: kept, on average, in evaluation."""
    unscaled = "torch scales what it keeps, so that the mean stays."
    keeps = "p is the probability to drop; three of four units are kept."
    still = "evaluation drops nothing, and scales nothing."
    shrunk = "so the paper does it; torch scales in training instead."
    hint = "A kept value is divided by the share that is kept, 1 − 0.25."
    rest = "a quarter of the draws gives 0."
    kept = {6: unscaled, 24: keeps, 7.5: "divide by 1 − p; do not add p."}
    kept |= {1.5: "divide by 1 − p; do not multiply by p."}
    kept |= {4.5: "divide by 1 − p; do not multiply by it.", 12: "p is 0.25, not 0.5."}
    mean = "three draws of four give 8, one gives 0."
    parts = (
        (8, kept, hint),
        (6, {4.5: unscaled, 8: rest, 1.5: keeps, 4: mean, 7.5: mean}, "Weigh 8 and 0."),
        (6, {4.5: shrunk, 8: still, 0: still, 4: still}, hint),
    )
    expect_numbers(answer, parts)
    return "6 / 0.75 = 8, three times in four: 6 on average."


@exercise("01.2")
def early_stopping(function: Any) -> str:
    """The epoch whose weights are kept, and the last one that is run."""
    answers = []
    for losses, patience in CASES:
        try:
            got = in_order(call(function, losses, patience))
        except Unanswered:
            if not answers:
                raise
            told = f"For losses {losses}, patience {patience} it returns nothing"
            why = "return where the losses end before patience is used up, too."
            raise Wrong(f"{told}: {why}", reason=why) from None
        expect_parts(got, 2, "Return two epochs")
        answers.append(tuple(float(epoch) for epoch in got))
    for case, got in zip(CASES, answers, strict=True):
        if got != (right := _stop(*case)):
            reason = next((k for k, f in STOPS.items() if _all(f) == answers), "")
            reason = reason or _which(got, right)
            shown = tuple(int(k) if k == int(k) else k for k in got)
            what = f"losses {case[0]}, patience {case[1]}: {shown}"
            raise Wrong(f"For {what}: {reason}", f"Right is {right}.", reason=reason)
    return "right; fit(patience=) does this with the accuracy"


def _which(got: tuple[float, ...], right: tuple[int, int]) -> str:
    """Say of the two epochs which one is wrong."""
    if got[1] > right[1]:
        return "it runs on after patience is used up."
    if got[1] < right[1]:
        return "it stops before the best epoch is `patience` epochs ago."
    return "the last epoch is right, the one to keep is not."


CASES: list[tuple[list[float], int]] = [
    ([4.0, 3.0, 5.0, 6.0], 2),
    ([5.0, 4.0, 3.0], 2),
    ([3.0, 2.0, 2.5, 1.0, 1.5, 1.6, 1.7], 2),
    ([1.0, 2.0, 3.0, 4.0], 3),
    ([2.0, 1.0, 1.0, 1.0, 0.5], 2),
    ([3.0, 2.9, 3.1, 2.8, 3.2, 3.3, 2.7, 3.0], 3),
    ([3.0, 1.0, 2.0, 1.5, 0.5], 2),
    ([2.0, 1.0, 1.5, 1.6, 1.7, 1.8, 1.9], 2),
]


def _stop(
    losses: list[float],
    patience: int,
    better: Callable = operator.lt,
    late: int = 0,
    reset: bool = True,
    against: Callable = min,
) -> tuple[int, int]:
    """The epoch to keep and the last one that is run, or a mistake's."""
    best = epoch = 1
    waited = 0
    for epoch in range(2, len(losses) + 1):
        loss, before = losses[epoch - 1], losses[: epoch - 1]
        waited = 0 if reset and better(loss, against(before)) else waited + 1
        if better(loss, losses[best - 1]):
            best, waited = epoch, waited if reset else waited - 1
        if waited >= patience + late:
            break
    return best, epoch


def _all(change: Callable) -> list[tuple[float, ...]]:
    """What a mistake gives for all cases."""
    every = [change(*_stop(*case), *case) for case in CASES]
    return [tuple(float(epoch) for epoch in pair) for pair in every]


def _lowest(losses: list[float]) -> int:
    """Of all epochs, run or not, the best."""
    return 1 + losses.index(min(losses))


def _first_rise(losses: list[float]) -> tuple[int, int]:
    rises = (k for k in range(1, len(losses)) if losses[k] > losses[k - 1])
    return next(((k, k + 1) for k in rises), (len(losses), len(losses)))


# A mistake -> what it makes of the best epoch, the last one, the losses, the patience.
STOPS: dict[str, Callable[[int, int, list[float], int], Sequence[float]]] = {
    "count the epochs from 1; Python's indices begin at 0.": (
        lambda best, last, x, n: (best - 1, last - 1)
    ),
    "count the best epoch from 1, as the last one.": (
        lambda best, last, x, n: (best - 1, last)
    ),
    "keep the weights of the best epoch, not those of the last one.": (
        lambda best, last, x, n: (last, last)
    ),
    "epochs after the stop are never run, so they cannot be the best.": (
        lambda best, last, x, n: (_lowest(x), min(_lowest(x) + n, len(x)))
    ),
    "an epoch after the stop is never run, so it cannot be the best.": (
        lambda best, last, x, n: (_lowest(x), last)
    ),
    "this runs all epochs; training stops when patience is used up.": (
        lambda best, last, x, n: (_lowest(x), len(x))
    ),
    "the epoch to keep comes first, then the last one.": (
        lambda best, last, x, n: (last, best)
    ),
    "return the epoch, not its loss.": lambda best, last, x, n: (x[best - 1], last),
    "the losses may end before patience is used up.": (
        lambda best, last, x, n: (best, best + n)
    ),
    "the best epoch is not always `patience` epochs before the last.": (
        lambda best, last, x, n: (last - n, last)
    ),
    "patience is left out: this stops at the first loss that rises.": (
        lambda best, last, x, n: _first_rise(x)
    ),
    "these are losses: the lowest is the best.": (
        lambda best, last, x, n: _stop(x, n, operator.gt, against=max)
    ),
    "it stops one epoch late: the best one is more than `patience` epochs ago.": (
        lambda best, last, x, n: _stop(x, n, late=1)
    ),
    "it stops one epoch too soon: the best one is not yet `patience` epochs ago.": (
        lambda best, last, x, n: _stop(x, n, late=-1)
    ),
    "every new best epoch gives the full patience again.": (
        lambda best, last, x, n: _stop(x, n, reset=False)
    ),
    "an equal loss is no better one.": lambda best, last, x, n: _stop(
        x, n, operator.le
    ),
    "compare with the lowest loss so far, not with the epoch before.": (
        lambda best, last, x, n: _stop(x, n, against=lambda before: before[-1])
    ),
}


@exercise("01.3")
def low_training_figure(answer: Any) -> str:
    """Why a log's training accuracy is low, and how large the true gap is."""
    reason, gap = expect_parts(answer, 2, "Give the reason and the gap")
    expect_choice(
        reason,
        "dropped units",
        {
            "moving weights": "Nothing has moved for 20 epochs, so the weights of the"
            " epoch's beginning are as good as those of its end.",
            "an easier validation set": "Measured in evaluation mode, training leads:"
            " an easier validation set would still be ahead.",
            "too few epochs": "Nothing has moved for 20 epochs. And in evaluation mode"
            " the same weights read 98 % of the training set.",
        },
    )
    expect_number(
        gap,
        7,
        unit="points",
        misconceptions={
            -5: "this compares thinned networks on one set with the whole on another.",
            5: "86 and 91 are not measured alike: dropout is on in one of them only.",
            12: "these are two measurements of the training set.",
            -7: "the size is right; take training minus validation.",
            0.07: "the size is right; give points, not a fraction.",
            0: "measured alike, in evaluation mode, training leads.",
            9: "these are the errors on validation; compare two accuracies.",
            2: "these are the errors on training; compare two accuracies.",
        },
        hint="Which training figure is measured as the validation figure is?",
    )
    return "98 − 91: the log hid an overfit of 7 points."


@exercise("01.4")
def rates_of_your_own(answer: Any) -> str:
    """784-512-512-10 with 10 % of the pixels and 40 % of hidden units dropped."""
    hint = "784 × 512 + 512, then 512 × 512 + 512, then 512 × 10 + 10."
    model = call(answer) if isinstance(answer, type) else answer
    try:
        expect_module(model, (2, 1, 28, 28), (2, 10), hint=hint)
    except Wrong as wrong:
        flat = "56x28" in wrong.hints[0]  # a linear layer got rows of two images
        raise Wrong("Begin with nn.Flatten().") if flat else wrong from None
    expect_weights(model, ((512, 784), (512, 512), (10, 512)), hint)
    expect_parameters(model, 669_706, hint)
    _check_layers(model)
    *inputs, logits = dropped_shares(model)
    if logits > 0.05:
        raise Wrong(
            "Some logits are exactly 0: dropout stands behind the last layer.",
            "End with the linear layer; a dropped logit is a random answer.",
        )
    places = ("the pixels", "the first hidden layer", "the second hidden layer")
    for place, got, right in zip(places, inputs, (0.1, 0.4, 0.4), strict=True):
        _check_rate(place, got, right)
    return f"right: {', '.join(f'{share:.0%}' for share in inputs)} are dropped."


def _check_layers(model: nn.Module) -> None:
    """Reject what is no chain of linear layers with a ReLU between them."""
    model = copy.deepcopy(model).cpu().eval()
    x = torch.randn(8, 1, 28, 28)
    weights = list(model.parameters())
    plain = logits = x.flatten(1)
    for i, (weight, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        logits = F.linear(logits if i == 0 else logits.relu(), weight, bias)
        plain = F.linear(plain, weight, bias)
    got = call(model, x)
    wrong = {
        "Between the linear layers stands no ReLU.": plain,
        "A ReLU stands behind the last layer: a logit may be negative.": logits.relu(),
        "It ends in a softmax; the loss takes logits.": logits.softmax(1),
    }
    for reason, other in wrong.items():
        if torch.allclose(got, other, atol=1e-5):
            raise Wrong(reason, "Linear, ReLU, Linear, ReLU, Linear.")
    if not torch.allclose(got, logits, atol=1e-5):
        raise Wrong("In evaluation it is not linear layers with ReLU between them.")
    if any(isinstance(part, nn.Dropout2d) for part in model.modules()):
        raise Wrong("Dropout2d drops whole channels, here the whole image: nn.Dropout.")


def dropped_shares(model: nn.Module) -> list[float]:
    """The share of zeros at each linear layer's input in training, and in the logits.

    In a copy with positive weights alone no ReLU gives a zero, so dropout gives them.
    """
    model = copy.deepcopy(model).cpu().train()
    shares: list[float] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shares.append((inputs[0] == 0).double().mean().item())

    with torch.no_grad():
        for weight in model.parameters():
            weight.abs_().add_(1e-3)
        for part in model.modules():
            if isinstance(part, nn.Linear):
                part.register_forward_pre_hook(note)
        logits = call(model, torch.ones(500, 1, 28, 28))
    return [*shares, (logits == 0).double().mean().item()]


def _check_rate(place: str, got: float, right: float) -> None:
    """Reject a share of dropped values that is not the one asked for."""
    if abs(got - right) < 0.03:
        return
    shown = f"Of {place} {got:.0%} are dropped, not {right:.0%}."
    if abs(got - (1 - right)) < 0.03:
        reason = "torch's p is the share to drop; the paper's is to keep."
        raise Wrong(shown, reason, reason=reason)
    if got == 0:
        raise Wrong(shown, "Put a dropout layer in front of each linear layer.")
    raise Wrong(shown, "0.1 stands behind Flatten, 0.4 behind each ReLU.")


@exercise("01.5")
def wrong_labels(answer: Any) -> str:
    """A network with dropout that learned from spoiled labels, and its history."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        raise Wrong(f"Give model, loader, history and two numbers: {describe(answer)}.")
    model, loader, history, falls, share = answer
    if not (hasattr(loader, "data") and hasattr(history, "rows")):
        raise Wrong("Give the loader itself, and the history that fit returns.")
    if None in history["val_accuracy"]:
        raise Wrong("The history has no validation: fit(model, loader, watched, ...).")
    if not any(0.4 < rate < 0.6 for rate in dropped_shares(model)[:-1]):
        raise Wrong(
            "This network drops nothing in training.",
            "Build it with wide_dropout(), not with wide().",
        )
    right = _right_labels(loader.data)
    epochs, lrs = course.pick(tiny=6, small=60, full=60), set(history["lr"])
    if len(history.rows) != epochs or lrs != {0.01}:
        raise Wrong(
            f"This run has {len(history.rows)} epochs, that of Early stopping {epochs}"
            " with a learning rate of 0.01.",
            "fit(model, loader, watched, **recipe)",
        )
    accuracies = history["val_accuracy"]
    first, last, best = accuracies[0], accuracies[-1], max(accuracies)
    losses, known = history["val_loss"], history["train_accuracy"]
    lost = 100 * (best - last)
    best_and_last = "take the best epoch minus the last one."
    falls_of = {
        lost / 100: "the size is right; give points, not a fraction.",
        -lost: best_and_last,
        100 * (last - first): best_and_last,
        100 * (first - last): best_and_last,
        100 * (best - min(accuracies)): best_and_last,
        100 * (max(known) - known[-1]): "this is of the training accuracy.",
        losses[-1] - min(losses): "this is a difference of losses.",
    }
    hint = "max(history['val_accuracy']) minus its last value, times 100."
    settings = {"tolerance": 0.01, "unit": "points", "misconceptions": falls_of}
    expect_number(falls, lost, hint=hint, **settings)
    known_share = evaluate(model, loader).accuracy
    clean = replace(loader.data, labels=right).loader(500)
    expect_number(
        share,
        known_share,
        tolerance=0.001,
        misconceptions={
            known[
                -1
            ]: "this was measured while units were dropped, over a whole epoch.",
            last: "these are the validation digits.",
            evaluate(model, clean).accuracy: "this counts the right labels; its own"
            " labels are those that it was trained on, wrong ones included.",
            1 - known_share: "this is the error; the share that it gets is asked for.",
            0.2: "this is the share of wrong labels; how many does it predict?",
        },
        hint="evaluate(model, loader).accuracy, of the model that was trained:"
        " it switches dropout off.",
    )
    return f"it loses {lost:.1f} points, and predicts {share:.0%} of its own labels."


def _right_labels(some: ImageSet) -> Tensor:
    """Labels (1000,) without the wrong ones; rejects what is not spoiled by a fifth."""
    if len(some) != 1000:
        raise Wrong(f"It learned from {len(some):,} digits, not from 1,000.")
    with redirect_stdout(None):  # of a stand-in the notebook has told already
        known = dict(_pairs(mnist().train))
    right = [known.get(image, label) for image, label in _pairs(some)]
    found = (torch.tensor(right) != some.labels.cpu()).double().mean().item()
    if abs(found - 0.2) > 0.03:
        raise Wrong(
            f"{100 * found:.0f} % of the training labels are wrong, not 20 %.",
            "replace(some, labels=spoil(some.labels, 0.2)) before .loader(...).",
        )
    return torch.tensor(right)


def _pairs(some: ImageSet) -> list[tuple[bytes, int]]:
    images = [image.numpy().tobytes() for image in some.images]
    return list(zip(images, some.labels.tolist(), strict=True))
