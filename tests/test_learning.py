"""The figures of learning show what an optimizer of torch would do."""

from __future__ import annotations

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from teaching import learning

SLOPE = torch.tensor([1.0, 4.0], dtype=torch.float64)


def bowl(point, rows=slice(None)):
    """A valley, whose batches pull in slightly different directions."""
    count = 256 if isinstance(rows, slice) else len(rows)
    return (SLOPE * torch.stack(list(point)) ** 2).sum() / 20 + 0 * count


def points(ax):
    [line] = [line for line in ax.lines if len(line.get_xdata()) > 2][-1:]
    return torch.tensor(line.get_xydata())


def test_descents_are_those_of_plain_sgd():
    weights = torch.linspace(-3, 3, 13)
    rates = (0.1, 0.9)
    made = {"start": -2.0, "rates": rates, "steps": 4}
    axes = learning.descents(lambda w: torch.as_tensor(w) ** 2, weights, **made)
    for ax, rate in zip(axes, rates, strict=True):
        expected = [-2.0 * (1 - 2 * rate) ** k for k in range(5)]
        assert points(ax)[:, 0].tolist() == pytest.approx(expected)


def test_one_cycle_walks_with_torchs_rates():
    ways = {"plain": lambda p: SGD(p, lr=0.5), "cycle": lambda p: SGD(p, lr=0.5)}
    made = {"start": (2.0, 2.0), "steps": 6, "one_cycle": "cycle"}
    plain, cycle = learning.walks(bowl, ways, **made)
    expected = torch.tensor([2.0, 2.0], dtype=torch.float64)
    rates = SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = OneCycleLR(rates, 0.5, 6, cycle_momentum=False)
    for step in range(6):
        assert torch.allclose(points(cycle)[step], expected)
        expected = expected * (1 - rates.param_groups[0]["lr"] * SLOPE / 10)
        rates.step(), schedule.step()
    assert torch.allclose(points(plain)[1], 2 * (1 - 0.5 * SLOPE / 10))


def test_title_counts_the_batches_that_point_downhill():
    batches = torch.arange(12).view(3, 4)
    ax = learning.batch_arrows(bowl, batches, at=(1.0, -1.0))
    title = ax.get_title("left") or ax.get_title()  # the style says where
    assert title.startswith("3 of 3 batches point downhill")
