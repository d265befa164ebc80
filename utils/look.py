"""Look into a network: its sizes, feature maps, mistakes, and what it finds alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from utils.course import CourseError
from utils.sizes import (
    receptive_field,
    receptive_field_by_gradient,
    shape_table,
    totals,
)
from utils.training.tally import evaluating

__all__ = [
    "embedding",
    "feature_maps",
    "features",
    "grad_cam",
    "most_wrong",
    "receptive_field",
    "receptive_field_by_gradient",
    "shape_table",
    "totals",
]


def feature_maps(
    model: nn.Module, image: Tensor, layers: str | Sequence[str] | None = None
) -> dict[str, Tensor]:
    """What the layers put out for an image, in eval mode.

    Args:
        model: the network; it keeps its mode, and no hook stays behind.
        image: float, normalised as in training; (C, H, W), or a batch (N, C, H, W).
        layers: names as in `shape_table`; by default every convolution.

    Returns:
        Name -> output on the CPU, with the batch's axis only if the image has it.

    Raises:
        CourseError: a layer does not exist, or the image is not float.
    """
    if not image.is_floating_point():
        raise CourseError(
            f"The image is {image.dtype}; the network takes the floats that a loader"
            " gives, normalised as in training."
        )
    if layers is None:
        convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        layers = [n for n, m in model.named_modules() if isinstance(m, convolutions)]
    layers = [layers] if isinstance(layers, str) else layers
    batch = image if image.dim() == 4 else image[None]
    with _recorded(model, layers) as outputs:
        model(batch.to(_device(model)))
    return {n: maps if image.dim() == 4 else maps[0] for n, maps in outputs.items()}


def features(model: nn.Module, loader: Iterable, layer: str) -> tuple[Tensor, Tensor]:
    """What one layer puts out for every example of a loader, and the labels.

    Returns:
        Features (N, D), flattened, and labels (N,), on the CPU.

    Raises:
        CourseError: the layer does not exist, or the loader is empty.
    """
    outputs, labels = [], []
    with _recorded(model, [layer]) as recorded:
        for images, some_labels in loader:
            model(images.to(_device(model)))
            outputs.append(recorded[layer].flatten(1))
            labels.append(some_labels.cpu())
    if not outputs:
        raise CourseError("The loader gives no batch: its set is empty.")
    return torch.cat(outputs), torch.cat(labels)


@contextmanager
def _recorded(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keep the layers' latest outputs, in eval mode; leave the model as it was."""
    modules = _modules(model, layers)
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        # A copy: a ReLU that works in place would change the map afterwards.
        return lambda module, inputs, output: outputs.__setitem__(
            name, output.detach().clone().cpu()
        )

    named = zip(layers, modules, strict=True)
    hooks = [(module, keep(name)) for name, module in named]
    with _hooked(hooks), evaluating(model), torch.no_grad():
        yield outputs


