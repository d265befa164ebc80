"""The self-checks of lecture 06: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F


def backward(*, axis=1, correction=0, inside=True, mean=True, last=0):
    """The gradients of layer normalisation, right or with one known mistake."""

    def function(dy, x, gamma, eps=1e-5):
        over = {"dim": axis, "keepdim": True}
        sigma = (x.var(correction=correction, **over) + eps).sqrt()
        y = (x - x.mean(**over)) / sigma
        g = gamma * dy if inside else dy
        dx = g - y * (g * y).mean(**over)
        dx = (dx - g.mean(**over) if mean else dx) / sigma
        return dx if inside else gamma * dx, (dy * y).sum(last), dy.sum(last)

    return function


def by_autograd(dy, x, gamma, eps=1e-5):
    x, gamma = x.requires_grad_(), gamma.requires_grad_()
    beta = torch.zeros_like(gamma).requires_grad_()
    y = F.layer_norm(x, gamma.shape, gamma, beta, eps)
    return torch.autograd.grad(y, (x, gamma, beta), dy)


def folding(*, eps=1.0, root=True, gamma=True, mean=1, bias=True, beta=True):
    """A fold of a linear layer, right or with one known mistake."""

    def function(linear, norm):
        variance = norm.running_var + eps * norm.eps
        scale = 1 / (variance.sqrt() if root else variance)
        scale = scale * norm.weight if gamma else scale
        old = torch.zeros_like(scale) if linear.bias is None else linear.bias
        new = nn.Linear(linear.in_features, linear.out_features)
        shift = old - mean * norm.running_mean
        shift = shift * scale if bias else shift
        new.weight.data = (linear.weight * scale[:, None]).data
        new.bias.data = (shift + norm.bias if beta else shift).data
        return new

    return function


def needs_a_bias(linear, norm):
    assert linear.bias is not None
    return folding()(linear, norm)


def fold_in_place(linear, norm):
    linear.weight.data.mul_(2)
    return linear


def accuracy(model, loader):
    was_training, right, examples = model.training, 0, 0
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(dim=1) == y).sum().item()
            examples += len(y)
    model.train(was_training)
    return right / examples


def the_slides_accuracy(model, loader):
    shares = []
    for x, y in loader:
        shares.append((model(x).argmax(dim=1) == y).float().mean().item())
    return sum(shares) / len(shares)


def one(data):
    return [tuple(map(torch.cat, zip(*data, strict=True)))]


def always_trains_again(model, loader):
    share = accuracy(model, loader)
    model.train()
    return share


def recalibration(*, reset=True, momentum=None, mode=True, train=False, end=False):
    """New running statistics, right or with one known mistake."""

    def function(model, loader):
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                if reset:
                    layer.reset_running_stats()
                layer.momentum = momentum
        model.train(mode)
        with torch.no_grad():
            for x, _ in loader:
                model(x)
            if train:
                model[0].weight.mul_(0.9)
        return model.train(end)

    return function


def own_run(before=None, after=None, function=None, spoil=False):
    """What the student hands in for a small network with a long memory."""
    torch.manual_seed(0)
    late = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=0.001))
    late.extend([nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]).eval()
    loader = [(9 + 5 * torch.randn(20, 1, 6, 6), torch.arange(20) % 3)]
    right = accuracy(late, loader), accuracy(recalibration()(late, loader), loader)
    assert right[0] != right[1]
    if not spoil:
        late[1].momentum = 0.001
        late[1].reset_running_stats()
    shares = (before or (lambda b, a: b))(*right), (after or (lambda b, a: a))(*right)
    return function or recalibration(), *shares, late, loader, loader


SOLUTIONS = {
    "06.1": (1.4, -12, 1.0, 0.9 + 10 / 3),
    "06.2": backward(),
    "06.3": folding(),
    "06.4": accuracy,
    "06.5": own_run(),
}
RIGHT = SOLUTIONS["06.1"]
MISTAKES = [
    ("06.1", (7 / (100 / 3) ** 0.5, *RIGHT[1:]), r"\(a\).*unbiased variance"),
    ("06.1", (0.28, *RIGHT[1:]), r"\(a\).*not by the variance"),
    ("06.1", (1.4, -14, *RIGHT[2:]), r"\(b\).*β is added"),
    ("06.1", (1.4, 16, *RIGHT[2:]), r"\(b\).*below the mean"),
    ("06.1", (1.4, -12, 9.0, RIGHT[3]), r"\(c\).*weight of the new batch"),
    ("06.1", (1.4, -12, 1.0, 3.4), r"\(d\).*the unbiased one"),
    ("06.2", backward(axis=0), "BatchNorm's axes"),
    ("06.2", backward(inside=False), "multiply dy by it first"),
    ("06.2", backward(mean=False), "road through the mean"),
    ("06.2", backward(correction=1), "divide by C, not"),
    ("06.2", backward(last=1), "dγ: sum over the examples"),
    ("06.2", lambda dy, x, gamma, eps: dy, "dx, dγ and dβ"),
    ("06.3", folding(eps=0.0), "ε is missing"),
    ("06.3", folding(root=False), "the root is missing"),
    ("06.3", folding(gamma=False), "γ is missing"),
    ("06.3", folding(mean=0), "is not subtracted from the bias"),
    ("06.3", folding(mean=-1), "it is subtracted"),
    ("06.3", folding(bias=False), "not scaled by γ / s"),
    ("06.3", folding(beta=False), "β is missing"),
    ("06.3", needs_a_bias, "built with bias=False"),
    ("06.3", fold_in_place, "are changed themselves"),
    ("06.3", lambda: lambda linear, norm: nn.Sequential(linear, norm), "an nn.Linear"),
    ("06.4", the_slides_accuracy, r"Call model.eval\(\)"),
    ("06.4", lambda net, data: the_slides_accuracy(net.eval(), data), "Count right"),
    ("06.4", lambda net, data: the_slides_accuracy(net.eval(), one(data)), "Autograd"),
    ("06.4", lambda model, loader: 100 * accuracy(model, loader), "not percent"),
    ("06.4", lambda net, loader: accuracy(net.eval(), loader), "left in evaluation"),
    ("06.4", always_trains_again, "left in training mode"),
    ("06.5", own_run(function=recalibration(momentum=0.1)), "momentum = None"),
    ("06.5", own_run(function=recalibration(reset=False)), "remember the old ones"),
    ("06.5", own_run(function=recalibration(mode=False)), "nothing is measured"),
    ("06.5", own_run(function=recalibration(train=True)), "weights have changed"),
    ("06.5", own_run(function=recalibration(end=True)), "left in training mode"),
    ("06.5", own_run(spoil=True), "late itself was recalibrated"),
    ("06.5", own_run(before=lambda b, a: a), "before: .* the other one"),
    ("06.5", own_run(after=lambda b, a: 100 * a), "after: .* not percent"),
    ("06.5", own_run(after=lambda b, a: 0.123), "after: 0.123 is too small"),
]


STUBS = [
    ("06.1", (1.4, ..., 1.0, 2.0)),
    ("06.2", lambda dy, x, gamma, eps=1e-5: None),
    ("06.3", lambda linear, norm: None),
    ("06.4", lambda model, loader: None),
    ("06.5", own_run(before=lambda b, a: ..., after=lambda b, a: ...)),
    ("06.5", own_run(function=lambda *args: recalibration()(*args) and None)),
]


def torchs_fold(linear, norm):
    linear = copy.deepcopy(linear)
    if linear.bias is None:
        linear.bias = nn.Parameter(torch.zeros(linear.out_features))
    return nn.utils.fuse_linear_bn_eval(linear, norm)


ACCEPTED = [("06.2", by_autograd), ("06.3", torchs_fold)]
