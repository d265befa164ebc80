"""Augmentation of a whole batch on its device, each example with its own random draw.

`augmentation(images, generator)` takes images (N, C, H, W), uint8 or float in [0, 1].
A call is `draw`, which says what happens to each example, then `apply`, which draws
nothing. Crops, flip, cutout and CutMix keep uint8; the others turn it into float.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from utils.course import CourseError

Pair, Params = tuple[Tensor, Tensor], tuple[Tensor, ...]
CACHED = 2**19  # bytes that stay in the processor's cache while they are changed
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # the operations of `ColorJitter`


def as_float(images: Tensor) -> Tensor:
    """Turn uint8 images into float32 in [0, 1]; float images stay as they are."""
    return images if images.is_floating_point() else images.float().div_(255)


def uniform(images: Tensor, generator: Generator, *shape: int) -> Tensor:
    """Draw numbers in [0, 1), each example its own: (N, *shape), on its device."""
    size, device = (len(images), *shape), generator.device
    return torch.rand(size, generator=generator, device=device).to(images.device)


def inside(images: Tensor, top: Tensor, left: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """Mark the pixels of each example's box, as far as it lies inside: (N, 1, H, W)."""
    y, x = (torch.arange(side, device=images.device) for side in images.shape[2:])
    top, left, bottom, right = (t[:, None] for t in (top, left, top + h, left + w))
    rows, columns = (top <= y) & (y < bottom), (left <= x) & (x < right)
    return rows[:, None, :, None] & columns[:, None, None, :]


class Augmentation:
    """What all augmentations of images alone share: `draw`, then `apply`."""

    draw: Callable[..., Any]  # every example's parameters, from images and generator
    apply: Callable[..., Tensor]  # changes each example by its own parameters

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment a batch (N, C, H, W), each example with its own draw."""
        if images.ndim != 4:
            raise CourseError("Pass a batch (N, C, H, W), of one image: image[None].")
        return self.apply(images, self.draw(images, generator))


def cut(
    images: Tensor, i: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]
) -> Tensor:
    """Cut a window out of each of the images `i`: (B, C, *size), in their layout."""
    # A view of all windows, (N, C, y, x, *size): only the chosen ones are copied.
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    if images.device.type != "cpu" or images.dtype == torch.bfloat16:
        return windows[i, :, top, left]
    # NumPy copies row by row, torch pixel by pixel: 8 times as fast on 32x32 images.
    last = images.is_contiguous(memory_format=torch.channels_last)
    windows = windows.permute(0, 2, 3, *((4, 5, 1) if last else (1, 4, 5)))
    cropped = torch.from_numpy(windows.numpy()[i.numpy(), top.numpy(), left.numpy()])
    return cropped.permute(0, 3, 1, 2) if last else cropped


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Pad with zeros on all sides, then crop at a random place; sizes are in pixels.

    Source: Krizhevsky et al. 2012, Sec. 4.1: `RandomCrop(0, size=224)` of 256x256; the
    padded form is He et al. 2016, Sec. 4.2.
    """

    padding: int = 4
    size: int | None = None  # of the crop; None keeps the images' height and width

    def draw(self, images: Tensor, generator: Generator) -> Pair:
        """Draw the crop's top and left in the padded image: int64 (N,) each."""
        height, width = (side + 2 * self.padding for side in images.shape[2:])
        h, w = (self.size or side for side in images.shape[2:])
        dy, dx = uniform(images, generator, 2).unbind(1)
        return (dy * (height - h + 1)).long(), (dx * (width - w + 1)).long()

    def apply(self, images: Tensor, params: Pair) -> Tensor:
        """Cut each example's window out of the padded image."""
        padded = F.pad(images, [self.padding] * 4) if self.padding else images
        return self.pick(padded, torch.arange(len(images)).to(images.device), params)

    def pick(self, padded: Tensor, i: Tensor, params: Pair) -> Tensor:
        """Cut the windows out of the images `i` of a set that has its border."""
        h, w = (self.size or side - 2 * self.padding for side in padded.shape[2:])
        return cut(padded, i, *params, (h, w))


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen examples, bool (N,), left to right."""
    if images.device.type != "cpu" or images.dtype == torch.bfloat16:
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)
    # On the CPU only those are touched, and put back by NumPy: 3.5 times as fast
    # on 32x32 images as one after the other. `where` would be slower still.
    last = images.is_contiguous(memory_format=torch.channels_last)
    rows = images.permute(0, 2, 3, 1) if last else images
    result, axis = rows.clone(), 2 if last else 3
    some = max(1, CACHED // (images.shape[1:].numel() * images.element_size()))
    for part in chosen.nonzero()[:, 0].split(some):
        result.numpy()[part.numpy()] = rows.index_select(0, part).flip(axis).numpy()
    return result.permute(0, 3, 1, 2) if last else result


@dataclass(frozen=True)
class HorizontalFlip(Augmentation):
    """Mirror an image left to right, with probability `p` (Krizhevsky et al. 2012)."""

    p: float = 0.5

    def draw(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw which examples are mirrored: bool (N,)."""
        return uniform(images, generator) < self.p

    def apply(self, images: Tensor, params: Tensor) -> Tensor:
        """Mirror the chosen examples."""
        return mirror(images, params)


