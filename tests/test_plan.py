"""The plan of runs: resumed bit for bit, one at a time, never over another's record."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from experiments import plan, record, request, runs
from experiments.runs import Run
from utils import course, recipe

WORDS = ["--model", "lenet5", "--data", "mnist", "--stand-in", "--images", "1000"]
WORDS += ["--batch-size", "8"]


def digits(name: str = "digits", epochs: int = 2, seeds=(0,), more: str = "") -> Run:
    words = (*WORDS, "--epochs", str(epochs), *more.split())
    return Run(name, words, 1.0, ("digits",), tuple(seeds))


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """Its folders, away from those of the course."""
    monkeypatch.setattr(plan, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(plan, "WORK", tmp_path / "work")
    return tmp_path


def begin(folder, run: Run, *words: str) -> subprocess.Popen:
    """A plan of this one run, in a process of its own."""
    code = (
        "from pathlib import Path; from experiments import plan, runs\n"
        f"folder, plan.PLAN = Path({str(folder)!r}), [runs.Run(*{tuple(run)!r})]\n"
        "plan.RESULTS, plan.WORK = folder / 'results', folder / 'work'\n"
        f"raise SystemExit(plan.main({list(words)!r}))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=course.ROOT, **pipes)


def wait_for_epoch(folder, n: int) -> None:
    log = folder / "work" / "digits-seed0.log"
    deadline = time.monotonic() + 120
    while not (log.is_file() and re.search(rf"epoch +{n}/", log.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_plan_trains_every_seed_and_skips_what_is_done(rooms, monkeypatch, capsys):
    monkeypatch.setattr(plan, "PLAN", [digits(seeds=(0, 1))])
    assert plan.main(["--processes", "2"]) == 0
    assert "2 of 2 runs are done; 0 processor minutes left" in capsys.readouterr().out
    files = sorted(plan.RESULTS.iterdir())
    assert [file.name for file in files] == ["digits-seed0.json", "digits-seed1.json"]
    for seed, file in enumerate(files):
        found = record.read(file)
        assert (found["seed"], found["machine"]["threads"]) == (seed, 1)
    monkeypatch.setattr(plan, "start", lambda *_: pytest.fail("it trained again"))
    assert plan.main([]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_plan_goes_on_bit_for_bit_and_alone(tmp_path, how):
    run = digits(epochs=6)
    with begin(tmp_path, run) as first:
        wait_for_epoch(tmp_path, 2)
        first.send_signal(how)
    state = tmp_path / "work" / "digits-seed0.pt"
    stopped = state.stat().st_mtime_ns
    time.sleep(1.5)  # whoever went on would write three times by now
    assert state.stat().st_mtime_ns - stopped < 1e9
    stopped, deadline = state.stat().st_mtime_ns, time.monotonic() + 120
    with begin(tmp_path, run) as again:
        while state.stat().st_mtime_ns == stopped:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        again.send_signal(signal.SIGSTOP)  # or it may be done before the other begins
        with begin(tmp_path, run) as second:
            assert "Another plan is running" in second.communicate(timeout=60)[0]
        assert second.returncode == 2
        again.send_signal(signal.SIGCONT)
        assert again.wait(timeout=120) == 0, again.communicate()
    with begin(tmp_path / "whole", run) as undisturbed:
        assert undisturbed.wait(timeout=120) == 0
    file = "results/digits-seed0.json"
    found, whole = (record.read(tmp_path / at / file) for at in (".", "whole"))
    for column in ("train_loss", "val_loss"):
        one, other = (x["history"]["rows"] for x in (found, whole))
        assert [row[column] for row in one] == [row[column] for row in other]
    assert found["test_loss"] == whole["test_loss"]


@pytest.mark.parametrize(
    ("planned", "message"),
    [
        ([digits(more="--model lenet6")], "digits: No network is called 'lenet6'"),
        ([digits(more="--data cifar10")], "those of cifar10 have 32"),
        ([digits(more="--lr -1")], "digits: --lr -1"),
        ([digits(more="--augment turn")], "digits: "),
        ([digits(), digits(epochs=3)], "two runs of the name digits"),
    ],
)
def test_a_run_that_cannot_be_is_named_before_any_starts(
    planned, message, rooms, monkeypatch, capsys
):
    monkeypatch.setattr(plan, "PLAN", [digits("first"), *planned])
    monkeypatch.setattr(plan, "start", lambda *_: pytest.fail("one started"))
    assert plan.main([]) == 2
    assert message in capsys.readouterr().err


def test_a_record_with_other_settings_is_named_and_stays(rooms, monkeypatch, capsys):
    job = plan.Job(digits(epochs=3), 0)
    command = f"python -m utils.train {' '.join(digits(epochs=9).words)} --seed 0"
    record.write(job.record, {"format": record.FORMAT, "command": command})
    before = job.record.read_bytes()
    monkeypatch.setattr(plan, "PLAN", [job.run])
    assert plan.main([]) == 2
    told = capsys.readouterr().err
    assert str(job.record) in told
    assert "epochs 9, not 3" in told
    assert job.record.read_bytes() == before
    plan.compare(plan.Job(digits(epochs=9), 0))  # older ones name utils.train


def test_a_full_disk_stops_the_plan(rooms, monkeypatch, capsys):
    monkeypatch.setattr(plan, "PLAN", [digits()])
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert plan.main([]) == 2
    assert "MB are free on the disk of" in capsys.readouterr().err


def test_a_run_that_fails_is_named_and_the_others_go_on(rooms, monkeypatch, capsys):
    monkeypatch.setattr(plan, "check", lambda runs: None)
    broken = digits("broken", more="--model lenet6")
    monkeypatch.setattr(plan, "PLAN", [broken, digits("sound", 1)])
    assert plan.main(["--processes", "1"]) == 1
    assert "broken-seed0 failed: No network" in capsys.readouterr().err
    assert [file.name for file in plan.RESULTS.iterdir()] == ["sound-seed0.json"]


def test_a_run_that_diverges_is_a_result(rooms, monkeypatch, capsys):
    monkeypatch.setattr(plan, "PLAN", [digits(seeds=(0, 1), more="--lr 1e30")])
    assert plan.main([]) == 0
    said = capsys.readouterr()
    assert "2 of 2 runs are done" in said.out
    assert not said.err
    for file in plan.RESULTS.iterdir():
        assert "not finite" in record.read(file)["diverged"]


@pytest.mark.parametrize("native", [("float32",), ("float32", "bfloat16")])
def test_the_minutes_left_are_those_of_this_processor(
    native, rooms, monkeypatch, capsys
):
    monkeypatch.setattr(recipe, "native_formats", lambda device: native)
    slow = digits(seeds=(0, 1))._replace(minutes=90, slower=3)
    monkeypatch.setattr(plan, "PLAN", [slow])
    assert plan.main(["--status"]) == 0
    said, left = capsys.readouterr().out, 180 if len(native) == 1 else 60
    assert f"0 of 2 runs are done; {left} processor minutes left" in said
    assert ("no units for bfloat16" in said) == (len(native) == 1)


def test_purposes_choose_runs(rooms, capsys):
    assert {run.name for run in plan.chosen(["rates"])} == {
        run.name for run in runs.BATCHNORM
    }
    assert [run.name for run in plan.chosen(["plain56"])] == ["plain56"]
    assert plan.main(["--only", "nothing"]) == 2
    assert "choose from" in capsys.readouterr().err


def test_the_declared_plan_can_be_carried_out():
    plan.check(plan.PLAN)
    for run in plan.PLAN:
        assert run.minutes > 0
        assert len(run.seeds) >= 3
        assert not request.read_options(run.words).no_test
