"""The profile of an epoch: its parts, their sizes, and what it leaves alone."""

import time

import pytest
import torch
from torch import nn

from experiments.profile import PARTS, epoch_profile, shares
from utils.course import CourseError


class Slow(list):
    """Batches, each of which takes its time."""

    def __iter__(self):
        for batch in super().__iter__():
            time.sleep(0.02)
            yield batch


def batches(n, size=32):
    return Slow([(torch.randn(size, 3, 8, 8), torch.arange(size) % 10)] * n)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 10)
    )


@pytest.mark.parametrize("timed", [5, 500])
def test_every_part_is_timed_and_stands_for_the_whole_epoch(timed):
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parts = epoch_profile(model, batches(30), batches(6), batches=timed)
    assert tuple(parts) == PARTS
    assert min(parts.values()) > 0
    assert parts["input"] == pytest.approx(30 * 0.02, rel=0.5)
    assert parts["input"] > parts["optimizer"]
    assert parts["evaluation"] > 6 * 0.02  # its loader's time too
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not model.training


def test_an_empty_loader_is_refused():
    with pytest.raises(CourseError, match="no batch"):
        epoch_profile(network(), [], batches(1))


def test_shares_fill_one_bar():
    ax = shares({"input": 1, "forward": 3}, title="Where?")
    assert [bar.get_width() for bar in ax.patches[:2]] == pytest.approx([25, 75])
    texts = ["input 25 %\n1 s", "forward 75 %\n3 s"]
    assert [text.get_text() for text in ax.texts] == texts
