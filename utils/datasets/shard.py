"""A process's part of every batch, where several train together.

All of them draw the same random numbers for the whole batch; each then fetches and
augments its own examples alone. So the batches are those of a single process, cut up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor

from utils.augment import Augmentation


@dataclass(frozen=True)
class Shard:
    """Which part of every batch is this process's.

    Attributes:
        rank: its number, from 0.
        size: how many processes there are.
    """

    rank: int = 0
    size: int = 1

    def rows(self, n: int) -> slice:
        """Its examples of a batch of `n`; the ranks' numbers differ by 1 at most."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)


WHOLE = Shard()


def draw(
    augmentation: Augmentation,
    shape: tuple[int, ...],
    like: Tensor,
    rows: slice,
    generator: Generator,
) -> Any:
    """Draw for a whole batch of this shape, and keep the parameters of some rows.

    Args:
        augmentation: its `draw` looks at nothing but the images' number and size.
        shape: of the whole batch, (N, C, H, W).
        like: a tensor of the images' type, on their device.
        rows: which examples' parameters to return.
        generator: what is drawn from.
    """
    whole = like.new_empty(()).expand(shape)  # a view of one number
    return _rows(augmentation.draw(whole, generator), rows)


def _rows(params: Any, rows: slice) -> Any:
    if isinstance(params, tuple):
        return tuple(_rows(each, rows) for each in params)
    return params[rows] if isinstance(params, Tensor) else params