@contextmanager
def _hooked(hooks: Iterable[tuple[nn.Module, Callable]]) -> Iterator[None]:
    """Let modules call (module, inputs, output) -> None or another output, for now."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _modules(model: nn.Module, layers: Sequence[str]) -> list[nn.Module]:
    """The layers of these names."""
    modules = dict(model.named_modules())
    missing = [name for name in layers if name not in modules]
    if missing:
        known = ", ".join(name for name in modules if name)
        raise CourseError(f"There is no layer {missing[0]!r}. Choose among: {known}.")
    return [modules[name] for name in layers]


def _device(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


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
        images: float (N, C, H, W), normalised as in training.
        layer: by default the last one with maps, before they are averaged.
        target: the class, one for all images or one for each; the predicted one.

    Returns:
        (N, H, W), from 0 to 1, on the CPU; 0 everywhere where nothing speaks for it.

    Raises:
        CourseError: the layer does not exist or gives no maps, or there is no such
            class.

    Source: Selvaraju et al. 2017, Eq. 1 and 2.
    """
    images = images.to(_device(model)).detach()
    layer = layer or _last_maps(model, images[:1])
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # a ReLU that works in place would change the map

    hooks = [(module, keep) for module in _modules(model, [layer])]
    with _hooked(hooks), evaluating(model), torch.enable_grad():
        # The images ask for a gradient, in case no weight does.
        logits = model(images.requires_grad_())
        scores = logits.gather(1, _classes(target, logits)[:, None])
        [slopes] = torch.autograd.grad(scores.sum(), kept[-1:])
    maps = kept[-1].detach()
    if maps.dim() != 4:
        raise CourseError(
            f"{layer!r} gives {tuple(maps.shape)}, no maps: choose a layer before."
        )
    heat = (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    heat = heat / heat.amax((2, 3), keepdim=True).clamp(min=1e-12)
    size = tuple(images.shape[2:])
    return interpolate(heat, size, mode="bilinear", align_corners=False)[:, 0].cpu()


def _last_maps(model: nn.Module, images: Tensor) -> str:
    """The last layer that gives maps of more than one place: what is classified."""
    names: list[str] = []

    def note(name: str):
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            maps = isinstance(output, Tensor) and output.dim() == 4
            if maps and output.shape[2:].numel() > 1:
                names.append(name)

        return hook

    hooks = [(module, note(name)) for name, module in model.named_modules() if name]
    with _hooked(hooks), evaluating(model), torch.no_grad():
        model(images)
    if not names:
        raise CourseError("No layer gives maps of more than one place.")
    return names[-1]


def _classes(target: int | Sequence[int] | Tensor | None, logits: Tensor) -> Tensor:
    """The class of each image, int64 (N,)."""
    n, k = logits.shape
    if target is None:
        return logits.argmax(1)
    classes = torch.as_tensor(target, device=logits.device).long().expand(n)
    if not 0 <= int(classes.min()) <= int(classes.max()) < k:
        raise CourseError(f"target={target} is none of the classes 0 to {k - 1}.")
    return classes


def most_wrong(
    logits: Tensor, labels: Tensor, n: int = 16
) -> tuple[Tensor, Tensor, Tensor]:
    """The mistakes that the network was most confident of.

    Args:
        logits: (N, K).
        labels: (N,), class indices.
        n: how many at most.

    Returns:
        Indices of the examples, predicted classes, and confidences as fractions, most
        confident first; shorter than n where there are fewer mistakes.
    """
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    wrong = (predicted != labels).nonzero().flatten()
    order = confidence[wrong].argsort(descending=True, stable=True)
    indices = wrong[order[:n]]
    return indices, predicted[indices], confidence[indices]


def embedding(features: Tensor, method: str = "pca", *, seed: int = 0) -> Tensor:
    """The examples as points in the plane, near each other where features are alike.

    Args:
        features: (N, ...), flattened here.
        method: "pca", the two directions of largest variance, or "tsne", which keeps
            neighbours together; its distances between groups mean nothing.
        seed: of t-SNE's draws.

    Returns:
        Points (N, 2).

    Raises:
        CourseError: the method is unknown, or there are fewer than 3 examples.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method not in ("pca", "tsne"):
        raise CourseError(f"There is no embedding {method!r}: choose 'pca' or 'tsne'.")
    values = features.detach().cpu().flatten(1).double().numpy()
    if len(values) < 3 or values.shape[1] < 2:
        raise CourseError(
            f"Features {values.shape} are too few for a plane: give at least 3 examples"
            " with at least 2 features each."
        )
    # PCA first also for t-SNE: 50 directions keep the neighbours and save time.
    wanted = 2 if method == "pca" else min(50, *values.shape)
    points = PCA(wanted, random_state=seed).fit_transform(values)
    if method == "tsne":
        perplexity = min(30.0, (len(values) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        points = tsne.fit_transform(points)
    return torch.from_numpy(points).float()
