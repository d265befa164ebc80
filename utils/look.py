"""Look into a network: its sizes, feature maps, mistakes, and what it finds alike."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from utils.course import CourseError

Shape = tuple[int, ...]
HEAD = ("layer", "output", "parameters", "multiply-adds")
SIDES = ("left", "left", "right", "right")


class Call(NamedTuple):
    """One run of one layer: what came out, and what it took."""

    name: str
    module: nn.Module
    output: Shape
    parameters: int
    multiply_adds: int


class Table(NamedTuple):
    """A network's layers in the order they run, and its totals for one example."""

    rows: tuple[tuple[str, str, str, str], ...]

    def __repr__(self) -> str:
        lines = [HEAD, *self.rows]
        a, b, c, d = (max(len(line[i]) for line in lines) for i in range(4))
        text = [f"{w:<{a}}  {x:<{b}}  {y:>{c}}  {z:>{d}}" for w, x, y, z in lines]
        rule = "-" * len(text[0])
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])

    def _repr_html_(self) -> str:
        def line(tag: str, cells: Sequence[str], style: str = "") -> str:
            inner = "".join(
                f'<{tag} style="text-align: {side}{style}">{escape(cell)}</{tag}>'
                for cell, side in zip(cells, SIDES, strict=True)
            )
            return f"<tr>{inner}</tr>"

        body = "".join(line("td", row) for row in self.rows[:-1])
        total = line("td", self.rows[-1], "; font-weight: bold")
        head = line("th", HEAD)
        return f"<table><thead>{head}</thead><tbody>{body}{total}</tbody></table>"


def shape_table(model: nn.Module, shape: Shape, *, depth: int | None = None) -> Table:
    """What each layer puts out for one example, (C, H, W) or (C,), and what it takes.

    A depth of 1 shows what the network itself is made of, None its single layers.
    """
    calls, parameters, multiply_adds = trace(model, shape, depth=depth)
    rows = [("input", str((1, *shape)), "0", "0")]
    for name, module, output, size, work in calls:
        inner = name and list(module.children())
        label = name if inner else f"{name} {type(module).__name__}".strip()
        rows.append((label, str(output), f"{size:,}", f"{work:,}"))
    others = parameters - sum(call.parameters for call in calls)
    between = multiply_adds - sum(call.multiply_adds for call in calls)
    if others or between:
        rows.append(("not in a layer above", "", f"{others:,}", f"{between:,}"))
    rows.append(("total", "", f"{parameters:,}", f"{multiply_adds:,}"))
    return Table(tuple(rows))


def totals(model: nn.Module, shape: Shape) -> tuple[int, int]:
    """Parameters of the network, and its multiply-adds for one example of `shape`."""
    return trace(model, shape)[1:]


