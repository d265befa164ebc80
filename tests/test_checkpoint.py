"""Checkpoints: an interrupted run goes on bit for bit, and a bad file harms nothing."""

from __future__ import annotations

import errno
import io
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import RUNS, Shuffled, assert_equal_runs, examples, net, run, set_seed
from torch import Tensor, nn
from torch.amp import GradScaler

from utils import checkpoint, recipe, train
from utils.course import CourseError
from utils.train import History

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


def test_the_scaler_of_float16_is_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(recipe, "native_formats", lambda device: ("float16",))
    made = []

    def scaler(*_: object) -> GradScaler:
        made.append(GradScaler("cpu", init_scale=8.0, growth_interval=3))
        return made[-1]

    monkeypatch.setattr(recipe, "make_scaler", scaler)
    images, labels = examples(16)
    data = [(images.flatten(1), labels)] * 4

    def go(epochs: int, **more: Any) -> nn.Module:
        set_seed(0)
        model = nn.Linear(64, 2)
        train.fit(model, data, epochs=epochs, lr=0.1, **more)
        return model

    go(2, checkpoint=tmp_path / "run.pt")
    whole = go(4)
    resumed = go(4, checkpoint=tmp_path / "run.pt", resume=True)
    assert made[-1].get_scale() == 8.0 * 2**5  # doubled every 3 of 16 steps
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
    with pytest.raises(
        CourseError, match="total_steps of the schedule was 8 and is 16"
    ):
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
    state = torch.load(file, weights_only=True)
    if how == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "pickle":
        file.write_bytes(pickle.dumps(evil))
    elif how == "pickle in an archive":
        torch.save({**state, "model": evil}, file)
    elif how == "whole model":
        torch.save(net(), file)
    elif how == "text":
        file.write_text("the weights are on the other computer\n")
    else:
        other = {
            "weights alone": net().state_dict(),
            "parts missing": {"format": checkpoint.FORMAT},
            "parts swapped": {**state, "parts": [state["history"]] * 3},
            "no dict": [1, 2],
        }
        torch.save(other[how], file)
        return "is no checkpoint of this `fit`"
    return "was not opened"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "pickle",
        "pickle in an archive",
        "whole model",
        "text",
        "weights alone",
        "parts missing",
        "parts swapped",
        "no dict",
    ],
)
def test_bad_files_are_refused_and_left_alone(how: str, tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    message = spoil(file, how)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=message) as error:
        run("epoch-sgd", file, resume=True, epochs=1)
    assert "delete" not in str(error.value)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]  # nothing ran


def test_an_optimizer_of_ones_own_goes_on(tmp_path: Path) -> None:
    class Own(torch.optim.SGD):
        def __init__(self, weights: Any) -> None:
            super().__init__(weights, lr=0.05, momentum=0.9)
            self.steps = iter(range(10**6))  # cannot be copied

        def step(self, closure: Any = None) -> None:
            next(self.steps)
            super().step(closure)

    def go(file: Path | None, epochs: int, **more: Any) -> nn.Module:
        set_seed(0)
        model = net()
        settings = {"checkpoint": file, "epochs": epochs, "optimizer": Own, **more}
        train.fit(model, Shuffled(*examples()), **settings)
        return model

    go(tmp_path / "run.pt", 2)
    resumed, whole = go(tmp_path / "run.pt", 4, resume=True), go(None, 4)
    assert all(map(torch.equal, resumed.parameters(), whole.parameters()))


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        [weight] = [x for x in archive.infolist() if x.filename.endswith("data/0")]
        # Behind its local header: 30 bytes, its name, and what aligns it.
        head = whole[weight.header_offset :][:30]
        content = weight.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    flipped = bytearray(whole)
    flipped[content + 1] ^= 16
    file.write_bytes(flipped)
    [old, new] = (
        torch.load(io.BytesIO(x), weights_only=True)["model"]["0.weight"]
        for x in (whole, flipped)
    )
    assert (old != new).sum() == 1  # torch itself takes it
    with pytest.raises(CourseError, match="damaged or cut short"):
        run("epoch-sgd", file, resume=True, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.1}, "lr was 0.05 and is 0.1"),
        ({"keep_best": False}, "keep_best was True and is False"),
        ({"loss_function": nn.CrossEntropyLoss()}, "own loss was False and is True"),
        ({"schedule": "constant"}, "schedule was 'OneCycleLR' and is None"),
        ({"optimizer": "adam"}, "optimizer was 'SGD' and is 'Adam'"),
    ],
)
def test_other_hyper_parameters_are_refused(
    changes: dict, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=message):
        run("epoch-sgd", file, resume=True, **{"epochs": 1, **changes})
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
    with pytest.raises(CourseError, match=r"No space left.*resume=True"):
        run("epoch-sgd", tmp_path / "run.pt")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_run_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=r"holds an earlier run.*resume=True"):
        run("epoch-sgd", file, epochs=1)
    assert file.read_bytes() == before


def test_spoilt_weights_never_replace_a_checkpoint(tmp_path: Path) -> None:
    file, settings = tmp_path / "run.pt", {"schedule": "constant"}

    def explode(logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels) * torch.tensor(1e38) * 1e38

    def first(logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels)

    run("epoch-sgd", file, epochs=1, loss_function=first, **settings)
    before = file.read_bytes()
    with pytest.raises(CourseError, match="Epoch 2: The loss is inf"):
        run("epoch-sgd", file, resume=True, loss_function=explode, **settings)
    assert file.read_bytes() == before
