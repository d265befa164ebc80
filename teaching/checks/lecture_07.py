"""Self-checks of lecture 07: shortcuts, the block, its price, depth, two stems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_function,
    expect_numbers,
    expect_parts,
)
from utils.history import History
from utils.models.resnet import BasicBlock


@exercise("07.1")
def between_stages(answer: Any) -> str:
    """A block from 128 to 256 channels with stride 2 on 28x28: shortcut and side."""
    projection = {
        32_768: "the 1x1 convolution is counted; its batch norm is missing.",
        33_024: "a batch norm has two numbers a channel, gamma and beta.",
        32_768 + 256 + 512: "the convolution has no bias, the batch norm brings beta.",
        9 * 32_768: "that is a 3x3 convolution; the shortcut's is 1x1.",
        9 * 32_768 + 512: "that is a 3x3 convolution; the shortcut's is 1x1.",
        33_152: "the batch norm normalises the output's channels.",
        128**2 + 256: "the shortcut ends with 256 channels.",
        128**2 + 512: "the shortcut ends with 256 channels.",
        256**2 + 512: "the shortcut begins with 128 channels.",
        33_792: "running mean and variance are no parameters.",
        918_528: "that is the whole block; only its shortcut is asked for.",
        33_280 * 14**2: "these are operations; each weight counts once.",
        32_768 * 14**2: "these are operations; each weight counts once.",
        0: "that is option A; this one has a convolution of 128 x 256 weights.",
    }
    zeros = dict.fromkeys((33280, 32768), "that is option B; A pads with zeros.")
    zeros |= {128: "zeros are appended, not learned."}
    side = {
        28: "the block steps by two.",
        56: "the side shrinks.",
        7: "one of its two convolutions has the stride, not both.",
        13: "the padding of 1 keeps the border: (28 + 2 - 3) // 2 + 1.",
        14**2: "that is the area; give one side.",
    }
    hint = "A 1x1 convolution has C_in x C_out weights, a batch norm 2 x C_out."
    stride = "A stride of 2 halves the side."
    parts = ((33_280, projection, hint), (0, zeros, hint), (14, side, stride))
    expect_numbers(answer, parts)
    return "128 × 256 + 2 × 256 = 33,280; A pads with zeros; 28 / 2 = 14."


@exercise("07.2")
def forward_of_a_block(answer: Any) -> str:
    """A block class of (in_channels, channels, stride), equal to BasicBlock."""
    for shape in ((6, 6, 1), (4, 8, 2)):
        block = call(answer, *shape)
        if not isinstance(block, nn.Module):
            raise Wrong(f"A block is wanted here, not {describe(block)}.")
        reference = _like(block, shape)
        x = torch.randn(4, shape[0], 8, 8).relu()
        for training in (False, True):
            told = f"This block gets {shape[0]} channels and puts out {shape[1]}:"
            told += " self.shortcut fits x to F."
            got = call(block.train(training), x, hint=told)
            with torch.no_grad():
                right = reference.train(training)(x)
            _check_output(got, right, block, x, shape)
    return "equal to BasicBlock, in training and in evaluation mode."


def _like(block: nn.Module, shape: tuple[int, int, int]) -> BasicBlock:
    """The reference with the block's weights; both get lively batch norms."""
    for part in block.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.5)
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 1.5)
    reference = BasicBlock(*shape)
    state = {
        name.replace("shortcut.", "downsample."): value.clone()
        for name, value in block.state_dict().items()
    }
    try:
        reference.load_state_dict(state)
    except RuntimeError as error:
        raise Wrong(
            "The block's layers are not the given ones any more: leave __init__ as it"
            " is, and write forward alone."
        ) from error
    return reference


def _check_output(
    got: Any, right: Tensor, block: nn.Module, x: Tensor, shape: tuple[int, int, int]
) -> None:
    """Reject another output than the reference's; name the mistake if it is known."""
    if not torch.is_tensor(got):
        raise Wrong(f"forward returns {describe(got)}, not a tensor.")
    if got.shape != right.shape:
        raise Wrong(
            f"The output has shape {tuple(got.shape)}, not {tuple(right.shape)}."
        )
    got = got.detach()
    if torch.allclose(got, right, rtol=1e-4, atol=1e-5):
        return
    with torch.no_grad():
        for wrong, reasons in sorted(_mistakes(block, x), key=lambda one: len(one[1])):
            if wrong.shape == got.shape and torch.allclose(got, wrong, atol=1e-5):
                raise Wrong(" ".join(reasons), FORWARD)
    gap = (got - right).abs().max().item()
    raise Wrong(
        f"The shape is right; values are off by up to {gap:.3g} for {shape}.", FORWARD
    )


