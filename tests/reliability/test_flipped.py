"""A bit that flips on a disk is noticed, or changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import run
from stopping import same

from utils import checkpoint
from utils.course import CourseError
from utils.models import pretrained

READERS: dict[str, Callable[[Path], Any]] = {
    "checkpoint": checkpoint.read,
    "weights": pretrained.load,
}
FEW, MANY = 200, 20_000  # flips
FIGURES: dict[str, tuple[int, int]] = {}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    """A checkpoint, and the weights of the same network."""
    folder = tmp_path_factory.mktemp("saved")
    model, _ = run("shuffle-adam", folder / "run.pt", epochs=1)
    torch.save(model.state_dict(), folder / "weights.pt")
    return {"checkpoint": folder / "run.pt", "weights": folder / "weights.pt"}


@pytest.mark.parametrize("kind", READERS)
def test_a_flipped_bit(kind, saved, tmp_path, thorough, keep):
    whole, draw = saved[kind].read_bytes(), random.Random(5)
    right, refused = READERS[kind](saved[kind]), 0
    path, flips = tmp_path / "flipped.pt", [divmod(i, 8) for i in range(8 * len(whole))]
    if not thorough or len(flips) > MANY:  # of a small file, all
        flips = draw.sample(flips, MANY if thorough else FEW)
    for place, number in flips:
        bit = 1 << number
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        )
        try:
            found = READERS[kind](path)
        except CourseError:
            refused += 1
        else:  # in a zip's own notes, such as a date
            assert same(found, right), f"bit {bit} of byte {place}"
    assert refused > len(flips) / 2
    FIGURES[kind] = len(flips), refused
    if len(FIGURES) == len(READERS):
        flips, refused = map(sum, zip(*FIGURES.values(), strict=True))
        keep(
            "flipped",
            f"{flips:,} flipped bits of checkpoints and weights: {refused:,} refused,"
            " the others changed nothing that is read",
            flips=flips,
            refused=refused,
        )
