"""Self-checks of lecture 04: kernels, He's weights, VGG's forms, adaptive pooling."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
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
from utils import data
from utils.course import CourseError
from utils.models.vgg import CONFIGS, vgg
from utils.train import predict

LINEAR_D = 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 10 + 10
ONE_FC, THREE_FC = 9_225_610, 33_638_218
LIST = [*3 * [64], *3 * [128], *3 * [256]]


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
def he_weights(function: Any) -> str:
    """Weights of a convolution with variance 2 / n_in, and biases of 0."""
    layer = nn.Conv2d(64, 96, 5)
    got = call(function, layer)
    if not isinstance(got, nn.Conv2d) or got.weight.shape != layer.weight.shape:
        raise Wrong(f"Return the layer, not {describe(got)}.")
    if got.bias is None or got.bias.abs().max() > 0:
        raise Wrong("The biases are not 0.", "nn.init.zeros_(layer.bias)")
    weight = got.weight.detach()
    if torch.equal(weight, layer.weight):
        raise Wrong("The weights are those that torch drew.", "nn.init.normal_(...)")
    n_in, n_out = 64 * 25, 96 * 25
    known = {
        2 / n_in: "this is the variance; normal_ wants its root, the deviation.",
        (2 / n_in) ** 0.25: "the root is taken twice: 2 / n_in is the variance.",
        (2 / 64) ** 0.5: "a kernel has 5 × 5 weights for each input channel.",
        (2 / (64 * 5)) ** 0.5: "a kernel has 5 × 5 weights a channel, not 5.",
        (2 / n_out) ** 0.5: "n counts the outputs here, which keeps the gradients'"
        " scale; the activations' scale asks for the inputs.",
        (1 / n_in) ** 0.5: "the ReLU halves the mean square: 2 / n_in, not 1 / n_in.",
        (2 / (n_in + n_out)) ** 0.5: "this is Xavier's rule; ReLU needs He's.",
    }
    with labelled("The weights' standard deviation is"):
        hint = "Var(W) = 2 / n_in; n_in is input channels times kernel area."
        right = (2 / n_in) ** 0.5
        value = weight.std().item()
        expect_number(value, right, tolerance=0.02, misconceptions=known, hint=hint)
    if weight.abs().max() < 3 * right:
        raise Wrong("The spread is right; the distribution is not normal.")
    return f"√(2 / {n_in:,}) = {right:.4f} for 64 channels of 5 × 5."


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
        said = f"({letter}) {got:,} parameters: {known[got]}"
        raise Wrong(said, reason=known[got])


def _check_dropout(net: nn.Module, label: str = "(b) ") -> None:
    """Reject a network in which dropout of 0.5 does not work twice."""
    rates = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
    if not rates:
        raise Wrong(f"{label}There is no dropout after the hidden linear layers.")
    if any(abs(p - 0.5) > 1e-6 for p in rates):
        raise Wrong(f"{label}Dropout is {', '.join(f'{p:g}' for p in rates)}, not 0.5.")
    if len(rates) != 2:
        raise Wrong(
            f"{label}There are {len(rates)} dropout layers: one after each hidden"
            " linear layer makes two, and none stands after the logits."
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
            reason = _pooling_fault(maps, got, (h, w))
            raise Wrong(f"{what}: {reason}", reason=reason)
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
            return "this is one stride and one kernel for all windows."
    return "the windows are others. Window i ends at ⌈(i + 1) n / out⌉, rounded up."


@exercise("04.5")
def repaired(function: Any) -> str:
    """The published list of nine convolutions with a classifier that fits it."""
    net = call(function, 10)
    if not isinstance(net, nn.Module):
        raise Wrong(f"Return a network, not {describe(net)}.")
    widths = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
    if widths != LIST:
        raise Wrong(
            f"The convolutions have {widths} channels: the list stays as it is.",
            "Change the layer that does not fit the list, not the list.",
        )
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    sizes = [m.out_features for m in linear]
    if sizes != [4096, 4096, 10]:
        raise Wrong(f"Linear layers of {sizes}: 4096, 4096 and the classes stay.")
    if linear[0].in_features == 256:
        raise Wrong("Pooling to 1 × 1 runs, but the 4 × 4 maps are to stay.")
    if linear[0].in_features == 512 * 16:
        raise Wrong("It still expects 512 channels.", "How many has the last block?")
    hint = "The last maps are (256, 4, 4)."
    expect_module(net, (2, 3, 32, 32), (2, 10), hint=hint)
    _check_dropout(net, "")
    other = call(function, 7)
    expect_module(other, (2, 3, 32, 32), (2, 7), hint="Pass num_classes on.")
    return "256 · 4 · 4 = 4,096 values enter the first linear layer, not 8,192."


@exercise("04.6")
def few_relus(answer: Any) -> str:
    """A network with one ReLU in each block, and its trained runs, one a seed."""
    _parts(answer, 2)
    build, runs = answer
    net = call(build, [3, 3, 3])
    _check_relus(net)
    if not isinstance(runs, (tuple, list)) or not all(
        isinstance(run, (tuple, list)) and len(run) == 3 for run in runs
    ):
        raise Wrong(
            "Give what trained([3, 3, 3], seed, few_relus) returns, a seed each."
        )
    for model, history, hits in runs:
        _check_relus(model)
        if not getattr(history, "rows", None) or not torch.is_tensor(hits):
            raise Wrong("Each run is a network, its history, and what it recognises.")
        with redirect_stdout(StringIO()):  # where the photos are from is known by now
            photos = data.cifar10().val.subset(len(hits)).loader(500)
        logits, labels = predict(model, photos)
        if (logits.argmax(1) == labels).ne(hits).double().mean() > 0.01:
            raise Wrong(
                "A network, run again, recognises other photos than its run says."
            )
    share = sum(hits.double().mean().item() for *_, hits in runs) / len(runs)
    return f"{share:.1%} of the validation photos with one ReLU in each block."


def _check_relus(net: Any) -> None:
    """Reject what is not kernel_net of three 3x3 with its last ReLUs alone."""
    if not isinstance(net, nn.Module):
        raise Wrong(f"A network is wanted here, not {describe(net)}.")
    layers = [m for m in net.modules() if not list(m.children())]
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
    convs, norms, relus, pools = (sum(isinstance(m, k) for m in layers) for k in kinds)
    if (convs, pools) != (9, 3):
        raise Wrong(f"{convs} convolutions and {pools} poolings: keep all 9 and 3.")
    if norms != 9:
        raise Wrong(f"BatchNorm stays after each convolution: 9, not {norms}.")
    if relus != 3:
        known = {9: "No ReLU is gone", 0: "All ReLUs are gone"}
        said = known.get(relus, f"{relus} ReLUs are left")
        raise Wrong(f"{said}: each of the three blocks keeps one.")
    order = [type(m) for m in layers if not isinstance(m, nn.BatchNorm2d | nn.Identity)]
    ends = {order[i - 1] for i, kind in enumerate(order) if kind is nn.MaxPool2d}
    if ends != {nn.ReLU}:
        raise Wrong("The ReLU that stays is the last one, before the pooling.")


@exercise("04.7")
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
