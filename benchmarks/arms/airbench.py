"""A speed-run's loader, by its design: the whole epoch is augmented before it begins.

The set lies on the device as normalised floats with its border. Crops are made by one
masked copy for each shift, rows first and then columns. In the first epoch a half of
the images is flipped, in every later one those that were not flipped in the last.

Source: the design is that of Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single
GPU", Sec. 3.6 (alternating flip), and of its published loader. The border is black as
in the other arms; the paper reflects.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.work import PADDING
from utils.data import ImageSet


class EpochLoader:
    """Batches of an epoch that was augmented as a whole.

    Gives images, float32 (B, C, H, W) in channels_last order, and labels, int64 (B,).
    """

    def __init__(
        self, data: ImageSet, batch_size: int, *, seed: int, device: str, padding: int
    ) -> None:
        self.batch_size, self.epoch, self.padding = batch_size, 0, padding
        self.generator = torch.Generator(device).manual_seed(seed)
        mean, std = (torch.tensor(t).view(1, -1, 1, 1) for t in (data.mean, data.std))
        padded = F.pad(data.images, [padding] * 4).float().div_(255)
        padded = padded.sub_(mean).div_(std)
        self.padded = padded.to(device, memory_format=torch.channels_last)
        self.labels = data.labels.to(device)
        self.flipped = self._draw(2).bool()

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images = self._crop()
        flip = self.flipped if self.epoch % 2 == 0 else ~self.flipped
        images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        self.epoch += 1
        n, device = len(self.labels), self.labels.device
        order = torch.randperm(n, generator=self.generator, device=device)
        for i in order.split(self.batch_size):
            yield images[i], self.labels[i]

    def _draw(self, below: int) -> Tensor:
        size = (len(self.labels),)
        device = self.labels.device
        return torch.randint(below, size, generator=self.generator, device=device)

    def _crop(self) -> Tensor:
        """A crop of every image, each at its own place: (N, C, H, W)."""
        shifts = 2 * self.padding + 1
        images = self.padded
        for axis in (2, 3):
            side = images.shape[axis] - 2 * self.padding
            at = self._draw(shifts)
            shape = [side if d == axis else s for d, s in enumerate(images.shape)]
            cropped = images.new_empty(shape)
            cropped = cropped.contiguous(memory_format=torch.channels_last)
            for shift in range(shifts):
                mask = at == shift
                cropped[mask] = images[mask].narrow(axis, shift, side)
            images = cropped
        return images


def loader(
    data: ImageSet,
    batch_size: int,
    *,
    seed: int = 0,
    device: str = "cpu",
    padding: int = PADDING,
) -> EpochLoader:
    """The loader with the arguments that the others take."""
    return EpochLoader(data, batch_size, seed=seed, device=device, padding=padding)
