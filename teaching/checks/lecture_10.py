"""Self-checks of lecture 10: faults of the loss, data, loop, mode, measure, shapes."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching.checks import (
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
from utils import course
from utils.course import CourseError
from utils.data import ImageSet, Loader
from utils.models.small import TwoLayerCNN

CURVES = {
    "labels shuffled": "Shuffled labels teach nothing about new digits: such a curve"
    " stays at ln 10 from beginning to end.",
    "softmax twice": "A doubled softmax lets the loss fall, but not under 1.46.",
    "sorted by class": "Sorted data make the loss jump whenever a new class begins.",
    "rate too low": "With a rate too low the loss falls all the time, and evenly.",
}
BOXES = {
    "labels of other images": "Then pictures and labels disagree, though all four"
    " answers are healthy: look at a batch with its labels.",
    "softmax in the network": "Then one batch cannot be learned to a loss of 0.",
    "a layer gets no gradient": "Then the smallest gradient norm is 0.",
    "healthy": "Then all four answers are right, and so are the labels.",
}


@exercise("10.1")
def four_curves(answer: Any) -> str:
    """Which fault drew which of four loss curves."""
    order = ("labels shuffled", "softmax twice", "sorted by class", "rate too low")
    _expect_names(answer, order, CURVES)
    return "the shapes: flat, with a floor, jumping, slow."


@exercise("10.11")
def four_boxes(answer: Any) -> str:
    """What is wrong with the patients A to D."""
    order = ("labels of other images", "a layer gets no gradient", "healthy")
    _expect_names(answer, (*order, "softmax in the network"), BOXES)
    return "eyes, the third question, all of them, the fourth question."


def _expect_names(answer: Any, right: tuple[str, ...], known: dict[str, str]) -> None:
    """Accept four names in order; the hint says what a wrong name would look like."""
    if not isinstance(answer, (tuple, list)) or len(answer) != len(right):
        raise Wrong(f"Give four names, for A, B, C and D, not {describe(answer)}.")
    for letter, name, wanted in zip("ABCD", answer, right, strict=True):
        others = {word: hint for word, hint in known.items() if word != wanted}
        with labelled(f"{letter}:"):
            expect_choice(name, wanted, others)


def patient(name: str, images: ImageSet) -> tuple[nn.Module, Loader]:
    """A new network and its loader: the closed boxes of exercise 10.11.

    Args:
        name: "A", "B", "C" or "D".
        images: what the loader takes its batches from; digits, 1x28x28.

    Raises:
        CourseError: there is no such patient.
    """
    boxes: dict[str, type[nn.Module]] = {
        "A": TwoLayerCNN,
        "B": _Detached,
        "C": TwoLayerCNN,
        "D": _Softmax,
    }
    if name not in boxes:
        raise CourseError(f"There is no patient {name!r}: choose A, B, C or D.")
    if name == "A":
        images = replace(images, labels=images.labels.roll(1))
    network = boxes[name](num_classes=len(images.classes), in_channels=1, image_size=28)
    return network.to(course.device()), images.loader(50, shuffle=True)


class _Detached(TwoLayerCNN):
    """The first layer gets no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(x).detach())
        return self.fc(torch.flatten(x, 1))


