"""The speed-run network, its optimizer, and its evaluation against plain references."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import record, runs, train
from experiments.muon import Muon, orthogonalised
from experiments.networks import (
    ConvGroup,
    dirac_conv,
    speedrun,
    whiten,
    whitening_filters,
)
from experiments.views import SixViews


@pytest.fixture
def images(rng: torch.Generator) -> Tensor:
    noise = torch.randn(200, 3, 16, 16, generator=rng)
    colours = torch.tensor([[1.0, 0.6, 0.3], [0.6, 1.0, 0.6], [0.3, 0.6, 1.0]])
    return F.avg_pool2d(torch.einsum("dc,nchw->ndhw", colours, noise), 3, 1)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# --- the network ---------------------------------------------------------------------


def test_full_width_has_two_million_weights_and_gives_logits():
    net = speedrun(num_classes=10)
    pairs = [(24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)]
    filters = sum(9 * c_in * c_out for c_in, c_out in pairs)
    norms = 2 * sum(c_out for _, c_out in pairs)  # shifts, and scales that stay 1
    count = sum(weight.numel() for weight in net.parameters())
    assert count == 12 * 3 * 2 * 2 + filters + norms + 10 * 256 == 1_972_624
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert ConvGroup(24, 64)(torch.zeros(2, 24, 31, 31)).shape == (2, 64, 15, 15)


def test_whitened_patches_are_uncorrelated_and_of_variance_one(images):
    filters = whitening_filters(images.double(), noise=0)
    outputs = F.conv2d(images.double(), filters).transpose(0, 1).flatten(1)
    moments = outputs @ outputs.T / outputs.shape[1]
    torch.testing.assert_close(moments, torch.eye(12, dtype=torch.float64))


def test_whitening_filters_stay_while_all_others_move(images):
    net = speedrun(num_classes=10, width=0.125)
    whiten(net, images)
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    optimizer = Muon(net.parameters())
    F.cross_entropy(net(images), torch.arange(200) % 10).backward()
    optimizer.step()
    fixed = {n for n, w in net.named_parameters() if w.equal(before[n])}
    scales = {f"groups.{i}.norm{j}.weight" for i in range(3) for j in (1, 2)}
    assert fixed == {"whitening.weight", *scales}
    assert net.whitening.weight.grad is None


def test_dirac_filters_copy_their_input(rng):
    x = torch.randn(2, 4, 5, 5, generator=rng)
    torch.testing.assert_close(dirac_conv(4, 10)(x)[:, :4], x)
    assert dirac_conv(8, 4)(torch.cat([x, x], 1)).equal(x)
    plain = speedrun(width=0.125, dirac=False).groups[1].conv2
    assert (plain.weight != 0).all()


# --- the optimizer -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_orthogonalised_keeps_the_vectors_and_evens_the_values(shape, rng):
    """Against the SVD: U f(S) V^T, where f is the polynomial, applied to each value."""
    matrix = torch.randn(shape, generator=rng, dtype=torch.float64)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    s = s / matrix.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    result = orthogonalised(matrix, 5)
    torch.testing.assert_close(result, u @ torch.diag(s) @ vt)
    values = torch.linalg.svdvals(result)
    nearest = u @ vt
    cosine = (result * nearest).sum() / (result.norm() * nearest.norm())
    assert values.min() > 0.6
    assert values.max() < 1.25
    assert cosine > 0.98


def test_a_step_of_muon_by_hand(rng):
    start = [torch.randn(s, generator=rng) for s in [(8, 4, 3, 3), (5, 8), (8,)]]
    gradients = [torch.randn(w.shape, generator=rng) for w in start]
    ours = [nn.Parameter(w.clone()) for w in start]
    rates = {"lr": 0.1, "head_lr": 0.3, "shift_lr": 0.02}
    optimizer = Muon(ours, **rates, sgd_momentum=0.9, decay=0.006)
    theirs = [nn.Parameter(w.clone()) for w in start[1:]]
    settings = [{"lr": r, "weight_decay": 0.006 / r} for r in (0.3, 0.02)]
    groups = [{"params": [w], **s} for w, s in zip(theirs, settings, strict=True)]
    sgd = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    w, g, momentum = start[0], gradients[0], torch.zeros_like(start[0])
    for _ in range(2):
        for weights, given in ((ours, gradients), (theirs, gradients[1:])):
            for weight, gradient in zip(weights, given, strict=True):
                weight.grad = gradient.clone()
        optimizer.step()
        sgd.step()
        momentum = 0.6 * momentum + g
        move = orthogonalised((g + 0.6 * momentum).reshape(8, -1)).reshape(w.shape)
        w = w * 8**0.5 / w.norm() - 0.1 * move
    torch.testing.assert_close(ours[0].data, w)
    torch.testing.assert_close([w.data for w in ours[1:]], [w.data for w in theirs])


# --- the evaluation ------------------------------------------------------------------


def test_six_views_are_the_mean_of_six_predictions(rng):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
    )
    x = torch.randn(7, 3, 8, 8, generator=rng)
    down, up = [1, *range(7)], [*range(1, 8), 6]  # each pixel from its neighbour
    moved = [x[:, :, down][..., down], x[:, :, up][..., up]]
    expected = (model(x) + model(x.flip(3))) / 4
    for view in moved:
        expected = expected + (model(view) + model(view.flip(3))) / 8
    with torch.no_grad():
        torch.testing.assert_close(SixViews(model)(x), expected)


def test_only_unsure_images_get_further_views():
    seen: list[int] = []

    class Shown(nn.Module):
        """The first two pixels are the logits."""

        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x[:, 0, 0, :2].clone()

    x = torch.zeros(2, 1, 3, 3)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = 5.0, 0.5
    logits = SixViews(Shown(), margin=1.0)(x)
    assert seen == [2, 1, 1, 1, 1, 1]
    assert logits[0].tolist() == [5.0, 0.0]
    seen.clear()
    SixViews(Shown(), margin=0.0)(x)
    assert seen == [2]


def test_the_command_trains_it_and_measures_with_six_views(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    words = runs.SPEED.replace("--batch-size 500", "--batch-size 50").split()
    words += ["--set", "width=0.125", "--stand-in", "--images", "200", "--epochs", "2"]
    assert train.main([*words, "--device", "cpu", "--out", str(tmp_path)]) == 0
    found = record.read(tmp_path / "speedrun-cifar10-seed0.json")
    assert [row["lr"] for row in found["history"]["rows"]] == [0.12, 0.06]
    assert 0 <= found["test_views_accuracy"] <= 1
