"""Checkpoints: an interrupted run goes on bit for bit, and a bad file harms nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from runs import RUNS, assert_equal_runs, examples, net, run, set_seed
from torch import Tensor, nn
from torch.amp import GradScaler

from utils import checkpoint, recipe, train
from utils.course import CourseError
from utils.train import History

# --- going on -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("keep_best", [True, False])
def test_an_interrupted_run_goes_on_bit_for_bit(kind, keep_best, tmp_path, monkeypatch):
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


def test_the_scaler_of_float16_is_kept(tmp_path, monkeypatch):
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


def test_more_epochs_may_follow_where_the_schedule_allows(tmp_path):
    constant = {"schedule": "constant"}
    run("epoch-sgd", tmp_path / "run.pt", epochs=2, **constant)
    more = run("epoch-sgd", tmp_path / "run.pt", resume=True, epochs=4, **constant)
    assert_equal_runs(more, run("epoch-sgd", None, epochs=4, **constant))
    stopped = {"lr": 0.0, "patience": 2, "epochs": 9, **constant}
    _, first = run("epoch-sgd", tmp_path / "still.pt", **stopped)
    _, again = run("epoch-sgd", tmp_path / "still.pt", resume=True, **stopped)
    assert first.stopped == again.stopped == "early"
    assert again.rows == first.rows
    run("epoch-sgd", tmp_path / "cycle.pt", epochs=2)
    with pytest.raises(CourseError, match="of the schedule was 8 and is 16"):
        run("epoch-sgd", tmp_path / "cycle.pt", resume=True, epochs=4)


def test_a_file_holds_plain_values_alone(tmp_path):
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


def packed(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


OPENED, CHECKPOINT = "was not opened", "is no checkpoint of this `fit`"
BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda whole: whole[: len(whole) // 2], OPENED),
    "empty": (lambda whole: b"", OPENED),
    "text": (lambda whole: b"the weights are on the other computer", OPENED),
    "whole model": (lambda whole: packed(net()), OPENED),
    "weights alone": (lambda whole: packed(net().state_dict()), CHECKPOINT),
    "no dict": (lambda whole: packed([1, 2]), CHECKPOINT),
}


@pytest.mark.parametrize("how", BAD)
def test_bad_files_are_refused_and_left_alone(how, tmp_path):
    file, (spoil, message) = tmp_path / "run.pt", BAD[how]
    run("epoch-sgd", file, epochs=1)
    before = spoil(file.read_bytes())
    file.write_bytes(before)
    with pytest.raises(CourseError, match=message) as error:
        run("epoch-sgd", file, resume=True, epochs=1)
    assert "delete" not in str(error.value)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_a_flipped_bit_of_a_weight_is_refused(tmp_path):
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    whole, right = file.read_bytes(), torch.load(file, weights_only=True)["model"]
    place = whole.index(right["0.weight"].numpy().tobytes()) + 1
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
    found = torch.load(file, weights_only=True)["model"]
    assert (found["0.weight"] != right["0.weight"]).sum() == 1  # torch itself takes it
    with pytest.raises(CourseError, match="damaged, cut short"):
        run("epoch-sgd", file, resume=True, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.1}, "lr was 0.05 and is 0.1"),
        ({"keep_best": False}, "keep_best was True and is False"),
        (
            {"loss_function": nn.CrossEntropyLoss()},
            "loss was 'NoneType' and",
        ),
        ({"schedule": "constant"}, "schedule was 'OneCycleLR' and is None"),
        ({"optimizer": "adam"}, "optimizer was 'SGD' and is 'Adam'"),
    ],
)
def test_other_hyper_parameters_are_refused(changes, message, tmp_path):
    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=1)
    before = file.read_bytes()
    with pytest.raises(CourseError, match=message):
        run("epoch-sgd", file, resume=True, **{"epochs": 1, **changes})
    assert file.read_bytes() == before


# --- files that cannot be written ---------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    import resource

    file = tmp_path / "run.pt"
    run("epoch-sgd", file, epochs=2, schedule="constant")
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(
            CourseError, match=r"Epoch 3: .*run.pt cannot be.*was there is intact"
        ):
            run("epoch-sgd", file, resume=True, schedule="constant")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    resumed = run("epoch-sgd", file, resume=True, schedule="constant")
    assert_equal_runs(resumed, run("epoch-sgd", None, schedule="constant"))


def test_spoilt_weights_never_replace_a_checkpoint(tmp_path):
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
