"""The tables of recorded runs: what they average, and that a page holds the files'."""

from __future__ import annotations

import json
import re

import pytest

from experiments import leaderboard, plan, record
from utils import course
from utils.course import CourseError


def run(name="resnet20-cifar10", seed=0, accuracy=0.9, **changes):
    made = {
        "format": record.FORMAT,
        "name": name,
        "seed": seed,
        "machine": {"device": "cpu", "threads": 2},
        "data": {"name": "CIFAR-10", "real": True, "shape": [3, 32, 32]},
        "model": {
            "name": name.split("-")[0],
            "options": {"stem": "cifar", "width": 0.5},
            "parameters": 269_722,
            "multiply_adds": 41_214_592,
        },
        "test_accuracy": accuracy,
        "images_per_second": 800.0,
        "peak_memory_bytes": 1_500_000_000,
        "seconds": 100.0 * (seed + 1),
        "history": {
            "rows": [
                {"seconds": 10.0 + seed + n, "images_per_second": 800.0 - 100 * n}
                for n in range(20)
            ]
        },
    }
    return made | changes


@pytest.fixture
def folder(tmp_path):
    for made in (run(seed=0, accuracy=0.90), run(seed=1, accuracy=0.92)):
        record.write(tmp_path / f"a-seed{made['seed']}.json", made)
    record.write(tmp_path / "b-seed0.json", run("vgg11_bn-cifar10", accuracy=0.95))
    return tmp_path


def test_runs_of_one_name_are_one_row_and_the_best_is_first(folder):
    rows = leaderboard.rows(leaderboard.runs(folder), "CIFAR-10")
    assert [len(row.runs) for row in rows] == [1, 2]
    first, second = (row.cells() for row in rows)
    assert first["network"] == "VGG-11 (BatchNorm, width 0.5)"
    assert first["test accuracy (%)"] == "95.00"
    assert second["network"] == "ResNet-20 (width 0.5)"
    assert second["test accuracy (%)"] == "91.00 ± 1.41"
    assert second["s/epoch"] == "10"  # the fastest one
    assert second["multiply-adds (M)"] == "41.2"
    assert second["memory (GB)"] == "1.5"
    assert second["device"] == "CPU, 2 threads"
    several = leaderboard.Row((run(processes=4),)).cells()
    assert several["device"] == "CPU, 2 threads, 4 processes"


def test_a_table_is_markdown(folder):
    rows = leaderboard.rows(leaderboard.runs(folder), "CIFAR-10")
    head, align, *body, empty, caption = leaderboard.table(rows).splitlines()
    assert head.count("|") == align.count("|") == body[0].count("|")
    assert (len(body), empty) == (2, "")
    assert caption == (
        "In each row: weights: random; images of 32 pixels; 20 epochs; CPU, 2 threads."
    )
    assert "seeds" in head  # the rows differ in it


def test_a_page_is_filled_between_its_marks(folder):
    page = "a\n<!-- results: CIFAR-10 -->\nold\n<!-- end of results -->\nz\n"
    filled = leaderboard.fill(page, leaderboard.runs(folder))
    assert "old" not in filled
    assert "91.00 ± 1.41" in filled
    assert filled.startswith("a\n<!--")
    assert filled.endswith("<!-- end of results -->\nz\n")
    assert leaderboard.fill(filled, leaderboard.runs(folder)) == filled


def test_a_stand_ins_result_does_not_count(folder):
    stand_in = {"name": "CIFAR-10 (stand-in)", "real": False, "shape": [3, 32, 32]}
    drawn = run(name="drawn", data=stand_in)
    record.write(folder / "drawn.json", drawn)
    with pytest.raises(CourseError, match="drawn, seed 0, was measured on a stand-in"):
        leaderboard.runs(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("seed", None),
        ("machine", "cpu"),
        ("machine.threads", True),
        ("data.shape", []),
        ("data.real", 1),
        ("model.parameters", 10**400),
        ("history.rows", []),
        ("test_accuracy", float("nan")),
        ("start", "imagenet"),
    ],
)
def test_a_record_that_no_table_can_use_is_named(tmp_path, place, value):
    made = json.loads(json.dumps(run()))
    *path, last = place.split(".")
    inner = made
    for key in path:
        inner = inner[key]
    inner[last] = value
    record.write(tmp_path / "a.json", made)
    with pytest.raises(CourseError, match=f"a run: {re.escape(place)}[. ]|NaN"):
        leaderboard.runs(tmp_path)


