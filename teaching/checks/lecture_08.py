"""Self-checks of lecture 08: the swap, what trains, what stays still, what loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from teaching.checks import (
    Unanswered,
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_numbers,
    expect_parts,
    labelled,
)
from utils.models import build


@exercise("08.1")
def left_to_train(answer: Any) -> str:
    """AlexNet with two classes: trainable after either order, and parameters in all."""
    head, old, whole = 4096 * 2 + 2, 4096 * 1000 + 1000, 61_100_840
    swapped = {
        4096 * 2: "each output has a bias, too.",
        0: "the new layer comes after the freezing, and is born trainable.",
        old: "that is the layer which is gone.",
        whole: "that is the whole network, and it is frozen.",
        40_970: "that is for ten classes; here are two.",
        4096 * 2 + 1: "each output has its own bias: two.",
        4096 + 1: "two classes have two outputs, each with 4,096 weights and a bias.",
        whole - old + head: "the freezing came first: only the new layer trains.",
        2: "its weights train, too, not the biases alone.",
        2002: "the inputs are the 4,096 features of the layer before.",
        whole - old: "these are frozen; what still trains?",
    }
    frozen = {
        head: "the new layer is a parameter like others: it is frozen with them.",
        whole: "freezing is what stops them.",
        whole - old + head: "freezing is what stops them, the old layers as the new.",
        2: "biases are parameters, and frozen with the weights.",
    }
    total = {
        whole: "the old layer is gone, and the new one is smaller.",
        whole - old: "the new layer counts.",
        whole + head: "the old layer is gone.",
        head: "frozen parameters count, too: all that the network has.",
        whole - 4096 * 1000 + 4096 * 2: "the biases count: 1,000 go, 2 come.",
        whole - 4096 * 1000 + head: "the biases count: 1,000 go, 2 come.",
        57: "give the number itself, not millions.",
    }
    hint = "A linear layer has inputs x outputs weights, and a bias for each output."
    parts = (
        (head, swapped, hint),
        (0, frozen, hint),
        (whole - old + head, total, hint),
    )
    expect_numbers(answer, parts)
    return "4096 × 2 + 2 = 8,194; nothing; 61,100,840 − 4,097,000 + 8,194."


@exercise("08.2")
def swap_by_hand(function: Any) -> str:
    """VGG-16, frozen, with a new last layer that trains."""
    for classes in (10, 3):
        with torch.device("meta"):
            net = build("vgg16")
            swapped = call(function, net, classes, copied=False)
        if not isinstance(swapped, nn.Module):
            raise Wrong(f"Return the network, not {describe(swapped)}.")
        _check_swapped(swapped, classes)
    return "4,096 × 10 + 10 = 40,970 parameters train, of 134 million."


def _check_swapped(net: nn.Module, classes: int) -> None:
    """Reject another last layer, or other trainable parameters than its own two."""
    if not hasattr(net, "classifier"):
        told = "Return the VGG itself, with a new layer in it: this has no classifier."
        raise Wrong(told, "net.classifier[6] = nn.Linear(...), then return net.")
    layers = list(net.classifier.children())
    layer = layers[-1] if layers else None
    if len(layers) != 7 or not isinstance(layer, nn.Linear):
        raise Wrong(
            "The classifier should keep its seven layers; only classifier[6] is new.",
            "net.classifier[6] = nn.Linear(...)",
        )
    if layer.out_features == classes and len(layer.weight) != classes:
        raise Wrong(
            f"out_features says {classes}, but the weight still is"
            f" {tuple(layer.weight.shape)}: an attribute changes no tensor.",
            "Make a new nn.Linear(4096, classes), and put it in the old one's place.",
        )
    if tuple(layer.weight.shape) != (classes, 4096):
        told = f"For {classes} classes the last weight is {tuple(layer.weight.shape)},"
        kind = {
            1000: "This is the old layer: put a new one in its place, classifier[6].",
            10: "The number of classes is an argument: use it.",
        }.get(len(layer.weight), "")
        if layer.in_features != 4096:
            kind = "It reads 4,096 features, the old layer's in_features."
        raise Wrong(f"{told} not ({classes}, 4096).", kind, reason=kind)
    if layer.bias is None:
        raise Wrong("The new layer has lost its bias.")
    moving = [name for name, p in net.named_parameters() if p.requires_grad]
    if not moving:
        raise Wrong("Nothing trains: freeze first, then swap. The order matters.")
    others = [name for name in moving if not name.startswith("classifier.6.")]
    if others:
        raise Wrong(
            f"{len(others)} parameters besides the new layer's train, such as"
            f" {others[0]}.",
            "net.requires_grad_(False), before the swap. (net.requires_grad = False"
            " sets an attribute that nobody reads, and eval() freezes no weight.)",
        )
    if len(moving) != 2:
        raise Wrong(
            f"Of the new layer only {moving[0]} trains: weight and bias should."
        )


class _TwoParts(nn.Module):
    """A small network with a body and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 2)


