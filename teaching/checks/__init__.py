"""What self-checks are written with; `lecture_NN.py` holds those of one lecture.

    @exercise("00.1")
    def output_size(answer):
        expect_number(answer, 28, misconceptions={27: "Count the first position too."})

A checking function looks at behaviour, never at source text. It raises `Wrong` with a
hint, and may return one sentence that the tick shows behind it.
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

NUMBER = re.compile(r"[-−]?\d+([.,]\d+)*(e[-+]\d+)?")
EXERCISES: dict[str, Callable[[Any], str | None]] = {}
# A part of an exception's text -> what to mend.
COMPLAINTS = {
    "leaf Variable that requires": "Change parameters inside `with torch.no_grad():`.",
    "does not have a grad_fn": "Compute the loss outside of torch.no_grad().",
    "NoneType": "Something is None here: .grad is, before .backward() and after"
    " zero_grad(), and so is what a function without return gives.",
    "return_types": "max(dim=...) gives (values, indices): take .values.",
    "mat1 and mat2 shapes": "A linear layer gets another number of values than it"
    " expects: flatten(x, 1), and count what arrives.",
    "Given groups=": "A convolution gets another number of channels than it reads.",
    "must match the size of tensor": "Two shapes do not fit: keepdim=True keeps axes,"
    " [:, :, None, None] adds two.",
    "match the broadcast shape": "Two shapes do not fit: [:, :, None, None] adds axes.",
    "does not broadcast with": "Two axes of one name differ in length: is a row wanted"
    " in place of a column?",
    "'Sequential' object has no attribute 'weight'": "That is a block of layers: [0]"
    " is its first one.",
    "converted to": "One number is wanted there; for tensors use torch's functions.",
    "missing 1 required positional": "Is a class called that should be handed over as"
    " it is?",
    "not implemented for": "A type is wrong: are two arguments exchanged?",
    "'tuple' and 'int'": "One of them is a tuple, as a layer's kernel_size is: [0].",
}


class Wrong(Exception):
    """A rejected answer: the hint, and stronger ones for the tries that follow.

    Args:
        *hints: those that are empty do not count.
        reason: what is wrong with the answer, without what is this answer's own;
            by default the first hint.
    """

    def __init__(self, *hints: str, reason: str = "") -> None:
        self.hints = [hint for hint in hints if hint]
        self.reason = reason or "".join(self.hints[:1])
        super().__init__(*self.hints)


def code_of(reason: str) -> str:
    """Four letters and digits that name a reason, whatever numbers stand in it."""
    return hashlib.sha1(NUMBER.sub("#", reason).encode()).hexdigest()[:4]


class Unanswered(Exception):
    """The answer still is the `...` that the exercise came with."""


def exercise(name: str) -> Callable[[Callable], Callable]:
    """Register the decorated function as the check of exercise `name`, as "00.1"."""
    if not re.fullmatch(r"\d\d\.\d+", name):
        raise ValueError(f"{name!r} is not of the form '00.1': lecture, dot, number")
    if name in EXERCISES:
        raise ValueError(f"exercise {name} is registered twice")

    def register(function: Callable) -> Callable:
        EXERCISES[name] = function
        return function

    return register


def call(function: Callable, *args: Any, copied: bool = True, hint: str = "") -> Any:
    """Call what the student wrote: an exception becomes a hint that names it.

    Args:
        function: the student's function, module or class.
        args: what it gets.
        copied: pass copies, so that changes in place do not reach the next call;
            without, they show, and a network and its optimizer stay linked.
        hint: shown from the second wrong try on, where it raised.

    Raises:
        Unanswered: it returned nothing, or stumbled over a `...` left in its body.
        Wrong: it is not callable, or raised.
    """
    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise Wrong(f"A function is wanted here, not {describe(function)}.")
    try:
        result = function(*(copy.deepcopy(args) if copied else args))
    except Wrong:
        raise
    except Exception as error:
        if "ellipsis" in str(error):
            raise Unanswered from error
        shown = ", ".join(describe(argument) for argument in args)
        told = (v for k, v in COMPLAINTS.items() if k in str(error))
        mend = hint or next(told, "")
        if isinstance(function, nn.Module) and not any(map(torch.is_tensor, args)):
            mend = "Give the function that builds the network, not a network."
        raise Wrong(f"{name}({shown}) raised {in_words(error)}", mend) from error
    if result is None or result is ...:
        raise Unanswered(f"{name} returns nothing")
    return result


@contextmanager
def without(
    place: Any, name: str, told: str, when: Callable = lambda *_, **__: True
) -> Iterator[None]:
    """Reject a call of what an exercise rules out, as `F.adaptive_avg_pool2d`.

    Args:
        place: the module that holds it.
        name: its name there.
        told: the hint.
        when: judges a call by its arguments; by default each is rejected.
    """
    real = getattr(place, name)

    def watched(*args: Any, **options: Any) -> Any:
        if when(*args, **options):
            raise Wrong(told)
        return real(*args, **options)

    with patch.object(place, name, watched):
        yield


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Begin the hint of what is checked inside with the label, such as "(a)"."""
    try:
        yield
    except Wrong as wrong:
        first, *others = wrong.hints
        raise Wrong(f"{label} {first}", *others, reason=wrong.reason) from None


