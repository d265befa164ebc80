"""Positions of leaked images, and what wrong ones betray: exercise 10.7."""

from __future__ import annotations

from typing import Any

import torch

from teaching.checks import Wrong, describe


def positions(got: Any) -> list[int]:
    """A list, set, array, tensor, or mask of positions as a sorted list."""
    if isinstance(got, (int, float, str)) or not hasattr(got, "__len__"):
        raise Wrong(
            f"A list of positions is wanted, not {describe(got)}.",
            "Which ones, not how many.",
        )
    values = torch.as_tensor(list(got)).flatten()
    if values.dtype == torch.bool:
        values = values.nonzero().flatten()
    return sorted(int(value) for value in values)


def check_positions(got: Any, right: list[int]) -> None:
    """Refuse wrong positions, with what they betray."""
    found = positions(got)
    if found == right:
        return
    if sorted(set(found)) == right:
        raise Wrong("A position stands in the list twice: each once.")
    if set(found) == {0, 8, 17} or set(found) == {0, 8, 9, 17}:
        raise Wrong("These are positions in the training set; those in the test set.")
    if not found:
        same = "Does it compare image 0 with image 0 only? Compare each with each."
        raise Wrong("It finds none of the images that leaked.", same)
    extra = sorted(set(found) - set(right))
    reasons = {
        5: "test image 5 has the pixels of a training image at other places.",
        7: "test image 7 differs from a training image in one pixel.",
        13: "test image 13 is twice in the test set, and never in training.",
        14: "test image 14 is twice in the test set, and never in training.",
    }
    for position in extra:
        raise Wrong(
            f"{position} did not leak: "
            + reasons.get(position, "no training image has its pixels.")
        )
    missing = sorted(set(right) - set(found))
    raise Wrong(f"It misses position {missing[0]}: several may have the same twin.")
