"""`python -m utils.train`: what it writes, what it refuses, and before what."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from experiments import record, request
from experiments import train as command
from experiments.options import parser
from utils import course, data
from utils.course import CourseError
from utils.models import build
from utils.models.transfer import Transfer, pretrained
from utils.train import evaluate

DIGITS = [
    "--model",
    "lenet5",
    "--data",
    "mnist",
    "--stand-in",
    "--images",
    "200",
    "--epochs",
    "2",
]


@pytest.fixture(autouse=True)
def at_scale_tiny(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")


def run(*words: str) -> int:
    return command.main([*DIGITS, "--device", "cpu", *map(str, words)])


def options(*words: str):
    return parser().parse_args([*DIGITS, *words])


def test_a_run_leaves_one_complete_record(tmp_path, capsys):
    assert run("--out", tmp_path, "--seed", "3", "--lr", "0.05") == 0
    [file] = tmp_path.iterdir()
    assert file.name == "lenet5-mnist-seed3.json"
    found = record.read(file)
    assert found["model"]["parameters"] == 61_706
    assert len(found["data"].pop("classes")) == 10
    assert len(found["data"].pop("mean")) == len(found["data"].pop("std")) == 1
    assert found["data"] == {
        "name": "MNIST (stand-in)",
        "real": False,
        "shape": [1, 28, 28],
        "train": 200,
        "val": 150,
        "test": 297,
    }
    assert found["command"].startswith("python -m utils.train --model lenet5")
    assert "--lr 0.05" in found["command"]
    assert found["machine"]["torch"] == torch.__version__
    assert (found["processes"], found["batch_size"]) == (1, 128)
    rows = found["history"]["rows"]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert found["seconds"] == round(sum(row["seconds"] for row in rows), 1)
    assert 0 < found["test_accuracy"] < 1
    assert found["images_per_second"] > 0
    assert (
        f"{100 * found['test_accuracy']:.2f} % test accuracy" in capsys.readouterr()[0]
    )


def test_one_seed_gives_one_result(tmp_path):
    for folder in ("a", "b"):
        assert run("--out", tmp_path / folder, "--augment", "crop") == 0
    first, second = (
        record.read(tmp_path / folder / "lenet5-mnist-seed0.json") for folder in "ab"
    )
    for key in ("test_loss", "test_accuracy", "val_loss"):
        assert first[key] == second[key]


def test_the_recorded_accuracy_is_that_of_the_saved_weights(tmp_path):
    weights = tmp_path / "new" / "lenet5.pt"
    # What changes the training images changes no others.
    assert run("--out", tmp_path, "--save", weights, "--augment", "rotation") == 0
    model = build("lenet5")
    model.load_state_dict(torch.load(weights, weights_only=True))
    found = record.read(tmp_path / "lenet5-mnist-seed0.json")
    for part in ("val", "test"):
        images = getattr(data.mnist(source="embedded"), part).loader(100, device="cpu")
        judged = evaluate(model, images, precision=found["precision"], device="cpu")
        assert judged.accuracy == found[f"{part}_accuracy"]
        assert judged.loss == pytest.approx(found[f"{part}_loss"])


def test_the_test_set_can_stay_closed(tmp_path, capsys):
    assert run("--out", tmp_path, "--no-test") == 0
    found = record.read(tmp_path / "lenet5-mnist-seed0.json")
    assert "test_accuracy" not in found
    assert "val accuracy" in capsys.readouterr().out


def test_an_earlier_result_is_not_lost(tmp_path, capsys, monkeypatch):
    file = tmp_path / "digits-seed0.json"
    file.write_text("kept")
    monkeypatch.setattr(command, "fit", lambda *a, **k: pytest.fail("it trained"))
    assert run("--out", tmp_path, "--name", "digits") == 2
    assert file.read_text() == "kept"
    assert "--overwrite" in capsys.readouterr().err


def test_an_interrupted_run_is_not_recorded(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.train.train_epoch", interrupted)
    assert run("--out", tmp_path) == 130
    assert not list(tmp_path.iterdir())
    assert "interrupted" in capsys.readouterr().err


def test_it_goes_on_from_a_checkpoint(tmp_path):
    state = tmp_path / "state.pt"
    constant = ("--schedule", "constant", "--checkpoint", state)
    assert run(*constant, "--epochs", "1") == 0
    assert run(*constant, "--epochs", "3", "--resume", "--out", tmp_path / "out") == 0
    found = record.read(tmp_path / "out" / "lenet5-mnist-seed0.json")
    assert len(found["history"]["rows"]) == 3
    assert run("--out", tmp_path / "whole", *constant[:2], "--epochs", "3") == 0
    whole = record.read(tmp_path / "whole" / "lenet5-mnist-seed0.json")
    assert whole["test_loss"] == found["test_loss"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "lenet6"], "No network is called 'lenet6'"),
        (["--set", "width=2"], "unexpected keyword argument 'width'"),
        (["--set", "width"], "write OPTION=VALUE"),
        (["--data", "cifar11"], "neither a folder nor one of mnist"),
        (["--device", "gpu"], "--device gpu cannot be used here"),
        (["--out", str(course.ROOT / "results")], "real images alone"),
        (["--epochs", "0"], "--epochs 0: give a number of at least 1"),
        (["--resume"], "checkpoint=PATH"),
        (["--freeze"], "add --weights imagenet"),
        (["--weights", "cifar10"], "no weights of 'lenet5'"),
        (["--weights", "imagenet", "--set", "width=2"], "--weights brings a built one"),
        (["--weights", "imagenet", "--freeze", "--augment", "flip"], "no --augment"),
        (["--size", "32"], "--size is for photos"),
        (["--model", "resnet20", "--set", "width=0.01"], "leaves none of 16 channels"),
    ],
)
def test_a_request_that_cannot_be_met_is_explained(words, message, capsys):
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_takes_no_files_is_refused_before_training(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert run("--out", file / "below") == 2
    assert "takes no files" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        *(["--seed", seed] for seed in ("-1", str(2**32))),
        *(["--lr", lr] for lr in ("-1", "nan", "inf")),
        *(["--label-smoothing", part] for part in ("2", "nan", "-0.5")),
        ["--momentum", "nan"],
        ["--weight-decay", "-1"],
        ["--body-lr", "nan"],
        ["--images", "0"],
        ["--batch-size", str(10**30)],
        ["--size", "0"],
        ["--device", "meta"],
        ["--device", ""],
        ["--data", "x" * 300],
        ["--data", "~nobody-of-this-name/photos"],
    ],
)
def test_what_no_run_can_use_is_refused_in_one_line(words, capsys, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *a, **k: pytest.fail("it read images"))
    monkeypatch.setattr(command, "fit", lambda *a, **k: pytest.fail("it trained"))
    assert run(*words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_highest_seed_is_one(tmp_path):
    assert run("--out", tmp_path, "--seed", 2**32 - 1, "--epochs", "1") == 0
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("option", ["--save", "--checkpoint", "--out"])
@pytest.mark.parametrize("there", ["folder", "pipe", "link", "long"])
def test_what_cannot_be_replaced_is_refused_before_training(
    tmp_path, option, there, capsys, monkeypatch
):
    monkeypatch.setattr(data, "load", lambda *a, **k: pytest.fail("it read images"))
    monkeypatch.setattr(command, "fit", lambda *a, **k: pytest.fail("it trained"))
    name = "x" * 300 if there == "long" else "run"
    path = tmp_path / f"{name}-seed0.json"
    if there == "folder":
        path.mkdir()
    elif there == "pipe":
        if sys.platform == "win32":
            pytest.skip("no pipes among the files there")
        os.mkfifo(path)
    elif there == "link":
        (tmp_path / "folder").mkdir()
        try:
            path.symlink_to(tmp_path / "folder")
        except OSError:
            pytest.skip("this account makes no links")
    words = [option, path]
    if option == "--out":
        words = ["--out", tmp_path, "--name", name, "--overwrite"]
    assert run(*words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
    assert there == "long" or "no regular file" in line


def test_no_name_to_save_to_is_refused_before_training(capsys, monkeypatch):
    monkeypatch.setattr(command, "fit", lambda *a, **k: pytest.fail("it trained"))
    assert run("--save", "") == 2
    assert "no regular file" in capsys.readouterr().err


def test_small_images_get_the_stem_that_is_made_for_them():
    images = data.cifar10(source="embedded").train.subset(20)
    _, built_with = request.make_model(options("--model", "resnet18"), images)
    assert built_with == {"stem": "cifar"}
    _, built_with = request.make_model(options("--model", "resnet20"), images)
    assert built_with == {}
    chosen = options("--model", "vgg11", "--set", "width=0.125", "hidden=()")
    model, built_with = request.make_model(chosen, images)
    assert built_with == {"stem": "cifar", "width": 0.125, "hidden": ()}
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_auxiliary_heads_are_trained():
    images = data.cifar10(source="embedded").train.subset(20)
    for aux in (True, False):
        chosen = options("--model", "googlenet", "--set", f"aux={aux}", "width=0.125")
        model, _ = request.make_model(chosen, images)
        assert ("loss_function" in request.recipe(chosen, model)) is aux


PHOTOS = [
    *("--model", "resnet20", "--data", "dogs_vs_cats", "--stand-in"),
    *("--images", "100", "--epochs", "2", "--device", "cpu"),
]


@pytest.mark.parametrize("freeze", [True, False])
def test_it_begins_with_trained_weights(tmp_path, freeze):
    saved = tmp_path / "new.pt"
    words = ["--weights", "cifar10", *(["--freeze"] if freeze else ["--lr", "0.01"])]
    words += ["--out", tmp_path, "--save", saved]
    assert command.main([*PHOTOS, *map(str, words)]) == 0
    found = record.read(tmp_path / "resnet20-dogs_vs_cats-seed0.json")
    assert found["start"] == {"weights": "cifar10", "frozen": freeze} | (
        {} if freeze else {"body_lr": 0.1}
    )
    assert found["data"]["shape"] == [3, 32, 32]  # the weights' own size
    trained, weights = pretrained("resnet20", "cifar10")
    assert found["data"]["mean"] == list(weights.mean)
    model = Transfer(trained, 2)
    new = torch.load(saved, weights_only=True)
    same = all(
        tensor.equal(new[name])
        for name, tensor in model.state_dict().items()
        if name.startswith("body.") and "num_batches" not in name
    )
    assert same == freeze
    model.load_state_dict(new)
    splits = weights.prepare(data.dogs_vs_cats(32, source="embedded"))
    judged = evaluate(model, splits.test.loader(512, device="cpu"), device="cpu")
    assert judged.accuracy == pytest.approx(found["test_accuracy"], abs=0.01)
    assert len(found["history"]["rows"]) == 2


def test_the_body_moves_in_smaller_steps():
    words = ["--weights", "cifar10", "--lr", "0.5", "--body-lr", "0.01"]
    chosen = parser().parse_args([*PHOTOS, *words])
    model = Transfer(pretrained("resnet20", "cifar10")[0], 2)
    settings = request.recipe(chosen, model)
    head, body = settings["optimizer"].param_groups
    assert (head["lr"], body["lr"]) == (0.5, 0.005)
    assert head["params"] == list(model.head.parameters())
    assert len(head["params"]) + len(body["params"]) == len(list(model.parameters()))
    assert head["weight_decay"] == body["weight_decay"] == 5e-4


def test_photos_come_in_the_size_that_is_asked_for():
    chosen = parser().parse_args([*PHOTOS, "--size", "48"])
    assert request.read_images(chosen).train.images.shape[1:] == (3, 48, 48)


@pytest.mark.parametrize("name", request.AUGMENTATIONS)
def test_every_augmentation_that_has_a_name_works(name):
    images = data.cifar10(source="embedded").train.subset(20)
    chosen = options("--augment", name, "--batch-size", "8", "--device", "cpu")
    batch, _ = next(iter(request.train_loader(chosen, images)))
    assert batch.shape == (8, 3, 32, 32)
    assert batch.isfinite().all()


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "no record"), ("{}", "format None")]
)
def test_a_file_that_is_no_record_is_named(tmp_path, text, problem):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(CourseError, match=problem) as error:
        record.read(file)
    assert str(file) in str(error.value)


def test_the_module_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "utils.train", "--help"],
        cwd=course.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("--model", "resnet20", "cifar10", "examples:"):
        assert word in done.stdout


def test_a_pipe_that_knows_few_letters_stops_nothing(tmp_path):
    words = [*DIGITS, "--epochs", "1", "--device", "cpu", "--name", "数字"]
    done = subprocess.run(
        [sys.executable, "-m", "utils.train", *words, "--out", str(tmp_path)],
        cwd=course.ROOT,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"??, seed 0: " in done.stdout
    assert (tmp_path / "数字-seed0.json").is_file()


def test_the_commit_marks_changed_files(tmp_path):
    assert record.commit(tmp_path) is None
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm a"):
        (tmp_path / "file").write_text("first")
        subprocess.run(["git", "-C", str(tmp_path), *words.split()], check=True)
    clean = record.commit(tmp_path)
    (tmp_path / "file").write_text("second")
    assert record.commit(tmp_path) == f"{clean}+"


@pytest.mark.skipif(sys.platform != "linux", reason="others are asked in another way")
def test_peak_memory_leaves_the_parents_out():
    held = torch.zeros(2**27)  # 512 MB
    code = (
        "import torch; from experiments.record import peak_memory;"
        "print(peak_memory(torch.device('cpu')))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=course.ROOT, capture_output=True, check=True
    )
    mine = record.peak_memory(torch.device("cpu"))
    assert mine > held.nbytes
    assert int(child.stdout) < mine - held.nbytes / 2
