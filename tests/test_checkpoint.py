"""Checkpoints: an interrupted run goes on bit for bit, and a bad file harms nothing."""

from __future__ import annotations

import errno
import io
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import RUNS, Shuffled, assert_equal_runs, examples, net, run, set_seed
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim.optimizer import register_optimizer_step_pre_hook

from utils import train
from utils.course import CourseError
from utils.train import History
from utils.training import checkpoint, forms
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
        forms.plain({"schedule": [lambda epoch: 0.5]})


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


Change = Callable[[dict[str, Any]], None]
FORGED: dict[str, tuple[str, Change]] = {
    "a momentum of another size": (
        "epoch-sgd",
        lambda state: state["optimizer"]["state"][0].update(
            momentum_buffer=torch.zeros(1)
        ),
    ),
    "no second moment": (
        "shuffle-adam",
        lambda state: state["optimizer"]["state"][0].update(exp_avg_sq=None),
    ),
    "a moment of a weight that is not there": (
        "shuffle-adam",
        lambda state: state["optimizer"]["state"].update({99: {}}),
    ),
    "text for a learning rate": (
        "epoch-sgd",
        lambda state: state["optimizer"]["param_groups"][0].update(lr="0.1"),
    ),
    "one beta": (
        "shuffle-adamw",
        lambda state: state["optimizer"]["param_groups"][0].update(betas=(0.9,)),
    ),
    "one group too many": (
        "epoch-sgd",
        lambda state: state["optimizer"]["param_groups"].append({}),
    ),
    "a schedule whose step is no function": (
        "shuffle-adamw",
        lambda state: state["scheduler"].update(last_epoch=[3]),
    ),
    "no schedule": ("shuffle-adamw", lambda state: state.update(scheduler=None)),
    "best weights of another network": (
        "epoch-sgd",
        lambda state: state["best"].update({"0.weight": torch.zeros(1)}),
    ),
    "best weights that are none": (
        "epoch-sgd",
        lambda state: state.update(best={"0.weight": 1}),
    ),
    "a history of words": (
        "epoch-sgd",
        lambda state: state["history"]["rows"][0].update(val_loss="good"),
    ),
    "a history without a learning rate": (
        "epoch-sgd",
        lambda state: state["history"]["rows"][0].pop("lr"),
    ),
    "an epoch of the loader that is none": (
        "epoch-sgd",
        lambda state: state["loader"].update(epoch="first"),
    ),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_state_is_refused_before_a_step(forged: str, tmp_path: Path) -> None:
    kind, change = FORGED[forged]
    file, first = tmp_path / "run.pt", {}
    planned = RUNS[kind] | {"epochs": 2}
    run(kind, file, **planned)
    state = torch.load(file, weights_only=True)
    state["history"]["rows"].pop()  # an epoch is left to be trained
    change(state)
    torch.save(state, file)
    before = file.read_bytes()

    def note(optimizer: Any, *_: Any) -> None:
        first[id(optimizer)] = "stepped"

    hook = register_optimizer_step_pre_hook(note)
    try:
        with pytest.raises(CourseError, match=r"run\.pt is "):
            run(kind, file, resume=True, **planned)
    finally:
        hook.remove()
    assert len(first) <= 1  # that of a copy
    assert file.read_bytes() == before


def test_how_an_optimizer_computes_is_not_the_files_to_say(tmp_path: Path) -> None:
    file, kept = tmp_path / "run.pt", {"schedule": "constant"}
    run("shuffle-adam", file, epochs=2, **kept)
    state = torch.load(file, weights_only=True)
    for group in state["optimizer"]["param_groups"]:
        group |= {"fused": None, "foreach": True, "capturable": True, "new": 1}
        del group["eps"]  # as if another version of torch had written it
    torch.save(state, file)
    resumed = run("shuffle-adam", file, resume=True, **kept)
    assert_equal_runs(resumed, run("shuffle-adam", None, **kept))


def test_an_optimizer_that_cannot_be_copied_goes_on(tmp_path: Path) -> None:
    class Own(torch.optim.SGD):
        def __init__(self, weights: Any) -> None:
            super().__init__(weights, lr=0.05, momentum=0.9)
            self.steps = iter(range(10**6))  # a copy would lack it

        def step(self, closure: Any = None) -> None:
            next(self.steps)
            super().step(closure)

    def go(file: Path | None, epochs: int, **more: Any) -> nn.Module:
        set_seed(0)
        model = net()
        settings = {"checkpoint": file, "epochs": epochs, "device": "cpu", **more}
        optimizer = Own(model.parameters())
        train.fit(model, Shuffled(*examples()), optimizer=optimizer, **settings)
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