def look_up(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read each image, bilinear, at its places x, y in pixels; zero lies outside."""
    height, width = images.shape[2:]
    # align_corners=False: -1 and 1 are the outer edges of the border pixels, not their
    # centres. No F.affine_grid: it multiplies matrices, in TF32 where that is allowed.
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


@dataclass(frozen=True)
class Rotation(Augmentation):
    """Turn about the centre by an angle in [-degrees, degrees], bilinear.

    Corners become zero. Positive angles turn counter-clockwise, as in torchvision.
    """

    degrees: float

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
        return look_up(images, old_x + middle_x, old_y + middle_y)


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """Crop a random part of the image and resize it (bilinear, not antialiased).

    `size` is the result's side in pixels; None keeps the images'. `scale` is the least
    and largest area, as a fraction of the image's; `ratio` is of width over height.

    Source: Szegedy et al. 2015 (GoogLeNet), Sec. 6.
    """

    padding: ClassVar[int] = 0  # a crop lies in the image
    size: int | None = None
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, images: Tensor, generator: Generator) -> Params:
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
        # Where none fits: the largest of an allowed ratio, in the middle.
        largest_h = min(height, round(width / self.ratio[0]))
        largest_w = min(width, round(height * self.ratio[1]))
        h = torch.where(found, h.gather(1, kept)[:, 0], largest_h)
        w = torch.where(found, w.gather(1, kept)[:, 0], largest_w)
        u_top, u_left = uniform(images, generator, 2).unbind(1)
        top = torch.where(found, u_top * (height - h + 1), (height - h) // 2).long()
        left = torch.where(found, u_left * (width - w + 1), (width - w) // 2).long()
        return top, left, h, w

    def apply(self, images: Tensor, params: Params) -> Tensor:
        """Look up, for each new pixel, its place in the example's crop."""
        return self.pick(images, torch.arange(len(images)).to(images.device), params)

    def pick(self, images: Tensor, i: Tensor, params: Params) -> Tensor:
        """The same for the images `i` of a set, of which nothing else is read."""
        height, width = (self.size or side for side in images.shape[2:])
        uint8 = images.dtype == torch.uint8
        if uint8 and images.device.type == "cpu":
            return resize(images, i, params, (height, width))
        top, left, h, w = params
        y, x = crop_places(top, h, height), crop_places(left, w, width)
        y, x = torch.broadcast_tensors(y[:, :, None], x[:, None, :])
        found = look_up(as_float(images[i]), x, y)
        return found.mul_(255).round_().to(torch.uint8) if uint8 else found


def crop_places(start: Tensor, extent: Tensor, size: int) -> Tensor:
    """Where `size` new pixels lie along one axis of each crop, in pixels."""
    start, extent = start[:, None], extent[:, None]
    steps = (torch.arange(size, device=start.device) + 0.5) / size
    # Nothing outside the crop is seen: stop at the centres of its border pixels.
    return start + torch.minimum(steps * extent - 0.5, extent - 1).clamp(min=0)


@cache
def threads(n: int, process: int) -> ThreadPoolExecutor:
    """Threads that stay, since they start slowly; a forked process needs its own."""
    return ThreadPoolExecutor(n)


def resize(images: Tensor, i: Tensor, params: Params, size: tuple[int, int]) -> Tensor:
    """Crop and resize on the CPU, which takes whole numbers seven times as fast."""
    # One layout: in the other, torch rounds some pixels the other way.
    shape, layout = (len(i), images.shape[1], *size), torch.channels_last
    resized = torch.empty(shape, dtype=images.dtype, memory_format=layout)

    # NumPy copies: torch's own copies, on a thread each, would wait for one another.
    source, target = (x.permute(0, 2, 3, 1).numpy() for x in (images, resized))

    def fill(to: np.ndarray, n: int, top: int, left: int, h: int, w: int) -> None:
        crop = source[n : n + 1, top : top + h, left : left + w].copy()
        crop = torch.from_numpy(crop).permute(0, 3, 1, 2)
        to[:] = F.interpolate(crop, size, mode="bilinear")[0].permute(1, 2, 0).numpy()

    # Within one photo torch uses one thread: several photos keep all of them busy.
    pool = threads(torch.get_num_threads(), os.getpid())
    list(pool.map(fill, target, *(p.tolist() for p in (i, *params))))
    return resized


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue, in a random order.

    The first three multiply by a factor in [1 - value, 1 + value]; hue is turned by a
    part of the colour wheel in [-hue, hue], 0.5 being half a turn. Works in float,
    where torchvision cuts uint8 images off after each operation.

    Source: Howard 2013, the distortions that GoogLeNet (Sec. 6) adopts.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def draw(self, images: Tensor, generator: Generator) -> Pair:
        """Draw the order (N, number of operations in use) and all factors (N, 4)."""
        strengths = [self.brightness, self.contrast, self.saturation, self.hue]
        low = [max(0.0, 1 - s) for s in strengths[:HUE]] + [-self.hue]
        high = [1 + s for s in strengths[:HUE]] + [self.hue]
        low, high = torch.tensor([low, high], device=images.device)
        factors = low + (high - low) * uniform(images, generator, 4)
        last = HUE if images.shape[1] == 3 else CONTRAST
        used = [op for op in range(last + 1) if strengths[op] > 0]
        used = torch.tensor(used, dtype=torch.long, device=images.device)
        return used[uniform(images, generator, len(used)).argsort(1)], factors

    def apply(self, images: Tensor, params: Pair) -> Tensor:
        """Do each example's first operation, then each one's second, and so on."""
        order, factors = params
        images = as_float(images)
        for operation in order.T[:, :, None]:
            factor = factors.gather(1, operation)[..., None, None].to(images.dtype)
            images = recolour(images, operation[..., None, None], factor)
        return images


def recolour(images: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
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
        images[chosen] = turn_hue(images[chosen], factor[chosen])
    return images


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a fraction of the colour wheel, keeping value and saturation."""
    r, g, b = images.split(1, dim=1)
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    divisor = chroma.clamp(min=torch.finfo(images.dtype).tiny)  # grey: 0 / tiny is 0
    other = torch.where(value == g, 2 + (b - r) / divisor, 4 + (r - g) / divisor)
    hue = torch.where(value == r, (g - b) / divisor, other)
    hue = (hue + 6 * turn) % 6  # sixths of the wheel: red at 0, green at 2, blue at 4
    shares = [(hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()]
    return value + chroma * (torch.cat(shares, 1).clamp_(0, 1) - 1)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cover a square with black; its centre lies anywhere, the border clips it.

    Source: DeVries and Taylor 2017, Sec. 3: 16 of 32 pixels, with the mean's colour.
    """

    size: int  # its side, in pixels

    def draw(self, images: Tensor, generator: Generator) -> Pair:
        """Draw the centres' row and column, in pixels: int64 (N,) each."""
        y, x = uniform(images, generator, 2).unbind(1)
        return (y * images.shape[2]).long(), (x * images.shape[3]).long()

    def apply(self, images: Tensor, params: Pair) -> Tensor:
        """Cover each example's own square."""
        # The authors' code covers size - 1 pixels when size is odd; here it is size.
        y, x = (centre - self.size // 2 for centre in params)
        side = torch.full_like(y, self.size)
        return torch.where(inside(images, y, x, side, side), 0, images)


def beta(images: Tensor, generator: Generator, alpha: float) -> Tensor:
    """Draw from Beta(alpha, alpha) for each example, (N,): torch's takes no generator.

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

    The share that an example keeps, lambda, follows Beta(alpha, alpha). Labels are
    float (N, K), mixed too. The authors' code draws one lambda for the whole batch.
    """

    alpha: float = 1.0

    def draw(self, images: Tensor, generator: Generator) -> Params:
        """Draw lambda, float (N,), and the partners, int64 (N,)."""
        kept, device = beta(images, generator, self.alpha), generator.device
        partner = torch.randperm(len(images), generator=generator, device=device)
        return kept, partner.to(images.device)

    def __call__(self, images: Tensor, labels: Tensor, generator: Generator) -> Pair:
        """Mix a batch (N, C, H, W) and its labels (N, K), each pair by its own draw."""
        if labels.ndim != 2:
            raise CourseError("Pass labels (N, K): F.one_hot(labels, K).float().")
        return self.apply(images, labels, self.draw(images, generator))


def mix(values: Tensor, partner: Tensor, kept: Tensor) -> Tensor:
    """Add `kept`, (N,), of each example and the rest of its partner."""
    kept = kept.to(values.dtype).view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[partner], values, kept)


@dataclass(frozen=True)
class MixUp(Mixing):
    """Lay two images over each other, lambda of the one (Zhang et al. 2018, Sec. 2)."""

    alpha: float = 0.2

    def apply(self, images: Tensor, labels: Tensor, params: Params) -> Pair:
        """Mix images and labels by lambda."""
        kept, partner = params
        return mix(as_float(images), partner, kept), mix(labels, partner, kept)


class CutMix(Mixing):
    """Paste a box of one image, 1 - lambda of its area, into another at the same place.

    Source: Yun et al. 2019, Sec. 3.1.
    """

    def draw(self, images: Tensor, generator: Generator) -> Params:
        """Draw lambda, the partners, and the row and column of the boxes' centres."""
        return *super().draw(images, generator), *Cutout(0).draw(images, generator)

    def apply(self, images: Tensor, labels: Tensor, params: Params) -> Pair:
        """Paste the boxes, and mix the labels by the area that was really pasted."""
        kept, partner, y, x = params
        # Half sides in whole pixels, as torchvision and the authors round them.
        half_side = 0.5 * (1 - kept).sqrt()
        half_h, half_w = ((half_side * side).long() for side in images.shape[2:])
        pasted = inside(images, y - half_h, x - half_w, 2 * half_h, 2 * half_w)
        kept = 1 - pasted.float().mean((1, 2, 3))
        return torch.where(pasted, images[partner], images), mix(labels, partner, kept)
