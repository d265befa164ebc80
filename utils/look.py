"""Look into a network: its sizes, feature maps, mistakes, and what it finds alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

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
    modules = dict(model.named_modules())
    missing = [name for name in layers if name not in modules]
    if missing:
        known = ", ".join(name for name in modules if name)
        raise CourseError(f"There is no layer {missing[0]!r}. Choose among: {known}.")
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        # A copy: a ReLU that works in place would change the map afterwards.
        return lambda module, inputs, output: outputs.__setitem__(
            name, output.detach().clone().cpu()
        )

    handles = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        with evaluating(model), torch.no_grad():
            yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _device(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


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