def expect_number(
    answer: Any,
    right: float,
    *,
    unit: str = "",
    tolerance: float = 1e-3,
    misconceptions: Mapping[float, str] | None = None,
    hint: str = "",
) -> None:
    """Accept the number `right`: an int exactly, a float within `tolerance`.

    Args:
        answer: an int, a float, or an array or tensor of one element.
        right: the right number.
        unit: shown behind numbers, as "pixels".
        tolerance: relative, for a `right` that is a float.
        misconceptions: for wrong numbers that betray a known mistake, the hint to give.
        hint: shown from the second wrong try on.
    """
    if isinstance(answer, (str, bool, type)) or callable(answer):
        raise Wrong(f"A number is wanted here, not {describe(answer)}.", hint)
    try:
        value = float(answer.detach() if torch.is_tensor(answer) else answer)
    except (TypeError, ValueError, RuntimeError):
        told = f"A number is wanted here, not {describe(answer)}."
        raise Wrong(told, hint) from None

    def matches(other: float) -> bool:
        relative = 0.0 if isinstance(other, int) else tolerance
        return math.isclose(value, other, rel_tol=relative, abs_tol=1e-12)

    if matches(right):
        return
    shown = f"{value:,.10g} {unit}".strip()
    for wrong, reason in (misconceptions or {}).items():
        if matches(wrong):
            raise Wrong(f"{shown}: {reason}", hint, reason=reason)
    size = "too large" if value > right else "too small"
    if isinstance(right, int) and value % 1:
        size = "no whole number"
    size = size if math.isfinite(value) else "no size"
    for times in (1e2, 1e3, 1e6) if value and right else ():
        if any(
            abs(r - 1) < 0.01 for r in (right * times / value, value * times / right)
        ):
            size = f"in another unit: a factor of {times:,.0f}"
    raise Wrong(f"{shown} is {size}.", hint)


def in_order(answer: Any) -> Any:
    """A tuple, a list, a dict's values, an array or a tensor as a list; else itself."""
    if isinstance(answer, Mapping):
        return list(answer.values())
    return answer.tolist() if hasattr(answer, "tolist") else answer


def expect_parts(answer: Any, count: int, told: str = "") -> Any:
    """The answer, if it is a tuple or a list of `count` parts.

    Args:
        answer: whatever the exercise asks for.
        count: how many parts are right.
        told: begins the hint, as "Give the runs and a word"; what it is follows.
    """
    if isinstance(answer, (tuple, list)) and len(answer) == count:
        return answer
    told = told or f"Give {count} values in a tuple"
    raise Wrong(f"{told}, not {describe(answer)}.")


def expect_numbers(
    answer: Any,
    parts: Sequence[tuple[float, Mapping[float, str], str]],
    **settings: Any,
) -> None:
    """Accept a tuple of numbers (a, b, ...), each as `expect_number` does.

    Args:
        answer: a tuple or a list, an array, or a dict of them in this order.
        parts: for each number, what is right, its misconceptions, and its hint.
        **settings: of `expect_number`, for all of them.
    """
    letters, given, answer = "abcdef"[: len(parts)], answer, in_order(answer)
    if not isinstance(answer, (tuple, list)) or len(answer) != len(parts):
        count = ("no", "one", "two", "three", "four", "five", "six")[len(parts)]
        raise Wrong(
            f"Give {count} numbers, ({', '.join(letters)}), not {describe(given)}."
        )
    for letter, value, (right, known, hint) in zip(letters, answer, parts, strict=True):
        with labelled(f"({letter})"):
            expect_number(value, right, misconceptions=known, hint=hint, **settings)


def expect_choice(answer: Any, right: str, wrong: Mapping[str, str]) -> None:
    """Accept the word `right`, in any case.

    Args:
        answer: what the student chose.
        right: the right word.
        wrong: for each other choice, why it is not the one.
    """
    choices = {word.lower(): reason for word, reason in wrong.items()}
    word = answer.strip().lower() if isinstance(answer, str) else None
    if word == right.lower():
        return
    if word in choices:
        raise Wrong(choices[word])
    names = ", ".join(repr(name) for name in sorted([right, *wrong]))
    raise Wrong(f"Choose one of {names}, not {describe(answer)}.")