FORWARD = "F is conv, batch norm, ReLU, conv, batch norm; then the sum; then a ReLU."


def _mistakes(block: Any, x: Tensor) -> Iterator[tuple[Tensor, list[str]]]:
    """What known mistakes put out, one at a time and together."""
    a, path = block.conv1(x), block.shortcut(x)
    starts = {
        "": block.bn1(a).relu(),
        "bn1 is not used.": a.relu(),
        "bn1 stands before its ReLU.": block.bn1(a.relu()),
        "bn2 stands where bn1 belongs.": block.bn2(a).relu(),
        "Between the two convolutions a ReLU is missing.": block.bn1(a),
    }
    early = "The ReLU of F belongs behind the sum: F must be free to subtract."
    for start, y in starts.items():
        z = block.conv2(y)
        ends = {"": block.bn2(z), "bn2 is not used.": z, early: block.bn2(z).relu()}
        ends["conv2 is not used."] = y
        for end, f in ends.items():
            sums = {
                "": f + path,
                "The shortcut is missing: this is a plain block.": f,
                "The shortcut takes x, not F(x).": f + f,
                "The two are added, not multiplied.": f * path,
                "F(x) is added, not subtracted.": path - f,
                "The shortcut is added, not subtracted.": f - path,
                "bn2 stands before the sum.": block.bn2(z + path),
                "On the shortcut stands no ReLU.": f + path.relu(),
            }
            for word, both in sums.items():
                reasons = [reason for reason in (start, end, word) if reason]
                yield both.relu(), reasons
                yield both, [*reasons, "After the sum stands a ReLU."]


@exercise("07.3")
def when_to_project(function: Any) -> str:
    """Projects exactly where the shapes differ, in channels or in sides."""
    _expect_sum(function, (2, 4, 6, 6), (2, 4, 6, 6), projects=False)
    _expect_sum(function, (2, 4, 6, 6), (2, 8, 6, 6), projects=True)
    _expect_sum(function, (2, 4, 6, 6), (2, 4, 3, 3), projects=True)
    _expect_sum(function, (2, 4, 6, 6), (2, 8, 3, 3), projects=True)
    _expect_sum(function, (2, 4, 6, 6), (2, 16, 3, 3), projects=True)  # as many values
    _expect_sum(function, (2, 4, 1, 1), (2, 4, 6, 6), projects=True)  # would broadcast
    return "the identity passes where shapes are equal."


def _expect_sum(
    function: Any, before: tuple[int, ...], after: tuple[int, ...], *, projects: bool
) -> None:
    """Call with these shapes; count how often `project` is called."""
    x, out, calls = torch.randn(before), torch.randn(after), []

    def project(value: Tensor) -> Tensor:
        calls.append(tuple(value.shape))
        return torch.full(after, 3.0)

    case = f"For x {before} and out {after}"
    try:
        # Not through `call`: a copy of `project` would count for itself.
        if not callable(function):
            call(function)
        got = function(x.clone(), out.clone(), project)
    except TypeError as error:
        if "ellipsis" in str(error):
            raise Unanswered from error
        raise
    except RuntimeError as error:
        if calls and calls[0] != before:
            raise Wrong(f"{case}: `project` takes x, not out.") from error
        raise Wrong(
            f"{case}: the sum fails, since x has not its projected shape.",
            "Compare whole shapes, not one number of them; and add what `project`"
            " returns.",
        ) from error
    if got is None or got is ...:
        raise Unanswered("add_shortcut returns nothing")
    if calls and not projects:
        raise Wrong(
            f"{case} it projects, though the shapes are equal.",
            "Ask `x.shape != out.shape`: `is not` would compare objects.",
        )
    if projects and not calls:
        raise Wrong(
            f"{case} it does not project, though the shapes differ.",
            "Equal counts of values, or a sum that broadcasts, are no equal shapes.",
        )
    if len(calls) > 1:
        raise Wrong(f"{case} it projects {len(calls)} times: once is enough.")
    path = torch.full(after, 3.0) if projects else x
    right = out + path
    if not torch.is_tensor(got) or got.shape != right.shape:
        raise Wrong(f"{case} it returns {describe(got)}.")
    known = {
        " out itself is not added.": path,
        " it is subtracted.": out - path,
        " the ReLU is not asked for.": right.relu(),
    }
    if not torch.allclose(got, right):
        told = [text for text, value in known.items() if torch.allclose(got, value)]
        what = f"{case} the result is not the sum of out and the shortcut"
        raise Wrong(f"{what}:{told[0]}" if told else f"{what}.")


