"""What a run shows: lines, one notebook display, and the history."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from utils.course import CourseError
from utils.train import History, Metrics, fit

ROOT = Path(__file__).resolve().parent.parent


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    images = torch.randn(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return [(images, images.mean((1, 2, 3)).gt(0).long())]


def made_up(epochs: int, best: int = 1, validated: bool = True) -> History:
    """A history whose best validation accuracy is that of epoch `best`."""
    history = History(name="LeNet <5>")
    for epoch in range(1, epochs + 1):
        val = Metrics(2 / epoch, 0.9 if epoch == best else 0.5, 100)
        history.add(
            Metrics(1 / epoch, 0.25, 900),
            val if validated else None,
            lr=0.1,
            seconds=1.5,
            images_per_second=12345.6,
        )
    return history


# --- history ------------------------------------------------------------------------


def test_columns_and_best():
    history = made_up(4, best=3)
    assert history["epoch"] == [1, 2, 3, 4]
    assert history["val_accuracy"] == [0.5, 0.5, 0.9, 0.5]
    assert history.best is history.rows[2]
    assert made_up(3, best=0).best["epoch"] == 1  # the first of equals
    assert made_up(3, validated=False).best["epoch"] == 3  # by train loss
    with pytest.raises(CourseError, match="No epoch is complete"):
        _ = History().best


def test_a_history_survives_json():
    history = made_up(3, validated=False)
    history.stopped = "early"
    again = History(**json.loads(json.dumps(asdict(history))))
    assert again == history


def test_the_table_shows_first_best_and_last():
    lines = str(made_up(100, best=38)).splitlines()
    assert lines[0] == "LeNet <5>"
    epochs = [line[: lines[1].index("epoch") + 5].split()[-1] for line in lines[2:]]
    assert len(epochs) <= 12
    assert (epochs[0], epochs[-1]) == ("1", "100")
    assert "best 38" in str(made_up(100, best=38))
    assert len({len(line) for line in lines[1:]}) == 1  # aligned
    assert len(str(made_up(12)).splitlines()) == 14  # every one of a dozen
    for part in ("25.00 %", "90.00 %", "1.0000", "2.0000", "12,346"):
        assert part in str(made_up(1))
    assert "val" not in str(made_up(2, validated=False))
    assert str(History()) == "model"


# --- lines --------------------------------------------------------------------------


def test_one_line_an_epoch(monkeypatch):
    flushed = []

    class Log(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue().count("\n"))

    monkeypatch.setattr(sys, "stdout", log := Log())
    fit(net(), batches(), batches(), epochs=2, name="tiny", keep_best=False)
    fit(net(), batches(), epochs=1, progress=False)
    first, second = log.getvalue().splitlines()
    assert first.startswith("tiny  epoch 1/2  train loss ")
    assert "images/s" in second
    assert flushed == [1, 2]


def test_the_end_is_told_where_there_is_something_to_say(capsys, tmp_path):
    model = net()
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    fit(model, batches(), batches(), epochs=5, optimizer=still, patience=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Stopped early: no better val_accuracy")
    assert last.endswith("The weights are those of epoch 1.")
    file = tmp_path / "run.pt"
    fit(net(), batches(), epochs=1, checkpoint=file)
    capsys.readouterr()
    fit(net(), batches(), epochs=2, checkpoint=file, resume=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Resumed after epoch 1."
    assert "epoch 2/2" in second


# --- notebook -----------------------------------------------------------------------


CELLS = [
    """
import signal
import torch
from torch import nn
from utils.train import fit

images = torch.randn(64, 1, 4, 4)
batches = [(images, images.mean((1, 2, 3)).gt(0).long())] * 2
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
""",
    "history = fit(model, batches, batches, epochs=15, name='fifteen')",
    """
class Stopped(list):
    epoch = 0

    def __iter__(self):
        self.epoch += 1
        if self.epoch == 3:
            signal.raise_signal(signal.SIGINT)
        return super().__iter__()

history = fit(model, Stopped(batches), epochs=9)
""",
    "silent = fit(model, batches, epochs=1, progress=False)",
    "history",
]


def test_a_saved_notebook_holds_one_display(monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    page = nbformat.v4.new_notebook()
    page.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS]
    nbclient.NotebookClient(page, timeout=120, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in page.cells]
    assert [len(some) for some in outputs] == [0, 1, 1, 0, 1]
    assert [outputs[i][0].output_type for i in (1, 2)] == ["display_data"] * 2
    run, stopped, shown = (outputs[i][0].data for i in (1, 2, 4))
    assert set(run) == {"text/plain"}
    assert run["text/plain"].count("\n") <= 14
    assert "best" in run["text/plain"]
    assert "Interrupted in epoch 3" in stopped["text/plain"]
    assert shown == stopped  # a history shows itself the same way
