"""Sizes of a network: shapes, parameters, multiply-adds and receptive fields."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from utils.course import CourseError

Shape = tuple[int, ...]
LISTS = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Call:
    """One run of one layer: what came out, and what it took."""

    name: str
    module: nn.Module
    output: Shape
    parameters: int
    multiply_adds: int

    @property
    def label(self) -> str:
        """The layer's name in the network, and its kind where it is a single layer."""
        kind = "" if list(self.module.children()) else type(self.module).__name__
        return f"{self.name} {kind}".strip() or type(self.module).__name__


@dataclass(frozen=True)
class Table:
    """A network's layers in the order they run; shown as text or as HTML.

    Attributes:
        rows: layer, output, parameters and multiply-adds, already as text.
        parameters: of the whole network, each counted once.
        multiply_adds: for one example.
    """

    rows: tuple[tuple[str, str, str, str], ...]
    parameters: int
    multiply_adds: int

    HEAD = ("layer", "output", "parameters", "multiply-adds")

    def __repr__(self) -> str:
        lines = [self.HEAD, *self.rows]
        a, b, c, d = (max(len(line[i]) for line in lines) for i in range(4))
        text = [f"{w:<{a}}  {x:<{b}}  {y:>{c}}  {z:>{d}}" for w, x, y, z in lines]
        rule = "-" * len(text[0])
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])

    def _repr_html_(self) -> str:
        def line(tag: str, cells: Sequence[str], style: str = "") -> str:
            sides = ("left", "left", "right", "right")
            inner = "".join(
                f'<{tag} style="text-align: {side}{style}">{escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )
            return f"<tr>{inner}</tr>"

        body = "".join(line("td", row) for row in self.rows[:-1])
        total = line("td", self.rows[-1], "; font-weight: bold")
        head = line("th", self.HEAD)
        return f"<table><thead>{head}</thead><tbody>{body}{total}</tbody></table>"


def shape_table(model: nn.Module, shape: Shape, *, depth: int | None = None) -> Table:
    """What each layer puts out for one example, its parameters and multiply-adds.

    Nothing is computed: a copy of the network runs on the meta device, where tensors
    have a shape and no values. The network itself is not touched.

    Args:
        model: the network, or a block of it.
        shape: of one example, (C, H, W) or (C,), without the batch.
        depth: show the single layers (None), or the blocks at this depth; 1 shows
            what the network itself is made of.

    Returns:
        The table; layers count as in eval mode, parameters used twice count once.

    Raises:
        CourseError: a layer cannot take what it gets.
    """
    calls, parameters, multiply_adds = trace(model, shape, depth=depth)
    rows = [("input", _shape_text((1, *shape)), "0", "0")]
    rows += [
        (c.label, _shape_text(c.output), f"{c.parameters:,}", f"{c.multiply_adds:,}")
        for c in calls
    ]
    others = parameters - sum(c.parameters for c in calls)
    between = multiply_adds - sum(c.multiply_adds for c in calls)
    if others or between:
        rows.append(("not in a layer above", "", f"{others:,}", f"{between:,}"))
    rows.append(("total", "", f"{parameters:,}", f"{multiply_adds:,}"))
    return Table(tuple(rows), parameters, multiply_adds)


def totals(model: nn.Module, shape: Shape) -> tuple[int, int]:
    """Parameters of the network, and its multiply-adds for one example of `shape`."""
    return trace(model, shape)[1:]


def trace(
    model: nn.Module, shape: Shape, *, depth: int | None = None
) -> tuple[list[Call], int, int]:
    """The layers in the order they run, with all parameters and multiply-adds.

    Args:
        model: the network.
        shape: of one example, (C, H, W).
        depth: as in `shape_table`.

    Raises:
        CourseError: a layer cannot take what it gets.
    """
    model = _on_meta(model)
    names = {module: name for name, module in model.named_modules()}
    shown = set(_at_depth(model, math.inf if depth is None else depth))
    seen: set[nn.Parameter] = set()
    running: list[tuple[nn.Module, int, Shape]] = []
    calls: list[Call] = []

    def enter(module: nn.Module, inputs: tuple) -> None:
        running.append((module, counter.get_total_flops(), _shape(inputs)))

    def leave(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        _, before, _ = running.pop()
        if module in shown:
            new = set(module.parameters()) - seen
            seen.update(new)
            # One multiply-add is two operations of torch's counter.
            work = (counter.get_total_flops() - before) // 2
            calls.append(Call(names[module], module, _shape(output), _count(new), work))

    for module in model.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            model(torch.empty(1, *shape, device="meta"))
    except (RuntimeError, ValueError, NotImplementedError, IndexError) as error:
        module, _, got = running[-1]
        raise CourseError(_misfit(names[module], module, got, error)) from error
    return calls, _count(model.parameters()), counter.get_total_flops() // 2


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy in eval mode without values; large weights are not copied on the way."""
    memo = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        empty = torch.empty_like(tensor, device="meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, False) if is_parameter else empty
    return copy.deepcopy(model, memo).eval().float()


def _at_depth(module: nn.Module, depth: float) -> Iterator[nn.Module]:
    """The blocks `depth` steps down, or single layers that end above."""
    children = list(module.children())
    if not children or depth == 0:
        yield module
    for child in children if depth > 0 else ():
        # A list of modules never runs itself, so it is no step.
        yield from _at_depth(child, depth - (not isinstance(child, LISTS)))


def _misfit(name: str, module: nn.Module, got: Shape, error: Exception) -> str:
    wanted = [
        f"{key}={getattr(module, key)}"
        for key in ("in_channels", "in_features", "num_features")
        if hasattr(module, key)
    ]
    expects = f" and expects {wanted[0]}" if wanted else ""
    reason = str(error).rstrip(".")
    return (
        f"Layer {name or 'of the network'} ({type(module).__name__}) got an input of"
        f" shape {_shape_text(got)}{expects}: {reason}. Give the shape of one example,"
        " (C, H, W), for which the network was built, or change this layer."
    )


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(p.numel() for p in parameters)


def _shape(value: object) -> Shape:
    """The shape of a tensor, or of the first one in a tuple."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _shape_text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def receptive_field(layers: nn.Module | Iterable[nn.Module]) -> int:
    """Side of the square of input pixels that one value after these layers sees.

    A kernel of side k adds (k - 1) steps; a step is the product of the strides before.
    Padding moves the square and does not change its size.

    Args:
        layers: layers that follow one another, such as `vgg.features`; not a network
            with branches, for which `receptive_field_by_gradient` stands.

    Raises:
        CourseError: a layer sees the whole input, whatever its size.
    """
    side, step = 1, 1
    chain = [layers] if isinstance(layers, nn.Module) else layers
    leaves = (m for top in chain for m in top.modules() if not list(m.children()))
    for layer in leaves:
        if isinstance(layer, nn.Linear) or "Adaptive" in type(layer).__name__:
            raise CourseError(
                f"{type(layer).__name__} sees the whole image: stop before it."
            )
        if hasattr(layer, "kernel_size"):
            dilation = _side(getattr(layer, "dilation", 1))
            side += (_side(layer.kernel_size) - 1) * dilation * step
            step *= _side(layer.stride)
    return side


def _side(value: Any) -> int:
    return value[0] if isinstance(value, tuple) else value


def receptive_field_by_gradient(
    model: nn.Module, shape: Shape, layer: str
) -> tuple[int, int]:
    """Height and width of the input that the middle value of a layer's output sees.

    The gradient of that value is not 0 exactly where it looks. To let nothing hide it,
    a copy of the network gets equal positive weights, and averages in place of maxima.

    Args:
        model: any network, branches and shortcuts too.
        shape: (C, H, W); the square is cut off at the borders of a small image.
        layer: a name as in `shape_table`.
    """
    model = _transparent(copy.deepcopy(model))
    image = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    outputs = []
    model.get_submodule(layer).register_forward_hook(lambda m, i, o: outputs.append(o))
    model(image)
    maps = outputs[0]
    maps[..., maps.shape[-2] // 2, maps.shape[-1] // 2].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].sum(0) > 0
    rows, columns = seen.nonzero().T
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def _transparent(model: nn.Module) -> nn.Module:
    """Let every path from input to output carry a positive gradient."""
    for module in list(model.modules()):
        if hasattr(module, "reset_running_stats"):
            module.reset_running_stats()
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                sizes = child.kernel_size, child.stride, child.padding, child.ceil_mode
                setattr(module, name, nn.AvgPool2d(*sizes))
    for name, parameter in model.named_parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.data.fill_(0.0 if name.endswith("bias") else 1 / fan_in)
    return model.double().cpu().eval()
