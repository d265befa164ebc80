"""Positions of leaked images, and what wrong ones betray: exercise 10.7."""

from __future__ import annotations

from typing import Any

import torch

from teaching.checks import Wrong, describe


def positions(got: Any) -> list[int]:
    """A list, set, array or tensor of positions as a sorted list."""
    if isinstance(got, (int, float, str)) or not hasattr(got, "__len__"):
        raise Wrong(
            f"A list of positions is wanted, not {describe(got)}.",
            "Which ones, not how many.",
        )
    values = [torch.as_tensor(value) for value in got]
    if any(value.numel() == 1 and value.dim() for value in values):
        raise Wrong("The list is nested: each position is one number.", ".flatten()")
    if any(value.numel() == 2 for value in values):
        raise Wrong("These are pairs; only the position in the test set is asked for.")
    if any(value.numel() > 1 for value in values):
        raise Wrong("These are the images; their positions are asked for.")
    if any(value.dtype == torch.bool for value in values):
        raise Wrong(
            "True or False for each image; the positions are asked for.",
            "[i for i, leaks in enumerate(...) if leaks]",
        )
    return sorted(int(value) for value in values)


def check_positions(got: Any, right: list[int], count: int) -> None:
    """Refuse wrong positions among `count` test images, with what they betray."""
    found = positions(got)
    if found == right:
        return
    if sorted(set(found)) == right:
        raise Wrong("A position stands in the list twice: each once.")
    if set(found) in ({0, 8, 16, 17}, {0, 8, 9, 16, 17}):
        raise Wrong("These are positions in the training set; those in the test set.")
    betrayed = (
        (
            [16],
            "It finds only image 16, which has the same position in both sets."
            " Compare each with each.",
        ),
        (
            [],
            "It finds none of the images that leaked. Tensors in a set or dict are"
            " compared as objects; compare their numbers.",
        ),
        (right[:1], "It finds the first one only: does return stand inside the loop?"),
        ([i + 1 for i in right], "Each is one too large: positions begin at 0."),
        (
            [i for i in range(count) if i not in right],
            "These are those that did not leak.",
        ),
        (
            list(range(count)),
            "All test images are found: every pixel must be equal, not one.",
        ),
    )
    for wrong, hint in betrayed:
        if found == wrong:
            raise Wrong(hint)
    extra = sorted(set(found) - set(right))
    twice = "is twice in the test set, and never in training."
    reasons = {
        5: "test image 5 has the pixels of a training image at other places.",
        7: "test image 7 differs from a training image in one pixel.",
        9: "test image 9 differs from a training image in its last channel alone.",
        13: f"test image 13 {twice}",
        14: f"test image 14 {twice}",
    }
    for position in extra:
        raise Wrong(
            f"{position} did not leak: "
            + reasons.get(position, "no training image has its pixels.")
        )
    missing = sorted(set(right) - set(found))
    raise Wrong(f"It misses position {missing[0]}: several may have the same twin.")
