"""Changes of place: crops, flip, rotation, resized crop."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from utils.augment.base import Augmentation, as_float, require, uniform

CACHED = 2**19  # bytes that stay in the processor's cache while they are changed


def cut(
    images: Tensor, i: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]
) -> Tensor:
    """Cut a window out of each of the images `i`: (B, C, *size), in their layout."""
    # A view of all windows, (N, C, y, x, *size): only the chosen ones are copied.
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    if not numpy_reads(images):
        return windows[i, :, top, left]
    # NumPy copies row by row, torch pixel by pixel: 8 times as fast on 32x32 images.
    last = images.is_contiguous(memory_format=torch.channels_last)
    windows = windows.permute(0, 2, 3, *((4, 5, 1) if last else (1, 4, 5)))
    chosen = windows.numpy()[i.numpy(), top.numpy(), left.numpy()]
    cropped = torch.from_numpy(chosen)
    return cropped.permute(0, 3, 1, 2) if last else cropped


def numpy_reads(images: Tensor) -> bool:
    """Whether NumPy can work on the memory of these images."""
    known = images.device.type == "cpu" and images.dtype != torch.bfloat16
    return known and not images.requires_grad


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Pad with zeros on all sides, then crop at a random place.

    Args:
        padding: width of the border, in pixels.
        size: side of the crop, in pixels; None keeps the images' height and width.

    Source: Krizhevsky et al. 2012, Sec. 4.1, which crops 224x224 out of 256x256:
    `RandomCrop(0, size=224)`; the padded form is He et al. 2016, Sec. 4.2.
    """

    padding: int = 4
    size: int | None = None

    def __post_init__(self) -> None:
        require(
            isinstance(self.padding, int) and self.padding >= 0,
            f"RandomCrop's padding is a whole number of pixels, not {self.padding}."
            " Pass 0 or more; 4 is usual for 32x32 images.",
        )
        require(
            self.size is None or (isinstance(self.size, int) and self.size > 0),
            f"RandomCrop's size is a side in pixels, not {self.size}."
            " Pass 1 or more, or None to keep the images' size.",
        )

    def window(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the crops."""
        height, width = images.shape[2:]
        return self.size or height, self.size or width

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw the crop's top and left in the padded image: int64 (N,) each."""
        height, width = (side + 2 * self.padding for side in images.shape[2:])
        h, w = self.window(images)
        require(
            h <= height and w <= width,
            f"RandomCrop cuts no {h}x{w} out of {height}x{width}, border included."
            " Pass a smaller size, or larger images.",
        )
        dy, dx = uniform(images, generator, 2).unbind(1)
        return (dy * (height - h + 1)).long(), (dx * (width - w + 1)).long()

    def apply(self, images: Tensor, params: tuple[Tensor, Tensor]) -> Tensor:
        """Cut each example's window out of the padded image."""
        every = torch.arange(len(images), device=images.device)
        padded = F.pad(images, [self.padding] * 4) if self.padding else images
        return self.pick(padded, every, params)

    def pick(self, padded: Tensor, i: Tensor, params: tuple[Tensor, Tensor]) -> Tensor:
        """Cut the windows out of the images `i` of a set that has its border."""
        border = 2 * self.padding
        window = self.window(padded[:, :, border:, border:])
        return cut(padded, i, *params, window)


@dataclass(frozen=True)
class CenterCrop(Augmentation):
    """Cut out the central square: how crops that were drawn in training are evaluated.

    Nothing is drawn. An odd pixel is left out on the side where torchvision leaves it.

    Args:
        size: side of the square, in pixels.
    """

    size: int

    def __post_init__(self) -> None:
        require(
            isinstance(self.size, int) and self.size > 0,
            f"CenterCrop's size is a side in pixels, not {self.size}. Pass 1 or more.",
        )

    def draw(self, images: Tensor, generator: Generator) -> tuple[int, int]:
        """The square's top and left, in pixels: the same for all examples."""
        height, width = images.shape[2:]
        require(
            self.size <= min(height, width),
            f"CenterCrop cuts no {self.size}x{self.size} out of {height}x{width}."
            " Pass a smaller size, or larger images.",
        )
        return round((height - self.size) / 2), round((width - self.size) / 2)

    def apply(self, images: Tensor, params: tuple[int, int]) -> Tensor:
        """Cut out the square, as a view."""
        top, left = params
        return images[:, :, top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class HorizontalFlip(Augmentation):
    """Mirror an image left to right, with probability `p`.

    Source: Krizhevsky et al. 2012, Sec. 4.1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        require(
            0 <= self.p <= 1,
            f"HorizontalFlip's p is a probability, not {self.p}. Pass 0 to 1.",
        )

    def draw(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw which examples are mirrored: bool (N,)."""
        return uniform(images, generator) < self.p

    def apply(self, images: Tensor, params: Tensor) -> Tensor:
        """Mirror the chosen examples."""
        if not numpy_reads(images):
            return torch.where(params[:, None, None, None], images.flip(-1), images)
        # On the CPU only those are touched, and put back by NumPy: 3.5 times as fast
        # on 32x32 images as one after the other. `where` would be slower still.
        result = images.clone()
        last = images.is_contiguous(memory_format=torch.channels_last)
        rows = images.permute(0, 2, 3, 1) if last else images
        some = max(1, CACHED // (images.shape[1:].numel() * images.element_size()))
        for chosen in params.nonzero()[:, 0].split(some):
            picked = rows.index_select(0, chosen)
            picked = picked.permute(0, 3, 1, 2) if last else picked
            result.numpy()[chosen.numpy()] = picked.flip(-1).numpy()
        return result


def _look_up(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read each image, bilinear, at its places x, y in pixels; zero lies outside."""
    height, width = images.shape[2:]
    # align_corners=False: -1 and 1 are the outer edges of the border pixels, not their
    # centres. No F.affine_grid: it multiplies matrices, in TF32 where that is allowed.
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


@dataclass(frozen=True)
class Rotation(Augmentation):
    """Turn about the centre by an angle in [-degrees, degrees]; corners become zero.

    Bilinear. Positive angles turn counter-clockwise, as in torchvision.
    """

    degrees: float

    def __post_init__(self) -> None:
        require(
            0 <= self.degrees <= 180,
            f"Rotation turns up to `degrees` either way, and {self.degrees} is no such"
            " limit. Pass 0 to 180.",
        )

    def draw(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw the angles, in degrees: float (N,)."""
        return (2 * uniform(images, generator) - 1) * self.degrees

    def apply(self, images: Tensor, params: Tensor) -> Tensor:
        """Look up, for each new pixel, where it was before the turn."""
        images = as_float(images)
        height, width = images.shape[2:]
        angle = torch.deg2rad(params)[:, None, None]
        cos, sin = angle.cos(), angle.sin()
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        x = torch.arange(width, device=images.device) - middle_x
        y = torch.arange(height, device=images.device)[:, None] - middle_y
        # y points down, so this, which turns the places clockwise on the screen, turns
        # the image counter-clockwise.
        old_x, old_y = cos * x - sin * y, sin * x + cos * y
        return _look_up(images, old_x + middle_x, old_y + middle_y)


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """Crop a random part of the image and resize it (bilinear, not antialiased).

    Of uint8 images, the result is rounded to uint8.

    Args:
        size: side of the result, in pixels; None keeps the images' height and width.
        scale: smallest and largest area of the crop, as a fraction of the image's.
        ratio: smallest and largest width of the crop over its height.

    Source: Szegedy et al. 2015 (GoogLeNet), Sec. 6.
    """

    padding: ClassVar[int] = 0  # a crop lies in the image

    size: int | None = None
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        require(
            self.size is None or (isinstance(self.size, int) and self.size > 0),
            f"RandomResizedCrop's size is a side in pixels, not {self.size}."
            " Pass 1 or more, or None to keep the images' size.",
        )
        require(
            0 < self.scale[0] <= self.scale[1] <= 1,
            "RandomResizedCrop's scale is (smallest, largest) fraction of the area, not"
            f" {self.scale}. Pass two numbers in (0, 1], the smaller one first.",
        )
        require(
            0 < self.ratio[0] <= self.ratio[1] < math.inf,
            "RandomResizedCrop's ratio is (smallest, largest) width / height, not"
            f" {self.ratio}. Pass two positive numbers, the smaller one first.",
        )

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """Draw the crops' top, left, height and width, in pixels: int64 (N,) each."""
        height, width = images.shape[2:]
        u_area, u_ratio = uniform(images, generator, 2, 10).unbind(1)
        smallest, largest = (height * width * fraction for fraction in self.scale)
        area = smallest + u_area * (largest - smallest)
        low, high = (math.log(ratio) for ratio in self.ratio)
        ratio = torch.exp(low + u_ratio * (high - low))
        h = (area / ratio).sqrt().round().long()
        w = (area * ratio).sqrt().round().long()
        # torchvision tries up to ten times and keeps the first crop that fits. Here all
        # ten are drawn at once, which gives the kept one the same distribution.
        fits = (h > 0) & (h <= height) & (w > 0) & (w <= width)
        kept = fits.int().argmax(1, keepdim=True)
        found = fits.any(1)
        default_h, default_w = self._central(height, width)
        h = torch.where(found, h.gather(1, kept)[:, 0], default_h)
        w = torch.where(found, w.gather(1, kept)[:, 0], default_w)
        u_top, u_left = uniform(images, generator, 2).unbind(1)
        top = torch.where(found, u_top * (height - h + 1), (height - h) // 2).long()
        left = torch.where(found, u_left * (width - w + 1), (width - w) // 2).long()
        return top, left, h, w

    def _central(self, height: int, width: int) -> tuple[int, int]:
        """Size of the crop when no try fits: the largest of an allowed ratio."""
        if width / height < self.ratio[0]:
            return round(width / self.ratio[0]), width
        if width / height > self.ratio[1]:
            return height, round(height * self.ratio[1])
        return height, width

    def apply(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        """Look up, for each new pixel, its place in the example's crop."""
        every = torch.arange(len(images), device=images.device)
        return self.pick(images, every, params)

    def pick(self, images: Tensor, i: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        """The same for the images `i` of a set, of which nothing else is read."""
        if images.dtype == torch.uint8 and images.device.type == "cpu":
            return self._one_by_one(images, i, params)
        top, left, h, w = params
        y = self._places(top, h, self.size or images.shape[2])
        x = self._places(left, w, self.size or images.shape[3])
        y, x = torch.broadcast_tensors(y[:, :, None], x[:, None, :])
        found = _look_up(as_float(images[i]), x, y)
        if images.is_floating_point():
            return found
        return found.mul_(255).round_().to(images.dtype)

    def _one_by_one(
        self, images: Tensor, i: Tensor, params: tuple[Tensor, ...]
    ) -> Tensor:
        """The same on the CPU, which resizes whole numbers seven times as fast."""
        size = self.size or images.shape[2], self.size or images.shape[3]
        # One layout: in the other, torch rounds some pixels the other way.
        shape, layout = (len(i), images.shape[1], *size), torch.channels_last
        resized = torch.empty(shape, dtype=images.dtype, memory_format=layout)

        def fill(to: Tensor, n: int, top: int, left: int, h: int, w: int) -> None:
            crop = images[n : n + 1, :, top : top + h, left : left + w]
            crop = crop.contiguous(memory_format=layout)
            to.copy_(F.interpolate(crop, size, mode="bilinear")[0])

        # Within one photo torch uses one thread: several photos keep all of them busy.
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(fill, resized, *(p.tolist() for p in (i, *params))))
        return resized

    @staticmethod
    def _places(start: Tensor, extent: Tensor, size: int) -> Tensor:
        """Where `size` new pixels lie along one axis of each crop, in pixels."""
        start, extent = start[:, None], extent[:, None]
        steps = (torch.arange(size, device=start.device) + 0.5) / size
        # Nothing outside the crop is seen: stop at the centres of its border pixels.
        return start + torch.minimum(steps * extent - 0.5, extent - 1).clamp(min=0)
