"""Self-checks of lecture 10: faults of the loss, data, loop, mode, measure, shapes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_module,
    expect_numbers,
    expect_parts,
    expect_value,
    labelled,
)
from teaching.checks.clinic.epochs import (
    MISTAKEN_EPOCHS,
    check_unmoved,
    epoch,
    same,
    two_epochs,
)
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
    if isinstance(answer, dict) and list(answer) == list("ABCD"):
        answer = tuple(answer.values())
    expect_parts(answer, len(right), "Give four names, for A, B, C and D")
    for letter, name, wanted in zip("ABCD", answer, right, strict=True):
        if not isinstance(name, str):
            raise Wrong(f"Give names, such as {min(known)!r}, not {describe(name)}.")
        others = {word: hint for word, hint in known.items() if word != wanted}
        with labelled(f"{letter}:"):
            expect_choice(name, wanted, others)


@exercise("10.1")
def returns_logits(answer: Any) -> str:
    """A network whose outputs suit CrossEntropyLoss."""
    hint = "Return what the last layer gives; the loss takes the softmax."
    model = call(answer) if isinstance(answer, type) else copy.deepcopy(answer)
    if isinstance(model, nn.Module):
        got = call(model, torch.zeros(4, 1, 28, 28))
        if torch.is_tensor(got) and got.numel() == 4:
            raise Wrong(
                "One number for each image: the loss needs the scores of all ten"
                " classes, and argmax comes in the report.",
                hint,
            )
    expect_module(model, (4, 1, 28, 28), (4, 10), parameters=9_098, hint=hint)
    model = model.cpu()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # louder, so that no range can be chance
    x = torch.randn(64, 1, 28, 28)
    in_training = call(model.train(), x)
    output = call(model.eval(), x)
    remark = _check_logits(output, hint)
    if (in_training == 0).double().mean() > 0.05:
        raise Wrong("In training mode logits are 0: is there a dropout on them?", hint)
    try:
        _check_logits(in_training, hint)
    except Wrong as wrong:
        what = "In training mode, where the loss is taken: " + wrong.hints[0]
        raise Wrong(what, hint, reason=wrong.reason) from None
    if torch.allclose(call(model, x + 2), output, atol=1e-4):
        raise Wrong(
            "A brighter image gets the same outputs: a softmax is taken of the pixels.",
            hint,
        )
    return remark


def _check_logits(output: Tensor, hint: str) -> str:
    """Refuse what is no logits for 64 loud images; the tick's sentence."""
    low, high = output.min().item(), output.max().item()
    one = torch.ones(())
    rows, columns = output.sum(dim=1), output.sum(dim=0)
    if output.isnan().any():
        raise Wrong(
            "Some outputs are nan: is the logarithm of a negative number taken?"
        )
    if torch.allclose(output.exp().sum(dim=1), one, atol=1e-4):
        return "log-probabilities; the loss's own softmax leaves them as they are."
    if torch.allclose((-output).exp().sum(dim=1), one, atol=1e-4):
        raise Wrong(
            "These are minus log-probabilities: the loss takes them itself.", hint
        )
    if torch.allclose(rows, one, atol=1e-4):
        raise Wrong("Each row still adds up to 1: these are probabilities.", hint)
    if torch.allclose(columns, one, atol=1e-4):
        raise Wrong("Now each column adds up to 1: a softmax over the batch.", hint)
    if rows.std() < 1e-3:
        raise Wrong(
            f"Each row adds up to {rows.mean():.3g}: a softmax, times a number.", hint
        )
    if max(-low, high) <= 1.001:
        raise Wrong(
            f"All outputs lie between {low:.1f} and {high:.1f}, however large the"
            " weights: something bounds them.",
            "Is there a sigmoid or tanh? " + hint,
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
        if (labels[orders[0]].diff() >= 0).all():
            raise Wrong("The examples are sorted by class: an epoch must mix them.")
        raise Wrong(
            "Two calls give the same order: every epoch would meet the same batches.",
            "A new order is drawn, by torch.randperm, and no seed is set inside.",
        )
    if any((order.diff() == 1).float().mean() > 0.5 for order in orders):
        raise Wrong("Neighbours stay neighbours: only the first place is drawn.")
    return "one permutation, used twice."


def _check_shuffled(got: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Refuse what is no shuffle of the pairs; return the order."""
    expect_parts(got, 2, "Return two tensors, images and labels")
    for one, like in zip(got, (images, labels), strict=True):
        if not torch.is_tensor(one) or one.shape != like.shape:
            shape = tuple(like.shape)
            raise Wrong(f"{describe(one)} came back in place of one of shape {shape}.")
    order = got[0][:, 0, 0, 0].long()
    if len(order.unique()) <= 7:
        raise Wrong("labels are class numbers, and no positions of examples.")
    if len(order.unique()) < len(labels):
        raise Wrong(
            "Some examples are there twice, and others are missing.",
            "torch.randperm draws each number once; torch.randint does not.",
        )
    stray = (got[1] != labels[order]).sum().item()
    if stray and torch.equal(got[1], labels):
        raise Wrong("The images are in a new order, and the labels in the old one.")
    if stray:
        raise Wrong(
            f"{stray} of {len(labels)} images carry the label of another one.",
            "Draw one order, and use it for both.",
        )
    if torch.equal(order, torch.arange(len(order))):
        hint = "The first axis holds the examples: index that one."
        raise Wrong("The order is the old one: nothing is shuffled.", hint)
    return order


@exercise("10.4")
def epoch_in_order(function: Any) -> str:
    """An epoch whose lines stand in the right order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, where the scheduler steps first
        got, losses = two_epochs(function)
        if not isinstance(losses, (list, tuple)) or len(losses) != 3:
            inside = "Does return stand inside the loop? A mean is not asked for."
            told = f"Return the losses of the 3 steps, not {describe(losses)}."
            if isinstance(losses, (list, tuple)) and len(losses) > 3:
                told = f"These are {len(losses)} losses, of 3 batches: one epoch alone."
                inside = ""
            raise Wrong(told, inside, reason="Return the losses of the 3 steps.")
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
        if any(torch.is_tensor(loss) and loss.requires_grad for loss in losses):
            raise Wrong(
                "The losses are tensors that keep their graph: the memory grows.",
                "Keep numbers: loss.item().",
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
        known = {
            100 * right: "This is in percent; a fraction from 0 to 1 is asked for.",
            1 - right: "This is the share of the wrong answers.",
            0.0: "Rounded down to 0, by int() or //.",
            right * 230: "This is the count; divide by the images.",
            hits[200:].sum().item() / 230: "Only the last batch is counted: +=.",
            sum(part.double().mean().item() for part in hits.split(100)) / 3: "This is"
            " the mean of the batches, and the last one is shorter.",
            right * 230 / 3: "Divided by the batches; divide by the images.",
            right * 230 / 300: "Divided by 300; the last of three batches is shorter.",
        }
        for value, told in known.items():
            if abs(float(share) - value) < 1e-4:
                raise Wrong(told)
        if abs(float(share) - right) > 1e-6:
            raise Wrong(
                f"{float(share):.4g} is not the share of right answers, {right:.4f}.",
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
    of_all = "the digits are 100 + 100 + 10."
    digits, wrong = (
        "this counts digits; give percent.",
        "this is the share that is wrong.",
    )
    first = {mean / 100: fraction, whole: counted, 100 - mean: wrong}
    first |= {181 / 3: "1 of 10 is 10 %.", 90: "this is the middle one; take the mean."}
    share = {whole / 100: fraction, mean: means, 181: digits, 181 / 3: of_all}
    share |= {90.5: of_all, 90: "the batch of 10 counts, too, with its one."}
    parts = (
        (mean, first, "(90 + 90 + 10) / 3."),
        (whole, share | {100 - whole: wrong}, "181 of 210 digits."),
        (
            90.0,
            {
                0.9: fraction,
                100 * 180 / 210: "the digits left out are not counted at all.",
                whole: "drop_last leaves the batch of 10 out.",
                mean: "drop_last leaves the batch of 10 out.",
                60: "two batches are left: divide by two.",
                180: digits,
                10: wrong,
            },
            "Only the two whole batches are left.",
        ),
    )
    expect_numbers(answer, parts, unit="%", tolerance=2e-3)
    return "23 points between two ways to average the same answers."


@exercise("10.7")
def find_leaks(function: Any) -> str:
    """The positions of the test images that lie in the training set, too."""
    train = torch.randint(256, (30, 3, 4, 5), dtype=torch.uint8)
    test = torch.randint(256, (20, 3, 4, 5), dtype=torch.uint8)
    train[9] = train[8]
    test[2], test[3], test[11], test[19] = train[17], train[17], train[0], train[8]
    test[5] = train[5].flip(2)  # the same pixels, at other places
    test[7] = train[7]
    test[7, 0, 0, 0] ^= 1  # nearly the same
    test[9] = train[22]
    test[9, 2, 0, 0] ^= 1  # the same but for the last channel
    test[13] = test[14]  # twice in the test set, never in training
    test[16] = train[16]  # at the same position
    check_positions(call(function, train, test), [2, 3, 11, 16, 19], len(test))
    clean = call(function, train[:5], test[12:16])
    if len(positions(clean)) > 0:
        raise Wrong(f"Nothing leaked in a second case; yours finds {clean!r}.")
    return "found by their bytes; nearly equal ones need eyes."


@exercise("10.8")
def any_batch(answer: Any) -> str:
    """A network that takes any number of images, and answers each of them."""
    hint = "torch.flatten(x, 1) keeps the first axis, whatever its length."
    model = call(answer) if isinstance(answer, type) else answer
    rows: list[tuple[int, ...]] = []  # what the linear layer gets
    maps: list[Any] = []  # what the convolutions do
    hooks = [
        part.register_forward_pre_hook(lambda _, x: rows.append(tuple(x[0].shape)))
        for part in (model.modules() if isinstance(model, nn.Module) else ())
        if isinstance(part, nn.Linear)
    ]
    hooks += [
        part.register_forward_hook(lambda *_: maps.append(1))
        for part in (model.modules() if isinstance(model, nn.Module) else ())
        if isinstance(part, nn.Conv2d)
    ]
    for n in (64, 100, 7, 1):
        rows.clear()
        try:
            expect_module(model, (n, 1, 28, 28), (n, 10), parameters=9_098)
        except Wrong as wrong:
            told = wrong.hints[0]
            if rows and rows[-1] != (n, 784):
                told = f"{n} images: the linear layer gets {rows[-1]}, not {n, 784}."
                if rows[-1][0] != n:
                    told += " Its first axis must be the images'."
            elif not rows or n != 64:
                told = f"64 images pass, {n} do not. {told}" if n != 64 else told
            raise Wrong(told, hint, reason=wrong.reason) from None
    for hook in hooks:
        hook.remove()
    if not maps:
        raise Wrong("self.features is not used: the pixels go into the linear layer.")
    _check_own_image(model.eval(), hint)
    try:
        with torch.no_grad():
            output = model(
                torch.zeros(4, 1, 56, 56, device=next(model.parameters()).device)
            )
    except RuntimeError:
        return "any N; and images of another size stop it loudly."
    if len(output) != 4:
        raise Wrong(
            f"4 images of 56 × 56 get {len(output)} answers, and no error: a fixed"
            " number of features moves pixels into the batch axis.",
            hint,
        )
    return "any N, and any size of image."


def _check_own_image(model: nn.Module, hint: str) -> None:
    """Refuse answers that depend on other images, and probabilities."""
    x = torch.randn(8, 1, 28, 28, device=next(model.parameters()).device)
    other = torch.cat([x[:1], torch.randn_like(x[1:])])
    with torch.no_grad():
        answers, again = model(x), model(other)
    if not torch.allclose(answers[0], again[0], atol=1e-4):
        raise Wrong(
            "Answer 0 changes when the other images do: the images are mixed.", hint
        )
    if torch.allclose(answers.sum(dim=1), torch.ones_like(answers[:, 0]), atol=1e-4):
        raise Wrong("Each row adds up to 1: return logits, without a softmax.")
    if answers.min() >= 0:
        raise Wrong("No answer is below 0: is there a ReLU behind the last layer?")


@exercise("10.9")
def two_questions(answer: Any) -> str:
    """The names that a step leaves unmoved; whether a value keeps its graph."""
    expect_parts(answer, 2, "Pass both functions")
    check_unmoved(answer[0])
    keeps = answer[1]
    loss = (torch.ones(2, requires_grad=True) ** 2).sum()
    numbers, cut, many = [loss.item(), 1.0], [loss.detach(), 2.0], [loss.exp(), loss]
    lists = ([0.5, loss], numbers, cut, many, [loss, 0.5])
    got = [call(keeps, values, copied=False) for values in lists]
    if not all(isinstance(one, bool) for one in got):
        raise Wrong("keeps_graph gives True or False.")
    betrayed = {
        (False, True, True, False, False): "keeps_graph answers the wrong way round.",
        (False, False, False, True, False): "It wants all values to hold a graph; one"
        " is enough.",
        (False, False, False, True, True): "It looks at the first value only.",
        (True, False, False, True, False): "It looks at the last value only.",
        (False,) * 5: "It answers False for every list. A loss that has a graph has"
        " requires_grad and grad_fn; .grad is filled for weights alone.",
    }
    if tuple(got) in betrayed:
        raise Wrong(betrayed[tuple(got)])
    if got[2]:
        raise Wrong(
            "A tensor that was detached keeps no graph.",
            "Ask for requires_grad or grad_fn, not for the type.",
        )
    if got != [True, False, False, True, True]:
        raise Wrong(
            f"For a list with {'a loss' if got[1] is False else 'numbers'}"
            " keeps_graph answers wrongly."
        )
    return "questions 3 and 11: keep them for your own programs."


@exercise("10.10")
def played(game: Any) -> str:
    """Four faults named, for at most 30 minutes."""
    if not isinstance(game, Game):
        raise Wrong(f"Pass your game, not {describe(game)}.")
    if not any(game.named.values()):
        if game.bill:
            raise Wrong(
                f"{game.bill} minutes are spent, and no name is right yet.",
                "game.name answers at once whether a name is right.",
            )
        raise Unanswered("nobody is named")
    missing = [letter for letter, name in game.named.items() if not name]
    if missing:
        guess = "A wrong name costs as much as ten cheap questions: ask first."
        raise Wrong(f"{', '.join(missing)}: no right name yet.", guess)
    if game.bill > LONGEST:
        raise Wrong(
            f"All four are right, for {game.bill} minutes; {LONGEST} are enough.",
            "First the questions that cost one minute; stop when one fault is left.",
        )
    return f"four right names for {game.bill} minutes."
