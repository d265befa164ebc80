"""Checkpoints: an interrupted run goes on bit for bit, and a bad file harms nothing."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import RUNS, Shuffled, assert_equal_runs, examples, net, run, set_seed
from torch import Tensor, nn
from torch.amp import GradScaler

from utils import train
from utils.course import CourseError
from utils.train import History
from utils.training import checkpoint
from utils.training.precision import Precision

# --- going on -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("keep_best", [True, False])
def test_an_interrupted_run_goes_on_bit_for_bit(
    kind: str, keep_best: bool, tmp_path: Path, monkeypatch
) -> None:
    whole = run(kind, None, keep_best=keep_best)
    save = checkpoint.Checkpoint.save

    def save_and_stop(self: Any, history: History, best: Any) -> None:
        save(self, history, best)
        if len(history.rows) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "save", save_and_stop)
        _, part = run(kind, tmp_path / "run.pt", keep_best=keep_best)
    assert len(part.rows) == 3
    resumed = run(kind, tmp_path / "run.pt", resume=True, seed=7, keep_best=keep_best)
    assert_equal_runs(resumed, whole)
    assert resumed[1].kept == whole[1].kept
    assert resumed[1].stopped == ""


def test_the_scaler_of_float16_is_kept(tmp_path: Path) -> None:
    def float16() -> Precision:
        scaler = GradScaler("cpu", init_scale=8.0, growth_interval=3)
        return Precision("cpu", torch.float16, scaler)

    images, labels = examples(16)
    data, kept = [(images.flatten(1), labels)] * 4, {"lr": 0.1, "device": "cpu"}

    def go(epochs: int, precision: Precision, **more: Any) -> nn.Module:
        set_seed(0)
        model = nn.Linear(64, 2)
        train.fit(model, data, epochs=epochs, precision=precision, **kept, **more)
        return model

    go(2, float16(), checkpoint=tmp_path / "run.pt")
    last, whole = float16(), go(4, float16())
    resumed = go(4, last, checkpoint=tmp_path / "run.pt", resume=True)
    assert last.scaler.get_scale() == 8.0 * 2**5  # doubled every 3 of 16 steps
    assert torch.equal(resumed.weight, whole.weight)


def test_resuming_without_a_file_begins(tmp_path: Path) -> None:
    file = tmp_path / "new" / "run.pt"
    assert_equal_runs(run("epoch-sgd", file, resume=True), run("epoch-sgd", None))
    assert file.exists()
    assert [path.name for path in file.parent.iterdir()] == ["run.pt"]


def test_a_finished_run_is_given_back_at_once(tmp_path: Path) -> None:
    first = run("shuffle-adam", tmp_path / "run.pt")
    again = run("shuffle-adam", tmp_path / "run.pt", resume=True, seed=3)
    assert_equal_runs(first, again)
    assert again[1].rows == first[1].rows


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    still = {"lr": 0.0, "schedule": "constant", "patience": 2}
    _, first = run("epoch-sgd", tmp_path / "run.pt", **still)
    _, again = run("epoch-sgd", tmp_path / "run.pt", resume=True, **still)
    assert first.stopped == again.stopped == "early"
    assert again.rows == first.rows


def test_more_epochs_may_follow_where_the_schedule_allows(tmp_path: Path) -> None:
    constant = {"schedule": "constant"}
    run("epoch-sgd", tmp_path / "run.pt", epochs=2, **constant)
    more = run("epoch-sgd", tmp_path / "run.pt", resume=True, epochs=4, **constant)
    assert_equal_runs(more, run("epoch-sgd", None, epochs=4, **constant))
    run("epoch-sgd", tmp_path / "cycle.pt", epochs=2)
    with pytest.raises(CourseError, match="epochs was 2 and is 4"):
        run("epoch-sgd", tmp_path / "cycle.pt", resume=True, epochs=4)


def test_a_file_holds_plain_values_alone(tmp_path: Path) -> None:
    allowed = {dict, list, tuple, str, int, float, bool, type(None), Tensor}

    def walk(value: Any) -> None:
        assert type(value) in allowed
        if isinstance(value, dict):
            walk(list(value.items()))
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)

    run("generator-sgd", tmp_path / "run.pt", epochs=1)  # its schedule has a Counter
    walk(torch.load(tmp_path / "run.pt", weights_only=True))
    with pytest.raises(CourseError, match="cannot keep the function"):
        checkpoint.plain({"schedule": [lambda epoch: 0.5]})


# --- files that are refused ---------------------------------------------------------


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def spoil(file: Path, how: str) -> str:
    """Put a bad file in the place of a good checkpoint; how its refusal must read."""
    whole, evil = file.read_bytes(), Malicious(f"echo x > {file.parent / 'ran'}")
    if how == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
        return "damaged or cut short"
    if how == "empty":
        file.write_bytes(b"")
        return "damaged or cut short"
    if how == "pickle":
        file.write_bytes(pickle.dumps(evil))
    elif how == "pickle in an archive":
        torch.save({**torch.load(file, weights_only=True), "model": evil}, file)
    elif how == "text":
        file.write_text("the weights are on the other computer\n")
        return "damaged or cut short|was not opened"
    elif how == "weights alone":
        torch.save(net().state_dict(), file)
        return "no checkpoint of `fit`"
    elif how == "parts missing":
        torch.save({"format": checkpoint.FORMAT}, file)
        return "damaged or cut short"
    elif how == "parts swapped":
        state = torch.load(file, weights_only=True)
        torch.save({**state, "optimizer": state["history"]}, file)
        return "damaged or cut short"
    return "was not opened"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "pickle",
        "pickle in an archive",
        "text",
        "weights alone",
        "parts missing",
        "parts swapped",
    ],
)
def test_bad_files_are_refused_and_left_alone(how: str, tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    message = spoil(file, how)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=message):
        run("epoch-sgd", file, resume=True, epochs=1)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]  # nothing ran


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    before, model = file.read_bytes(), net(width=5)
    weights = [weight.clone() for weight in model.parameters()]
    with pytest.raises(
        CourseError, match=r"architecture: 0.weight has shape \(4, 1, 3, 3\) there, \(5"
    ):
        train.fit(
            model,
            Shuffled(*examples()),
            epochs=1,
            device="cpu",
            checkpoint=file,
            resume=True,
        )
    assert all(map(torch.equal, weights, model.parameters()))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.1}, "lr was 0.05 and is 0.1"),
        ({"weight_decay": 0.1}, "weight_decay was 0.0 and is 0.1"),
        ({"momentum": 0.5}, "momentum was 0.9 and is 0.5"),
        ({"label_smoothing": 0.1}, "label_smoothing was 0.0 and is 0.1"),
        ({"schedule": "constant"}, "schedule was 'onecycle' and is 'constant'"),
        ({"optimizer": "adam"}, "optimizer was 'SGD' and is 'Adam'"),
        ({"monitor": "val_loss"}, "monitor was 'val_accuracy' and is 'val_loss'"),
    ],
)
def test_other_hyper_parameters_are_refused(
    changes: dict, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=message):
        run("epoch-sgd", file, resume=True, **changes)
    assert file.read_bytes() == before


# --- files that cannot be written ---------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    import resource

    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=2, schedule="constant")
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(
            CourseError, match=r"Epoch 3: .*run.pt could not.*previous one is intact"
        ):
            run("epoch-sgd", file, resume=True, schedule="constant")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    resumed = run("epoch-sgd", file, resume=True, schedule="constant")
    assert_equal_runs(resumed, run("epoch-sgd", None, schedule="constant"))


def test_a_first_checkpoint_that_fails_says_so(tmp_path: Path, monkeypatch) -> None:
    def full(state: object, file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CourseError, match=r"No space left.*There is none yet.*resume"):
        run("epoch-sgd", tmp_path / "run.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_can_hold_no_file_is_refused_before_training(tmp_path: Path):
    with pytest.raises(CourseError, match="is a folder: name a file in it"):
        run("epoch-sgd", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="No folder for the checkpoint"):
        run("epoch-sgd", tmp_path / "file" / "run.pt")


def test_spoilt_weights_never_replace_a_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1, schedule="constant")
    before = file.read_bytes()

    class Exploding(Shuffled):
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for images, labels in super().__iter__():
                yield images * float("inf"), labels

    set_seed(0)
    for validation in (None, [examples(8)]):
        with pytest.raises(CourseError, match="Epoch 1"):
            train.fit(
                net(),
                Exploding(*examples()),
                validation,
                epochs=2,
                device="cpu",
                progress=False,
                checkpoint=file,
            )
        assert file.read_bytes() == before