@exercise("08.3")
def parameter_groups(function: Any) -> str:
    """Groups for torch.optim: head at lr, body at lr / 10, nothing that is frozen."""
    for frozen, lr in (((), 0.5), (("body.0",), 0.01), (("body.0", "body.2"), 0.1)):
        network = _TwoParts()
        for name in frozen:
            network.get_submodule(name).requires_grad_(False)
        moves = [p.requires_grad for p in network.parameters()]
        found = call(function, network, lr, copied=False)
        if moves != [p.requires_grad for p in network.parameters()]:
            raise Wrong("The function froze or thawed parameters: it only sorts them.")
        _check_groups(found, network, lr)
    return "each trainable parameter once, at its rate."


def _check_groups(found: Any, network: _TwoParts, lr: float) -> None:
    """Reject groups that miss, repeat or mistake a parameter."""
    if not isinstance(found, list) or not all(isinstance(g, dict) for g in found):
        raise Wrong(f"Return a list of dictionaries, not {describe(found)}.")
    if any("params" not in group or "lr" not in group for group in found):
        raise Wrong('Each group needs "params" and "lr".')
    rates: dict[int, float] = {}
    for group in found:
        params = group["params"]
        if isinstance(params, nn.Module):
            raise Wrong('"params" holds a module: take module.parameters().')
        params = [params] if torch.is_tensor(params) else list(params)
        if not all(map(torch.is_tensor, params)):
            raise Wrong(
                f'"params" holds {describe(params[0])}: parameters alone, no names.'
            )
        group["params"] = params  # a generator is read once only
        if not params:
            raise Wrong(
                "One group is empty: all of its parameters are frozen.",
                "Leave the group out where no parameter has requires_grad.",
            )
        for p in params:
            if id(p) in rates:
                raise Wrong(
                    "One parameter stands in two groups: torch refuses that.",
                    "network.parameters() holds the head's, too: take network.body.",
                )
            rates[id(p)] = group["lr"]
    for name, p in network.named_parameters():
        _check_rate(name, rates.get(id(p)), p.requires_grad, lr)
    torch.optim.SGD(found)


def _check_rate(name: str, rate: float | None, moves: bool, lr: float) -> None:
    """Reject another rate than lr for the head's and lr / 10 for the body's."""
    if rate is None and moves:
        hint = "Ask each parameter by itself: some may be frozen, others not."
        raise Wrong(f"{name} trains, and stands in no group.", hint)
    if rate is not None and not moves:
        raise Wrong(
            f"{name} is frozen, and still stands in a group.",
            "[p for p in part.parameters() if p.requires_grad]",
        )
    right = lr if name.startswith("head") else lr / 10
    if rate is not None and abs(rate - right) > 1e-9:
        hint = "A tenth of lr is lr / 10, whatever lr is."
        if name.startswith("head"):
            hint = "The head gets lr itself."
        elif rate == lr:
            hint = "This is the head's rate; the body is the one to be careful with."
        raise Wrong(
            f"{name} has the rate {rate:g}, not {right:g}, with lr={lr:g}.", hint
        )


@exercise("08.4")
def stays_frozen(answer: Any) -> str:
    """A class of (body, head) whose body stays in evaluation mode through train()."""
    body = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
    model = call(answer, body, head, copied=False)
    if not isinstance(model, nn.Module):
        raise Wrong(f"A network is wanted here, not {describe(model)}.")
    try:
        returned = call(lambda: (model.eval(),))[0]  # which is train(False)
    except Wrong as wrong:
        if "Recursion" not in wrong.hints[0]:
            raise
        told = "train calls itself without end: self.train(mode) and self.eval() do"
        raise Wrong(f"{told}.", "super().train(mode) is nn.Module's own.") from None
    if (returned is None or returned is ...) and head.training:
        raise Unanswered("train returns nothing")
    if head.training:
        raise Wrong("After eval() the head still is in training mode: pass mode on.")
    if body.training:
        raise Wrong(
            "After eval() the body is in training mode: it must never be.",
            "self.body.eval(), whatever mode is.",
        )
    if model.training:
        raise Wrong(
            "After eval() the network's own .training is still True.",
            "Begin with super().train(mode), which reaches every part.",
        )
    if returned is not model:
        raise Wrong(
            "train() returns something else than the network: model.train().to(...)"
            " would fail.",
            "End with return self.",
        )
    _check_trains(model, body, head)
    if any(p.requires_grad for p in body.parameters()):
        raise Wrong("The body's weights train: __init__ froze them, leave it so.")
    if not all(p.requires_grad for p in head.parameters()):
        raise Wrong("The head is frozen, too: it should learn.")
    return "the head trains, the body rests, and eval() still works."


def _check_trains(model: nn.Module, body: nn.Sequential, head: nn.Module) -> None:
    """Reject a network whose body moves after train(), or whose head does not learn."""
    before = body[1].running_mean.clone()
    call(model.train)
    if not head.training:
        raise Wrong(
            "After train() the head is in evaluation mode: its dropout is off.",
            "Begin with super().train(mode), which reaches every part.",
        )
    for _ in range(3):
        call(model, torch.randn(16, 5) + 2)
    if body.training or not torch.equal(before, body[1].running_mean):
        raise Wrong(
            "After train() the body is in training mode, and its statistics move.",
            "super().train(mode) switches the body on; switch it off behind that.",
        )
    if any(part.training for part in body.modules()):
        raise Wrong("The body is in evaluation mode, but a layer in it is not.")


