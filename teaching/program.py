"""One program and the faults of the bug clinic: each a change of one place.

program = Program(load, prepare, batches, Reader, train, read, main)
faulty = program.plant("no zero_grad", "optimizer.zero_grad()", "pass")
faulty.run()
"""

from __future__ import annotations

import ast
import inspect
import math
import warnings
from collections.abc import Sequence
from difflib import ndiff
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from utils import augment
from utils.course import CourseError
from utils.images import ImageSet


class Program:
    """Functions and a network as text: a line of it can be replaced.

    Its functions are attributes: `program.train` is the one of the text.

    Args:
        parts: functions and classes of a notebook or a module; the first is a function.

    Attributes:
        name: of the fault that it carries, or "healthy".
        healthy: the program without the fault.
    """

    name = "healthy"

    def __init__(self, *parts: Any) -> None:
        self.texts = {part.__name__: _source(part) for part in parts}
        needed = {"augment": augment, "mostly_ones": mostly_ones}
        self.outside = needed | parts[0].__globals__
        self.healthy = self

    @cached_property
    def scope(self) -> dict[str, Any]:
        """What the text defines, and the names that it takes from the notebook."""
        scope = dict(self.outside)
        for name, text in self.texts.items():
            exec(compile(text, f"<{name}, {self.name}>", "exec"), scope)
        return scope

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("texts", ()):
            return self.scope[name]
        raise AttributeError(name)

    def plant(self, name: str, old: str, new: str) -> Program:
        """The same program with a fault: `new` stands where `old` stood, once.

        Raises:
            CourseError: `old` does not stand in the program once, or what comes out is
                no Python.
        """
        times = {part: text.count(old) for part, text in self.texts.items()}
        if sum(times.values()) != 1:
            count = sum(times.values())
            raise CourseError(f"{old!r} stands {count} times in the program, not once.")
        part = max(times, key=times.__getitem__)
        faulty = self.put(**{part: self.texts[part].replace(old, new)})
        try:
            ast.parse(faulty.texts[part])
        except SyntaxError as error:
            raise CourseError(f"With {new!r} it is no Python: {error.msg}.") from error
        faulty.name = name
        return faulty

    def put(self, **texts: str) -> Program:
        """The same program with other texts for some of its functions."""
        other = Program.__new__(Program)
        other.texts, other.outside = self.texts | texts, self.outside
        other.healthy = self.healthy
        return other

    def run(self, seed: int = 0) -> Ending:
        """Run the whole program; its network is judged by the healthy one's measure."""
        runs = self.__dict__.setdefault("runs", {})
        if seed not in runs:
            runs[seed] = self._run(seed)
        return runs[seed]

    def _run(self, seed: int) -> Ending:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model, losses, reported = self.main(seed)
        except Exception as error:
            line = str(error).strip().splitlines()[0]
            return Ending(error=f"{type(error).__name__}: {line[:140]}")
        judge = self.put(**{n: self.healthy.texts[n] for n in ("load", "read")})
        _, _, *unseen = judge.load()
        return Ending(numbers(losses), reported, judge.read(model, *unseen), model)

    def __repr__(self) -> str:
        pairs = zip(self.healthy.texts.values(), self.texts.values(), strict=True)
        lines = (ndiff(old.splitlines(), new.splitlines()) for old, new in pairs)
        changed = [one for part in lines for one in part if one[0] in "-+"]
        return "\n".join(changed) or "the healthy program"


def _source(part: Any) -> str:
    """The text of a function or a class; a notebook knows that of functions alone."""
    if inspect.isfunction(part):
        return inspect.getsource(part)
    lines, _ = inspect.findsource(part.__init__)
    start = lines.index(f"class {part.__name__}(nn.Module):\n")
    return "".join(inspect.getblock(lines[start:]))


def numbers(losses: Sequence[float | Tensor]) -> list[float]:
    """Losses as numbers, where a faulty loop has kept tensors."""
    return [x.item() if isinstance(x, Tensor) else x for x in losses]


