"""The memory that a loader takes, in units of its padded images:
`python -m benchmarks.memory N DEVICE`, in a process of its own."""

from __future__ import annotations

import json
import sys

import torch

from benchmarks.arms import ours
from benchmarks.work import PADDING, SIDE, image_set, noise
from experiments.record import peak_memory
from utils.data import ImageSet


def share(n: int, device: torch.device) -> float | None:
    """Growth of the peak in an epoch without a network, over the padded store's size.

    None where the system does not count.
    """
    for _ in ours.loader(images(256), 128, device=str(device)):  # warms up
        pass
    data = images(n)
    before = peak_memory(device)
    for _ in ours.loader(data, 128, device=str(device)):
        pass
    after = peak_memory(device)
    if before is None or after is None:
        return None
    return round((after - before) / (n * 3 * (SIDE + 2 * PADDING) ** 2), 3)


def images(n: int) -> ImageSet:
    """Random images and labels, made without a second copy."""
    return image_set(noise(n, torch.Generator().manual_seed(0)), torch.arange(n) % 10)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"share": share(int(sys.argv[1]), torch.device(sys.argv[2]))}))
