"""Figures of normalisation: which values share a mean, and what it does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from utils.plot import PALETTE, VALIDATION, color_of, headline, mark_seeds


def channel_row(images: Tensor) -> Figure:
    """Show photos, uint8 (N, 3, H, W), split into channels: one mean has a frame."""
    fig, axes = plt.subplots(3, len(images), figsize=(7, 3.4))
    for c, name in enumerate(("red", "green", "blue")):
        for n, ax in enumerate(axes[c]):
            ax.imshow(images[n, c].numpy(), cmap=f"{name.title()}s_r", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            axes[0, n].set_title(f"n = {n}", fontsize=10, loc="center")
        axes[c, 0].set_ylabel(f"{name}\nc = {c}")
    headline(fig, "A channel's row has one mean: all photos, all pixels")
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # nothing moves any more, so a frame can be drawn
    left, right = (axes[1, i].get_position() for i in (0, -1))
    corner = left.x0 - 0.006, left.y0 - 0.012
    size = right.x1 - left.x0 + 0.012, left.height + 0.024
    frame = plt.Rectangle(corner, *size, fill=False, lw=3, color=VALIDATION)
    fig.add_artist(frame)
    return fig


def drift(values: Mapping[str, Tensor], *, title: str) -> np.ndarray:
    """Draw what one ReLU gets, step by step: a panel for each network.

    Args:
        values: {network: (steps, 3) the 15th, 50th and 85th percentile}.
        title: the finding.
    """
    fig, axes = plt.subplots(1, len(values), figsize=(7, 2.9), sharey=True)
    for i, (ax, (name, levels)) in enumerate(zip(axes, values.items(), strict=True)):
        steps = range(1, len(levels) + 1)
        low, middle, high = levels.T.numpy()
        ax.fill_between(steps, low, high, color=color_of(name, i), alpha=0.4)
        ax.plot(steps, middle, color="black", lw=1)
        ax.set(xlabel="training step", title=name)
    axes[0].set_ylabel("input of one ReLU\n(15, 50, 85 %)")
    headline(fig, title)
    return axes


def answers(
    photo: Tensor,
    probabilities: Tensor,
    alone: Tensor,
    classes: Sequence[str],
    title: str,
) -> Axes:
    """Show a photo, and what a network says of it in both modes.

    In training mode the highest probability of each set of neighbours has a ring.

    Args:
        photo: uint8 (3, H, W).
        probabilities: of training mode, (times, classes).
        alone: of evaluation mode, (classes,).
        classes: their names.
        title: the finding.
    """
    wide = {"width_ratios": (1, 4), "wspace": 0.02}
    fig, (left, ax) = plt.subplots(1, 2, figsize=(7, 3.4), gridspec_kw=wide)
    left.imshow(photo.permute(1, 2, 0))
    left.axis("off")
    beside = np.linspace(-0.28, 0.28, len(probabilities))
    blue, dot = PALETTE["sky blue"], "training mode, a dot for each set"
    for k, column in enumerate(100 * probabilities.T.numpy()):
        label = dot if k == 0 else None
        ax.plot(k + beside, column, ".", color=blue, ms=5, label=label)
    highest, which = probabilities.max(dim=1)
    ring = {"color": VALIDATION, "ms": 5, "mfc": "none", "label": "its answer"}
    ax.plot(which.numpy() + beside, 100 * highest.numpy(), "o", **ring)
    ax.plot(
        range(len(classes)), 100 * alone.numpy(), "D", color="black", label="evaluation"
    )
    ax.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    ax.set(ylabel="probability (%)", ylim=(0, None))
    ax.legend(loc="lower right", ncols=3, bbox_to_anchor=(1.02, 0.99), fontsize=10)
    headline(fig, title)
    return ax


def by_batch_size(
    sizes: Sequence[int], accuracies: Mapping[str, Sequence[Sequence[float]]]
) -> np.ndarray:
    """Compare networks within each batch size: a circle a seed, a diamond their mean.

    Args:
        sizes: of the batches, P; each has a panel.
        accuracies: {network: fractions, (seeds, P)}.
    """
    shares = 100 * np.array(list(accuracies.values()))  # (networks, seeds, P)
    names, means = list(accuracies), shares.mean(1)
    fig, axes = plt.subplots(1, len(sizes), figsize=(7, 2.6), sharey=True)
    for k, (ax, size) in enumerate(zip(axes, sizes, strict=True)):
        for i, seeds in enumerate(shares[:, :, k]):
            mark_seeds(ax, i, seeds)
        ax.set(title=f"batches of {size}", xlabel="accuracy (%)")
        ax.margins(x=0.12)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    best = [names[i] for i in means.argmax(0)]
    leads = (f"{name} with {size}" for name, size in zip(best, sizes, strict=True))
    headline(fig, "Highest mean: " + ", ".join(leads))
    return axes
