"""Kept runs as lectures read them: all seeds, costs, differences with their error."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import pytest
import torch

from teaching import kept
from utils import plot
from utils.course import CourseError
from utils.history import History

ROWS = [
    {"epoch": n, "train_loss": 1 / n, "train_accuracy": 0.5, "val_loss": 1 / n}
    | {"val_accuracy": 0.2 * n, "lr": 0.1, "seconds": 30.0, "images_per_second": 1.0}
    for n in (1, 2)
]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two runs of known accuracies: deep with seeds 0, 2 and 10, flat with one seed."""
    accuracies = {("deep", 0): 0.8, ("deep", 2): 0.9, ("deep", 10): 0.85}
    for (name, seed), accuracy in (accuracies | {("flat", 0): 0.5}).items():
        record = {
            "command": f"python -m experiments.train --model {name} --name x --seed 1",
            "seed": seed,
            "data": {"test": 10_000, "train": 10_000, "classes": ["cat", "dog"]},
            "model": {"parameters": 1234, "multiply_adds": 5678},
            "test_accuracy": accuracy,
            "processor_seconds": 90 + seed,
            "seconds": 1000,
            "history": {"rows": ROWS},
        }
        (tmp_path / f"{name}-seed{seed}.json").write_text(json.dumps(record))
    record |= {"seed": 1, "diverged": "Epoch 1: The loss is nan"}
    for key in ("test_accuracy", "processor_seconds", "seconds", "history"):
        del record[key]
    (tmp_path / "burst-seed1.json").write_text(json.dumps(record))
    monkeypatch.setattr(kept, "RESULTS", tmp_path)


def test_every_seed_is_read_in_the_order_of_seeds(results):
    assert kept.test_accuracy("deep") == [0.8, 0.9, 0.85]
    assert [history["epoch"] for history in kept.runs("deep")] == [[1, 2]] * 3
    assert kept.caption("deep") == (
        "python -m experiments.train --model deep: 3 seeds, 1.5 processor minutes for"
        " the fastest"
    )
    with pytest.raises(CourseError, match="No run 'wide' is kept; there are: burst,"):
        kept.runs("wide")


def test_a_difference_has_the_errors_of_seeds_and_of_test_examples(results):
    found = kept.difference("flat", "deep")
    assert found.points == pytest.approx(35)
    # Seeds: 5 points / sqrt(3); examples: 0.357 and 0.5 points.
    assert found.error == pytest.approx((25 / 3 + 0.1275 + 0.25) ** 0.5, abs=1e-3)
    assert "more than twice" in repr(found)
    assert kept.difference([0.5], "deep") == found


def test_a_paired_difference_has_the_errors_of_seeds_and_of_images():
    first = [torch.tensor([1, 0, 0, 0]), torch.tensor([1, 1, 0, 0])]
    second = [torch.tensor([1, 1, 1, 0]), torch.tensor([1, 0, 1, 0])]
    found = kept.paired(first, second)  # gains of 0 1 1 0 and of 0 -1 1 0
    assert found.points == pytest.approx(25)
    # Means of the seeds: 0.5 and 0; of the images: 0, 0, 1 and 0.
    assert found.error == pytest.approx(100 * (0.125 / 2 + 0.25 / 4) ** 0.5)
    assert kept.paired(second[:1], first[:1]).points == pytest.approx(-50)


def test_the_scoreboard_shows_mean_spread_and_cost(results):
    table = kept.scoreboard({"Deep": "deep", "<Flat>": "flat"})
    assert table.rows[0] == ("Deep", "1,234", "5,678", "2", "1.5", "85.0 ± 5.0 %")
    assert table.rows[1][-1] == "50.0 %"
    assert "&lt;Flat&gt;" in table._repr_html_()
    assert len({len(line) for line in repr(table).split("\n")}) == 1
    mine = History("mine", [row | {"processor_seconds": 60.0} for row in ROWS])
    yours = {"yours": (torch.nn.Conv2d(3, 2, 1), mine, 0.25)}
    first = kept.scoreboard({"Deep": "deep"}, yours).rows[0]
    assert first == ("yours", "8", "6,144", "2", "2.0", "25.0 %")


def test_accuracy_is_drawn_against_processor_minutes(results):
    ax = kept.by_minute({"Deep": "deep"}, yours=([1], [0.9]), title="Deep needs one")
    assert ax.lines[-1].get_data() == ([1], [90.0])
    x, y = ax.lines[0].get_data()
    assert list(x) == [0.75, 1.5]
    assert list(y) == [20, 40]
    plt.close("all")


def test_kept_runs_are_drawn_as_a_band(results):
    ax = plot.curves({"deep": kept.runs("deep")}, metric="accuracy")
    assert ax.get_ylabel() == "validation accuracy (%)"
    plt.close("all")


def test_errors_are_drawn_and_listed_beside_a_papers(results):
    table = kept.error_table({"deep": "deep", "flat": "flat"}, {"flat": 8.75})
    assert table.rows[0] == ("deep", "50.0 ± 0.0 %", "15.0 ± 5.0 %", "only a curve")
    assert table.rows[1][-1] == "8.75 %"
    assert kept.budget("deep") == "2 epochs, 3 seeds"
    gain = kept.difference("deep", "flat", "train")
    assert gain.points == 0
    # 10,000 photos, and half of them are wrong in both runs.
    assert gain.error == pytest.approx(2**0.5 * 0.5)
    runs = {"ResNet-20": kept.runs("deep")}
    left, right = kept.error_curves(runs, runs, paper={"ResNet-20": 8.75})
    assert list(left.lines[0].get_ydata()) == [50, 50]
    assert list(right.lines[1].get_ydata()) == pytest.approx([80, 60])
    assert right.lines[2].get_ydata()[0] == 8.75
    plt.close("all")
