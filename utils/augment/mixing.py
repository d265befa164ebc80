"""Two examples and their labels mixed into one: MixUp and CutMix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from utils.augment.base import as_float, check_images, inside, require, uniform


def beta(images: Tensor, generator: Generator, alpha: float) -> Tensor:
    """Draw from Beta(alpha, alpha) for each example; shape (N,).

    torch's own Beta takes no generator. Where T follows Student's t distribution with
    2 alpha degrees of freedom, (1 + T / sqrt(2 alpha + T^2)) / 2 follows this one, and
    T has an exact formula of two uniform draws. Both are one step here, safe from
    overflow.

    Source: Bailey 1994; Devroye 1996, "Random variate generation in one line of code".
    """
    u, v = uniform(images, generator, 2).unbind(1)
    log_w = torch.log1p(-u) / alpha
    w, rest = log_w.exp(), -torch.expm1(log_w)  # they add up to 1
    cosine = torch.cos(2 * math.pi * v)
    share = 0.5 + 0.5 * cosine * (rest / (w + cosine**2 * rest)).sqrt()
    return share.clamp(0, 1)  # rounding may leave it 1e-7 outside


@dataclass(frozen=True)
class Mixing:
    """What MixUp and CutMix share: each example is mixed with a partner in its batch.

    Labels are probabilities, float (N, K), and are mixed too. A random permutation
    names the partners, so an example may meet itself and stay as it was.

    Args:
        alpha: the share that an example keeps, lambda, follows Beta(alpha, alpha): near
            0 or 1 for a small alpha, uniform for 1, near 1/2 for a large alpha.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        require(
            0 < self.alpha < math.inf,
            f"{type(self).__name__}'s alpha is positive, not {self.alpha}. Pass 0.2 for"
            " little mixing or 1 for any share; leave the augmentation out for none.",
        )

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """Draw lambda, float (N,), and the partners, int64 (N,)."""
        kept = beta(images, generator, self.alpha)
        partner = torch.randperm(
            len(images), generator=generator, device=generator.device
        )
        return kept, partner.to(images.device)

    def apply(
        self, images: Tensor, labels: Tensor, params: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """Mix each example and its label with its partner's."""
        raise NotImplementedError

    def __call__(
        self, images: Tensor, labels: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch (N, C, H, W) and its labels (N, K), each pair by its own draw."""
        check_images(images)
        require(
            labels.ndim == 2 and labels.is_floating_point(),
            f"{type(self).__name__} takes labels as probabilities, float (N, K), not"
            f" {labels.dtype} {tuple(labels.shape)}. Pass class numbers as"
            " torch.nn.functional.one_hot(labels, K).float().",
        )
        return self.apply(images, labels, self.draw(images, generator))


def _mix(values: Tensor, partner: Tensor, kept: Tensor) -> Tensor:
    kept = kept.to(values.dtype).view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[partner], values, kept)


@dataclass(frozen=True)
class MixUp(Mixing):
    """Lay two images over each other, lambda of the one and 1 - lambda of the other.

    Source: Zhang et al. 2018, Sec. 2. Every pair draws its own lambda, as in the text;
    the authors' code draws one for the whole batch.
    """

    alpha: float = 0.2

    def apply(
        self, images: Tensor, labels: Tensor, params: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """Mix images and labels by lambda."""
        kept, partner = params
        return _mix(as_float(images), partner, kept), _mix(labels, partner, kept)


@dataclass(frozen=True)
class CutMix(Mixing):
    """Paste a box of one image, 1 - lambda of its area, into another at the same place.

    Source: Yun et al. 2019, Sec. 3.1. Every pair draws its own box; the authors' code
    draws one for the whole batch.
    """

    alpha: float = 1.0

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """Draw lambda, the partners, and the row and column of the boxes' centres."""
        kept, partner = super().draw(images, generator)
        y, x = uniform(images, generator, 2).unbind(1)
        y, x = (y * images.shape[2]).long(), (x * images.shape[3]).long()
        return kept, partner, y, x

    def apply(
        self, images: Tensor, labels: Tensor, params: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """Paste the boxes, and mix the labels by the area that was really pasted."""
        kept, partner, y, x = params
        # Half sides in whole pixels, as torchvision and the authors round them.
        half_side = 0.5 * (1 - kept).sqrt()
        half_h = (half_side * images.shape[2]).long()
        half_w = (half_side * images.shape[3]).long()
        pasted = inside(images, y - half_h, x - half_w, 2 * half_h, 2 * half_w)
        kept = 1 - pasted.float().mean((1, 2, 3))
        return torch.where(pasted, images[partner], images), _mix(labels, partner, kept)
