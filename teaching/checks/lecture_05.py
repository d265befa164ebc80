"""Self-checks of lecture 05: a module, its cost, merging, maps, Table 1."""

from __future__ import annotations

import copy
from dataclasses import replace
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
    expect_module,
    expect_numbers,
    expect_weights,
)
from utils.look import totals
from utils.models.googlenet import TABLE_1, Inception, Widths

BUDGET, LEAST, NARROWEST = 120e6, 110e6, 16  # multiply-adds, and channels
BRANCHES = ("1×1", "3×3", "5×5", "pooling")
SOME_WIDTHS = (Widths(3, 4, 5, 2, 7, 6), Widths(8, 2, 3, 3, 2, 4))


@exercise("05.1")
def module_4b(answer: Any) -> str:
    """Channels of module 4b, of its naive form, and the cost of its 5x5 branch."""
    inside = "the reductions are inside their branches; they do not come out."
    ends = {
        648: inside,
        960: "that is the naive module; here the pooling ends in a 1×1.",
        448: "the pooling branch puts out channels too.",
        1024: "the input's channels are not passed on beside the branches.",
    }
    naive = {
        512: "the naive pooling has no projection: all its channels go on.",
        1024: "the naive pooling has no projection: leave its 64 out.",
        448: "the pooling branch puts out all channels that it gets.",
        1096: inside,
        1160: inside,
    }
    costs = {
        50_688: "that is for one position; there are 14 × 14.",
        7_526_400: "that is the 5×5 alone; its reduction costs something too.",
        2_408_448: "that is the reduction alone.",
        160_563_200: "the 5×5 gets 24 channels here, not all 512.",
        3_913_728: "a 5×5 kernel has 25 weights for each channel, not 5.",
        709_632: "there are 14 × 14 positions, not 14.",
        39_739_392: "stage 4 has 14 × 14 positions, not 28 × 28.",
        6_248_448: "padding keeps 14 × 14 positions for the 5×5, too.",
        50_776: "these are parameters; a weight is used at every position.",
        55_494_656: "that is the 3×3 branch.",
        9_952_096: "biases are not counted.",
        19_869_696: "a multiply-add counts once, not as two.",
        5_117_952: "the kernel of this branch is 5×5, not 3×3.",
        67_737_600: "the reduction is 1×1; only the second convolution is 5×5.",
        3_853_516_800: "add the costs of the two convolutions.",
        26_492_928: "Widths' fourth number, 24, is what the 5×5 gets.",
    }
    parts = (
        (512, ends, "Stack four outputs: 1×1, 3×3, 5×5, projection."),
        (960, naive, "160 + 224 + 64, and what the pooling gets."),
        (9_934_848, costs, "Per place: 512 × 24, then 25 × 24 × 64."),
    )
    expect_numbers(answer, parts)
    return "512, not 960 channels; 9.9 million instead of 160.6."


@exercise("05.2")
def inception_module(answer: Any) -> str:
    """A class of Inception modules: sizes, kernels in order, a ReLU everywhere."""
    if not isinstance(answer, type):
        raise Wrong(f"Give the class itself, not {describe(answer)}.")
    if answer.__init__ is nn.Module.__init__:
        raise Unanswered("The class has no layers yet.")
    for w in SOME_WIDTHS:
        module = call(answer, 9, w)
        shape = (2, w.out_channels, 7, 7)
        try:
            expect_module(module, (2, 9, 7, 7), shape, parameters=_weights(w))
        except Wrong as wrong:
            raise Wrong(wrong.hints[0], _why(module, w, wrong.hints[0])) from None
        _check_kernels(module, w)
        _check_relus(module, w)
        _check_pooling(module, w)
    return "sizes, kernels, order and activations are those of Figure 2(b)."


def _weights(
    w: Widths, *, last: int = 5, large_first: bool = False, reduced: bool = True
) -> int:
    """Parameters of a module with 9 channels in, or of one with a mistake."""

    def conv(channels: int, outputs: int, side: int) -> int:
        return (channels * side**2 + 1) * outputs

    count = conv(9, w.out_1x1, 1) + conv(9, w.pool_proj, 1)
    pairs = (w.reduce_3x3, w.out_3x3, 3), (w.reduce_5x5, w.out_5x5, last)
    for reduction, outputs, side in pairs:
        one, two = (side, 1) if large_first else (1, side)
        both = conv(9, reduction, one) + conv(reduction, outputs, two)
        count += both if reduced else conv(9, outputs, side)
    return count