@exercise("07.4")
def price_of_a_bottleneck(function: Any) -> str:
    """Multiply-adds of a bottleneck without projection, from channels and side."""
    known = {
        9: "Counted are 9 C² a place: the 3x3 alone, or its kernel as one weight?",
        10: "Both 1x1 convolutions touch four times the channels, on one side.",
        11: "Counted are 11 C² a place: a 3x3 kernel has nine weights, and the wide"
        " side of the 1x1 convolutions has 4 C channels.",
        13: "One of the two 1x1 convolutions is missing.",
        14: "The block's input has four times the channels, as its output has.",
        18: "This is a basic block: two 3x3 convolutions.",
        33: "This has a projection; the shortcut here is the identity.",
        34: "A multiply-add is one operation here, not two.",
        17 / 16: "`channels` is the narrow end: the wide one has four times as many.",
        17 / 56: "`side` is one side: a map has side × side places.",
        81: "The two outer convolutions are 1x1.",
        152: "The 3x3 convolution works on the narrow channels.",
        44: "The 3x3 convolution works on the narrow channels, on both sides.",
        176: "Only one side of each 1x1 is wide; the 3x3 works on C channels.",
        41: "Only one side of each 1x1 convolution is wide: 4 C × C, not 4 C × 4 C.",
        17 / 4: "The stride is 1: all three work at side × side places.",
        17 / 64: "A convolution of C_in × C_out kernels: the channels count twice.",
        8 + 9 * (58 / 56) ** 2: "With its padding the 3x3 has side × side places, too.",
    }
    small = "A bit too much: count no biases and no batch norms, kernels alone."
    got = call(function, 64, 56)
    if isinstance(got, (tuple, list)):
        raise Wrong("Give one number, the sum of the three.")
    if isinstance(got, (int, float)) and not isinstance(got, bool):
        weights = got / 64**2
        if math.isclose(weights, 17):
            raise Wrong("These are the weights; each is used at side × side places.")
        for factor, reason in known.items():
            if math.isclose(weights / 56**2, factor):
                raise Wrong(reason)
        extra = (weights / 56**2 - 17) * 64  # for each place and channel
        if 0 < extra < 64 and math.isclose(extra, round(extra)):
            raise Wrong(small)
    hint = "4C × C, then C × C × 9, then C × 4C; each for side × side places."
    inputs = [(64, 56), (128, 28), (3, 5)]
    expect_function(function, lambda c, n: 17 * c * c * n * n, inputs, hint=hint)
    return "17 × channels² for each place; a basic block needs 18."


@exercise("07.5")
def where_depth_begins(answer: Any) -> str:
    """Pairs alike to the last weight, and the runs of two depths."""
    pair, compared = expect_parts(answer, 2, "Give the function and the runs")
    for depth in (8, 20):
        _check_pair(call(pair, depth), depth)
    for width in (0.25, 0.5):
        net = call(pair, 8, width)[0]
        first = next(part for part in net.modules() if isinstance(part, nn.Conv2d))
        if first.out_channels != 16 * width:
            told = f"pair(8, {width}): the first convolution has {first.out_channels}"
            raise Wrong(f"{told} channels, not 16 × width. Pass `width` on.")
    if compared is ...:
        raise Unanswered("compared is not measured yet")
    if not isinstance(compared, Mapping) or set(compared) != {8, 32}:
        raise Wrong("compared has two keys, the depths 8 and 32.")
    gains = {depth: _gain(depth, both) for depth, both in compared.items()}
    if compared[8][0].rows == compared[32][0].rows:
        raise Wrong(
            "The runs of 8 and of 32 layers are the same: train at both depths."
        )
    told = (
        f"a shortcut brings {gains[8]:.1f} points at 8, {gains[32]:.1f} at 32 layers."
    )
    return told if gains[32] >= 0 else f"{told} Is the plain run the first of each?"