def expect_value(
    answer: Any, reference: Any, *, what: str = "This", tolerance: float = 1e-5
) -> None:
    """Accept what equals `reference`: a tensor in shape and values, a number, a tuple.

    Args:
        answer: the student's value.
        reference: the right one; numbers may differ by `tolerance`.
        what: begins the hint, as "conv(image, kernel)".
        tolerance: relative or absolute.
    """
    if isinstance(reference, (list, tuple)):
        if not isinstance(answer, (list, tuple)) or len(answer) != len(reference):
            raise Wrong(f"{what} is {describe(answer)}, not {len(reference)} values.")
        for i, (one, right) in enumerate(zip(answer, reference, strict=True)):
            expect_value(one, right, what=f"{what}[{i}]", tolerance=tolerance)
        return
    if isinstance(reference, (str, bool)):
        if answer != reference:
            raise Wrong(f"{what} is {describe(answer)}, not {reference!r}.")
        return
    if torch.is_tensor(reference) and not torch.is_tensor(answer):
        raise Wrong(f"{what} is {describe(answer)}, not a tensor.")
    got = torch.as_tensor(answer).detach().cpu().double()
    right = torch.as_tensor(reference).detach().cpu().double()
    if got.shape != right.shape:
        raise Wrong(f"{what} has shape {tuple(got.shape)}, not {tuple(right.shape)}.")
    if not torch.allclose(got, right, rtol=tolerance, atol=tolerance, equal_nan=True):
        if right.numel() == 1:
            raise Wrong(f"{what} is {got.item():.6g}, not {right.item():.6g}.")
        gap = (got - right).abs().max().item()
        raise Wrong(f"{what} has the right shape; values are off by up to {gap:.3g}.")


def expect_function(
    function: Callable,
    reference: Callable,
    inputs: Sequence,
    *,
    tolerance: float = 1e-5,
    hint: str = "",
) -> None:
    """Accept a function that agrees with `reference` on all of `inputs`.

    Args:
        function: the student's.
        reference: the right one.
        inputs: what to call both with; a tuple holds several arguments.
        tolerance: allowed relative or absolute difference of floats.
        hint: shown from the second wrong try on.
    """
    name = getattr(function, "__name__", "This function")
    for given in inputs:
        args = given if isinstance(given, tuple) else (given,)
        got = call(function, *args)
        what = f"{name}({', '.join(describe(argument) for argument in args)})"
        try:
            right = reference(*copy.deepcopy(args))
            expect_value(got, right, what=what, tolerance=tolerance)
        except Wrong as wrong:
            raise Wrong(*wrong.hints, hint, reason=wrong.reason) from None


def expect_module(
    module: Any,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    *,
    parameters: int | None = None,
    hint: str = "",
) -> None:
    """Accept a network by the shape of its output and by its number of parameters.

    Args:
        module: the student's network, or its class where that needs no arguments.
        input_shape: of the batch it is given, as (2, 3, 32, 32).
        output_shape: of the batch it must return.
        parameters: how many it must have, all together.
        hint: shown from the second wrong try on.
    """
    if isinstance(module, type):
        module = call(module)
    if not isinstance(module, nn.Module):
        raise Wrong(f"A network is wanted here, not {describe(module)}.", hint)
    weights = list(module.parameters())
    batch = torch.zeros(input_shape, device=weights[0].device if weights else None)
    training = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            output = call(module.eval(), batch)
    finally:
        for part, mode in training.items():
            part.training = mode
    if not torch.is_tensor(output):
        raise Wrong(f"It returns {describe(output)}, not a tensor.", hint)
    shape = tuple(output.shape)
    if shape != tuple(output_shape):
        raise Wrong(f"{tuple(input_shape)} -> {shape}, not {output_shape}.", hint)
    if parameters is not None:
        expect_parameters(module, parameters, hint)


def expect_parameters(module: nn.Module, right: int, hint: str = "") -> None:
    """Accept a network by its number of parameters."""
    count = sum(weight.numel() for weight in module.parameters())
    if count != right:
        excess = f"{abs(count - right):,} too {'many' if count > right else 'few'}"
        raise Wrong(f"It has {count:,} parameters, {excess}.", hint)


def expect_weights(
    module: nn.Module, shapes: Sequence[tuple[int, ...]], hint: str = ""
) -> None:
    """Accept a network by the shapes of its weights, in any order; biases do not count.

    Args:
        module: the student's network.
        shapes: (out, in) of each linear layer, (out, in, k, k) of each convolution.
        hint: shown from the second wrong try on.
    """
    got = Counter(tuple(p.shape) for p in module.parameters() if p.ndim > 1)
    if not got:
        told = "torch finds no layers in it: make them in __init__, as self.name = ..."
        raise Wrong(f"{told}; a list of them is nn.Sequential or nn.ModuleList.", hint)
    wanted = Counter(shapes)
    parts = {"missing": wanted - got, "not asked for": got - wanted}
    told = [
        f"{what}: {', '.join(map(str, some.elements()))}"
        for what, some in parts.items()
        if some
    ]
    if told:
        raise Wrong(f"Weights (out, in, ...) {'; '.join(told)}.", hint)


def describe(value: Any) -> str:
    """Name a value in a hint: a number by itself, a tensor by its shape."""
    if torch.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (bool, int, float, str)):
        long = len(repr(value)) > 40
        return f"a long {type(value).__name__}" if long else repr(value)
    if isinstance(value, (tuple, list)) and len(value) <= 4:
        parts = f"({', '.join(describe(one) for one in value)})"
        return parts if len(parts) <= 200 else f"a long {type(value).__name__}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def in_words(error: BaseException) -> str:
    """Name an exception in one short line."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if len(lines[0]) <= 160 else lines[0][:157] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
