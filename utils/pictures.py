"""Pictures on a grid: images, filters, feature maps, confusions, and embedded examples.

Each grid is one axes measured in inches, so that nothing overlaps.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor, nn

from utils.course import CourseError

WIDTH = 7.0  # inches: what fits a slide and a page
LARGEST = 2.4  # inches: side of a single picture
GAP = 0.06  # inches between pictures
LINE = 0.18  # inches: a line of 10 pt text


def image_grid(
    images: Tensor | Sequence[Tensor],
    titles: Sequence[object] | None = None,
    *,
    columns: int = 8,
    title: str | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    heat: Tensor | Sequence[Tensor] | None = None,
) -> Axes:
    """Show images side by side, grey or in colour.

    Args:
        images: (N, C, H, W) with 1 or 3 channels, (N, H, W), or a sequence of images,
            which may differ in size; uint8, or float in [0, 1].
        vmin, vmax: the values shown black and white; give them for normalised images.
        heat: (N, H, W) in [0, 1], as `look.grad_cam` gives it, laid over the images.
    """
    shown = [_picture(image, vmin, vmax) for image in images]
    if heat is not None:
        shown = [_heated(*pair) for pair in zip(shown, heat, strict=True)]
    numbers = getattr(titles, "tolist", None)  # of labels, say
    return _grid(shown, numbers() if numbers else titles, columns, title)


def filters(
    weights: Tensor | nn.Module, *, columns: int = 8, title: str | None = None
) -> Axes:
    """Show the kernels of a first convolution, or its weights (C_out, C_in, H, W).

    Of one channel red is positive, blue negative; of three 0 is middle grey.
    """
    weight = weights if isinstance(weights, Tensor) else weights.weight
    if weight.shape[1] not in (1, 3):
        raise CourseError("Kernels need 1 or 3 channels: filters(conv.weight[:, :1]).")
    kernels = weight.detach().float().cpu()
    limit = kernels.abs().max().clamp(min=1e-12).item()
    if kernels.shape[1] == 3:
        return image_grid(kernels / (2 * limit) + 0.5, columns=columns, title=title)
    return _grid(list(kernels[:, 0].numpy()), None, columns, title, limit)


def feature_maps(maps: Mapping[str, Tensor], *, title: str | None = None) -> Axes:
    """Show what layers put out for an image, as `look.feature_maps` gives it.

    A row for each layer, its first eight channels of (C, H, W), on one scale.
    """
    side = (WIDTH - 1) / 8  # an inch at the left is for the names
    ax, top = _canvas(len(maps) * side, title)
    for row, (name, layer) in enumerate(maps.items()):
        if layer.dim() != 3:
            raise CourseError(f"{name}: {tuple(layer.shape)} are no maps (C, H, W).")
        y = top - (row + 1) * side
        norm = Normalize(layer.min(), layer.max())
        for column, channel in enumerate(layer[:8].numpy()):
            _place(ax, channel, (1 + column * side, y, side, side), norm, "viridis")
        size = "×".join(map(str, layer.shape))
        ax.text(0.03, y + side / 2, f"{name}\n{size}", va="center", fontsize=10)
    return ax


def confusion(
    logits: Tensor, labels: Tensor, classes: Sequence[str], *, title: str | None = None
) -> Axes:
    """Show what examples of a class were taken for: logits (N, K), labels (N,)."""
    size = len(classes)
    if logits.shape[1:] != (size,):
        raise CourseError(f"{size} class names do not fit logits {[*logits.shape]}.")
    pairs = labels.cpu().long() * size + logits.argmax(1).cpu()
    counts = torch.bincount(pairs, minlength=size**2).view(size, size).numpy()
    percent = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    _, ax = plt.subplots(figsize=(WIDTH, min(3.5, 1.6 + 0.42 * size)))
    # White for 0: most cells are empty, and the mistakes should stand out.
    ax.imshow(percent, vmin=0, vmax=100, cmap="Blues", aspect="auto")
    for row, column in np.argwhere(counts):
        value = percent[row, column]
        text = f"{value:.0f}" if value >= 0.95 else "<1"
        text = f"{value:.1f} %\n({counts[row, column]})" if size <= 4 else text
        style = {"fontsize": 10, "color": "white" if value > 55 else "black"}
        ax.text(column, row, text, ha="center", va="center", **style)
    rows = [f"{name} ({n})" for name, n in zip(classes, counts.sum(1), strict=True)]
    ax.set_yticks(range(size), rows, parse_math=False)
    long = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    turned = long if sum(map(len, classes)) > 48 else {}
    ax.set_xticks(range(size), classes, parse_math=False, **turned)
    ax.set(xlabel="predicted class", ylabel="true class (examples)")
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    right = f"{100 * counts.trace() / max(counts.sum(), 1):.1f} % of {counts.sum():,}"
    ax.set_title(title or f"{right} right; cells in % of a row")
    return ax


def _picture(image: Any, vmin: float | None, vmax: float | None) -> np.ndarray:
    """One image as (H, W) or (H, W, 3), float in [0, 1]."""
    image = torch.as_tensor(image).detach().cpu()
    image = image[None] if image.dim() == 2 else image
    if not image.is_floating_point():
        image = image / 255
    if vmin is not None and vmax is not None:
        image = (image - vmin) / (vmax - vmin)
    elif image.min() < -1e-3 or image.max() > 1 + 1e-3:
        raise CourseError(
            f"A normalised image, from {image.min():.2f} to {image.max():.2f}: show the"
            " set's own images, or give vmin= and vmax=."
        )
    image = image.float().clamp(0, 1).permute(1, 2, 0).numpy()
    return image[..., 0] if image.shape[-1] == 1 else image


def _heated(picture: np.ndarray, heat: Tensor) -> np.ndarray:
    """A picture in grey, tinted red to yellow the more heat lies on a place."""
    grey = (picture.mean(-1) if picture.ndim == 3 else picture)[..., None]
    warm = heat.detach().cpu().numpy()
    colors = plt.get_cmap("plasma")(0.5 + 0.5 * warm)[..., :3]
    return grey + 0.5 * warm[..., None] * (colors - grey)


def _grid(
    pictures: list[np.ndarray],
    titles: Sequence[object] | None,
    columns: int,
    title: str | None,
    limit: float = 0,
) -> Axes:
    """Place pictures row by row, titles above; the scale of weights at the right."""
    if not pictures:
        raise CourseError("There is no image to show.")
    columns = min(columns, len(pictures))
    style = (Normalize(-limit, limit), "RdBu_r") if limit else (Normalize(0, 1), "gray")
    width = min((WIDTH - (0.9 if limit else 0)) / columns, LARGEST)
    height = width * min(max(p.shape[0] / p.shape[1] for p in pictures), 1.5)
    texts, size = _wrapped(titles or [""] * len(pictures), width - GAP)
    head = LINE * max(t.count("\n") + bool(t) for t in texts)
    ax, top = _canvas(math.ceil(len(pictures) / columns) * (height + head), title)
    words = {"ha": "center", "va": "bottom", "fontsize": size, "parse_math": False}
    for i, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        row, column = divmod(i, columns)
        x, y = column * width, top - (row + 1) * (height + head)
        _place(ax, picture, (x, y, width, height), *style)
        ax.text(x + width / 2, y + height, text, **words)
    if limit:
        tall = min(1.6, top - 0.3)
        box = (columns * width + 0.1, top - 0.2 - tall, 0.12, tall)
        scale = ax.inset_axes(box, transform=ax.transData)
        ax.figure.colorbar(ScalarMappable(*style), cax=scale)
        scale.set_title("weight", loc="left", fontsize=10, fontweight="normal", pad=4)
        scale.yaxis.set_major_locator(plt.MaxNLocator(4))
    return ax


def _canvas(height: float, title: str | None) -> tuple[Axes, float]:
    """An empty axes in inches, the title in place; also the height below the title."""
    lines = textwrap.wrap(title, 84) if title else []
    total = height + (0.14 + 0.2 * len(lines) if lines else 0)
    fig = plt.figure(figsize=(WIDTH, total), layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set(xlim=(0, WIDTH), ylim=(0, total), autoscale_on=False)
    ax.text(0.02, total - 0.04, "\n".join(lines), va="top", fontsize=12)
    return ax, height


def _place(
    ax: Axes, picture: np.ndarray, cell: tuple, norm: Normalize, cmap: str
) -> None:
    """Draw one picture in its cell, as large as its own shape allows."""
    x, y, width, height = cell
    rows, columns = picture.shape[:2]
    scale = min((width - GAP) / columns, (height - GAP) / rows)
    left, bottom = x + (width - columns * scale) / 2, y + (height - rows * scale) / 2
    box = (left, left + columns * scale, bottom, bottom + rows * scale)
    how = "nearest" if max(rows, columns) <= 64 else "antialiased"
    style = {"norm": norm, "cmap": cmap, "interpolation": how, "aspect": "auto"}
    ax.imshow(picture, extent=box, **style)


def _wrapped(titles: Sequence[object], width: float) -> tuple[list[str], float]:
    """Titles in lines that fit the width (inches), and the size of their letters."""
    texts = [str(title).replace(" %", "\u00a0%") for title in titles]
    longest = max((len(word) for text in texts for word in text.split()), default=1)
    size = min(10.0, max(6.5, width * 72 / (0.56 * longest)))
    fits = max(int(width * 72 / (0.56 * size) + 0.01), 1)
    filled = ["\n".join(textwrap.fill(x, fits) for x in t.split("\n")) for t in texts]
    return filled, size
