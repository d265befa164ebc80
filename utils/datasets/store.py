"""Where a loader keeps its images as uint8: on the device, or off it if too many.

On the device, the set lies padded for the random crop, and each batch's crops are cut
out of it; on the CPU, a set without padding stays where it is, in a file for instance.
Otherwise a `DataLoader` fetches each batch, which is then cropped on the device. Both
draw the same numbers, so the batches are the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from utils import course
from utils.augment import RandomCrop, RandomResizedCrop, cut
from utils.datasets import maps
from utils.datasets.shard import WHOLE, Shard, draw

if TYPE_CHECKING:
    from utils.datasets.loader import ImageSet

Batches = Iterator[tuple[Tensor, Tensor]]
Crop = RandomCrop | RandomResizedCrop  # what reads no more of an image than it gives
PADDED = 2**30  # bytes, at most, that are padded on the CPU as a whole
PART = 2**27  # bytes that are copied to the device at once


def place(
    data: ImageSet, crop: Crop | None, device: torch.device, shard: Shard = WHOLE
) -> Resident | Part | Fetched:
    """Put the set on the device if it takes at most half of the memory free there.

    Of several processes each puts its own part there.
    """
    n, c, h, w = data.images.shape
    apart = n >= shard.size > 1  # each process has an example or more
    n = math.ceil(n / shard.size) if apart else n
    border = 2 * crop.padding if crop else 0
    copied = n * c * (h + border) * (w + border)
    room = free_memory(device) / 2
    if device.type == "cpu":
        # Without a border the images are used where they are; with one, a large set is
        # not copied: it may be the map of a file.
        copied, room = (copied if border else 0), min(room, PADDED)
    if copied > room:
        return Fetched(data, crop, device)
    return (Part if apart and copied else Resident)(data, crop, device)


def free_memory(device: torch.device) -> float:
    """Bytes that are free on the device; infinite where the system does not say."""
    if device.type == "cuda":
        # What torch holds back for later use is free for us as well.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    available = course.linux_states("/proc/meminfo", "MemAvailable")
    if available is not None:  # sysconf would count the page cache as taken
        return available
    if hasattr(os, "sysconf"):  # macOS: all of the memory, which MPS shares
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


class Resident:
    """The whole set on the device, padded once."""

    def __init__(self, data: ImageSet, crop: Crop | None, device: torch.device) -> None:
        self.crop, self.size = crop, tuple(data.images.shape[2:])
        self.images, self.labels = _on(data.images, device), data.labels.to(device)
        if crop and crop.padding:
            self.images = F.pad(self.images, [crop.padding] * 4)

    def batches(
        self, indices: Sequence[Tensor], generator: Generator, shard: Shard = WHOLE
    ) -> Batches:
        """Pick the examples of each batch, cropped: uint8 (B, C, H, W), int64 (B,)."""
        for i in indices:
            rows, shape = shard.rows(len(i)), (len(i), self.images.shape[1], *self.size)
            i = i[rows]
            if self.crop:
                params = draw(self.crop, shape, self.images, rows, generator)
                images = self.crop.pick(self.images, i, params)
            else:
                images = _pick(self.images, i)
            maps.was_read(len(i) * self.images[0].nbytes)
            yield images, self.labels[i]


class Part:
    """What a process needs of the set, on its device; copied anew for each pass.

    So a device holds the set's share of one process, although every pass deals the
    examples out anew.
    """

    def __init__(self, data: ImageSet, crop: Crop | None, device: torch.device) -> None:
        self.data, self.crop, self.device = data, crop, device

    def batches(
        self, indices: Sequence[Tensor], generator: Generator, shard: Shard = WHOLE
    ) -> Batches:
        """The same batches as of the whole set."""
        mine = torch.cat([i[shard.rows(len(i))] for i in indices])
        part = Resident(self.data.take(mine.cpu()), self.crop, self.device)
        places = torch.zeros(len(self.data), dtype=torch.int64, device=mine.device)
        places[mine] = torch.arange(len(mine), device=mine.device)
        yield from part.batches([places[i] for i in indices], generator, shard)


class Fetched:
    """The set where it lies, a memory map for instance; batches come one by one."""

    def __init__(self, data: ImageSet, crop: Crop | None, device: torch.device) -> None:
        self.examples, self.crop, self.device = _Examples(data), crop, device

    def batches(
        self, indices: Sequence[Tensor], generator: Generator, shard: Shard = WHOLE
    ) -> Batches:
        """Fetch the examples of each batch: uint8 (B, C, H, W), int64 (B,)."""
        cuda = self.device.type == "cuda"
        loader = DataLoader(
            self.examples,
            batch_sampler=[i[shard.rows(len(i))].cpu() for i in indices],
            collate_fn=tuple,
            # Processes fetch ahead while a GPU computes; a busy CPU they would slow.
            num_workers=course.num_workers() if cuda else 0,
            pin_memory=cuda,
            generator=Generator(),  # without it, the global one would be used
        )
        for i, batch in zip(indices, loader, strict=True):
            images, labels = (t.to(self.device, non_blocking=True) for t in batch)
            if self.crop:
                rows, shape = shard.rows(len(i)), (len(i), *images.shape[1:])
                params = draw(self.crop, shape, images, rows, generator)
                images = self.crop.apply(images, params)
            yield images, labels


class _Examples(Dataset):
    """What a `DataLoader` asks for a whole batch at once, still as uint8."""

    def __init__(self, data: ImageSet) -> None:
        self.images, self.labels = data.images, data.labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = _pick(self.images, indices)
        maps.was_read(images.nbytes)
        return images, self.labels[indices]


def _on(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device, copied there in parts; on the CPU, as they are."""
    if images.device == device:
        return images
    moved = torch.empty_like(images, device=device)
    some = max(1, PART // images[0].nbytes)
    for to, part in zip(moved.split(some), images.split(some), strict=True):
        to.copy_(part)
        maps.was_read(part.nbytes)
    return moved


def _pick(images: Tensor, i: Tensor) -> Tensor:
    """The images `i`, in their layout."""
    corner = torch.zeros_like(i)
    return cut(images, i, corner, corner, tuple(images.shape[2:]))
