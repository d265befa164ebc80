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
    expect_parts,
    in_order,
    labelled,
    without,
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
    expect_parts(answer := in_order(answer), 3)
    pair = 64 * 64
    per_channel = "multiply by 64 × 64: every output channel has a kernel for each one."
    once = "every output channel has a kernel for each input channel: 64 × 64 of them."
    parts = (
        (
            5,
            {
                4: "four see 9: 1 + 4 · 2.",
                6: "the first one sees 3 already.",
                9: "11 − 3 + 1 counts places of one kernel.",
                3: "each layer adds 2 to what is seen; it does not double it.",
            },
            "Each layer adds 2 to what is seen, beginning at 1.",
        ),
        (
            45 * pair,
            {
                45: per_channel,
                45 * 64: once,
                9 * pair: "this is one of the layers; the stack has five.",
                45 * pair + 320: "no biases: weights alone.",
                9 * 3 * 64 + 36 * pair: "the first layer has 64 channels in, too.",
                15 * pair: "a 3 × 3 kernel has 9 weights, not 3.",
                (9 * pair) ** 5: "add the layers' weights.",
            },
            "A layer holds 9 · 64 · 64 weights.",
        ),
        (
            121 * pair,
            {
                121: per_channel,
                121 * 64: once,
                121 * pair + 64: "no biases: weights alone.",
                11 * pair: "an 11 × 11 kernel has 121 weights, not 11.",
                121 * 3 * 64: "it has 64 channels in.",
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
    told = "No nn.init.kaiming_normal_ here: nn.init.normal_ with your own deviation."
    with without(nn.init, "kaiming_normal_", told):
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
        (2 / (64 * 9)) ** 0.5: "this layer's kernel is 5 × 5, not 3 × 3.",
        (2 / (64 * n_out)) ** 0.5: "n_in are the weights of one output channel.",
        (2 / n_in / 3) ** 0.5: "a uniform distribution ends at more than its deviation;"
        " take a normal one.",
        (7 / n_in / 3) ** 0.5: "the old weights are still in it: replace them.",
    }
    with labelled("The weights' standard deviation is"):
        hint = "Var(W) = 2 / n_in; n_in is input channels times kernel area."
        right = (2 / n_in) ** 0.5
        value = weight.std().item()
        expect_number(value, right, tolerance=0.02, misconceptions=known, hint=hint)
    if weight.mean().abs() > 0.1 * right:
        raise Wrong(f"The weights' mean is {weight.mean():.2g}, not 0.")
    if weight.abs().max() < 3 * right:
        raise Wrong("The spread is right; the distribution is not normal.")
    return f"√(2 / {n_in:,}) = {right:.4f} for 64 channels of 5 × 5."


@exercise("04.3")
def classifiers(answer: Any) -> str:
    """VGG A with one linear layer and D with three and dropout, for CIFAR-10."""
    expect_parts(answer, 2)
    hints = (
        "VGG A for 32x32: stem='cifar', ten classes, hidden=().",
        "VGG D for 32x32: stem='cifar', ten classes, hidden=(4096, 4096).",
    )
    sizes = zip("ab", answer, (ONE_FC, THREE_FC), hints, strict=True)
    for letter, model, parameters, hint in sizes:
        net = call(model) if isinstance(model, type) else model
        if isinstance(net, nn.Module):
            if len(next(net.parameters(), [0] * 64)) != 64:
                raise Wrong(f"({letter}) Full width is asked for: 64 channels first.")
            _known_size(letter, sum(p.numel() for p in net.parameters()), parameters)
        shapes = (2, 3, 32, 32), (2, 10)
        with labelled(f"({letter})"):
            expect_module(net, *shapes, parameters=parameters, hint=hint)
        if letter == "b":
            _check_dropout(net)
    return f"(b) is {LINEAR_D / THREE_FC:.0%} linear, (a) less than 1 %."


HIDDEN = "one hidden layer makes two linear layers; hidden= leaves the last one out."
OUTPUT = "the linear layer for the classes is no hidden one; it comes by itself."
NORM = "no BatchNorm is asked for."
OTHER_FORMS = {
    "a": (
        ("A", {"hidden": (10,)}, OUTPUT),
        ("A", {"hidden": (4096,)}, HIDDEN),
        ("A", {"hidden": (), "batch_norm": True}, NORM),
        ("B", {"hidden": ()}, "this is B, with two convolutions in each block."),
        ("D", {}, "this is the network of (b)."),
    ),
    "b": (
        ("D", {"hidden": (4096, 4096, 10)}, OUTPUT),
        ("D", {"hidden": (4096,)}, HIDDEN),
        ("D", {"hidden": (512, 512)}, "the hidden layers have 4,096 values each."),
        ("D", {"batch_norm": True}, NORM),
        ("C", {}, "this is C, whose third layer in a block is 1 × 1."),
        ("E", {}, "this is E, VGG-19."),
    ),
}


def _known_size(letter: str, got: int, right: int) -> None:
    """Name what a wrong number of parameters betrays."""
    for other, options, reason in OTHER_FORMS[letter]:
        with torch.device("meta"):
            net = vgg(other, 10, stem="cifar", **options)
        if got != right and got == sum(p.numel() for p in net.parameters()):
            raise Wrong(f"({letter}) {got:,} parameters: {reason}", reason=reason)
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
        told = "Write it without torch's adaptive pooling; F.interpolate uses it too."
        with without(F, "adaptive_avg_pool2d", told):
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
    right = F.adaptive_avg_pool2d(maps, size)
    known = {
        "these are maxima; average.": F.adaptive_max_pool2d(maps, size),
        "this interpolates; average over windows.": F.interpolate(
            maps, size=size, mode="bilinear", align_corners=False
        ),
        "height and width are exchanged.": _pooled(maps, size, *RULE, turned=True),
    }
    if right.shape[2] == right.shape[3]:
        known["rows and columns are exchanged."] = right.mT
    known |= {why: _pooled(maps, size, *rule) for why, rule in WINDOWS.items()}
    counts = [n // out for n, out in zip(maps.shape[2:], size, strict=True)]
    known["these are sums; average."] = right * counts[0] * counts[1]
    for why, value in known.items():
        if torch.allclose(got, value, atol=1e-5, equal_nan=True):
            return why
    if torch.allclose(got, got[:, :1].expand_as(got)):
        return "each image and each channel has its own mean, over height and width."
    if (got[:, :, -1] == 0).all() or (got[..., -1] == 0).all():
        return "the last row or column is still 0: the loop ends too early."
    return (
        "the windows are others: ⌊i H / h⌋ to ⌈(i + 1) H / h⌉ in height; W, w in width."
    )


def _pooled(
    maps: Tensor, size: tuple[int, int], start: Any, end: Any, *, turned: bool = False
) -> Tensor:
    """Average (N, C, H, W) over windows that begin and end by these rules."""
    lengths = maps.shape[2:][::-1] if turned else maps.shape[2:]
    for axis, (n, out) in enumerate(zip(lengths, size, strict=True), start=2):
        windows = [slice(start(i, n, out), end(i, n, out)) for i in range(out)]
        parts = [maps.movedim(axis, -1)[..., w].mean(-1) for w in windows]
        maps = torch.stack(parts, dim=axis)
    return maps


def _start(i: int, n: int, out: int) -> int:
    return i * n // out


def _end(i: int, n: int, out: int) -> int:
    return -(-(i + 1) * n // out)


RULE = _start, _end
WINDOWS = {
    "a window ends at ⌈(i + 1) n / out⌉, rounded up, not down.": (
        _start,
        lambda i, n, out: (i + 1) * n // out,
    ),
    "a window begins at ⌊i n / out⌋, rounded down, not up.": (
        lambda i, n, out: -(-i * n // out),
        _end,
    ),
    "the value at ⌈(i + 1) n / out⌉ does not belong to window i.": (
        _start,
        lambda i, n, out: _end(i, n, out) + 1,
    ),
    "the beginning is rounded down and the end up, not to the nearest.": (
        lambda i, n, out: round(i * n / out),
        lambda i, n, out: round((i + 1) * n / out),
    ),
    "not all windows are equally long.": (
        _start,
        lambda i, n, out: _start(i, n, out) - (-n // out),
    ),
    "n // out drops the rest: windows of unequal length overlap.": (
        lambda i, n, out: i * (n // out),
        lambda i, n, out: (i + 1) * (n // out),
    ),
    "this is one stride and one kernel for all windows.": (
        lambda i, n, out: i * max(n // out, 1),
        lambda i, n, out: i * max(n // out, 1) + n - (out - 1) * max(n // out, 1),
    ),
}


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
    others = {
        512 * 16: "It still expects 512 channels. How many has the last block?",
        512 * 4: "512 · 2 · 2 is not what comes: 256 maps of 4 × 4.",
        256: "It expects one value of each map; a map has 4 × 4, and keeps them.",
        256 * 64: "Three poolings leave 4 × 4, not 8 × 8.",
        256 * 4: "One more pooling runs, but the 4 × 4 maps are to stay.",
    }
    if linear[0].in_features in others:
        raise Wrong(others[linear[0].in_features])
    hint = "The last maps are (256, 4, 4)."
    expect_module(net, (2, 3, 32, 32), (2, 10), hint=hint)
    _check_dropout(net, "")
    with torch.no_grad():
        logits = net.eval()(torch.randn(4, 3, 32, 32))
    if torch.allclose(logits.sum(1), torch.ones(4), atol=1e-4):
        raise Wrong("It ends with a softmax; the loss wants logits, and has its own.")
    relus = sum(isinstance(m, nn.ReLU) for m in net.modules())
    if isinstance(net, nn.Sequential) and relus < len(LIST) + 2:
        raise Wrong("No ReLU follows the hidden linear layers: then they are one.")
    other = call(function, 7)
    expect_module(other, (2, 3, 32, 32), (2, 7), hint="Pass num_classes on.")
    return "256 · 4 · 4 = 4,096 values enter the first linear layer, not 8,192."


@exercise("04.6")
def few_relus(answer: Any) -> str:
    """A network with one ReLU in each block, and its trained runs, one a seed."""
    build, runs = expect_parts(answer, 2)
    _check_relus(call(build, [3, 3, 3]))
    with labelled("few_relus([3, 3]):"):
        _check_relus(call(build, [3, 3]), each=2)
    if not isinstance(runs, (tuple, list)) or not all(
        isinstance(run, (tuple, list)) and len(run) == 3 for run in runs
    ):
        raise Wrong(
            "Give what trained([3, 3, 3], seed, few_relus) returns, a seed each."
        )
    with redirect_stdout(StringIO()):  # where the photos are from is known by now
        val = data.cifar10().val
    for model, history, hits in runs:
        with labelled("A network of `runs`:"):
            _check_relus(model)
        if not getattr(history, "rows", None) or not torch.is_tensor(hits):
            raise Wrong("Each run is a network, its history, and what it recognises.")
        logits, labels = predict(model, val.subset(len(hits)).loader(500))
        if (logits.argmax(1) == labels).ne(hits).double().mean() > 0.01:
            raise Wrong("A network, run again, recognises other photos than its run.")
    if len(runs) < 2:
        raise Wrong("One run shows no spread: train with each seed.")
    losses = [history.rows[-1]["train_loss"] for _, history, _ in runs]
    if len(set(losses)) < len(runs):
        raise Wrong("Two runs are the same: was a new seed given to each?")
    share = sum(hits.double().mean().item() for *_, hits in runs) / len(runs)
    return f"{share:.1%} of the validation photos with one ReLU in each block."


SIZES = {2: 72_954, 3: 121_562}  # parameters of kernel_net with so many 3x3 a block


def _check_relus(net: Any, each: int = 3) -> None:
    """Reject what is not kernel_net of so many 3x3 with its last ReLUs alone."""
    if not isinstance(net, nn.Module):
        raise Wrong(f"A network is wanted here, not {describe(net)}.")
    layers = [m for m in net.modules() if not list(m.children())]
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
    convs, norms, relus, pools = (sum(isinstance(m, k) for m in layers) for k in kinds)
    wanted = 3 * each
    if (convs, pools) != (wanted, 3):
        raise Wrong(f"{convs} convolutions and {pools} poolings, not {wanted} and 3.")
    if norms != wanted:
        raise Wrong(f"BatchNorm stays after each convolution: {wanted}, not {norms}.")
    if relus != 3:
        known = {wanted: "No ReLU is gone", 0: "All ReLUs are gone"}
        said = known.get(relus, f"{relus} ReLUs are left")
        raise Wrong(f"{said}: each of the three blocks keeps one.")
    order = [type(m) for m in layers if not isinstance(m, nn.Identity)]
    at = [i for i, kind in enumerate(order) if kind is nn.MaxPool2d]
    if not all(nn.ReLU in (order[i - 1], order[i + 1]) for i in at):  # equal nets
        raise Wrong("The ReLU that stays is the last one, before or after the pooling.")
    if any(m.padding not in ("same", (1, 1)) for m in layers if type(m) is nn.Conv2d):
        raise Wrong("A 3 × 3 convolution has padding 1, and keeps the size.")
    count, right = sum(p.numel() for p in net.parameters()), SIZES[each]
    if count != right:
        told = f"{count:,} parameters, {right:,} in kernel_net"
        raise Wrong(f"{told}: keep its widths; its convolutions have no bias.")


@exercise("04.7")
def vgg19(answer: Any) -> str:
    """VGG-19 as a list, and what `fit` returns for two epochs, plain and with norm."""
    config, histories = expect_parts(answer, 2)
    if isinstance(config, str):
        raise Wrong("Write the list yourself: a tuple of channels for each block.")
    _check_list(config)
    for history in expect_parts(histories, 2):
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
    except (TypeError, KeyError):  # a history in place of the list, too
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