class _Softmax(TwoLayerCNN):
    """The network puts out probabilities."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(dim=1)


@exercise("10.2")
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
def cross_entropy(function: Any) -> str:
    """The loss of ten outputs and a class number."""
    for n, k in ((6, 10), (5, 3), (10, 10)):
        logits = (3 * torch.randn(n, k)).double().requires_grad_()
        labels = torch.randint(k, (n,))
        got = call(function, logits, labels)
        right = F.cross_entropy(logits, labels)
        if torch.is_tensor(got) and got.dim() == 0:
            for hint, mistake in _mistaken_losses(logits, labels).items():
                wrong = mistake.to(got.dtype)
                if torch.allclose(got, wrong) and not torch.allclose(wrong, right):
                    raise Wrong(hint)
        expect_value(got, right, what="class_loss(logits, labels)")
        if not (torch.is_tensor(got) and got.requires_grad):
            raise Wrong(
                "The value is right, but no gradient leads back to the logits.",
                "Stay in torch: no .item(), no float().",
            )
    return "classes have no order, and no distance."


def _mistaken_losses(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What known mistakes give, by the hint that they get."""
    n, k = logits.shape
    coded = F.one_hot(labels, k).to(logits.dtype)
    numbers = labels[:, None].to(logits.dtype).expand(n, k)
    twice = "The softmax is taken twice: cross_entropy gets the logits."
    line = "This is the squared error to the class numbers: it puts classes on a line."
    square = (
        "A squared error to one-hot codes. It can learn, but a confident mistake"
        " hardly pulls (lecture 00): take the cross-entropy."
    )
    guess = logits.argmax(dim=1).to(logits.dtype)
    return {
        line: F.mse_loss(logits, numbers),
        line + " ": F.mse_loss(guess, labels.to(logits.dtype)),
        square: F.mse_loss(logits, coded),
        square + " ": F.mse_loss(logits.softmax(dim=1), coded),
        twice: F.cross_entropy(logits.softmax(dim=1), labels),
        "nll_loss wants log-probabilities: log_softmax is missing.": F.nll_loss(
            logits, labels
        ),
        "nll_loss wants log-probabilities: the logarithm is missing.": F.nll_loss(
            logits.softmax(dim=1), labels
        ),
        "This is the sum over the batch: take the mean.": F.cross_entropy(
            logits, labels, reduction="sum"
        ),
    }


@exercise("10.4")
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


@exercise("10.5")
def prepare_once(function: Any) -> str:
    """Bytes to normalised floats, once, with the statistics that are given."""
    for c in (1, 3):
        images = torch.randint(256, (5, c, 8, 6), dtype=torch.uint8)
        mean, std = (0.2, 0.4, 0.6)[:c], (0.1, 0.2, 0.4)[:c]
        got = call(function, images, mean, std)
        if torch.is_tensor(got) and got.shape == images.shape:
            for hint, mistake in _mistaken_preparations(images, mean, std).items():
                if torch.allclose(got.double(), mistake, atol=1e-4):
                    raise Wrong(hint)
        m, s = (torch.tensor(v).double()[:, None, None] for v in (mean, std))
        right = (images.double() / 255 - m) / s
        expect_value(got, right, what="prepare(images, mean, std)", tolerance=1e-4)
    return "once, and with the same statistics for every set."


def _mistaken_preparations(
    images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Tensor]:
    """What known mistakes give, by the hint that they get."""
    m, s = (torch.tensor(v).double()[:, None, None] for v in (mean, std))
    x, axes = images.double() / 255, (0, 2, 3)
    own_mean, own_std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    own = "These are the batch's own statistics: use those that are passed in."
    return {
        "This is normalised twice.": ((x - m) / s - m) / s,
        "The pixels are still 0 to 255: divide by 255 first.": (255 * x - m) / s,
        "The division by 255 is done twice.": (x / 255 - m) / s,
        "The mean is subtracted, but nothing is divided by the deviation.": x - m,
        "The mean is not subtracted.": x / s,
        "Subtract the mean first, then divide.": x / s - m,
        "Divide by the deviation, not by its square.": (x - m) / s**2,
        "This is only the division by 255.": x,
        own: (x - own_mean) / own_std,
        own + " ": (x - own_mean) / x.std(axes, correction=0, keepdim=True),
        own + "  ": (x - x.mean()) / x.std(),
    }


@exercise("10.6")
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


@exercise("10.7")
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


@exercise("10.8")
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


@exercise("10.9")
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


@exercise("10.10")
def any_batch(answer: Any) -> str:
    """A network that takes any number of images, and answers each of them."""
    hint = "torch.flatten(x, 1) keeps the first axis, whatever its length."
    for n in (64, 7, 1):
        try:
            expect_module(answer, (n, 1, 28, 28), (n, 10), parameters=9_098)
        except Wrong as wrong:
            raise Wrong(*wrong.hints, hint) from None
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
