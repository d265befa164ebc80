"""The figures of normalisation show the numbers that they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from teaching import norms


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_frame_surrounds_the_channel_and_no_other():
    figure = norms.channel_row(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    [frame] = figure.artists
    bounds = frame.get_bbox()
    inside = [
        bounds.containsx(box.x0 + box.width / 2)
        and bounds.containsy(box.y0 + box.height / 2)
        for box in (ax.get_position() for ax in figure.axes)
    ]
    assert inside == 4 * [False] + 4 * [True] + 4 * [False]


def test_drift_draws_the_median_in_every_step():
    levels = torch.tensor([[-1.0, 0.5, 2.0], [-2.0, 0.7, 3.0]])
    axes = norms.drift({"a": levels, "b": levels + 1}, title="a finding")
    assert [ax.get_title("left") or ax.get_title() for ax in axes] == ["a", "b"]
    assert axes[1].lines[0].get_ydata().tolist() == pytest.approx([1.5, 1.7])


def test_answers_are_in_percent_one_column_a_class():
    shares = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    photo = torch.zeros(3, 4, 4, dtype=torch.uint8)
    ax = norms.answers(photo, shares, shares[0], ["cat", "dog"], "a finding")
    drawn = [line.get_ydata().tolist() for line in ax.lines]
    first, second, highest, alone = [25, 50], [75, 50], [75, 50], [25, 75]
    assert drawn == [first, second, highest, alone]


def test_each_batch_size_names_the_highest_mean():
    shares = {"a": [[0.1, 0.5], [0.3, 0.7]], "b": [[0.1, 0.9], [0.1, 0.7]]}
    first = norms.by_batch_size((2, 16), shares)[0]
    assert [list(line.get_xdata()) for line in first.lines[:2]] == [[10, 30], [20]]
    assert first.figure.get_suptitle() == "Highest mean: a with 2, b with 16"
