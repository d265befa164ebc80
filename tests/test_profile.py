"""The profile of an epoch: its parts, their sizes, and what it leaves alone."""

import time

import pytest
import torch
from torch import nn

from experiments.profile import epoch_profile, shares
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


def test_every_part_is_timed_and_stands_for_the_whole_epoch():
    parts = epoch_profile(network(), batches(30), batches(6), batches=5)
    assert list(parts) == ["input", "forward", "backward", "optimizer", "evaluation"]
    assert min(parts.values()) > 0
    assert parts["input"] == pytest.approx(30 * 0.02, rel=0.5)
    assert parts["input"] > parts["forward"] + parts["backward"]
    assert parts["evaluation"] > 6 * 0.02  # its loader's time too


def test_more_batches_than_there_are_count_once():
    parts = epoch_profile(network(), batches(3), batches(2), batches=50)
    assert parts["input"] == pytest.approx(3 * 0.02, rel=0.7)


def test_the_model_stays_as_it_was():
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    epoch_profile(model, batches(3), batches(1), batches=2)
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not model.training


def test_nothing_is_written_between_the_lines(capfd):
    epoch_profile(network(), batches(3), batches(1), batches=2)
    assert capfd.readouterr() == ("", "")


def test_an_empty_loader_is_refused():
    with pytest.raises(CourseError, match="no batch"):
        epoch_profile(network(), [], batches(1))


def test_shares_fill_one_bar():
    ax = shares({"input": 1, "forward": 3}, title="Where?")
    assert [bar.get_width() for bar in ax.patches[:2]] == pytest.approx([25, 75])
    assert [text.get_text() for text in ax.texts] == [
        "input 25 %\n1 s",
        "forward 75 %\n3 s",
    ]
