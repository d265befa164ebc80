"""Self-checks of lecture 04: kernels, He's rule, VGG's forms, adaptive pooling."""

from __future__ import annotations

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
from utils.course import CourseError
from utils.models.vgg import CONFIGS, vgg

LINEAR_D = 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 10 + 10
ONE_FC, THREE_FC = 9_225_610, 33_638_218


@exercise("04.1")
def small_kernels(answer: Any) -> str:
    """How many 3x3 see 11x11, the weights of that stack, those of one 11x11."""
    _parts(answer, 3)
    pair = 64 * 64
    per_channel = "multiply by 64 × 64: every output channel has a kernel for each one."
    once = "every output channel has a kernel for each input channel: 64 × 64 of them."
    parts = (
        (
            5,
            {4: "four see 9: 1 + 4 · 2.", 6: "the first one sees 3 already."},
            "Each layer adds 2 to what is seen, beginning at 1.",
        ),
        (
            45 * pair,
            {
                45: per_channel,
                45 * 64: once,
                9 * pair: "this is one of the layers; the stack has five.",
                45 * pair + 320: "no biases: weights alone.",
            },
            "A layer holds 9 · 64 · 64 weights.",
        ),
        (
            121 * pair,
            {
                121: per_channel,
                121 * 64: once,
                121 * pair + 64: "no biases: weights alone.",
            },
            "11 · 11 weights for each pair of channels.",
        ),
    )
    expect_numbers(answer, parts)
    return "45 C² against 121 C²: the large kernel needs 2.7 times as many."


@exercise("04.2")
def he_deviation(answer: Any) -> str:
    """The standard deviation of He's rule for conv 256 -> 512, 3x3, both ways."""
    _parts(answer, 2)
    n_in, n_out = 256 * 9, 512 * 9
    for letter, n, other, values in (
        ("a", n_in, n_out, 256),
        ("b", n_out, n_in, 512),
    ):
        known = {
            2 / n: "this is the variance; the deviation is its root.",
            (2 / n) ** 0.25: "this is the slides' slip: the root of a root.",
            (2 / values) ** 0.5: "a kernel has 3 × 3 weights for each channel.",
            (1 / n) ** 0.5: "the ReLU halves the mean square: 2 / n, not 1 / n.",
            (2 / (n_in + n_out)) ** 0.5: "this is Xavier's; ReLU needs He's.",
            # √(1 / n_in) is √(2 / n_out) too: say both.
            (2 / other) ** 0.5: "n counts the other side's channels here, or the 2 for"
            " the ReLU is missing.",
        }
        value = answer[0] if letter == "a" else answer[1]
        hint = "Var(W) = 2 / n; n is channels times kernel area, in or out."
        with labelled(f"({letter})"):
            expect_number(value, (2 / n) ** 0.5, misconceptions=known, hint=hint)
    return f"√(2 / {n_in:,}) and √(2 / {n_out:,})."


def _parts(answer: Any, size: int) -> None:
    """Reject an answer that is not so many values."""
    if not isinstance(answer, (tuple, list)) or len(answer) != size:
        raise Wrong(f"Give {size} values in a tuple, not {describe(answer)}.")


@exercise("04.3")
def classifiers(answer: Any) -> str:
    """VGG A with one linear layer and D with three and dropout, for CIFAR-10."""
    _parts(answer, 2)
    hints = (
        "VGG A for 32x32: stem='cifar', ten classes, hidden=().",
        "VGG D for 32x32: stem='cifar', ten classes, hidden=(4096, 4096).",
    )
    sizes = zip("ab", answer, (ONE_FC, THREE_FC), hints, strict=True)
    for letter, model, parameters, hint in sizes:
        net = call(model) if isinstance(model, type) else model
        if isinstance(net, nn.Module):
            _known_size(letter, sum(p.numel() for p in net.parameters()), parameters)
        shapes = (2, 3, 32, 32), (2, 10)
        with labelled(f"({letter})"):
            expect_module(net, *shapes, parameters=parameters, hint=hint)
        if letter == "b":
            _check_dropout(net)
    return f"(b) is {LINEAR_D / THREE_FC:.0%} linear, (a) less than 1 %."


