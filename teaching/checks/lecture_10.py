"""Self-checks of lecture 10: faults of the loss, data, loop, mode, measure, shapes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_module,
    expect_numbers,
    expect_value,
    labelled,
)
from teaching.checks.clinic.epochs import MISTAKEN_EPOCHS, epoch, same, two_epochs
from teaching.checks.clinic.leaks import check_positions, positions
from teaching.checks.clinic.validation import Recorder, check_seen
from teaching.clinic import Game
from utils.images import ImageSet

LONGEST = 30  # minutes that the game may cost
CURVES = {
    "labels of other images": "Such labels teach nothing about new digits: such a curve"
    " stays at ln 10 from beginning to end.",
    "softmax twice": "A doubled softmax lets the loss fall, but not under 1.46.",
    "sorted by class": "Sorted data make the loss jump whenever a new class begins.",
    "rate too low": "With a rate too low the loss falls all the time, and evenly.",
}


@exercise("10.2")
def four_curves(answer: Any) -> str:
    """Which fault drew which of four loss curves."""
    flat = "labels of other images"
    order = ("softmax twice", flat, "sorted by class", "rate too low")
    _expect_names(answer, order, CURVES)
    return "the shapes: with a floor, flat, jumping, slow."


def _expect_names(answer: Any, right: tuple[str, ...], known: dict[str, str]) -> None:
    """Accept four names in order; the hint says what a wrong name would look like."""
    if not isinstance(answer, (tuple, list)) or len(answer) != len(right):
        raise Wrong(f"Give four names, for A, B, C and D, not {describe(answer)}.")
    for letter, name, wanted in zip("ABCD", answer, right, strict=True):
        others = {word: hint for word, hint in known.items() if word != wanted}
        with labelled(f"{letter}:"):
            expect_choice(name, wanted, others)


@exercise("10.1")
def returns_logits(answer: Any) -> str:
    """A network whose outputs suit CrossEntropyLoss."""
    hint = "Return what the last layer gives; the loss takes the softmax."
    expect_module(answer, (4, 1, 28, 28), (4, 10), parameters=9_098, hint=hint)
    model = call(answer) if isinstance(answer, type) else copy.deepcopy(answer)
    model = model.cpu().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # louder, so that no range can be chance
    output = call(model, torch.randn(64, 1, 28, 28))
    low, high = output.min().item(), output.max().item()
    rows = output.sum(dim=1)
    if torch.allclose(output.exp().sum(dim=1), torch.ones(64), atol=1e-4):
        return "log-probabilities; the loss's own softmax leaves them as they are."
    if torch.allclose(rows, torch.ones(64), atol=1e-4):
        raise Wrong("Each row still adds up to 1: these are probabilities.", hint)
    if max(-low, high) <= 1.001:
        raise Wrong(
            f"All outputs lie between {low:.1f} and {high:.1f}, however large the"
            " weights: something bounds them.",
            hint,
        )
    if low >= 0:
        raise Wrong(
            "No output is below 0: is there a ReLU behind the last layer?", hint
        )
    if not output.requires_grad:
        raise Wrong("No gradient leads back from the outputs to the weights.", hint)
    return "logits: any real numbers, and the softmax once, in the loss."


@exercise("10.3")
def shuffled_together(function: Any) -> str:
    """Images and labels in one new order."""
    n = 200
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 2)
    images, labels = images.clone(), torch.arange(n) % 7
    before = images.clone(), labels.clone()
    orders = []
    for _ in range(2):
        got = call(function, images, labels, copied=False)
        if not (torch.equal(images, before[0]) and torch.equal(labels, before[1])):
            raise Wrong(
                "The tensors that were passed in are changed themselves.",
                "Index them: images[order] is a new tensor.",
            )
        orders.append(_check_shuffled(got, images, labels))
    if torch.equal(*orders):
        raise Wrong(
            "Two calls give the same order: every epoch would meet the same batches.",
            "Do not set a seed inside.",
        )
    return "one permutation, used twice."


def _check_shuffled(got: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Refuse what is no shuffle of the pairs; return the order."""
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"Return two tensors, images and labels, not {describe(got)}.")
    for one, like in zip(got, (images, labels), strict=True):
        if not torch.is_tensor(one) or one.shape != like.shape:
            shape = tuple(like.shape)
            raise Wrong(f"{describe(one)} came back in place of one of shape {shape}.")
    order = got[0][:, 0, 0, 0].long()
    if len(order.unique()) < len(labels):
        raise Wrong(
            "Some examples are there twice, and others are missing.",
            "torch.randperm draws each number once; torch.randint does not.",
        )
    stray = (got[1] != labels[order]).sum().item()
    if stray:
        raise Wrong(
            f"{stray} of {len(labels)} images carry the label of another one.",
            "Draw one order, and use it for both.",
        )
    if torch.equal(order, torch.arange(len(order))):
        raise Wrong("The order is the old one: nothing is shuffled.")
    return order


