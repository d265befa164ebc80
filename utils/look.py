"""Look into a network: its sizes, feature maps, mistakes, and what it finds alike."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from utils.course import CourseError

Shape = tuple[int, ...]
HEAD = ("layer", "output", "parameters", "multiply-adds")


class Call(NamedTuple):
    """One run of one layer: what came out, and what it took."""

    name: str
    module: nn.Module
    output: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Table:
    """A network's layers in the order they run, and its totals for one example."""

    rows: tuple[tuple[str, str, str, str], ...]
    parameters: int
    multiply_adds: int

    def __repr__(self) -> str:
        lines = [HEAD, *self.rows]
        a, b, c, d = (max(len(line[i]) for line in lines) for i in range(4))
        text = [f"{w:<{a}}  {x:<{b}}  {y:>{c}}  {z:>{d}}" for w, x, y, z in lines]
        rule = "-" * len(text[0])
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])

    def _repr_html_(self) -> str:
        rows = ""
        for line in [HEAD, *self.rows]:
            tag = "th" if line in (HEAD, self.rows[-1]) else "td"
            sides = zip(("left", "left", "right", "right"), line, strict=True)
            cells = (f'<{tag} style="text-align: {s}">{escape(t)}' for s, t in sides)
            rows += f"<tr>{''.join(cells)}</tr>"
        return f"<table>{rows}</table>"


def shape_table(model: nn.Module, shape: Shape, *, depth: int | None = None) -> Table:
    """What each layer puts out for one example, its parameters and multiply-adds.

    Args:
        model: the network, or a block of it; it is not touched.
        shape: of one example, (C, H, W) or (C,), without the batch.
        depth: of the blocks to show, 1 for what the network itself is made of; None
            for the single layers.
    """
    calls, parameters, multiply_adds = trace(model, shape, depth=depth)
    rows = [("input", _text((1, *shape)), "0", "0")]
    for call in calls:
        single = not list(call.module.children())
        kind = type(call.module).__name__ if single else ""
        label = f"{call.name} {kind}".strip() or type(call.module).__name__
        counts = f"{call.parameters:,}", f"{call.multiply_adds:,}"
        rows.append((label, _text(call.output), *counts))
    others = parameters - sum(call.parameters for call in calls)
    between = multiply_adds - sum(call.multiply_adds for call in calls)
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

    Nothing is computed: a copy in eval mode runs on the meta device, where tensors
    have a shape and no values. Parameters used twice count once.

    Raises:
        CourseError: a layer cannot take what it gets; the message names it.
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
        _, before, _ = running.pop()
        if module in shown:
            new = set(module.parameters()) - seen
            seen.update(new)
            # One multiply-add is two operations of torch's counter.
            work = (counter.get_total_flops() - before) // 2
            size = sum(p.numel() for p in new)
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
        where = f"{names[module] or 'of the network'} ({type(module).__name__})"
        raise CourseError(_misfit(where, module, _shape(inputs), error)) from error
    parameters = sum(p.numel() for p in model.parameters())
    return calls, parameters, counter.get_total_flops() // 2


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
        is_list = isinstance(child, (nn.ModuleList, nn.ModuleDict))
        yield from _at_depth(child, depth - (not is_list))


def _misfit(where: str, module: nn.Module, got: Shape, error: Exception) -> str:
    keys = ("in_channels", "in_features", "num_features")
    wanted = [f"{key}={getattr(module, key)}" for key in keys if hasattr(module, key)]
    expects = f" and expects {wanted[0]}" if wanted else ""
    return (
        f"Layer {where} got an input of shape {_text(got)}{expects}:"
        f" {str(error).rstrip('.')}. Give the shape of one example, (C, H, W), for"
        " which the network was built, or change this layer."
    )