def _gain(depth: int, both: Any) -> float:
    """Training error of the plain run minus the residual one's, in points."""
    for history in expect_parts(both, 2, f"compared[{depth}] is (plain, residual)"):
        if not isinstance(history, History) or not history.rows:
            raise Wrong(
                f"compared[{depth}] holds {describe(history)}, not what learn returns.",
                "compared[depth] = learn(plain, run.seed), learn(residual, run.seed)",
            )
    rates = [history["lr"] for history in both]
    if rates[0] != rates[1]:
        raise Wrong(
            f"compared[{depth}]: the two had another number of epochs, or other"
            " learning rates: then the addition is not the only difference."
        )
    if both[0]["train_loss"] == both[1]["train_loss"]:
        raise Wrong(
            f"compared[{depth}] holds one run twice.",
            "learn(plain, run.seed), learn(residual, run.seed)",
        )
    plain, residual = (history["train_accuracy"][-1] for history in both)
    return 100 * (residual - plain)


def _check_pair(networks: Any, depth: int) -> None:
    """Reject networks that are no pair of this depth, or differ in a weight."""
    if not isinstance(networks, (tuple, list)) or len(networks) != 2:
        raise Wrong(f"pair returns {describe(networks)}, not two networks.")
    for network in networks:
        if not isinstance(network, nn.Module):
            raise Wrong(f"pair returns {describe(network)} where a network belongs.")
        layers = _depth(network)
        if layers != depth:
            raise Wrong(
                f"pair({depth}) gives a network of {layers} layers.",
                "6 n + 2 layers: n = (depth - 2) // 6.",
            )
    states = [network.state_dict() for network in networks]
    if states[0].keys() != states[1].keys():
        raise Wrong(
            "The two have different layers.", "Option A has no parameters: use it."
        )
    if not all(torch.equal(states[0][name], states[1][name]) for name in states[0]):
        raise Wrong(
            "The two begin with different weights.",
            "plain.load_state_dict(residual.state_dict()) copies them.",
        )
    shortcuts = [_shortcuts(network) for network in networks]
    if not all(count > 0 for count in shortcuts[1:]) or shortcuts[0]:
        raise Wrong("The first one has no shortcuts, the second one has them.")


def _depth(network: nn.Module) -> int:
    """Layers with weights on the main path."""
    return sum(
        isinstance(part, (nn.Conv2d, nn.Linear)) and "downsample" not in name
        for name, part in network.named_modules()
    )


def _shortcuts(network: nn.Module) -> int:
    """Blocks that have a path around them."""
    return sum(
        getattr(part, "downsample", None) is not None for part in network.modules()
    )


@exercise("07.6")
def stem_for_small_photos(answer: Any) -> str:
    """ResNet-34 on 32x32: the last side with either stem, and what a kernel meets."""
    small = {
        32: "that is the first stage's side; each of the three others halves it.",
        16: "three stages halve 32, not one.",
        8: "three stages halve 32, not two.",
        2: "the first stage keeps the side of 32; three stages halve it.",
        1: "that is with the stem for ImageNet.",
        7: "that is with a photo of 224 pixels.",
    }
    large = {
        8: "that is the first stage's side; each of the three others halves it.",
        4: "this stem divides by four before the first stage.",
        2: "the stem's convolution and its pooling both have stride 2.",
        7: "that is with a photo of 224 pixels.",
    }
    weights = {
        9: "around a map of one place stands padding alone.",
        8: "that is how many meet padding alone.",
        4: "that would be on a map of 2 x 2, at each of its places.",
        0: "the kernel's middle stands on the map's one place.",
    }
    hint = "Stem first, then four stages, of which three halve the side."
    middle = "A map of one place, and zeros around it: lay the kernel on."
    expect_numbers(answer, ((4, small, hint), (1, large, hint), (1, weights, middle)))
    return "32, 16, 8, 4; but 8, 4, 2, 1, where eight of nine weights learn nothing."