def trace(
    model: nn.Module, shape: Shape, *, depth: int | None = None
) -> tuple[list[Call], int, int]:
    """The layers in the order they run, with all parameters and multiply-adds.

    A copy runs without values, in eval mode. Parameters used twice count once.
    """
    model = _on_meta(model)
    names = {module: name for name, module in model.named_modules()}
    shown = set(_at_depth(model, math.inf if depth is None else depth))
    seen: set[nn.Parameter] = set()
    running: list[tuple[nn.Module, int, object]] = []
    calls: list[Call] = []

    def enter(module: nn.Module, inputs: tuple) -> None:
        running.append((module, counter.get_total_flops(), inputs))

    def leave(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        # One multiply-add is two operations of torch's counter.
        work = (counter.get_total_flops() - running.pop()[1]) // 2
        if module in shown:
            size = sum(p.numel() for p in set(module.parameters()) - seen)
            seen.update(module.parameters())
            calls.append(Call(names[module], module, _shape(output), size, work))

    for module in model.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            model(torch.empty(1, *shape, device="meta"))
    except (RuntimeError, ValueError, NotImplementedError, IndexError) as error:
        module, _, inputs = running[-1]
        raise CourseError(
            f"Layer {names[module]} ({type(module).__name__}) got an input of shape"
            f" {_shape(inputs)}: {error} The layer has {module.extra_repr()}. Give the"
            " shape of one example, (C, H, W), or change the layer."
        ) from error
    parameters = sum(p.numel() for p in model.parameters())
    return calls, parameters, counter.get_total_flops() // 2


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy in eval mode without values; large weights are not copied on the way."""
    memo = {id(buffer): buffer.to("meta") for buffer in model.buffers()}
    memo |= {id(p): nn.Parameter(p.data.to("meta"), False) for p in model.parameters()}
    return copy.deepcopy(model, memo).eval().float()


def _at_depth(module: nn.Module, depth: float) -> Iterator[nn.Module]:
    """The blocks `depth` steps down, or single layers that end above."""
    children = list(module.children())
    if not children or depth == 0:
        yield module
    for child in children if depth > 0 else ():
        lists = nn.ModuleList, nn.ModuleDict  # they never run, so they are no step
        yield from _at_depth(child, depth - (not isinstance(child, lists)))


def _shape(value: Any) -> Shape:
    """The shape of a tensor, or of the first one in a tuple."""
    first = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(getattr(first, "shape", ()))


@contextmanager
def _watched(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Name -> latest output, in eval mode; afterwards the network is as it was."""
    names = {model.get_submodule(name): name for name in layers}
    outputs: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        outputs.pop(names[module], None)  # the latest one stands last
        outputs[names[module]] = output
        # Passed on as a copy: a ReLU that works in place would change the map.
        return output.clone() if isinstance(output, Tensor) else output

    modes = [(module, module.training) for module in model.modules()]
    hooks = [module.register_forward_hook(keep) for module in names]
    try:
        model.eval()
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode


def feature_maps(
    model: nn.Module, image: Tensor, layers: str | Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Name -> what the layer puts out for an image, in eval mode, on the CPU.

    One image (C, H, W) or a batch (N, C, H, W); by default of all convolutions.
    """
    if layers is None:
        layers = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    layers = [layers] if isinstance(layers, str) else layers
    single = image.dim() == 3
    with _watched(model, layers) as outputs, torch.no_grad():
        model((image[None] if single else image).to(next(model.parameters()).device))
    return {name: (m[0] if single else m).cpu() for name, m in outputs.items()}


def features(model: nn.Module, loader: Iterable, layer: str) -> tuple[Tensor, Tensor]:
    """What a layer puts out for every example (N, D), flattened, and labels (N,)."""
    found, labels = [], []
    for images, some in loader:
        found.append(feature_maps(model, images, layer)[layer].flatten(1))
        labels.append(some.cpu())
    return torch.cat(found), torch.cat(labels)


def grad_cam(model: nn.Module, images: Tensor, target: Any = None) -> Tensor:
    """Where images (N, C, H, W) speak for a class: Grad-CAM, heat maps (N, H, W).

    The maps A_k of the last layer that has some are summed with the weights mean(d
    logit / d A_k); what is negative becomes 0, the largest value of each image 1. The
    target is one class or one for each image, by default what the network predicts.

    Source: Selvaraju et al. 2017, Eq. 1 and 2.
    """
    names = [name for name, _ in model.named_modules() if name]
    images = images.to(next(model.parameters()).device).detach()
    # In channels_last batch norm's gradients are wrong there: see `recipe.layout`.
    images = images.contiguous() if images.device.type == "mps" else images
    with _watched(model, names) as outputs, torch.enable_grad():
        # The images ask for a gradient, in case no weight does.
        logits = model(images.requires_grad_())
        classes = torch.as_tensor(logits.argmax(1) if target is None else target)
        classes = classes.to(logits.device).long().expand(len(logits))
        scores = logits.gather(1, classes[:, None])
        maps = [o for o in outputs.values() if len(_shape(o)) == 4]
        found = [some for some in maps if some[0, 0].numel() > 1]
        if not found:
            raise CourseError("No layer gives maps of more than one place.")
        [slopes] = torch.autograd.grad(scores.sum(), found[-1])
    heat = slopes.mean((2, 3), keepdim=True) * found[-1].detach()
    heat = heat.sum(1, keepdim=True).relu()
    heat = heat / heat.amax((2, 3), keepdim=True).clamp(min=1e-12)
    return interpolate(heat, images.shape[2:], mode="bilinear")[:, 0].cpu()


def most_wrong(logits: Tensor, labels: Tensor, n: int = 16) -> tuple[Tensor, ...]:
    """Indices, predicted classes and confidences of the n most confident mistakes."""
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    wrong = (predicted != labels).nonzero().flatten()
    indices = wrong[confidence[wrong].argsort(descending=True, stable=True)[:n]]
    return indices, predicted[indices], confidence[indices]
