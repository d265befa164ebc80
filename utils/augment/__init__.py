"""Augmentation of a whole batch on its device, each example with its own random draw.

`augmentation(images, generator)` takes images of shape (N, C, H, W), uint8 or float in
[0, 1]. Every random number comes from the one generator, which may live on another
device than the images. A call is `draw`, which says what happens to each example, then
`apply`, which is deterministic. A list of augmentations is applied from left to right.
Crops, flip, cutout and CutMix keep uint8; the others compute new values and turn uint8
into float in [0, 1].
"""

from utils.augment.base import Augmentation
from utils.augment.colour import ColorJitter, Cutout
from utils.augment.geometry import (
    CenterCrop,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    Rotation,
)
from utils.augment.mixing import CutMix, Mixing, MixUp

__all__ = [
    "Augmentation",
    "CenterCrop",
    "ColorJitter",
    "CutMix",
    "Cutout",
    "HorizontalFlip",
    "MixUp",
    "Mixing",
    "RandomCrop",
    "RandomResizedCrop",
    "Rotation",
]