class Ending(NamedTuple):
    """How a run of a program ended."""

    losses: Sequence[float] = ()
    reported: float = math.nan  # the accuracy that the program reports, a fraction
    true: float = math.nan  # that of its network on digits that it has never seen
    model: nn.Module | None = None
    error: str = ""  # the message, of a program that stopped

    def __repr__(self) -> str:
        if self.error:
            return f"stopped by {self.error}"
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return (
            f"loss {self.losses[0]:.2f} in the first step, {min(self.losses):.2f} in"
            f" the best, {sum(last) / len(last):.2f} in the last ones\n"
            f"reported: {self.reported:.1%} of the digits are read"
        )


def mostly_ones(images: ImageSet, n: int) -> ImageSet:
    """n digits of which 19 in 20 are ones."""
    ones = (images.labels == 1).nonzero()[:, 0]
    others = (images.labels != 1).nonzero()[:, 0]
    n = min(n, len(ones) * 20 // 19)
    return images.take(torch.cat([ones[: 19 * n // 20], others[: n // 20]]))


# Each fault: its name, what stands in the healthy program, what stands there now.
FAULTS = (
    (
        "softmax twice",
        "return self.fc(self.drop(x))",
        "return F.softmax(self.fc(self.drop(x)), dim=1)",
    ),
    (
        "squared error to class numbers",
        "F.cross_entropy(model(x), y)",
        "F.mse_loss(model(x), y[:, None].float().expand(-1, 10))",
    ),
    (
        "labels of other images",
        "known.labels",
        "known.labels[torch.randperm(len(known))]",
    ),
    ("validation not normalised", "prepare(x)", "(x.float() / 255)"),
    (
        "flips on digits",
        "yield prepare(images[chosen])",
        "flip = augment.HorizontalFlip()\n        yield flip("
        "prepare(images[chosen]), torch.default_generator)",
    ),
    (
        "nearly all are ones",
        "known = digits.train.subset(n)\n    unseen = digits.val.subset(1000)",
        "known = mostly_ones(digits.train, n)\n"
        "    unseen = mostly_ones(digits.val, 400)",
    ),
    ("no zero_grad", "optimizer.zero_grad()", "pass"),
    ("weights not in the optimizer", "model.parameters()", "model.fc.parameters()"),
    ("no eval", "model.eval()", "pass"),
    (
        "mean of batch means",
        "(answers.cpu() == y).sum().item()\n    return right / len(images)",
        "(answers.cpu() == y).float().mean().item()\n"
        "    return right / len(images.split(size))",
    ),
    ("test digits in training", "digits.val.subset(1000)", "digits.train.subset(1000)"),
    ("images mixed", "torch.flatten(x, 1)", "x.transpose(0, 1).reshape(len(x), -1)"),
    (
        "divided by zero",
        "(images.float() / 255 - mean) / std",
        "(images.float() / 255 - mean) / (images.float() / 255).std(dim=0)",
    ),
    ("not divided by 255", "images.float() / 255 - mean", "images.float() - mean"),
    ("1,000 outputs", "nn.Linear(16 * 7 * 7, 10)", "nn.Linear(16 * 7 * 7, 1000)"),
    ("sorted by class", "torch.randperm(len(images))", "labels.argsort()"),
    ("rate too high", "lr=0.05", "lr=1.5"),
    ("rate too low", "lr=0.05", "lr=0.0003"),
    ("losses keep their graph", "losses.append(loss.item())", "losses.append(loss)"),
    ("a fixed batch size", "torch.flatten(x, 1)", "x.reshape(64, -1)"),
    (
        "labels as floats",
        "F.cross_entropy(model(x), y)",
        "F.cross_entropy(model(x), y.float())",
    ),
    ("two devices", "Reader().to(run.device)", 'Reader().to("meta")'),
    ("a wrong width", "nn.Linear(16 * 7 * 7, 10)", "nn.Linear(16 * 14 * 14, 10)"),
    (
        "shapes that do not fit",
        "F.cross_entropy(model(x), y)",
        "F.mse_loss(model(x), y)",
    ),
)


def cases(program: Program) -> dict[int, Program]:
    """The program with each fault of the clinic, by the case's number."""
    return {i: program.plant(*fault) for i, fault in enumerate(FAULTS, start=1)}