def _known_size(letter: str, got: int, right: int) -> None:
    """Name what a wrong number of parameters betrays."""
    features = {"a": ONE_FC - 5130, "b": THREE_FC - LINEAR_D}[letter]
    wide = 512 * 49 * 4096 - 512 * 4096  # what 7x7 maps add to the first linear layer
    classes = (4096 + 1) * 990
    one_layer = features + 512 * 10 + 10
    known = {
        one_layer: "there is one linear layer where three are wanted.",
        features + LINEAR_D: "there are three linear layers where one is wanted.",
        features + LINEAR_D + wide: "built for 224x224: its first linear layer expects"
        " 7x7 maps. 32x32 photos leave 1x1.",
        features + LINEAR_D + wide + classes: "this is the form for ImageNet: 1,000"
        " classes, 7x7 maps.",
        features + LINEAR_D + classes: "it has 1,000 classes; CIFAR-10 has ten.",
        features + 512 * 1000 + 1000: "it has 1,000 classes; CIFAR-10 has ten.",
        features + 512 * 49 * 10 + 10: "its linear layer expects 7x7 maps; 32x32 photos"
        " leave 1x1.",
    }
    if got != right and got in known:
        raise Wrong(f"({letter}) {got:,} parameters: {known[got]}")


def _check_dropout(net: nn.Module) -> None:
    """Reject a network in which dropout of 0.5 does not work twice."""
    rates = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
    if not rates:
        raise Wrong("(b) There is no dropout behind the hidden linear layers.")
    if any(abs(p - 0.5) > 1e-6 for p in rates):
        raise Wrong(f"(b) Dropout is {', '.join(f'{p:g}' for p in rates)}, not 0.5.")
    if len(rates) != 2:
        raise Wrong(
            f"(b) There are {len(rates)} dropout layers: one behind each hidden linear"
            " layer makes two, and none stands behind the logits."
        )


@exercise("04.4")
def adaptive_pool(function: Any) -> str:
    """Adaptive average pooling of (N, C, H, W) by the exact rule."""
    generator = torch.Generator().manual_seed(0)
    cases = ((8, 8, 4, 4), (10, 10, 7, 7), (9, 13, 5, 4), (7, 7, 7, 7), (3, 5, 7, 1))
    for height, width, h, w in cases:
        maps = torch.randn(2, 3, height, width, generator=generator)
        got = call(function, maps, (h, w))
        what = f"{height}x{width} to {h}x{w}"
        if not torch.is_tensor(got) or got.shape != (2, 3, h, w):
            raise Wrong(f"{what}: {describe(got)}, not of shape (2, 3, {h}, {w}).")
        right = F.adaptive_avg_pool2d(maps, (h, w))
        if not torch.allclose(got, right, atol=1e-5):
            raise Wrong(f"{what}: {_pooling_fault(maps, got, (h, w))}")
    return "equal to torch's for all five pairs of sizes."