def _shape(value: object) -> Shape:
    """The shape of a tensor, or of the first one in a tuple."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def receptive_field(layers: nn.Module | Iterable[nn.Module]) -> int:
    """Side of the square of input pixels that one value after these layers sees.

    A kernel of side k adds (k - 1) steps; a step is the product of the strides before.
    Padding moves the square and does not change its size.

    Args:
        layers: they follow one another, as in `vgg.features`; for a network with
            branches take `receptive_field_by_gradient`.
    """
    side, step = 1, 1
    chain = [layers] if isinstance(layers, nn.Module) else layers
    for layer in (module for top in chain for module in top.modules()):
        if isinstance(layer, nn.Linear) or "Adaptive" in type(layer).__name__:
            raise CourseError(
                f"{type(layer).__name__} sees the whole image: stop before it."
            )
        if hasattr(layer, "kernel_size"):
            dilation = _side(getattr(layer, "dilation", 1))
            side += (_side(layer.kernel_size) - 1) * dilation * step
            step *= _side(layer.stride)
    return side


def _side(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value


def receptive_field_by_gradient(
    model: nn.Module, shape: Shape, layer: str
) -> tuple[int, int]:
    """Height and width of the input that the middle value of a layer's output sees.

    The gradient of that value is not 0 exactly where it looks. To let nothing hide it,
    a copy of the network gets equal positive weights, and averages in place of maxima.
    The borders of an image (C, H, W) cut off what lies outside.
    """
    model = copy.deepcopy(model).double().cpu()
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
    image = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    with _watched(model, [layer]) as outputs:
        model(image)
    maps = outputs[layer]
    middle = maps[..., maps.shape[-2] // 2, maps.shape[-1] // 2]
    [slopes] = torch.autograd.grad(middle.sum(), image)
    rows, columns = (slopes[0].sum(0) > 0).nonzero().T
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@contextmanager
def _watched(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Name -> latest output, in eval mode; afterwards the network is as it was."""
    modules = dict(model.named_modules())
    for name in layers:
        if name not in modules:
            known = ", ".join(filter(None, modules))
            raise CourseError(f"There is no layer {name!r}. Choose among: {known}.")
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
            outputs.pop(name, None)  # the latest one stands last
            outputs[name] = output
            # Passed on as a copy: a ReLU that works in place would change the map.
            return output.clone() if isinstance(output, Tensor) else output

        return hook

    modes = [(module, module.training) for module in model.modules()]
    hooks = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        model.eval()
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def feature_maps(
    model: nn.Module, image: Tensor, layers: str | Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Name -> what the layer puts out for an image, in eval mode, on the CPU.

    Args:
        model: the network; it keeps its mode, and no hook stays behind.
        image: float, normalised as in training; (C, H, W), or a batch (N, C, H, W).
        layers: names as in `shape_table`; by default every convolution.
    """
    if layers is None:
        named = model.named_modules()
        layers = [name for name, module in named if isinstance(module, nn.Conv2d)]
    layers = [layers] if isinstance(layers, str) else layers
    batch = image if image.dim() == 4 else image[None]
    with _watched(model, layers) as outputs, torch.no_grad():
        model(batch.to(_device(model)))
    whole = image.dim() == 4
    return {name: (m if whole else m[0]).cpu() for name, m in outputs.items()}


def features(model: nn.Module, loader: Iterable, layer: str) -> tuple[Tensor, Tensor]:
    """What a layer puts out for every example (N, D), flattened, and labels (N,)."""
    found, labels = [], []
    with _watched(model, [layer]) as outputs, torch.no_grad():
        for images, some_labels in loader:
            model(images.to(_device(model)))
            found.append(outputs[layer].flatten(1).cpu())
            labels.append(some_labels.cpu())
    return torch.cat(found), torch.cat(labels)


def grad_cam(
    model: nn.Module,
    images: Tensor,
    layer: str | None = None,
    target: int | Sequence[int] | Tensor | None = None,
) -> Tensor:
    """Where the image speaks for a class: Grad-CAM, one heat map for each image.

    A layer's maps A_k are summed with the weights mean(d logit / d A_k), over all
    places; what is negative becomes 0, the largest value of each image 1.

    Args:
        model: the network; its mode, its weights and their gradients stay as they are.
        images: float (N, C, H, W), normalised as in training; the maps are (N, H, W).
        layer: by default the last one with maps, before they are averaged.
        target: the class, one for all images or one for each; the predicted one.

    Source: Selvaraju et al. 2017, Eq. 1 and 2.
    """
    images = images.to(_device(model)).detach()
    layer = layer or _last_maps(model, images[:1])
    with _watched(model, [layer]) as outputs, torch.enable_grad():
        # The images ask for a gradient, in case no weight does.
        logits = model(images.requires_grad_())
        chosen = logits.argmax(1) if target is None else torch.as_tensor(target)
        classes = chosen.to(logits.device).long().expand(len(logits))
        scores = logits.gather(1, classes[:, None])
        maps = outputs[layer]
        [slopes] = torch.autograd.grad(scores.sum(), maps)
    if maps.dim() != 4:
        raise CourseError(f"{layer!r} gives {_text(tuple(maps.shape))}, no maps.")
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True)
    heat = heat.relu()
    heat = heat / heat.amax((2, 3), keepdim=True).clamp(min=1e-12)
    size = tuple(images.shape[2:])
    return interpolate(heat, size, mode="bilinear", align_corners=False)[:, 0].cpu()


def _last_maps(model: nn.Module, images: Tensor) -> str:
    """The last layer that gives maps of more than one place: what is classified."""
    names = [name for name, _ in model.named_modules() if name]
    with _watched(model, names) as outputs, torch.no_grad():
        model(images)
    shapes = {name: _shape(output) for name, output in outputs.items()}
    for name, shape in reversed(shapes.items()):
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            return name
    raise CourseError("No layer gives maps of more than one place.")


def most_wrong(
    logits: Tensor, labels: Tensor, n: int = 16
) -> tuple[Tensor, Tensor, Tensor]:
    """The n mistakes, or fewer, that logits (N, K) were most confident of.

    Returns:
        Indices of the examples, predicted classes, and confidences as fractions, most
        confident first.
    """
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    wrong = (predicted != labels).nonzero().flatten()
    order = confidence[wrong].argsort(descending=True, stable=True)
    indices = wrong[order[:n]]
    return indices, predicted[indices], confidence[indices]


def embedding(features: Tensor, method: str = "pca", *, seed: int = 0) -> Tensor:
    """The examples as points (N, 2) in the plane, near where features are alike.

    The method is "pca", the two directions of largest variance, or "tsne", which keeps
    neighbours together; its distances between groups mean nothing.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    values = features.detach().cpu().flatten(1).double().numpy()
    # PCA first also for t-SNE: 50 directions keep the neighbours and save time.
    wanted = 2 if method == "pca" else min(50, *values.shape)
    points = PCA(wanted, random_state=seed).fit_transform(values)
    if method == "tsne":
        perplexity = min(30.0, (len(values) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        points = tsne.fit_transform(points)
    return torch.from_numpy(points).float()
