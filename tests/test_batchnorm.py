"""Batch normalization against torch's, and against a hand computation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from utils.models.batchnorm import batch_norm

SHAPES = [(16, 5), (8, 5, 11), (6, 5, 7, 4), (1, 5, 3, 3)]


def torchs(x, gamma, beta, mean, var, training, momentum=0.1, eps=1e-5):
    return F.batch_norm(x, mean, var, gamma, beta, training, momentum, eps)


def steps(norm, batches, **options):
    """Output, gradients and statistics of three steps in training, one in evaluation.

    Gamma and beta are not 1 and 0.
    """
    gamma = torch.linspace(0.5, 2.0, 5).double().requires_grad_()
    beta = torch.linspace(-1.0, 1.0, 5).double().requires_grad_()
    mean, var = torch.zeros(5).double(), torch.ones(5).double()
    kept = []
    for step, batch in enumerate(batches):
        x = batch.clone().requires_grad_()
        y = norm(x, gamma, beta, mean, var, step < 3, **options)
        weights = torch.linspace(-1, 1, y.numel()).double().view_as(y)
        kept += [y, *torch.autograd.grad((y * weights).sum(), (x, gamma, beta))]
        kept += [mean.clone(), var.clone()]
    return kept


@pytest.mark.parametrize("momentum", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch_in_train_and_eval_mode(shape, momentum):
    torch.manual_seed(0)
    batches = [torch.randn(shape, dtype=torch.double) * 3 + 7 for _ in range(4)]
    ours = steps(batch_norm, batches, momentum=momentum)
    torch.testing.assert_close(ours, steps(torchs, batches, momentum=momentum))


@pytest.mark.parametrize("spread", [0.0, 1e-3])
def test_epsilon_counts_where_a_channel_hardly_varies(spread):
    torch.manual_seed(0)
    shape = (6, 5, 4, 4)
    batches = [spread * torch.randn(shape, dtype=torch.double) for _ in range(4)]
    ours = steps(batch_norm, batches, eps=1e-3)
    torch.testing.assert_close(ours, steps(torchs, batches, eps=1e-3))


def test_a_batch_of_four_by_hand():
    one = torch.ones(1)
    mean, var = torch.zeros(1), torch.ones(1)
    x = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
    y = batch_norm(x, one, 0 * one, mean, var, True, eps=0.0)
    # Mean 3; biased variance (4 + 1 + 0 + 9) / 4 = 3.5; unbiased 14 / 3.
    by_hand = torch.tensor([[-2.0], [-1.0], [0.0], [3.0]]) / 3.5**0.5
    torch.testing.assert_close(y, by_hand)
    assert mean.item() == pytest.approx(0.9 * 0 + 0.1 * 3)
    assert var.item() == pytest.approx(0.9 * 1 + 0.1 * 14 / 3)
    expected = (6 - 0.3) / (0.9 + 1.4 / 3) ** 0.5
    y = batch_norm(x, one, 0 * one, mean, var, False, eps=0.0)
    assert y[-1].item() == pytest.approx(expected)
    assert mean.item() == pytest.approx(0.3)  # evaluation leaves it alone
