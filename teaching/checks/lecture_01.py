"""Self-checks of lecture 01: dropout's scale, early stopping, a log, wrong labels."""

from __future__ import annotations

import copy
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from teaching.checks import (
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_module,
    expect_number,
    expect_numbers,
)
from utils.data import ImageSet, mnist
from utils.train import evaluate


@exercise("01.1")
def through_dropout(answer: Any) -> str:
    """A value of 6 behind dropout with p = 0.25: kept, on average, in evaluation."""
    unscaled = "torch scales what it keeps, so that the mean stays."
    keeps = "p is the probability to drop; three of four units are kept."
    shrunk = "so the paper does it; torch scales in training instead."
    hint = "A kept value is divided by the share that is kept, 1 − 0.25."
    parts = (
        (8, {6: unscaled, 24: keeps, 7.5: "divide by 1 − p; do not add p."}, hint),
        (6, {4.5: unscaled, 8: "a quarter of the draws gives 0.", 1.5: keeps}, hint),
        (6, {4.5: shrunk, 8: "evaluation drops nothing, and scales nothing."}, hint),
    )
    expect_numbers(answer, parts)
    return "6 / 0.75 = 8, three times in four: 6 on average."


@exercise("01.2")
def early_stopping(function: Any) -> str:
    """The epoch whose weights are kept, and the last one that is run."""
    cases = (
        ([5.0, 4.0, 3.0], 2),
        ([3.0, 2.0, 2.5, 1.0, 1.5, 1.6, 1.7], 2),
        ([1.0, 2.0, 3.0, 4.0], 3),
        ([2.0, 1.0, 1.0, 1.0, 0.5], 2),
        ([3.0, 2.9, 3.1, 2.8, 3.2, 3.3, 2.7, 3.0], 3),
    )
    for losses, patience in cases:
        got = call(function, losses, patience)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong(f"Return two epochs, not {describe(got)}.")
        right = _stop(losses, patience)
        if tuple(int(epoch) for epoch in got) != right:
            reason = _reason(tuple(got), losses, patience)
            what = f"losses {losses}, patience {patience}: {tuple(got)}"
            raise Wrong(f"For {what}: {reason}", f"Right is {right}.", reason=reason)
    return "right; this is what fit does with patience="


def _stop(losses: list[float], patience: int) -> tuple[int, int]:
    """The reference: the epoch to keep, and the last one that is run."""
    best = epoch = 1
    for epoch, loss in enumerate(losses, start=1):
        if loss < losses[best - 1]:
            best = epoch
        if epoch - best >= patience:
            break
    return best, epoch


def _reason(got: tuple[Any, ...], losses: list[float], patience: int) -> str:
    """What a wrong pair of epochs betrays."""
    best, last = _stop(losses, patience)
    lowest = 1 + losses.index(min(losses))
    if got == (best - 1, last - 1) or got == (best - 1, last):
        return "count the epochs from 1; Python's indices begin at 0."
    if got[0] == got[1] == last:
        return "keep the weights of the best epoch, not those of the last one."
    if got[0] == lowest != best:
        return "epochs after the stop are never run, so they cannot be the best."
    if got[0] == best and got[1] > last:
        return "it runs too long. An equal loss is no better one."
    if got[1] < last:
        return "it stops too soon. Every new best epoch gives the full patience again."
    return "the best epoch, or the last one, is another."


@exercise("01.3")
def low_training_figure(answer: Any) -> str:
    """Why a log's training accuracy is low, and how large the true gap is."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong(f"Give the reason and the gap, not {describe(answer)}.")
    reason, gap = answer
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
        },
        hint="Which training figure is measured as the validation figure is?",
    )
    return "98 − 91: the log hid an overfit of 7 points."


@exercise("01.4")
def rates_of_your_own(answer: Any) -> str:
    """784-512-512-10 with 10 % of the pixels and 40 % of hidden units dropped."""
    hint = "784 × 512 + 512, then 512 × 512 + 512, then 512 × 10 + 10."
    expect_module(answer, (2, 1, 28, 28), (2, 10), parameters=669_706, hint=hint)
    model = call(answer) if isinstance(answer, type) else answer
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
    if not any(0.4 < rate < 0.6 for rate in dropped_shares(model)[:-1]):
        raise Wrong(
            "This network drops nothing in training.",
            "Build it with wide_dropout(), not with wide().",
        )
    _check_spoiled(loader.data)
    accuracies = history["val_accuracy"]
    lost = 100 * (max(accuracies) - accuracies[-1])
    expect_number(
        falls,
        lost,
        tolerance=0.01,
        unit="points",
        misconceptions={
            lost / 100: "the size is right; give points, not a fraction.",
            -lost: "take the best epoch minus the last.",
            100 * (accuracies[-1] - accuracies[0]): "begin at the best epoch.",
        },
        hint="max(history['val_accuracy']) minus its last value, times 100.",
    )
    expect_number(
        share,
        evaluate(model, loader).accuracy,
        tolerance=0.001,
        misconceptions={
            history["train_accuracy"][-1]: "this was measured while units were dropped,"
            " over a whole epoch.",
            accuracies[-1]: "these are the validation digits.",
        },
        hint="evaluate(model, loader).accuracy, with the spoiled labels.",
    )
    return f"it loses {lost:.1f} points, and gives {share:.0%} of its own labels."


def _check_spoiled(some: ImageSet) -> None:
    """Reject training digits of which not about a fifth have a wrong label."""
    with redirect_stdout(None):  # of a stand-in the notebook has told already
        known = dict(_pairs(mnist().train))
    wrong = [known.get(image, label) != label for image, label in _pairs(some)]
    found = sum(wrong) / len(wrong)
    if abs(found - 0.2) > 0.03:
        raise Wrong(
            f"{100 * found:.0f} % of the training labels are wrong, not 20 %.",
            "replace(some, labels=spoil(some.labels, 0.2)) before .loader(...).",
        )


def _pairs(some: ImageSet) -> list[tuple[bytes, int]]:
    images = [image.numpy().tobytes() for image in some.images]
    return list(zip(images, some.labels.tolist(), strict=True))
