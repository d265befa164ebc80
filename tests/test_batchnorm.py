"""Batch normalization against torch's, against a hand computation, and on bad input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from utils.course import CourseError
from utils.models.batchnorm import BatchNorm1d, BatchNorm2d, batch_statistics

CASES = [
    (BatchNorm1d, nn.BatchNorm1d, (16, 5)),
    (BatchNorm1d, nn.BatchNorm1d, (8, 5, 11)),
    (BatchNorm2d, nn.BatchNorm2d, (6, 5, 7, 4)),
    (BatchNorm2d, nn.BatchNorm2d, (1, 5, 3, 3)),
]
CASE = pytest.mark.parametrize(("ours", "torchs", "shape"), CASES)


def pair(ours, torchs, **options):
    """Both layers in float64 with the same gamma and beta, which are not 1 and 0."""
    layers = ours(5, **options).double(), torchs(5, **options).double()
    for layer in layers:
        layer.weight.data = torch.linspace(0.5, 2.0, 5).double()
        layer.bias.data = torch.linspace(-1.0, 1.0, 5).double()
    return layers


def results(layer, inputs, weights):
    """Output, gradients and statistics of one step."""
    x = inputs.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    (y * weights).sum().backward()
    named = {"output": y.detach(), "input": x.grad}
    named |= {f"grad {n}": p.grad.clone() for n, p in layer.named_parameters()}
    return named | {n: b.clone() for n, b in layer.named_buffers()}


@pytest.mark.parametrize("offset", [0.0, 10_000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@CASE
def test_equals_torch_in_train_and_eval_mode(ours, torchs, shape, dtype, offset):
    torch.manual_seed(0)
    mine, theirs = (layer.to(dtype) for layer in pair(ours, torchs))
    # Two roundings of the largest values: float32 knows 10,000 to 0.001, and the
    # running mean stays away from the batch's, so that eval's values are large too.
    close = {"rtol": 1e-5, "atol": 2e-5 + 4 * offset * torch.finfo(dtype).eps}
    for step in range(4):
        inputs = (torch.randn(shape, dtype=torch.float64) * 3 + offset).to(dtype)
        weights = torch.randn(shape, dtype=dtype)
        for layer in (mine, theirs):
            layer.train(step < 3)
        got, wanted = results(mine, inputs, weights), results(theirs, inputs, weights)
        assert got.keys() == wanted.keys()
        for name in wanted:
            torch.testing.assert_close(got[name], wanted[name], **close, msg=name)


@pytest.mark.parametrize("spread", [0.0, 1e-3])
def test_epsilon_counts_where_a_channel_hardly_varies(spread):
    torch.manual_seed(0)
    mine, theirs = pair(BatchNorm2d, nn.BatchNorm2d)
    inputs = spread * torch.randn(6, 5, 4, 4, dtype=torch.float64)
    weights = torch.randn(6, 5, 4, 4, dtype=torch.float64)
    for training in (True, False):
        got = results(mine.train(training), inputs, weights)
        wanted = results(theirs.train(training), inputs, weights)
        torch.testing.assert_close(got, wanted)


def test_float32_is_as_exact_as_torch_around_10_000():
    """Both against torch's in float64: at 0 there is nothing to round away."""
    torch.manual_seed(1)
    mine, exact = pair(BatchNorm2d, nn.BatchNorm2d)
    theirs = copy.deepcopy(exact).float()
    inputs = (torch.randn(32, 5, 8, 8) + 10_000).float()
    weights = torch.randn(32, 5, 8, 8)
    wanted = results(exact, inputs.double(), weights.double())
    errors = [
        {n: (r.double() - wanted[n]).abs().max().item() for n, r in got.items()}
        for got in (
            results(mine.float(), inputs, weights),
            results(theirs, inputs, weights),
        )
    ]
    for name, error in errors[0].items():
        rounding = 4e-7 * wanted[name].abs().max().item()
        assert error <= 1.5 * errors[1][name] + rounding, name


def test_variance_keeps_its_digits_where_the_mean_is_large():
    torch.manual_seed(2)
    x = torch.randn(4096, 1) + 10_000
    wanted = x.double().var(unbiased=False).item()
    careless = (x.square().mean() - x.mean().square()).item()
    assert batch_statistics(x)[1].item() == pytest.approx(wanted, rel=1e-5)
    assert careless != pytest.approx(wanted, rel=0.5)