@exercise("10.4")
def epoch_in_order(function: Any) -> str:
    """An epoch whose lines stand in the right order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, where the scheduler steps first
        got, losses = two_epochs(function)
        if not isinstance(losses, (list, tuple)) or len(losses) != 3:
            raise Wrong(f"Return the losses of the 3 steps, not {describe(losses)}.")
        right, values = two_epochs(epoch)
        if not same(got, right):
            for hint, mistake in MISTAKEN_EPOCHS.items():
                if same(got, two_epochs(mistake)[0]):
                    raise Wrong(hint)
            raise Wrong(
                "After two epochs the weights are others than they should be.",
                "train(), then for each batch: loss, zero_grad, backward, step; the"
                " scheduler once, after the last batch.",
            )
        expect_value(list(map(float, losses)), values, what="The losses")
    return "zero_grad, backward, step; then the scheduler, once an epoch."


@exercise("10.5")
def validated(function: Any) -> str:
    """The accuracy on an image set, without dice."""
    pixels = torch.randint(256, (230, 1, 8, 8), dtype=torch.uint8)
    names = tuple(map(str, range(4)))
    images = ImageSet(pixels, torch.randint(4, (230,)), names, (0.4,), (0.3,))
    [(inputs, labels)] = images.loader(230)
    first, second = Recorder(), Recorder()
    hits = first.answer(inputs).argmax(dim=1) == labels
    right = hits.sum().item() / len(labels)  # MPS has no float64
    got = call(function, first, images), call(function, second, images)
    # `call` copies its arguments, so the recorders share what they note.
    check_seen(first.seen, inputs)
    for share in got:
        if isinstance(share, (str, bool)) or callable(share):
            raise Wrong(f"A fraction is wanted, not {describe(share)}.")
        if 1 < float(share) <= 100 or abs(float(share) - 100 * right) < 1e-6:
            raise Wrong(f"{float(share):.4g} is no fraction from 0 to 1.")
        if abs(float(share) - right) > 1e-6:
            raise Wrong(
                f"{float(share):.4f} is not the share of right answers, {right:.4f}.",
                "Count right answers and examples, and divide once.",
            )
    return "the same in every call: no dice are left."


@exercise("10.6")
def three_batches(answer: Any) -> str:
    """Batches of 100, 100 and 10 of which 90, 90 and 1 are right, in percent."""
    fraction = "the size is right; give percent."
    means = "this weighs the batch of 10 like those of 100."
    counted = "this is the true share; the loop averages 90, 90 and 10 %."
    whole, mean = 100 * 181 / 210, 190 / 3
    parts = (
        (mean, {mean / 100: fraction, whole: counted}, "(90 + 90 + 10) / 3."),
        (whole, {whole / 100: fraction, mean: means}, "181 of 210 digits."),
        (
            90.0,
            {
                0.9: fraction,
                100 * 180 / 210: "the digits left out are not counted at all.",
                whole: "drop_last leaves the batch of 10 out.",
            },
            "Only the two whole batches are left.",
        ),
    )
    expect_numbers(answer, parts, unit="%", tolerance=2e-3)
    return "23 points between two ways to average the same answers."


@exercise("10.7")
def find_leaks(function: Any) -> str:
    """The positions of the test images that lie in the training set, too."""
    train = torch.randint(256, (30, 1, 4, 5), dtype=torch.uint8)
    test = torch.randint(256, (20, 1, 4, 5), dtype=torch.uint8)
    train[9] = train[8]
    test[2], test[3], test[11], test[19] = train[17], train[17], train[0], train[8]
    test[5] = train[5].flip(2)  # the same pixels, at other places
    test[7] = train[7]
    test[7, 0, 0, 0] ^= 1  # nearly the same
    test[13] = test[14]  # twice in the test set, never in training
    check_positions(call(function, train, test), [2, 3, 11, 19])
    clean = call(function, train[:5], test[12:16])
    if len(positions(clean)) > 0:
        raise Wrong(f"Nothing leaked in a second case; yours finds {clean!r}.")
    return "found by their bytes; nearly equal ones need eyes."


@exercise("10.8")
def any_batch(answer: Any) -> str:
    """A network that takes any number of images, and answers each of them."""
    hint = "torch.flatten(x, 1) keeps the first axis, whatever its length."
    for n in (64, 7, 1):
        try:
            expect_module(answer, (n, 1, 28, 28), (n, 10), parameters=9_098)
        except Wrong as wrong:
            raise Wrong(*wrong.hints, hint, reason=wrong.reason) from None
    model = call(answer) if isinstance(answer, type) else answer
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            output = model(torch.zeros(4, 1, 56, 56, device=device))
    except RuntimeError:
        return "any N; and images of another size stop it loudly."
    if len(output) != 4:
        raise Wrong(
            f"4 images of 56 × 56 get {len(output)} answers, and no error: a fixed"
            " number of features moves pixels into the batch axis.",
            hint,
        )
    return "any N, and any size of image."


@exercise("10.9")
def two_questions(answer: Any) -> str:
    """The names that a step leaves unmoved; whether a value keeps its graph."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong(f"Pass both functions, not {describe(answer)}.")
    _check_unmoved(answer[0])
    keeps = answer[1]
    loss = (torch.ones(2, requires_grad=True) ** 2).sum()
    lists = ([0.5, loss], [loss.item(), 1.0], [loss.detach(), 2.0], [loss.exp(), loss])
    got = [call(keeps, values, copied=False) for values in lists]
    if not all(isinstance(one, bool) for one in got):
        raise Wrong("keeps_graph gives True or False.")
    if got[2]:
        raise Wrong(
            "A tensor that was detached keeps no graph.",
            "Ask for requires_grad or grad_fn, not for the type.",
        )
    if got != [True, False, False, True]:
        raise Wrong(
            f"For a list with {'a loss' if got[1] is False else 'numbers'}"
            " keeps_graph answers wrongly.",
            "One tensor with a graph is enough.",
        )
    return "questions 3 and 11: keep them for your own programs."