@pytest.mark.parametrize("name", leaderboard.PAGES)
def test_the_pages_numbers_are_those_of_the_files(name):
    page = (course.ROOT / name).read_text(encoding="utf-8")
    assert "<!-- results: " in page
    assert leaderboard.fill(page, leaderboard.runs()) == page


def test_every_record_says_how_to_repeat_it():
    for path in leaderboard.RESULTS.glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert path.name == f"{found['name']}-seed{found['seed']}.json"
        assert f"--seed {found['seed']}" in found["command"]
        assert found["commit"], "it was run outside git"
        assert not found["commit"].endswith("+"), "the code had changes"


def test_a_table_of_the_plan_holds_its_runs_alone():
    accuracies = {"resnet20": 0.9, "rate-vgg11-1": 0.8, "own": 0.95}
    accuracies |= {"resnet20-before": 0.99}  # of a network that the scoreboard has
    found = [
        run(name, accuracy=accuracy, processor_seconds=600.0 + seed)
        for name, accuracy in accuracies.items()
        for seed in range(2)
    ]
    found.append(run("plain56") | {"diverged": "The loss is nan"})
    for table, networks in {
        "rates": ["rate-vgg11-1"],
        "scoreboard": ["resnet20"],
        "CIFAR-10": ["own", "resnet20"],
    }.items():
        rows = leaderboard.rows(found, table)
        assert [row.runs[0]["name"] for row in rows] == networks
    assert rows[0].cells()["CPU minutes"] == "10.0"
    purposes = {purpose for each in plan.PLAN for purpose in each.purposes}
    assert {"degradation", "depth", "kernels", "rates", "scoreboard"} <= purposes


def test_the_minutes_to_an_accuracy_are_medians_of_the_seeds_that_reached_it():
    found = []
    for name, ends in {
        "resnet20": (0.85, 0.91, 0.95),
        "vgg11": (0.7, 0.7, 0.8),
    }.items():
        for seed, end in enumerate(ends):
            made = run(name, seed=seed, processor_seconds=1200.0)
            for row, accuracy in zip(made["history"]["rows"], (0.5, 0.8), strict=False):
                row["val_accuracy"] = min(accuracy, end)
            made["history"]["rows"][-1]["val_accuracy"] = end
            found.append(made)
    made = leaderboard.table(leaderboard.quick(found), leaderboard.Row.minutes)
    assert [line.split(" | ", 1)[1] for line in made.splitlines()[2:4]] == [
        "2.00 | 20.00 (2 of 3 seeds) | 20.00 (1 of 3 seeds) |",
        "2.00 (1 of 3 seeds) | not reached | not reached |",
    ]


def test_what_differs_between_the_starts_is_a_column(tmp_path):
    cats = {"name": "Dogs vs. Cats", "real": True, "shape": [3, 64, 64]}
    frozen = {"weights": "imagenet", "frozen": True}
    tuned = {"weights": "cifar10", "frozen": False, "body_lr": 0.1}
    for i, start in enumerate((None, frozen, tuned)):
        made = run(f"resnet20-{i}", data=cats, start=start)
        record.write(tmp_path / f"{i}.json", made)
    rows = leaderboard.rows(leaderboard.runs(tmp_path), "Dogs vs. Cats")
    head, _, *body = leaderboard.table(rows).splitlines()[:5]
    weights = [line.split(" | ")[1] for line in (head, *body)]
    assert weights == ["weights", "random", "ImageNet, frozen", "CIFAR-10, fine-tuned"]
    assert "pixels" not in head  # all alike
    assert leaderboard.rows([], "CIFAR-10") == []
