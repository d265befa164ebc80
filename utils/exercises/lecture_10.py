"""Self-checks of lecture 10: faults of the loss, data, loop, mode, measure, shapes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils import course
from utils.course import CourseError
from utils.datasets.loader import ImageSet, Loader
from utils.exercises import (
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
        got = _call_in_place(function, images, labels)
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


def _call_in_place(function: Any, *args: Any) -> Any:
    """Call without copying, so that changes in place show, and parts stay linked."""
    if not callable(function):
        return call(function)

    def run() -> Any:
        return function(*args)

    run.__name__ = getattr(function, "__name__", "your function")
    return call(run)


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
        got, losses = _two_epochs(function)
        if not isinstance(losses, (list, tuple)) or len(losses) != 3:
            raise Wrong(f"Return the losses of the 3 steps, not {describe(losses)}.")
        right, values = _two_epochs(_epoch)
        if not _same(got, right):
            for hint, mistake in MISTAKEN_EPOCHS.items():
                if _same(got, _two_epochs(mistake)[0]):
                    raise Wrong(hint)
            raise Wrong(
                "After two epochs the weights are others than they should be.",
                "train(), then for each batch: loss, zero_grad, backward, step; the"
                " scheduler once, after the last batch.",
            )
        expect_value(list(map(float, losses)), values, what="The losses")
    return "zero_grad, backward, step; then the scheduler, once an epoch."


def _two_epochs(function: Any) -> tuple[dict[str, Tensor], Any]:
    """Run two epochs on a small network in eval mode: its state and last losses."""
    generator = torch.Generator().manual_seed(5)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    )
    for weight in model.parameters():
        weight.data = 0.5 * torch.randn(weight.shape, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    sizes = (6, 6, 4)
    batches = [
        (
            torch.randn(n, 4, generator=generator),
            torch.randint(3, (n,), generator=generator),
        )
        for n in sizes
    ]
    losses = None
    for _ in range(2):
        model.eval()
        losses = _call_in_place(function, model, batches, optimizer, scheduler)
    rate = torch.tensor(optimizer.param_groups[0]["lr"])
    return model.state_dict() | {"lr": rate}, losses


def _epoch(
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    *,
    zero: str = "before",
    schedule: str = "after",
    mode: bool = True,
) -> list[float]:
    """The reference, and with other settings the known mistakes."""
    losses = []
    model.train(mode)
    if schedule == "first":
        scheduler.step()
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        if zero == "before":
            optimizer.zero_grad()
        loss.backward()
        if zero == "between":
            optimizer.zero_grad()
        optimizer.step()
        if schedule == "batch":
            scheduler.step()
        losses.append(loss.item())
    if schedule == "after":
        scheduler.step()
    return losses


def _mistaken(**settings: Any) -> Callable[..., list[float]]:
    return lambda *args: _epoch(*args, **settings)


MISTAKEN_EPOCHS = {
    "The gradients add up from step to step: zero_grad is missing.": _mistaken(
        zero="never"
    ),
    "Nothing is learned: zero_grad stands between backward and step.": _mistaken(
        zero="between"
    ),
    "The scheduler steps first: the first epoch already has the second's rate.": (
        _mistaken(schedule="first")
    ),
    "The scheduler steps after each batch; it counts epochs.": _mistaken(
        schedule="batch"
    ),
    "The scheduler never steps.": _mistaken(schedule="never"),
    "The network stays in evaluation mode: model.train() is missing.": _mistaken(
        mode=False
    ),
    "The scheduler is right; zero_grad and model.train() are missing.": _mistaken(
        zero="never", mode=False
    ),
    "Nearly nothing has changed: no zero_grad, and the scheduler steps first.": (
        _mistaken(zero="never", schedule="first")
    ),
    "model.train() is missing, and the scheduler steps first.": _mistaken(
        schedule="first", mode=False
    ),
    "This is the faulty one: zero_grad, train() and the scheduler's place.": _mistaken(
        zero="never", schedule="first", mode=False
    ),
}


def _same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return all(
        torch.allclose(got[name].double(), wanted[name].double(), atol=1e-6)
        for name in wanted
    )


@exercise("10.7")
def validated(function: Any) -> str:
    """The accuracy on an image set, without dice."""
    pixels = torch.randint(256, (230, 1, 8, 8), dtype=torch.uint8)
    names = tuple(map(str, range(4)))
    images = ImageSet(pixels, torch.randint(4, (230,)), names, (0.4,), (0.3,))
    [(inputs, labels)] = images.loader(230)
    first, second = _Recorder(), _Recorder()
    hits = first.answer(inputs).argmax(dim=1) == labels
    right = hits.sum().item() / len(labels)  # MPS has no float64
    got = call(function, first, images), call(function, second, images)
    # `call` copies its arguments, so the recorders share what they note.
    _check_seen(first.seen, inputs)
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


class _Recorder(nn.Module):
    """A fixed classifier that notes how it is used; copies write to the same notes."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.ones(1))
        self.seen: list[tuple[Tensor, bool, bool]] = []

    def __deepcopy__(self, memo: dict) -> _Recorder:
        return self

    def answer(self, x: Tensor) -> Tensor:
        """Four scores from the four quarters of the image."""
        return F.adaptive_avg_pool2d(x, 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((x.detach(), self.training, torch.is_grad_enabled()))
        scores = self.answer(x) * self.unit.to(x.device)
        return scores + torch.randn_like(scores) if self.training else scores


def _check_seen(seen: list[tuple[Tensor, bool, bool]], inputs: Tensor) -> None:
    """Refuse a validation that gave the network anything but the set as it is."""
    if not seen:
        raise Wrong("The network is never asked.")
    got = torch.cat([x for x, _, _ in seen])
    if any(training for _, training, _ in seen):
        raise Wrong(
            "The network answers in training mode: with dropout it draws.",
            "Call model.eval() first.",
        )
    if len(got) != len(inputs):
        raise Wrong(
            f"The network sees {len(got)} images; the set has {len(inputs)}.",
            "Every image once: no drop_last.",
        )
    hint = "images.loader(100) normalises, and changes nothing else."
    if _among(got, 0.3 * inputs + 0.4):
        raise Wrong("The images are not normalised as in training.", hint)
    if not _among(got, inputs):
        raise Wrong(
            "The network sees other pixels than the set holds: they are augmented.",
            hint,
        )
    if any(gradients for _, _, gradients in seen):
        raise Wrong(
            "Right, but every batch keeps its activations for a backward pass.",
            "Put it under torch.no_grad().",
        )


def _among(images: Tensor, known: Tensor) -> bool:
    """Whether each image is one of the known ones, but for rounding."""
    distances = torch.cdist(images.cpu().flatten(1), known.cpu().flatten(1))
    return bool(distances.min(dim=1).values.max() < 1e-2)


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
    _check_positions(call(function, train, test), [2, 3, 11, 19], train, test)
    clean = call(function, train[:5], test[12:16])
    if len(_positions(clean)) > 0:
        raise Wrong(f"Nothing leaked in a second case; yours finds {clean!r}.")
    return "found by their bytes; nearly equal ones need eyes."


def _positions(got: Any) -> list[int]:
    """A list, set, array, tensor, or mask of positions as a sorted list."""
    if isinstance(got, (int, float, str)) or not hasattr(got, "__len__"):
        raise Wrong(
            f"A list of positions is wanted, not {describe(got)}.",
            "Which ones, not how many.",
        )
    values = torch.as_tensor(list(got)).flatten()
    if values.dtype == torch.bool:
        values = values.nonzero().flatten()
    return sorted(int(value) for value in values)


def _check_positions(got: Any, right: list[int], train: Tensor, test: Tensor) -> None:
    """Refuse wrong positions, with what they betray."""
    found = _positions(got)
    if found == right:
        return
    if sorted(set(found)) == right:
        raise Wrong("A position stands in the list twice: each once.")
    if set(found) == {0, 8, 17} or set(found) == {0, 8, 9, 17}:
        raise Wrong("These are positions in the training set; those in the test set.")
    if not found:
        same = "Does it compare image 0 with image 0 only? Compare each with each."
        raise Wrong("It finds none of the images that leaked.", same)
    extra = sorted(set(found) - set(right))
    reasons = {
        5: "test image 5 has the pixels of a training image at other places.",
        7: "test image 7 differs from a training image in one pixel.",
        13: "test image 13 is twice in the test set, and never in training.",
        14: "test image 14 is twice in the test set, and never in training.",
    }
    for position in extra:
        raise Wrong(
            f"{position} did not leak: "
            + reasons.get(position, "no training image has its pixels.")
        )
    missing = sorted(set(right) - set(found))
    raise Wrong(f"It misses position {missing[0]}: several may have the same twin.")


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