def _why(module: Any, w: Widths, told: str) -> str:
    """What explains the size, the number of parameters, or torch's complaint."""
    for sign, why in JOINING.items():
        if sign in told:
            return why
    if f", {sum(_outputs(w)[:3])}, 7, 7), not" in told:
        return "The fourth branch is missing: a pooling, and its projection."
    if f", {sum(_outputs(w)[:3]) + 9}, 7, 7), not" in told:
        return "The pooling needs its projection: a 1×1 to w.pool_proj channels."
    swapped = replace(w, reduce_3x3=w.reduce_5x5, reduce_5x5=w.reduce_3x3)
    known = {
        _weights(w, reduced=False): "A 1×1 reduces before the 3×3, and before the 5×5.",
        _weights(swapped): "The two reductions are exchanged.",
        _weights(w, large_first=True): "The 1×1 stands before the large kernel.",
        _weights(w, last=3): "The third branch has a 5×5 kernel.",
    }
    count = sum(p.numel() for p in getattr(module, "parameters", tuple)())
    if count in known:
        return known[count]
    sides = (w.reduce_3x3, 9, 1), (w.out_3x3, w.reduce_3x3, 3), (w.reduce_5x5, 9, 1)
    sides += (w.out_1x1, 9, 1), (w.out_5x5, w.reduce_5x5, 5), (w.pool_proj, 9, 1)
    try:
        expect_weights(module, [(out, c, k, k) for out, c, k in sides])
    except Wrong as wrong:
        return wrong.hints[0]
    if count != _weights(w):
        return "The convolutions are right: nothing else has parameters."
    return "Each branch gets the module's input; its widths are those of w."


# What torch says of branches that do not join -> what to mend.
JOINING = {
    "must match the size of tensor": "Do not add the branches: torch.cat(..., dim=1).",
    "not a tensor": "Join the four outputs: torch.cat(..., dim=1).",
    "stack expects": "torch.stack makes a new axis: torch.cat(..., dim=1).",
    "except in dimension 2": "Channels are dim=1 of torch.cat; height is dim=2.",
    "except in dimension 3": "Channels are dim=1 of torch.cat; width is dim=3.",
    "except in dimension 0": "This stacks photos; channels are dim=1 of torch.cat.",
    "except in dimension 1": "A branch changes height or width: the pooling needs"
    " stride=1 and padding=1.",
}


def _outputs(w: Widths) -> list[int]:
    return [w.out_1x1, w.out_3x3, w.out_5x5, w.pool_proj]


def _filled(module: nn.Module, value: float) -> nn.Module:
    """A copy in which each weight is `value`, and each bias 0."""
    module = copy.deepcopy(module).cpu().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value if parameter.dim() > 1 else 0.0)
    return module


def _check_kernels(module: nn.Module, w: Widths) -> None:
    """Reject branches that see another square than 1, 3, 5 and 3, in this order."""
    module = _filled(module, 0.1)
    image = torch.ones(1, 9, 13, 13)
    brighter = image.clone()
    brighter[..., 6, 6] += 1  # with positive weights all that see it get larger
    with torch.no_grad():
        changed = call(module, brighter) - call(module, image) > 1e-6
    parts = changed[0].split(_outputs(w))
    sides = [int(part.any(0).any(0).sum()) for part in parts]
    for name, side, right in zip(BRANCHES, sides, (1, 3, 5, 3), strict=True):
        if side != right:
            raise Wrong(
                f"The channels of the {name} branch see {side}×{side} pixels, not"
                f" {right}×{right}.",
                "Stack the branches in the order 1×1, 3×3, 5×5, pooling; the pooling"
                " takes a 3×3 window with stride 1.",
            )