def test_a_batch_of_four_by_hand():
    norm = BatchNorm1d(1, eps=0.0)
    y = norm(torch.tensor([[1.0], [2.0], [3.0], [6.0]]))
    # Mean 3; biased variance (4 + 1 + 0 + 9) / 4 = 3.5; unbiased 14 / 3.
    by_hand = torch.tensor([[-2.0], [-1.0], [0.0], [3.0]]) / 3.5**0.5
    torch.testing.assert_close(y, by_hand)
    assert norm.running_mean.item() == pytest.approx(0.9 * 0 + 0.1 * 3)
    assert norm.running_var.item() == pytest.approx(0.9 * 1 + 0.1 * 14 / 3)
    norm.eval()
    expected = (6 - 0.3) / (0.9 + 1.4 / 3) ** 0.5
    assert norm(torch.tensor([[6.0]])).item() == pytest.approx(expected)


@pytest.mark.parametrize("momentum", [0.3, 1.0, None])
def test_momentum_as_torch_counts_it(momentum):
    torch.manual_seed(3)
    mine, theirs = pair(BatchNorm2d, nn.BatchNorm2d, momentum=momentum)
    for _ in range(3):
        x = torch.randn(4, 5, 3, 3).double() * 2 + 1
        mine(x), theirs(x)
    for name, wanted in theirs.named_buffers():
        torch.testing.assert_close(mine.get_buffer(name), wanted)


def test_gradient_against_finite_differences():
    torch.manual_seed(4)
    mine, _ = pair(BatchNorm2d, nn.BatchNorm2d)
    x = torch.randn(3, 5, 2, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(mine, (x,))
    assert torch.autograd.gradcheck(mine.eval(), (x,))


def test_eval_mode_leaves_the_statistics_alone():
    norm = BatchNorm2d(5).eval()
    before = {n: b.clone() for n, b in norm.named_buffers()}
    norm(torch.randn(2, 5, 3, 3) + 7)
    for name, value in before.items():
        assert torch.equal(norm.get_buffer(name), value)


def test_state_dict_goes_both_ways():
    mine, theirs = BatchNorm2d(5), nn.BatchNorm2d(5)
    mine(torch.randn(4, 5, 3, 3) * 2 + 1)
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x))
    assert list(mine.state_dict()) == list(theirs.state_dict())
    BatchNorm2d(5).load_state_dict(theirs.state_dict())


def test_half_precision_takes_its_statistics_in_float32():
    torch.manual_seed(5)
    x = torch.randn(64, 5, 8, 8) + 100
    mine, theirs = BatchNorm2d(5), nn.BatchNorm2d(5)
    y = mine(x.bfloat16())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, theirs(x.bfloat16()))
    assert mine.running_mean.dtype == torch.float32
    torch.testing.assert_close(mine.running_mean, theirs.running_mean)


@pytest.mark.parametrize(
    ("layer", "shape"), [(BatchNorm1d, (1, 5)), (BatchNorm2d, (1, 5, 1, 1))]
)
def test_one_value_per_channel_is_refused_in_training_alone(layer, shape):
    norm = layer(5)
    with pytest.raises(CourseError, match=r"more than 1 value per channel.*drop_last"):
        norm(torch.zeros(shape))
    assert norm.num_batches_tracked == 0
    assert norm.eval()(torch.zeros(shape)).shape == shape


@pytest.mark.parametrize("training", [True, False])
def test_compile_and_export_capture_it(training):
    torch.manual_seed(6)
    norm = BatchNorm2d(5).train(training)
    x, other = torch.randn(4, 5, 3, 3), copy.deepcopy(norm)
    wanted = norm(x)
    compiled = torch.compile(other, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), wanted)
    torch.testing.assert_close(other.running_var, norm.running_var)
    batch = torch.export.Dim("batch", min=2, max=64)  # one would have no variance
    program = torch.export.export(norm, (x,), dynamic_shapes=({0: batch},))
    more = torch.randn(7, 5, 3, 3)
    torch.testing.assert_close(program.module()(more), norm(more))
