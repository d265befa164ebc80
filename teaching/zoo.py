"""A zoo: networks trained on ImageNet by torchvision, what they cost and get right."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from torchvision import models

from utils import plot

# Name: torchvision's weights, and the year of the paper.
NETWORKS = {
    "AlexNet": ("AlexNet_Weights.IMAGENET1K_V1", 2012),
    "VGG-16": ("VGG16_Weights.IMAGENET1K_V1", 2014),
    "GoogLeNet": ("GoogLeNet_Weights.IMAGENET1K_V1", 2014),
    "Inception v3": ("Inception_V3_Weights.IMAGENET1K_V1", 2015),
    "ResNet-18": ("ResNet18_Weights.IMAGENET1K_V1", 2015),
    "ResNet-50": ("ResNet50_Weights.IMAGENET1K_V1", 2015),
    "ResNet-50, V2": ("ResNet50_Weights.IMAGENET1K_V2", 2015),
    "SqueezeNet 1.1": ("SqueezeNet1_1_Weights.IMAGENET1K_V1", 2016),
    "DenseNet-161": ("DenseNet161_Weights.IMAGENET1K_V1", 2016),
    "ResNeXt-50": ("ResNeXt50_32X4D_Weights.IMAGENET1K_V1", 2016),
    "Wide ResNet-50-2": ("Wide_ResNet50_2_Weights.IMAGENET1K_V1", 2016),
    "MobileNetV2": ("MobileNet_V2_Weights.IMAGENET1K_V1", 2018),
    "ShuffleNetV2": ("ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1", 2018),
    "MNASNet": ("MNASNet1_0_Weights.IMAGENET1K_V1", 2018),
    "EfficientNet-B0": ("EfficientNet_B0_Weights.IMAGENET1K_V1", 2019),
    "ViT-B/16": ("ViT_B_16_Weights.IMAGENET1K_V1", 2020),
    "EfficientNetV2-S": ("EfficientNet_V2_S_Weights.IMAGENET1K_V1", 2021),
    "ConvNeXt-T": ("ConvNeXt_Tiny_Weights.IMAGENET1K_V1", 2022),
}
# Where a name stands beside its disc, in points.
NEAR = {
    "AlexNet": (12, -4, "left"),
    "VGG-16": (15, -4, "left"),
    "ResNet-18": (7, -5, "left"),
    "ResNet-50": (8, -6, "left"),
    "ResNet-50, V2": (-8, -6, "right"),
    "SqueezeNet 1.1": (-6, 5, "right"),
    "MobileNetV2": (-6, 3, "right"),
    "EfficientNet-B0": (-6, 3, "right"),
    "ViT-B/16": (13, -4, "left"),
    "EfficientNetV2-S": (-4, 8, "center"),
    "ConvNeXt-T": (-9, 3, "right"),
}


class Entry(NamedTuple):
    """One network: when, how large, and how often its first answer is right."""

    year: int
    parameters: int
    multiply_adds: float  # for one image, in billions
    top1: float  # percent of ImageNet's validation images


def entries() -> dict[str, Entry]:
    """What torchvision says of each network; nothing is downloaded."""
    found = {}
    for name, (weights, year) in NETWORKS.items():
        meta: dict[str, Any] = models.get_weight(weights).meta
        top1 = meta["_metrics"]["ImageNet-1K"]["acc@1"]
        found[name] = Entry(year, meta["num_params"], meta["_ops"], top1)
    return found


def table() -> str:
    """All networks, the least accurate first."""
    lines = [
        f"{'':18}{'year':>6}{'parameters':>13}{'G mult-adds':>13}{'top-1 (%)':>11}"
    ]
    for name, one in sorted(entries().items(), key=lambda item: item[1].top1):
        cost = f"{one.parameters:13,}{one.multiply_adds:13.2f}"
        lines.append(f"{name:18}{one.year:6}{cost}{one.top1:11.1f}")
    return "\n".join(lines)


def figure(title: str) -> Axes:
    """Accuracy against work; a disc's area stands for the parameters."""
    fig, ax = plt.subplots(figsize=(7, 3.9))
    for name, one in entries().items():
        color = plot.PALETTE["bluish green" if one.year > 2018 else "sky blue"]
        place = one.multiply_adds, one.top1
        ax.scatter(*place, s=one.parameters / 3e5, color=color, alpha=0.6)
        ax.scatter(*place, s=6, color="black")
        if name in NEAR:
            x, y, ha = NEAR[name]
            style = {"textcoords": "offset points", "ha": ha, "fontsize": 10}
            ax.annotate(name, place, (x, y), **style)
    ax.set_xscale("log")
    ax.set_xticks([0.1, 0.3, 1, 3, 10], [0.1, 0.3, 1, 3, 10])
    ax.minorticks_off()
    ax.set(xlabel="multiply-adds for one image (billions)", ylabel="top-1 accuracy (%)")
    ax.set(ylim=(54, 87), xlim=(0.06, 40))
    plot.headline(fig, title)
    return ax
