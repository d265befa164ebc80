"""Changes of colour, and a covered square."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from utils.augment.base import Augmentation, as_float, inside, require, uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue, in a random order.

    Args:
        brightness, contrast, saturation: the factor lies in [1 - value, 1 + value], and
            is never negative; 0 leaves the image alone.
        hue: the turn of the colour wheel lies in [-hue, hue], at most half a turn, 0.5.

    Images have one or three channels; saturation and hue leave one channel alone. Works
    in float throughout, where torchvision cuts uint8 images off after each operation.

    Source: Howard 2013, the distortions that GoogLeNet (Sec. 6) adopts.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            require(
                0 <= value < math.inf,
                f"ColorJitter's {name}={value} is no strength. Pass 0 (off) or more.",
            )
        require(
            0 <= self.hue <= 0.5,
            f"ColorJitter's hue={self.hue} is no turn of the colour wheel."
            " Pass 0 (off) to 0.5 (half a turn to either side: any colour).",
        )

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw the order (N, number of operations in use) and all factors (N, 4)."""
        channels = images.shape[1]
        require(
            channels in (1, 3),
            f"ColorJitter needs grey or RGB images, not {channels} channels."
            " Leave it out, or keep three of them: images[:, :3].",
        )
        strengths = [self.brightness, self.contrast, self.saturation, self.hue]
        low = torch.tensor([max(0.0, 1 - s) for s in strengths[:HUE]] + [-self.hue])
        high = torch.tensor([1 + s for s in strengths[:HUE]] + [self.hue])
        low, high = low.to(images.device), high.to(images.device)
        factors = low + (high - low) * uniform(images, generator, 4)
        last = HUE if channels == 3 else CONTRAST
        used = [op for op in range(last + 1) if strengths[op] > 0]
        shuffled = uniform(images, generator, len(used)).argsort(1)
        return torch.tensor(used, dtype=torch.long).to(images.device)[shuffled], factors

    def apply(self, images: Tensor, params: tuple[Tensor, Tensor]) -> Tensor:
        """Do each example's first operation, then each one's second, and so on."""
        order, factors = params
        images = as_float(images)
        for operation in order.unbind(1):
            factor = factors.gather(1, operation[:, None])[:, :, None, None]
            images = _recolour(
                images, operation[:, None, None, None], factor.to(images.dtype)
            )
        return images


def _recolour(images: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
    """Do one operation of `ColorJitter` on each example; both are (N, 1, 1, 1)."""
    grey = images
    if images.shape[1] == 3:
        red, green, blue = images.split(1, dim=1)
        grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    # Three of the four are one formula: move away from black, the mean grey, or grey.
    origin = grey * (operation == SATURATION)
    origin = origin + grey.mean((1, 2, 3), keepdim=True) * (operation == CONTRAST)
    turns = operation == HUE
    images = torch.lerp(origin, images, factor.masked_fill(turns, 1)).clamp_(0, 1)
    chosen = turns.flatten().nonzero()[:, 0]
    if len(chosen):
        images[chosen] = _turn_hue(images[chosen], factor[chosen])
    return images


def _turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a fraction of the colour wheel, keeping value and saturation."""
    red, green, blue = images.split(1, dim=1)
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    divisor = chroma.clamp(min=torch.finfo(images.dtype).tiny)  # grey: 0 / tiny is 0
    from_green = torch.where(
        value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor
    )
    hue = torch.where(value == red, (green - blue) / divisor, from_green)
    hue = (hue + 6 * turn) % 6  # sixths of the wheel: red at 0, green at 2, blue at 4
    shares = [(hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()]
    return value + chroma * (torch.cat(shares, 1).clamp_(0, 1) - 1)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cover a square whose centre lies anywhere in the image; the border clips it.

    Args:
        size: side of the square, in pixels; 16 of 32 for CIFAR-10 in the paper.
        fill: value in [0, 1] that covers it, or one per channel. The paper works on
            normalised images, where 0 is the mean: pass the training set's mean for
            the same; 0 is black.

    Source: DeVries and Taylor 2017, Sec. 3.
    """

    size: int
    fill: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        require(
            isinstance(self.size, int) and self.size >= 0,
            f"Cutout's size is a side in pixels, not {self.size}. Pass 0 or more.",
        )
        fill = self.fill if isinstance(self.fill, tuple) else (self.fill,)
        require(
            all(0 <= value <= 1 for value in fill),
            f"Cutout's fill is a colour in [0, 1], not {self.fill}."
            " Divide values of 0 to 255 by 255.",
        )

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw the centres' row and column, in pixels: int64 (N,) each."""
        y, x = uniform(images, generator, 2).unbind(1)
        return (y * images.shape[2]).long(), (x * images.shape[3]).long()

    def apply(self, images: Tensor, params: tuple[Tensor, Tensor]) -> Tensor:
        """Cover each example's own square."""
        # The authors' code covers size - 1 pixels when size is odd; here it is size.
        y, x = (centre - self.size // 2 for centre in params)
        side = torch.full_like(y, self.size)
        fill = torch.tensor(self.fill, device=images.device).view(-1, 1, 1)
        if not images.is_floating_point():
            fill = (fill * 255).round()
        covered = inside(images, y, x, side, side)
        return torch.where(covered, fill.to(images.dtype), images)