def _pooling_fault(maps: Tensor, got: Tensor, size: tuple[int, int]) -> str:
    """What wrong values betray."""
    h, w = size
    if torch.allclose(got, F.adaptive_max_pool2d(maps, size), atol=1e-5):
        return "these are maxima; average."
    square = h == w and maps.shape[2] == maps.shape[3]
    if square and torch.allclose(got.mT, F.adaptive_avg_pool2d(maps, size), atol=1e-5):
        return "rows and columns are exchanged."
    steps = [n // out for n, out in zip(maps.shape[2:], size, strict=True)]
    if min(steps) > 0:
        kernel = [
            n - (out - 1) * s
            for n, out, s in zip(maps.shape[2:], size, steps, strict=True)
        ]
        if torch.allclose(got, F.avg_pool2d(maps, kernel, steps), atol=1e-5):
            return "this is the slides' rule: one stride, one kernel for all windows."
    return "the windows are others. Window i ends at ⌈(i + 1) n / out⌉, rounded up."


@exercise("04.5")
def borrow(function: Any) -> str:
    """A's first four convolutions and its classifier copied into E, and no more."""
    options = {"num_classes": 10, "stem": "cifar", "width": 1 / 16, "hidden": (64, 64)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        deep, shallow = vgg("E", **options), vgg("A", **options)
    for net in (deep, shallow):
        for parameter in net.parameters():
            if parameter.dim() == 1:
                parameter.data.uniform_(-1, 1)  # biases of 0 would hide a copy
    before = {name: value.clone() for name, value in deep.state_dict().items()}
    got = call(function, deep, shallow, copied=False)
    if not isinstance(got, nn.Module) or got.state_dict().keys() != before.keys():
        raise Wrong(f"Return the deep network, not {describe(got)}.")
    _check_loan(before, got.state_dict(), shallow.state_dict())
    return "four convolutions and the classifier are A's; twelve are E's own."


def _check_loan(
    before: dict[str, Tensor], after: dict[str, Tensor], lender: dict[str, Tensor]
) -> None:
    """Compare every tensor with what it should be after the copy."""
    loan = [f"features.{i}.{j}" for i, j in ((0, 0), (1, 0), (2, 0), (2, 2))]
    for name, value in after.items():
        layer, kind = name.rsplit(".", 1)
        borrowed = layer in loan or layer.startswith("classifier")
        right = lender[name] if borrowed else before[name]
        if value.shape == right.shape and torch.equal(value, right):
            continue
        if borrowed and torch.equal(value, before[name]):
            what = f"The {kind} of {layer} is still E's own."
            raise Wrong(what, "load_state_dict copies weight and bias of a layer.")
        if not borrowed and name in lender and torch.equal(value, lender[name]):
            raise Wrong(
                f"{layer} is A's too: the loan is the first three blocks alone.",
                "deep.features[:3] are its first three blocks.",
            )
        raise Wrong(f"The {kind} of {layer} is neither what it was nor A's.")


@exercise("04.6")
def vgg19(answer: Any) -> str:
    """VGG-19 as a list, and what `fit` returns for two epochs, plain and with norm."""
    _parts(answer, 2)
    config, histories = answer
    if isinstance(config, str):
        raise Wrong("Write the list yourself: a tuple of channels for each block.")
    _check_list(config)
    _parts(histories, 2)
    for history in histories:
        _check_run(history)
    plain, norm = (history.rows[-1]["train_loss"] for history in histories)
    if plain == norm:
        raise Wrong("Both are one run.", "vgg(my_list, 10, batch_norm=True, ...)")
    return f"{plain:.2f} nats without, {norm:.2f} with BatchNorm; 2.30 is chance."


def _check_run(history: Any) -> None:
    """Reject what is no run of two epochs with Adam at 0.001."""
    rows = getattr(history, "rows", None)
    if not rows:
        said = f"{describe(history)} is no run: a number can come from anywhere."
        raise Wrong(said, "Give what fit(...) returns, for each of the two networks.")
    if len(rows) != 2:
        raise Wrong(f"This run has {len(rows)} epochs: two are asked for.")
    if any(abs(row["lr"] - 1e-3) > 1e-9 for row in rows):
        raise Wrong(
            f"This run began an epoch with lr={rows[-1]['lr']:g}: take Adam at 0.001.",
            'fit(..., optimizer="adam", lr=1e-3), with a constant schedule.',
        )


def _check_list(config: Any) -> None:
    """Reject a list that is not configuration E."""
    try:
        blocks = tuple(tuple(block) for block in config)
        with torch.device("meta"):
            vgg(blocks, 10)
    except TypeError:
        raise Wrong("Give one tuple of channels for each block.") from None
    except CourseError as error:
        raise Wrong(str(error)) from None
    if blocks == CONFIGS["E"]:
        return
    numbers, right = [len(block) for block in blocks], [2, 2, 4, 4, 4]
    if blocks == CONFIGS["D"]:
        raise Wrong("This is D, VGG-16: E has a fourth layer in the last three blocks.")
    if len(numbers) != 5:
        raise Wrong(f"There are {len(numbers)} blocks: five poolings make five.")
    if sum(numbers) == 19:
        raise Wrong("19 counts the three linear layers too: 16 are convolutions.")
    if numbers != right:
        raise Wrong(
            f"Blocks of {numbers} convolutions: {sum(numbers) + 3} layers with weights."
            " VGG-19 has 16 convolutions.",
            f"Right are {right}.",
        )
    raise Wrong("The channels are others.", "They double from 64 and stop at 512.")