@exercise("08.5")
def which_code_loads(answer: Any) -> str:
    """Which of three codes loads weights whose names begin with `module.`."""
    if callable(answer):  # the function itself
        answer = getattr(answer, "__name__", answer)
    if isinstance(answer, str) and sum(c in answer for c in ("_a", "_b", "_c")) > 1:
        answer = answer.split()
    if isinstance(answer, (tuple, list)):
        raise Wrong("Only one of the three loads the weights: give one name.")
    expect_choice(
        answer,
        "code_c",
        {
            "code_a": "No name fits, so nothing is loaded; strict=False says nothing."
            " Measure it.",
            "code_b": "The names are right, but state_dict() makes a new table: to"
            " update it leaves the network as it was. Measure it.",
        },
    )
    return "wrapped as it was when it was saved, the names fit, strictly."


@exercise("08.6")
def what_to_try(answer: Any) -> str:
    """Frozen, fine-tuned or scratch, for four tasks."""
    expect_parts(answer, 4, "Give four words, (a, b, c, d)")
    parts = (
        (
            "frozen",
            {
                "fine-tuned": "60 photos are few, ImageNet knows over a hundred breeds,"
                " and a head trains in seconds. Begin there.",
                "scratch": "60 photos teach a network next to nothing.",
            },
        ),
        (
            "fine-tuned",
            {
                "frozen": "Cells are unlike cats, and 20,000 images can teach a body.",
                "scratch": "It may get there with time; edges and textures are a better"
                " beginning, and cost nothing.",
            },
        ),
        (
            "scratch",
            {
                "frozen": "12 channels do not enter a body made for 3, and radar is no"
                " photo.",
                "fine-tuned": "12 channels do not fit the first layer, radar is no"
                " photo, and there is plenty of data and time.",
            },
        ),
        (
            "fine-tuned",
            {
                "frozen": "A good first hour. But 30 kinds differ in details, and"
                " 30,000 photos are enough to move the body gently.",
                "scratch": "ImageNet has mushrooms: begin with its features.",
            },
        ),
    )
    for letter, (right, wrong), word in zip("abcd", parts, answer, strict=True):
        if isinstance(word, str):
            word = word.strip().lower().removeprefix("from ")
            word = "fine-tuned" if word in ("fine tuned", "finetuned") else word
        with labelled(f"({letter})"):
            expect_choice(word, right, wrong)
    return "a first try, that is: the validation set has the last word."


@exercise("08.7")
def by_size(answer: Any) -> str:
    """A function of the photos' size, what it gave for some, and one known result."""
    function, found, known = expect_parts(
        answer, 3, "Give the function and its results"
    )
    if found is ...:
        raise Unanswered("by_side is not measured yet")
    if not isinstance(found, Mapping) or len(found) < 2:
        raise Wrong(f"Give {{side: accuracy}} for two sides or more, not"
                    f" {describe(found)}.")  # fmt: skip
    for side, value in found.items():
        if isinstance(value, (str, bool)) or callable(value):
            raise Wrong(f"{side}: {describe(value)} is no accuracy.")
        if not 0 <= float(value) <= 1:
            raise Wrong(f"{side}: {float(value):g} is no fraction from 0 to 1.")
        if float(value) == 1:
            raise Wrong(
                f"{side}: all right? Measure on the validation photos.",
                "Train the head on resized.train, evaluate it on resized.val.",
            )
    small, *_, large = sorted(found)
    if len({round(float(value), 6) for value in found.values()}) == 1:
        raise Wrong(
            "All sizes give the same accuracy.",
            "Is side used? weights.prepare(data.dogs_vs_cats(side, **parts))",
        )
    for side, right in known.items():
        _check_known(found, side, right)
    again = float(call(function, small))
    if abs(again - float(found[small])) > 0.03:
        raise Wrong(
            f"{small}: your function gives {again:.1%} now, by_side says"
            f" {float(found[small]):.1%}.",
            "Run the cell that fills by_side again, with the function as it is.",
        )
    gain = 100 * (float(found[large]) - float(found[small]))
    return f"from {small} to {large} pixels: {gain:+.1f} points, and no label more."


def _check_known(found: Mapping, side: int, right: float) -> None:
    """Refuse another accuracy than the lecture's at the size that it used."""
    if side not in found:
        raise Wrong(f"Measure the lecture's {side} pixels, too: that result is known.")
    value = float(found[side])
    told = f"At {side} pixels the lecture had {right:.1%}, by_side says {value:.1%}."
    if abs(value - right) <= 0.02:
        return
    if abs(1 - value - right) <= 0.02:
        raise Wrong("This is the share of wrong answers.", told)
    if value > right:
        raise Wrong(told, "Is it judged on photos that the head has learned?")
    raise Wrong(
        told,
        "One of these is missing: weights.prepare, the trained body, all training"
        " photos, or a head trained on features of this size.",
    )
