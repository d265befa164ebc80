"""The self-checks of lecture 01: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import operator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from teaching import overfitting
from utils import data
from utils.history import Metrics
from utils.train import evaluate, fit


def stop_early(losses, patience, better=operator.lt):
    best = 1
    for epoch, loss in enumerate(losses, start=1):
        if better(loss, losses[best - 1]):
            best = epoch
        if epoch - best >= patience:
            break
    return best, epoch


def never_resets(losses, patience):
    waited, best = 0, 1
    for epoch in range(2, len(losses) + 1):
        if losses[epoch - 1] < losses[best - 1]:
            best = epoch
        else:
            waited += 1
        if waited >= patience:
            break
    return best, epoch


def at_first_rise(losses, patience):
    for epoch in range(1, len(losses)):
        if losses[epoch] > losses[epoch - 1]:
            return epoch, epoch + 1
    return len(losses), len(losses)


def network(pixels=0.1, hidden=0.4, *behind, layer=nn.Dropout):
    return nn.Sequential(
        nn.Flatten(),
        layer(pixels),
        nn.Linear(784, 512),
        nn.ReLU(),
        layer(hidden),
        nn.Linear(512, 512),
        nn.ReLU(),
        layer(hidden),
        nn.Linear(512, 10),
        *behind,
    )


def spoiled_run(share=0.2, rate=0.5):
    """Two epochs of a network with dropout on 1,000 digits; what 01.5 asks for."""
    torch.manual_seed(0)
    some = data.mnist().train.subset(1000)
    labels, chosen = some.labels.clone(), torch.randperm(1000)[: round(1000 * share)]
    labels[chosen] = (labels[chosen] + 1) % 10
    loader = replace(some, labels=labels).loader(50)
    model = network(0.2, rate)
    history = fit(model, loader, loader, epochs=1, lr=0.01, progress=False)
    for accuracy in (0.3, 0.4, 0.9, 0.5, 0.25):
        history.add(Metrics(1.0, 0.3, 1000), Metrics(1.0, accuracy, 150), lr=0.01)
    return model, loader, history, 90 - 25, evaluate(model, loader).accuracy


SOLUTIONS = {
    "01.1": (8, 6, 6),
    "01.2": stop_early,
    "01.3": ("dropped units", 7),
    "01.4": network(),
    "01.5": spoiled_run(),
}
MISTAKES = [
    ("01.1", (6, 6, 6), r"\(a\) 6: torch scales what it keeps"),
    ("01.1", (24, 6, 6), r"\(a\) 24: p is the probability to drop"),
    ("01.1", (8, 4.5, 6), r"\(b\) 4.5: torch scales what it keeps"),
    ("01.1", (8, 8, 6), r"\(b\) 8: a quarter"),
    ("01.1", (8, 6, 4.5), r"\(c\) 4.5: so the paper does it"),
    ("01.2", lambda losses, n: tuple(k - 1 for k in stop_early(losses, n)), "indices"),
    ("01.2", lambda losses, n: stop_early(losses, n)[1:] * 2, "not those of the last"),
    ("01.2", never_resets, "gives the full patience again"),
    ("01.2", at_first_rise, "at the first loss that rises"),
    ("01.2", lambda x, n: (1 + x.index(min(x)), stop_early(x, n)[1]), "is never run"),
    ("01.2", partial(stop_early, better=operator.le), "an equal loss is no better"),
    ("01.2", lambda: lambda losses, patience: 3, "Return two epochs"),
    ("01.3", ("moving weights", 7), "Nothing has moved"),
    ("01.3", ("an easier validation set", 7), "would still be ahead"),
    ("01.3", ("dropped units", 5), "not measured alike"),
    ("01.3", ("dropped units", 12), "two measurements of the training set"),
    ("01.4", lambda: network(0.9, 0.6), "the share to drop"),
    ("01.4", lambda: network(0.1, 0.4, nn.Dropout(0.4)), "logits are exactly 0"),
    ("01.4", lambda: network(0.0, 0.4), "in front of each linear layer"),
    ("01.4", lambda: network(0.4, 0.1), "0.4 behind each ReLU"),
    ("01.4", lambda: network(0.1, 0.4, nn.Softmax(1)), "ends in a softmax"),
    ("01.5", lambda: spoiled_run(share=0.0), "0 % of the training labels are wrong"),
    ("01.5", lambda: spoiled_run(rate=0.0), "not with wide"),
    (
        "01.5",
        lambda: (*(run := spoiled_run())[:3], -run[3], run[4]),
        "best epoch minus",
    ),
    ("01.5", lambda: (*spoiled_run()[:4], 0.3), "while units were dropped"),
    ("01.5", lambda: (*spoiled_run()[:4], 0.25), "the validation digits"),
    ("01.5", lambda: (*spoiled_run()[:3], 0.4, 0.5), "its last value"),
]


STUBS = [
    ("01.1", (8, ..., 6)),
    ("01.2", lambda losses, patience: None),
    ("01.3", (..., ...)),
    ("01.5", (..., ..., ..., ..., ...)),
]


class Dropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand_like(x) >= self.p) / (1 - self.p)


ACCEPTED = [("01.4", lambda: network(layer=Dropout))]


def test_the_check_leaves_the_network_as_it_was(check):
    model = network().eval()
    before = [weight.clone() for weight in model.parameters()]
    check("01.4", model)
    assert not model.training
    assert all(map(torch.equal, before, model.parameters()))


def test_a_network_that_is_always_sure_and_half_right_lies_under_the_diagonal():
    sure = torch.tensor([[1.0, 0.0]]).expand(40, 2)
    labels = torch.arange(40) % 2
    assert overfitting.calibration_gap(sure, labels) == 0.5
    ax = overfitting.calibration({"one": (sure, labels)}, title="one")
    assert ax.lines[0].get_xydata().tolist() == [[100, 50]]
