"""Lecture 11: its self-checks, and its program beside the one of the kept runs."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from experiments import muon, networks, views
from teaching import kept, speed
from utils.history import History

DRAW = torch.Generator().manual_seed(0)
READ = [torch.rand(200, generator=DRAW) < 0.6 + 0.1 * (i > 2) for i in range(6)]
LOSSES = [History(f"seed {i % 3}", [{"train_loss": float(i)}]) for i in range(6)]
RUNS = list(zip(LOSSES, READ, strict=True))
WITHOUT, WITH = RUNS[:3], RUNS[3:]
GAIN = kept.paired(READ[:3], READ[3:])
RATES = {"filters": 0.12, "head": 335.0, "shifts": 26.5}


def orthogonal(matrix, steps, scale=1.0):
    x = matrix / matrix.norm() * scale
    for _ in range(steps):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x


def turned(power, back=True):
    def matrix(patches):
        values, v = torch.linalg.eigh(patches.T @ patches / len(patches))
        return v * values**power @ (v.T if back else torch.eye(len(v)).to(v))

    return matrix


def rates(power, filters=0.0):
    powers = {"filters": filters, "head": power, "shifts": power}
    return lambda batch: {k: r * (batch / 500) ** powers[k] for k, r in RATES.items()}


def second_look(chosen):
    class Look(nn.Module):
        def __init__(self, net, margin):
            super().__init__()
            self.net, self.margin = net, margin

        def forward(self, x):
            logits = self.net(x).clone()
            first, second = logits.topk(2).values.unbind(1)
            unsure = chosen(first - second, self.margin)
            if unsure.any():
                logits[unsure] += self.net(x[unsure].flip(3))
                logits[unsure] /= 2
            return logits

    return Look


SOLUTIONS = {
    "11.1": (900, 33_750, 83.75),
    "11.2": orthogonal,
    "11.3": turned(-0.5),
    "11.4": rates(1),
    "11.5": second_look(lambda lead, margin: lead < margin),
    "11.6": (WITH, WITHOUT, GAIN),
}
STUBS = [("11.6", (..., ..., ...)), ("11.4", lambda batch: None)]
MISTAKES = [
    ("11.1", (90, 33_750, 83.75), "one epoch"),
    ("11.1", (900, 22_500, 83.75), "after two epochs"),
    ("11.2", lambda: lambda m, steps: orthogonal(m, steps, 100.0), "grow without end"),
    ("11.2", lambda: lambda m, steps: m / m.norm(), "all should be 1"),
    ("11.3", turned(-0.5, back=False), "turn back"),
    ("11.3", turned(-1), "roots of the variances"),
    ("11.4", rates(0), "did not change"),
    ("11.4", rates(-1), "wrong way round"),
    ("11.4", rates(1, filters=1), "same size for any batch"),
    ("11.5", second_look(lambda lead, _: lead < -1), "three are unsure"),
    ("11.5", second_look(lambda lead, _: lead > -1), "the sure ones, too"),
    ("11.6", (WITH, WITHOUT, kept.paired(READ[3:], READ[:3])), "order is turned"),
    ("11.6", (WITH, WITH, GAIN), "the same runs"),
    ("11.6", (WITH, WITHOUT[::-1], GAIN), "other seeds"),
]


@pytest.fixture(scope="module")
def lecture():
    """What the cells of the lecture define, by its name."""
    source = Path(__file__).parent.parent / "notebooks/source/11_speedrun.py"
    kinds = (ast.ClassDef, ast.FunctionDef)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    names = {"torch": torch, "nn": nn, "F": F, "sample": None}
    exec(compile(tree, source.name, "exec"), names)
    return names


def test_the_lecture_shows_the_program_of_the_kept_runs(lecture):
    photos, labels = torch.randn(64, 3, 32, 32), torch.arange(64) % 10
    theirs, ours = networks.speedrun(width=0.25), lecture["SpeedrunNet"](0.25)
    ours.load_state_dict(theirs.state_dict())
    networks.whiten(theirs, photos)
    lecture["whitened"](ours, photos)
    free = [[w for w in n.parameters() if w.requires_grad] for n in (ours, theirs)]
    settings = {"head_lr": 0.67 * 64, "shift_lr": 0.053 * 64, "decay": 0.0}
    steps = lecture["Muon"](free[0], batch=64), muon.Muon(free[1], **settings)
    for _ in range(2):
        for net, optimizer in zip((ours, theirs), steps, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(photos), labels).backward()
            optimizer.step()
    with torch.no_grad():
        six = lecture["SixViews"](ours.eval())(photos)
        torch.testing.assert_close(six, views.SixViews(theirs.eval())(photos))


def test_a_run_is_read_off_between_two_epochs(tmp_path, monkeypatch):
    rows = [{"val_accuracy": a, "seconds": 30.0} for a in (0.5, 0.9)]
    run = {"seed": 0, "processor_seconds": 120, "history": {"rows": rows}}
    (tmp_path / "x-seed0.json").write_text(json.dumps(run))
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    assert [speed.at("x", m) for m in (0.5, 1.5, 3)] == pytest.approx([0.5, 0.7, 0.9])
    [row] = speed.milestones({"X": "x"}, (0.8, 0.95)).rows
    assert row == ("X", "2.0", "–", "90.0 % after 2.0")
