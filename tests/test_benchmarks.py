"""The benchmarks: fair turns, verdicts, proof of equal work, and a page that holds."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import equal, measure, report
from benchmarks.arms import airbench, bare, ours, tensors, tutorial
from benchmarks.measure import Arm, Group, Target, Timing, Watch
from benchmarks.networks import tiny
from benchmarks.settings import Settings
from benchmarks.suites import accuracy, notebooks
from benchmarks.work import Work, synthetic
from utils.data import Splits

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def group(*seconds, targets=(), examples=100):
    """A group of arms a, b, ... that took so many seconds in their turns."""
    timings = [
        Timing(name, examples, list(values))
        for name, values in zip("abcdef", seconds, strict=False)
    ]
    return Group("some work", timings, list(targets))


# Turns, clocks and verdicts


def test_arms_take_turns_in_alternating_order_and_the_first_does_not_count():
    calls = []

    def arm(name):
        def run(watch: Watch, turn: int) -> int:
            with watch:
                calls.append((turn, name))
            return 7

        return Arm(name, run)

    timings = measure.compare([arm("a"), arm("b")], repeats=3, clock="wall", device=CPU)
    assert "".join(name for _, name in calls) == "baabbaab"
    assert [turn for turn, _ in calls] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [(t.name, t.examples, len(t.seconds)) for t in timings] == [
        ("a", 7, 3),
        ("b", 7, 3),
    ]


def test_the_watch_counts_only_what_lies_between_start_and_stop(monkeypatch):
    ticks = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setitem(measure.CLOCKS, "wall", lambda: next(ticks))
    watch = Watch("wall", CPU)
    for _ in range(2):
        with watch:
            pass
    assert watch.seconds == 2.5


def test_a_ratio_is_the_median_over_turns_and_weighs_the_examples():
    made = group([4.0, 2.0, 4.0], [1.0, 1.0, 1.0])
    assert made.ratio("b") == 4.0
    assert made.ratio("a", "b") == 0.25
    timings = [made.timings[0], replace(made.timings[1], examples=200)]
    assert Group("t", timings).ratio("b") == 8.0


def test_a_verdict_says_what_was_reached():
    targets = [Target("b", "a", 5), Target("b", "a", 20), Target("b", "z", 2)]
    made = group([1, 1], [0.1, 0.1], targets=targets)
    lines = [report.verdict(made, target) for target in targets]
    assert lines[0].endswith("at least 5 wanted: 10.00, reached")
    assert lines[1].endswith("at least 20 wanted: 10.00, missed")
    assert lines[2].endswith("not measured")


# Equal work


LOADERS = {
    "tutorial": tutorial.loader,
    "tensors": tensors.loader,
    "airbench": airbench.loader,
    "ours": lambda data, n: ours.loader(data, n, device="cpu"),
}


@pytest.mark.parametrize("name", LOADERS)
def test_every_loader_crops_flips_and_normalises_alike(name):
    equal.check_augmentation(name, LOADERS[name](equal.probe(), 128))


def test_alternating_flip_shows_each_image_both_ways_in_two_epochs():
    loader = airbench.loader(equal.probe(), 2000)
    first = loader.flipped.clone()
    for mirrored in (first, ~first):
        (images, labels), *_ = loader
        flipped = equal.where(((images * 0.25 + 0.5) * 255).round().long())[2]
        assert int(flipped.sum()) == int(mirrored.sum())
        assert labels.bincount().tolist() == [200] * 10


def spoiled(change):
    """Our loader over the probes, its batches changed."""
    batches = ours.loader(equal.probe(), 500, device="cpu")
    return [(change(images), labels) for images, labels in batches]


def turned_back(images):
    """The probes without their flip: the column grows from left to right again."""
    column = images[:, 1:2, 16:17]
    flipped = column[..., 17:18] < column[..., 16:17]
    return torch.where(flipped, images.flip(-1), images)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda x: x + 0.01, "not normalised"),
        (turned_back, "0.0 % flips"),
        (lambda x: x[:1].expand_as(x), "crops|flips"),
        (lambda x: x[:-1], "1996 of 2000 images"),
    ],
)
def test_unequal_augmentation_is_named(change, problem):
    with pytest.raises(equal.UnequalWork, match=f"that one: .*({problem})"):
        equal.check_augmentation("that one", spoiled(change))


@pytest.fixture
def work():
    return Work(tiny, synthetic(256), synthetic(64, seed=1), CPU)


def ledger_of(work, trains):
    """A ledger in which each arm trained once, the first one to compare with."""
    ledger = equal.Ledger(work, next(iter(trains)))
    for name, train in trains.items():
        model = work.model(seed=0)
        with ledger.watching(name, model):
            train(work, model, 0, Watch("wall", CPU))
        ledger.note(name, model)
    return ledger


def test_the_tutorial_loop_the_bare_loop_and_fit_do_equal_work(work):
    trains = {"tutorial": tutorial.train, "bare": bare.train, "ours": ours.train}
    ledger = ledger_of(work, trains)
    ledger.check()
    assert {trained for trained, _ in ledger.examples.values()} == {512}
    row = ledger.facts(Timing("ours", 512, [1.0]))
    assert 0 < row.facts["final loss"] < 3


def test_fit_and_the_bare_loop_end_with_the_same_weights(work):
    ends = []
    for train in (bare.train, ours.train):
        model = work.model(seed=3)
        train(work, model, 3, Watch("wall", CPU))
        ends.append(torch.cat([w.flatten() for w in model.state_dict().values()]))
    torch.testing.assert_close(ends[0], ends[1])


def test_a_loop_that_does_less_or_other_work_is_named(work):
    def half(work, model, seed, watch):
        bare.train(replace(work, epochs=1), model, seed, watch)

    def still(work, model, seed, watch):
        bare.train(replace(work, lr=0.0), model, seed, watch)

    with pytest.raises(equal.UnequalWork, match="half: it trained on 256"):
        ledger_of(work, {"tutorial": bare.train, "half": half}).check()
    harder = replace(work, epochs=4, lr=0.03, batch_size=16)
    with pytest.raises(equal.UnequalWork, match="still: its final loss"):
        ledger_of(harder, {"tutorial": bare.train, "still": still}).check()


# Suites


def test_the_input_suite_records_what_the_report_reads(tmp_path, capsys):
    typed = ["input", "--quick", "--clock", "cpu", "--out", str(tmp_path)]
    assert command.main(typed) == 0
    found = report.recorded(tmp_path)["input-cpu"]
    assert found["command"] == " ".join(["python -m benchmarks", *typed])
    assert found["clock"] == "cpu"
    assert found["quick"]
    assert found["machine"]["threads"] == 1
    (made,) = report.groups(found)
    assert made.timing("tutorial loader, 2 workers") is None
    assert made.ratio("ours") is None or made.ratio("ours") > 5  # twenty, at leisure
    assert report.table(made) in capsys.readouterr().out
    assert Group.from_dict(asdict(made)) == made


def test_the_seconds_of_a_notebook_are_those_of_its_cells():
    report = """<testsuites><testsuite>
    <testcase classname="notebooks.00_a.ipynb" name="Cell 0" time="1.5"/>
    <testcase classname="notebooks.solutions.00_a.ipynb" name="Cell 0" time="9"/>
    <testcase classname="notebooks.00_a.ipynb" name="Cell 1" time="0.5"/>
    </testsuite></testsuites>"""
    seconds = notebooks.by_notebook(report)
    assert list(seconds.items()) == [("solutions/00_a", 9.0), ("00_a", 2.0)]


def test_each_way_to_train_says_when_it_reached_an_accuracy(work):
    images = Splits(work.train, work.test, work.test)
    fit = partial(accuracy.by_us, precision="float32", loader=airbench.loader)
    runs = {"tutorial": accuracy.by_tutorial, "fit": fit}
    words = "--model two_layer_cnn --data cifar10 --epochs 2 --lr 0.05"
    made = accuracy.compared(words, runs, images, Settings(CPU, "cpu"))
    assert [(t.examples, len(t.seconds)) for t in made.timings] == [(512, 1)] * 2
    assert {t.facts["minutes to 94 %"] for t in made.timings} == {"not reached"}
    out = accuracy.compared(words, runs, images, Settings(CPU), skipped="hours")
    assert report.table(out).splitlines()[-1] == "| fit | skipped: hours |"


# The page


def records():
    made = group([1.0, 1.0], [0.1, 0.1], [0.5, 0.5])
    return {
        "input-cpu": {
            "groups": [asdict(made)],
            "machine": {"device": "cpu", "threads": 1, "system": "Linux", "torch": "2"},
            "clock": "cpu",
            "commit": "abc",
            "command": "python -m benchmarks input",
        }
    }


def test_the_page_is_filled_between_its_marks():
    page = (
        "top\n<!-- benchmark: chart -->\nold\n<!-- end of benchmark -->\n"
        "<!-- benchmark: input-cpu -->\n<!-- end of benchmark -->\n"
        "<!-- benchmark: accuracy-cuda -->\n<!-- end of benchmark -->\nend\n"
    )
    filled = report.fill(page, records())
    assert "old" not in filled
    assert "multiple of the tutorial loop. some work: a 1.0, b 10.0, c 2.0" in filled
    assert "cpu, 1 thread, Linux, torch 2, cpu clock, commit abc" in filled
    assert "`python -m benchmarks accuracy --device cuda`" in filled
    assert report.fill(filled, records()) == filled


def test_the_page_holds_the_numbers_of_the_files():
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.fill(page, report.recorded()) == page


def test_no_quick_look_is_kept():
    for name, found in report.recorded().items():
        assert not found["quick"], name
        assert found["commit"], name
