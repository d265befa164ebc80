"""What all networks share: a width multiplier, and a check of what comes in."""

from __future__ import annotations

from torch import Tensor

from utils.course import CourseError

STEMS = ("imagenet", "cifar")


def scaled(channels: int, width: float, *, multiple: int = 1) -> int:
    """`channels` times `width`, rounded to a multiple.

    Raises:
        CourseError: nothing is left, or a group would be empty.
    """
    result = multiple * round(channels * width / multiple)
    if result < 1:
        raise CourseError(
            f"width={width} leaves none of {channels} channels: give at least"
            f" {multiple / channels:.4g}."
        )
    return result


def check_stem(stem: str) -> str:
    """The stem's name, for images of 224x224 ("imagenet") or of 32x32 ("cifar").

    Raises:
        CourseError: there is no such stem.
    """
    if stem not in STEMS:
        raise CourseError(f"There is no stem {stem!r}: choose 'imagenet' or 'cifar'.")
    return stem


def check_images(images: Tensor, *, in_channels: int, smallest: int) -> None:
    """Refuse a batch that the network cannot take.

    Args:
        images: (N, C, H, W).
        in_channels: the C for which the network was built.
        smallest: the least H and W from which the last layer gets anything.

    Raises:
        CourseError: the batch has another shape.
    """
    shape = tuple(images.shape)
    if len(shape) != 4:
        raise CourseError(
            f"The network takes a batch (N, C, H, W) and got {shape}: for one image,"
            " write image[None]."
        )
    if shape[1] != in_channels:
        raise CourseError(
            f"The images have {shape[1]} channels, the network takes {in_channels}:"
            f" build it with in_channels={shape[1]}."
        )
    if min(shape[2:]) < smallest:
        hint = (
            ", or build it with stem='cifar', made for 32x32" if smallest > 32 else ""
        )
        raise CourseError(
            f"Images of {shape[2]}x{shape[3]} are too small: this network needs at"
            f" least {smallest}x{smallest}. Enlarge them{hint}."
        )
