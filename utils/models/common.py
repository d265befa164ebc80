"""What the builders of all networks share: a width multiplier, and the stem's name."""

from __future__ import annotations

from utils.course import CourseError, choose


def scaled(channels: int, width: float, *, multiple: int = 1) -> int:
    """`channels` times `width`, rounded to a multiple, which has to be one at least."""
    result = multiple * round(channels * width / multiple)
    if result < 1:
        raise CourseError(
            f"width={width} leaves none of {channels} channels: give at least"
            f" {multiple / channels:.4g}."
        )
    return result


def is_small(stem: str) -> bool:
    """Whether a stem is the one for 32x32 images, "cifar", and not "imagenet"."""
    choose("stem", stem, ("imagenet", "cifar"))
    return stem == "cifar"
