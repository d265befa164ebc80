"""The self-checks of lecture 06: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F


def batch_norm(x, gamma, beta, eps=1e-5):
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    y = (x - mean) / (variance + eps).sqrt()
    return gamma[:, None, None] * y + beta[:, None, None]


def norm_over(axes=(0, 2, 3), *, correction=0, outside=False, root=True, use_eps=True):
    """A batch norm with one known mistake."""

    def function(x, gamma, beta, eps=1e-5):
        eps = eps if use_eps else 0
        mean = x.mean(dim=axes, keepdim=True)
        variance = x.var(dim=axes, correction=correction, keepdim=True)
        scale = variance.sqrt() + eps if outside else (variance + eps).sqrt()
        scale = scale if root else variance + eps
        return gamma[:, None, None] * (x - mean) / scale + beta[:, None, None]

    return function


def remember_with(correction=1, *, swapped=False):
    def function(running_mean, running_var, x, momentum=0.1):
        share = 1 - momentum if swapped else momentum
        new = x.mean(dim=0), x.var(dim=0, correction=correction)
        return tuple(
            (1 - share) * old + share * value
            for old, value in zip((running_mean, running_var), new, strict=True)
        )

    return function


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


SOLUTIONS = {
    "06.1": (1.4, -12, 1.0, 0.9 + 10 / 3),
    "06.2": batch_norm,
    "06.3": remember_with(),
    "06.4": folding(),
    "06.5": accuracy,
    "06.6": (recalibration(), 0.11, 0.4),
}
RIGHT = SOLUTIONS["06.1"]
MISTAKES = [
    ("06.1", (7 / (100 / 3) ** 0.5, *RIGHT[1:]), r"\(a\).*unbiased variance"),
    ("06.1", (0.28, *RIGHT[1:]), r"\(a\).*not by the variance"),
    ("06.1", (1.4, -14, *RIGHT[2:]), r"\(b\).*β is added"),
    ("06.1", (1.4, 16, *RIGHT[2:]), r"\(b\).*below the mean"),
    ("06.1", (1.4, -12, 9.0, RIGHT[3]), r"\(c\).*weight of the new batch"),
    ("06.1", (1.4, -12, 1.0, 3.4), r"\(d\).*the unbiased one"),
    ("06.1", (1.4, -12, 1.0, 30.1), r"\(d\) 30.1: torch's momentum"),
    ("06.2", norm_over(correction=1), "unbiased one: divide by the number"),
    ("06.2", norm_over(outside=True), "outside the root"),
    ("06.2", norm_over(use_eps=False), "ε is not used"),
    ("06.2", norm_over(root=False), "the root is missing"),
    ("06.2", norm_over((0,)), "over the batch alone"),
    ("06.2", norm_over((2, 3)), "each photo is normalised by itself"),
    ("06.2", norm_over((1, 2, 3)), "over the channels"),
    ("06.2", norm_over((0, 1, 2, 3)), "one mean is taken over everything"),
    ("06.2", lambda x, g, b, eps=1e-5: batch_norm(x, b, g, eps), "are exchanged"),
    ("06.2", lambda x, g, b, eps: batch_norm(x, g / g, 0 * b, eps), "are not used"),
    ("06.2", lambda x, gamma, beta, eps=1e-5: gamma * x + beta, "raised RuntimeError"),
    ("06.3", remember_with(swapped=True), "weight of the new batch"),
    ("06.3", remember_with(0), "divides by N - 1"),
    ("06.3", remember_with(0, swapped=True), "and the variance is biased"),
    ("06.3", lambda a, b, x, momentum=0.1: (a.mean(), b.mean()), "one value for each"),
    ("06.4", folding(eps=0.0), "ε is missing"),
    ("06.4", folding(root=False), "the root is missing"),
    ("06.4", folding(gamma=False), "γ is missing"),
    ("06.4", folding(mean=0), "is not subtracted from the bias"),
    ("06.4", folding(mean=-1), "it is subtracted"),
    ("06.4", folding(bias=False), "not scaled by γ / s"),
    ("06.4", folding(beta=False), "β is missing"),
    ("06.4", needs_a_bias, "raised AssertionError"),
    ("06.4", fold_in_place, "are changed themselves"),
    ("06.4", lambda: lambda linear, norm: nn.Sequential(linear, norm), "an nn.Linear"),
    ("06.5", the_slides_accuracy, r"Call model.eval\(\)"),
    ("06.5", lambda net, data: the_slides_accuracy(net.eval(), data), "Count right"),
    ("06.5", lambda model, loader: 100 * accuracy(model, loader), "not percent"),
    ("06.5", lambda net, loader: accuracy(net.eval(), loader), "left in evaluation"),
    ("06.5", always_trains_again, "left in training mode"),
    ("06.6", (recalibration(momentum=0.1), 0.1, 0.4), "momentum = None"),
    ("06.6", (recalibration(reset=False), 0.1, 0.4), "remember the old ones"),
    ("06.6", (recalibration(mode=False), 0.1, 0.4), "reset_running_stats|as they were"),
    ("06.6", (recalibration(train=True), 0.1, 0.4), "weights have changed"),
    ("06.6", (recalibration(end=True), 0.1, 0.4), "left in training mode"),
    ("06.6", (recalibration(), 10, 40), "a fraction from 0 to 1"),
]


STUBS = [
    ("06.1", (1.4, ..., 1.0, 2.0)),
    ("06.2", lambda x, gamma, beta, eps=1e-5: None),
    ("06.3", lambda running_mean, running_var, x, momentum=0.1: None),
    ("06.4", lambda linear, norm: None),
    ("06.5", lambda model, loader: None),
    ("06.6", (lambda model, loader: None, ..., ...)),
    ("06.6", (lambda *args: recalibration()(*args) and None, 0.1, 0.4)),
]


def torchs_fold(linear, norm):
    linear = copy.deepcopy(linear)
    if linear.bias is None:
        linear.bias = nn.Parameter(torch.zeros(linear.out_features))
    return nn.utils.fuse_linear_bn_eval(linear, norm)


ACCEPTED = [
    ("06.2", lambda x, g, b, eps: F.batch_norm(x, None, None, g, b, True, eps=eps)),
    ("06.4", torchs_fold),
]
