"""What every augmentation shares: a draw for each example, then the change itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from utils.course import CourseError


def as_float(images: Tensor) -> Tensor:
    """Turn uint8 images into float32 in [0, 1]; float images stay as they are."""
    return images if images.is_floating_point() else images.float().div_(255)


def uniform(images: Tensor, generator: Generator, *shape: int) -> Tensor:
    """Draw numbers in [0, 1), each example its own: (N, *shape), on its device."""
    size = (len(images), *shape)
    draws = torch.rand(size, generator=generator, device=generator.device)
    return draws.to(images.device)


def inside(images: Tensor, top: Tensor, left: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """Mark the pixels of each example's box, as far as it lies inside: (N, 1, H, W)."""
    y = torch.arange(images.shape[2], device=images.device)
    x = torch.arange(images.shape[3], device=images.device)
    top, left, bottom, right = (t[:, None] for t in (top, left, top + h, left + w))
    rows, columns = (top <= y) & (y < bottom), (left <= x) & (x < right)
    return rows[:, None, :, None] & columns[:, None, None, :]


def require(condition: bool, problem: str) -> None:
    """Raise a `CourseError` that states the problem, unless the condition holds."""
    if not condition:
        raise CourseError(problem)


def check_images(images: Tensor) -> None:
    """Raise a `CourseError` unless these are a batch of uint8 or float images."""
    require(
        images.ndim == 4,
        f"Augmentations take a batch (N, C, H, W), not {tuple(images.shape)}."
        " Pass a single image as image[None].",
    )
    require(
        images.is_floating_point() or images.dtype == torch.uint8,
        f"Augmentations take images in uint8, or float in [0, 1], not {images.dtype}."
        " Convert them first: values of 0 to 255 with images.to(torch.uint8).",
    )


class Augmentation:
    """What all augmentations of images alone share: `draw`, then `apply`."""

    def draw(self, images: Tensor, generator: Generator) -> Any:
        """Draw the parameters of every example, on the images' device."""
        raise NotImplementedError

    def apply(self, images: Tensor, params: Any) -> Tensor:
        """Change each example by its own parameters."""
        raise NotImplementedError

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment a batch (N, C, H, W), each example with its own draw."""
        check_images(images)
        return self.apply(images, self.draw(images, generator))