def _check_pooling(module: nn.Module, w: Widths) -> None:
    """Reject a mean, and a projection before the pooling: both see 3×3 pixels, too."""
    x = torch.rand(1, 9, 7, 7, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        got = call(_filled(module, 0.1), x)[:, -1]
    largest = F.max_pool2d(x, 3, stride=1, padding=1)
    if torch.allclose(got, 0.1 * largest.sum(1), atol=1e-4):
        return
    first = F.max_pool2d(0.1 * x.sum(1, keepdim=True), 3, stride=1, padding=1)
    if torch.allclose(got, first[:, 0], atol=1e-4):
        raise Wrong("The projection stands before the pooling; it comes after it.")
    raise Wrong("The pooling is to take the largest of 3×3 values, not their mean.")


def _check_relus(module: nn.Module, w: Widths) -> None:
    """Reject a missing ReLU: with negative weights it lets something through."""
    with torch.no_grad():
        output = call(_filled(module, -1.0), torch.ones(1, 9, 7, 7))
    for name, part in zip(BRANCHES, output[0].split(_outputs(w)), strict=True):
        if (part < 0).any():
            raise Wrong(f"The {name} branch puts out negative values: no ReLU ends it.")
        if (part > 0).any():
            raise Wrong(
                f"In the {name} branch no ReLU follows the reduction.",
                "Without it, reduction and kernel are one linear map.",
            )


@exercise("05.3")
def module_for_a_budget(answer: Any) -> str:
    """Reductions of 4e that spend between 110 and 120 million multiply-adds."""
    if not hasattr(answer, "reduce_3x3"):
        raise Wrong(f"Give a Widths, not {describe(answer)}.")
    wanted = TABLE_1["4e"]
    if _outputs(answer) != _outputs(wanted):
        raise Wrong(
            f"The outputs are {_outputs(answer)}; they stay {_outputs(wanted)}.",
            "Change the second and the fourth number alone.",
        )
    reductions = answer.reduce_3x3, answer.reduce_5x5
    if any(number % 1 for number in reductions):
        raise Wrong(f"Reductions to {reductions}: channels are whole numbers.")
    if min(reductions) < NARROWEST:
        raise Wrong(f"Reductions to {reductions}: both at least {NARROWEST}.")
    with torch.device("meta"):
        module = Inception(528, Widths(*map(int, vars(answer).values())))
    cost = totals(module, (528, 14, 14))[1]
    shown = f"{cost / 1e6:.1f} million multiply-adds"
    if cost > BUDGET:
        more = f"A channel of the 3×3 reduction costs {_price(3, 320):,}, one of the"
        more += f" 5×5 reduction {_price(5, 128):,}."
        raise Wrong(f"{shown}: over the budget of 120.", more)
    if cost < LEAST:
        raise Wrong(f"{shown}: less than 110. Spend the rest on wider reductions.")
    return f"{shown} instead of 170."


def _price(kernel: int, channels: int) -> int:
    """Multiply-adds of one more channel in a reduction of module 4e."""
    return 196 * (528 + kernel * kernel * channels)


@exercise("05.4")
def merged(function: Any) -> str:
    """One 1x1 convolution in place of two without a ReLU between them."""
    draw = torch.Generator().manual_seed(5)
    for a, b, c in ((3, 3, 3), (5, 2, 4), (4, 6, 2)):  # where all fits comes first
        first, second = nn.Conv2d(a, b, 1), nn.Conv2d(b, c, 1)
        with torch.no_grad():
            for p in (*first.parameters(), *second.parameters()):
                p.copy_(torch.randn(p.shape, generator=draw))
        one = call(function, first, second)
        if not isinstance(one, nn.Conv2d):
            raise Wrong(f"Return one convolution, not {describe(one)}.")
        if one.kernel_size != (1, 1):
            raise Wrong(f"Its kernel is {one.kernel_size}; 1 × 1 is asked for.")
        again = call(function, first, second)
        if not torch.equal(one.weight, again.weight):
            raise Wrong("Its weights are drawn anew in each call: copy yours into it.")
        _compare(one, first, second, torch.randn(2, a, 3, 3, generator=draw))
    return "W = W₂W₁ and b = W₂b₁ + b₂."


def _compare(one: Any, first: nn.Conv2d, second: nn.Conv2d, x: Tensor) -> None:
    """Reject a convolution that is not second(first(x)), and say which part is off."""
    with torch.no_grad():
        right, got = second(first(x)), call(one, x)
        if got.shape != right.shape:
            raise Wrong(f"It returns {tuple(got.shape)}, not {tuple(right.shape)}.")
        if torch.allclose(got, right, atol=1e-4):
            return
        zero = torch.zeros_like(x)
        bias, wanted = call(one, zero), second(first(zero))
        one_, two = (layer.weight[:, :, 0, 0] for layer in (first, second))
        b1, b2 = first.bias, second.bias
    if torch.allclose(got - bias, right - wanted, atol=1e-4):
        known = {
            "W₂b₁ is missing: the first bias goes through the second convolution.": b2,
            "b₁ goes through the second convolution: W₂b₁.": b1[: len(b2)] + b2,
            "b₂ is missing.": two @ b1,
            "It is 0.": 0 * b2,
            "There is no ReLU between the two.": two @ b1.relu() + b2,
        }
        why = next((k for k, v in known.items() if _same(bias[0, :, 0, 0], v)), "")
        raise Wrong(
            f"The weights are right, the bias is not. {why}".strip(),
            "It is what the pair puts out for zeros: W₂b₁ + b₂.",
        )
    known = {
        "W₁W₂ applies the second one first.": one_ @ two if _square(one_) else None,
        "* multiplies element by element; matrices multiply with @.": (
            one_ * two if _square(one_) else None
        ),
        "There is no ReLU between the two.": two @ one_.relu(),
        "Matrices are multiplied, not added.": one_ + two if _square(one_) else None,
        "It is the first one alone.": one_,
        "It is the second one alone.": two,
    }
    weight = one.weight[:, :, 0, 0]
    why = next((k for k, v in known.items() if _same(weight, v)), "")
    raise Wrong(
        f"Its output is not second(first(x)). {why}".strip(),
        "As matrices (out, in): what is applied first stands at the right.",
    )


def _square(matrix: Tensor) -> bool:
    return matrix.shape[0] == matrix.shape[1]


def _same(got: Tensor | None, value: Tensor | None) -> bool:
    fits = got is not None and value is not None and got.shape == value.shape
    return bool(fits and torch.allclose(got, value, atol=1e-4))


@exercise("05.5")
def activation_map(function: Any) -> str:
    """The map of a class, whose mean is the class's logit."""
    draw = torch.Generator().manual_seed(5)
    maps = torch.randn(2, 6, 4, 3, generator=draw)
    weight, bias = (torch.randn(*s, generator=draw) for s in ((5, 6), (5,)))
    for label in (0, 3):
        got = call(function, maps, weight, bias, label)
        if not torch.is_tensor(got) or got.shape != (2, 4, 3):
            why = "Sum over the channels, not over the images or the positions."
            whys = {
                (2, 5, 4, 3): "These are the maps of all classes; one is asked for.",
                (2, 1, 4, 3): "The axis of the channels should be gone: sum(dim=1).",
                (2, 3, 4): "Height and width are exchanged.",
                (4, 3): "This is one map; each image has its own.",
            }
            why = whys.get(tuple(getattr(got, "shape", ())), why)
            shown = describe(got)
            raise Wrong(f"It returns {shown}, not maps of shape (2, 4, 3).", why)
        right = torch.einsum("nchw,c->nhw", maps, weight[label]) + bias[label]
        off = got - right
        if torch.allclose(off, torch.zeros_like(off), atol=1e-4):
            continue
        if torch.allclose(off, -bias[label].expand_as(off), atol=1e-4):
            raise Wrong("The mean is the logit without its bias: add the class's bias.")
        if torch.allclose(got, right / 12, atol=1e-4):
            raise Wrong("The mean comes later: do not divide by the positions here.")
        row, b = weight[label], bias[label]
        top, votes = right.amax((1, 2), keepdim=True), right - b
        every = F.conv2d(maps, weight[:, :, None, None], bias)
        size = torch.einsum("nchw,c->nhw", maps, row.abs()) + b
        known = {
            "The bias is added whole at every position.": votes + b / 12,
            "The bias is added, not subtracted.": votes - b,
            "The bias is that of this class alone.": votes + bias.sum(),
            "Negative votes count, too.": right.relu(),
            "The bias is added once, not for each channel.": votes + len(row) * b,
            "The positions' mean comes later: do not divide here.": votes / 12 + b,
            "Do not multiply by the number of positions.": votes * 12 + b,
            "It is squeezed into 0 to 1.": right.sigmoid(),
            "It is scaled to 0 to 1.": (right - right.min())
            / (right.max() - right.min()),
            "It is one map for all images.": right.mean(0).expand_as(right),
            "It is not scaled to 1.": right / top,
            "Channels are summed, not averaged.": votes / 6 + b,
            "These are probabilities.": every.softmax(1)[:, label],
            "The sign of a weight counts.": size,
            "The weights are missing.": maps.mean(1),
            "The maps are summed without their weights.": maps.sum(1) + b,
            "All channels count, not the strongest.": (
                maps[:, row.argmax()] * row.max() + b
            ),
        }
        why = next((k for k, v in known.items() if _same(got, v)), "")
        if any(_same(got, every[:, k]) for k in range(5)):
            why = "This is the map of another class: use `label`."
        what = "The mean of the map is not the logit."
        if torch.allclose(off.mean((1, 2)), torch.zeros(2), atol=1e-4):
            what = "The mean of the map is the logit; the map itself is another."
        raise Wrong(
            f"{what} {why}".strip(),
            "Each channel counts with the weight that this class gives it.",
        )
    return "its mean over all positions is the logit."


@exercise("05.6")
def table_1(answer: Any) -> str:
    """Weights and operations of a row of Table 1, and the rows printed wrong."""
    function, wrong = answer
    if wrong is ...:
        raise Unanswered
    bias = "count the weights alone: a bias has one axis."
    rows = [[nn.Conv2d(3, 64, 7)], [nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3)]]
    for modules, side, weights in zip(rows, (10, 6), (9408, 608), strict=True):
        got = call(function, modules, side)
        biases = sum(m.out_channels for m in modules)
        in_k = {
            float(weights): "K is 1,024: divide by it.",
            weights / 1000: "K is 1,024 here, not 1,000.",
            (weights + biases) / 1024: bias,
            weights * side**2 / 1e6: "the weights come first, then the operations.",
            32 / 1024: "count all modules of the row, not the first alone.",
        }
        in_m = {
            float(weights * side**2): "give millions.",
            weights / 1e6: "each weight is used at every position.",
            (weights + biases) * side**2 / 1e6: bias,
            weights * side**2 / 1024**2: "a million is 1,000,000 here.",
            weights * side / 1e6: "there are side × side positions.",
            2 * weights * side**2 / 1e6: "a multiply-add counts once.",
        }
        parts = (weights / 1024, in_k, ""), (weights * side**2 / 1e6, in_m, "")
        expect_numbers(got, parts)
    if not isinstance(wrong, (set, frozenset, list, tuple)):
        raise Wrong(f"wrong is a set of names of rows, not {describe(wrong)}.")
    strange = set(map(str, wrong)) - {"conv 7×7", "conv 3×3", "linear", *TABLE_1}
    if strange:
        raise Wrong(f"No row is called {min(strange)!r}: take a name from `printed`.")
    if len(wrong) == 10 and not MISPRINTED & set(wrong):
        raise Wrong("These are the rows that are printed right; give the others.")
    for name in sorted(map(str, set(wrong) - MISPRINTED)):
        raise Wrong(
            f"The number of operations of {name} is printed right.",
            "Compare the second number, in M; up to 1 million is rounding.",
        )
    for name in sorted(MISPRINTED - set(wrong)):
        raise Wrong(
            f"The number of operations of {name} is off by more.",
            "Take all 12 rows; printed too high is wrong, too, and the limit is 1"
            " million, not a share.",
        )
    return f"{len(MISPRINTED)} of 12 rows are off; the rest was counted as we do."


# Rows of Table 1 whose printed operations are not those of the printed widths.
MISPRINTED = {"conv 7×7", "5a"}