def _check_unmoved(function: Any) -> None:
    """Refuse names that a step did not leave unmoved."""
    for frozen in (("0.weight", "0.bias"), ("2.bias",), ()):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        trained = [w for name, w in model.named_parameters() if name not in frozen]
        optimizer = torch.optim.SGD(trained, lr=0.5)
        calls = []

        def step(model=model, optimizer=optimizer, calls=calls) -> None:
            calls.append(1)
            F.cross_entropy(model(torch.ones(2, 3)), torch.tensor([0, 0])).backward()
            optimizer.step()

        got = call(function, model, step, copied=False)
        if len(calls) != 1:
            raise Wrong(f"step is called {len(calls)} times, not once.")
        if set(got) == {name for name, _ in model.named_parameters()} - set(frozen):
            raise Wrong("These are the names of those that moved.")
        if sorted(got) != sorted(frozen):
            raise Wrong(
                f"With {', '.join(frozen) or 'nothing'} unmoved it names"
                f" {', '.join(map(str, got)) or 'none'}.",
                "Weights change in place: keep a clone of each before the step.",
            )


@exercise("10.10")
def played(game: Any) -> str:
    """Four faults named, for at most 30 minutes."""
    if not isinstance(game, Game):
        raise Wrong(f"Pass your game, not {describe(game)}.")
    if not any(game.named.values()):
        raise Unanswered("nobody is named")
    missing = [letter for letter, name in game.named.items() if not name]
    if missing:
        raise Wrong(f"{', '.join(missing)}: no right name yet.")
    if game.bill > LONGEST:
        raise Wrong(
            f"All four are right, for {game.bill} minutes; {LONGEST} are enough.",
            "First the questions that cost one minute; stop when one fault is left.",
        )
    return f"four right names for {game.bill} minutes."
