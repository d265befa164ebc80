"""`python -m experiments.train`: what it writes, what it refuses, and before what."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

from experiments import record, request, train
from utils import course, data
from utils.course import CourseError
from utils.models import build
from utils.models.pretrained import Transfer, pretrained
from utils.train import evaluate

DIGITS = ["--model", "lenet5", "--data", "mnist", "--stand-in", "--images", "200"]
DIGITS += ["--epochs", "2"]
PHOTOS = [
    *("--model", "resnet20", "--data", "dogs_vs_cats", "--stand-in"),
    *("--images", "100", "--epochs", "2", "--device", "cpu"),
]


@pytest.fixture(autouse=True)
def at_scale_tiny(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")


@pytest.fixture
def idle(monkeypatch):
    """No image may be read, and nothing be trained."""

    def refuse(*args, **options):
        pytest.fail("it began")

    monkeypatch.setattr(data, "DATASETS", dict.fromkeys(data.DATASETS, refuse))
    for module, name in ((data, "image_folder"), (train, "fit")):
        monkeypatch.setattr(module, name, refuse)


def run(*words) -> int:
    return train.main([*DIGITS, "--device", "cpu", *map(str, words)])


def options(*words: str):
    return request.read_options([*DIGITS, "--device", "cpu", *words])


# What it writes


def test_a_run_leaves_one_complete_record(tmp_path, capsys):
    assert run("--out", tmp_path, "--seed", "3", "--lr", "0.05") == 0
    [file] = tmp_path.iterdir()
    assert file.name == "lenet5-mnist-seed3.json"
    found = record.read(file)
    record.check(file, found)
    assert found["model"]["parameters"] == 61_706
    sizes = [found["data"][key] for key in ("train", "val", "test", "shape")]
    assert sizes == [200, 150, 297, [1, 28, 28]]
    assert (found["data"]["name"], found["data"]["real"]) == ("MNIST (stand-in)", False)
    assert len(found["data"]["classes"]) == 10
    assert found["command"].startswith("python -m experiments.train --model lenet5")
    assert record.words(found["command"])[-1] == "0.05"
    assert (found["processes"], found["batch_size"]) == (1, 128)
    rows = found["history"]["rows"]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert 0 < found["processor_seconds"] < 60
    said = f"{100 * found['test_accuracy']:.2f} % test accuracy"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("half", [[], ["--half"], ["--half", "--every-epoch"]])
def test_the_recorded_accuracy_is_that_of_the_saved_weights(tmp_path, half):
    weights = tmp_path / "new" / "lenet5.pt"
    # What changes the training images changes no others.
    words = ["--out", tmp_path, "--save", weights, "--augment", "rotation", *half]
    assert run(*words) == 0
    saved, model = torch.load(weights, weights_only=True), build("lenet5")
    if isinstance(saved, list):
        assert len({epoch["c1.0.weight"].sum().item() for epoch in saved}) == 3
        saved = saved[-1]
    dtype = torch.float16 if half else torch.float32
    assert {tensor.dtype for tensor in saved.values()} == {dtype}
    model.load_state_dict(saved)
    found = record.read(tmp_path / "lenet5-mnist-seed0.json")
    for part in ("val", "test"):
        images = getattr(data.mnist(source="embedded"), part).loader(100, device="cpu")
        judged = evaluate(model, images)
        assert judged.accuracy == pytest.approx(found[f"{part}_accuracy"], abs=0.01)
        assert judged.loss == pytest.approx(found[f"{part}_loss"], rel=1e-2)


def test_the_test_images_may_be_left_alone(tmp_path, monkeypatch):
    judged = []

    def judge(model, loader):
        judged.append(len(loader.data))
        return evaluate(model, loader)

    monkeypatch.setattr(train, "evaluate", judge)
    assert run("--no-test", "--out", tmp_path) == 0
    assert "test_accuracy" not in record.read(tmp_path / "lenet5-mnist-seed0.json")
    assert judged == [150]


def test_a_run_that_diverges_is_recorded_as_such(tmp_path):
    assert run("--out", tmp_path, "--lr", "1e30", "--weight-decay", "1") == 2
    [file] = tmp_path.iterdir()
    found = record.read(file)
    record.check(file, found)
    assert "finite" in found["diverged"]


def test_an_interrupted_run_is_not_recorded(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.train.train_epoch", interrupted)
    assert run("--out", tmp_path) == 130
    assert not list(tmp_path.iterdir())
    assert "interrupted" in capsys.readouterr().err


def test_it_goes_on_from_a_checkpoint(tmp_path):
    constant = ("--schedule", "constant", "--checkpoint", tmp_path / "state.pt")
    assert run(*constant, "--epochs", "1") == 0
    state = torch.load(constant[-1], weights_only=False)
    del state["history"]["rows"][0]["processor_seconds"]  # as states of before have it
    torch.save(state, constant[-1])
    assert run(*constant, "--epochs", "3", "--resume", "--out", tmp_path / "a") == 0
    assert run("--out", tmp_path / "b", *constant[:2], "--epochs", "3") == 0
    files = (tmp_path / folder / "lenet5-mnist-seed0.json" for folder in "ab")
    found, whole = map(record.read, files)
    assert len(found["history"]["rows"]) == 3
    assert whole["test_loss"] == found["test_loss"]
    assert "processor_seconds" in whole.keys() - found.keys()


# What it refuses, before an image is read


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model lenet6", "No network is called 'lenet6'"),
        *(
            ("--model lenet6 --data dogs_vs_cats", name)
            for name in ("lenet5", "resnet110", "squeezenet1_1", "convnext_tiny")
        ),
        ("--model convnext_tiny", "add --weights imagenet"),
        ("--set width=2", "unexpected keyword argument 'width'"),
        ("--set width", "write OPTION=VALUE"),
        ("--data cifar11", "neither a folder nor one of mnist"),
        (f"--data {'x' * 300}", "neither a folder"),
        ("--data ~nobody-of-this-name/photos", "neither a folder"),
        ("--device gpu", "--device gpu cannot be used here"),
        ("--device meta", "cannot be used here"),
        (f"--out {course.ROOT / 'results'}", "real images alone"),
        ("--resume", "add --checkpoint FILE"),
        *((f"--{name}", "add --save FILE") for name in ("half", "every-epoch")),
        ("--freeze", "add --weights imagenet"),
        ("--weights cifar10", "Of 'lenet5' there are no weights"),
        ("--weights imagenet --set width=2", "--weights brings a built one"),
        ("--weights imagenet --freeze --augment flip", "no --augment"),
        ("--size 32", "--size is for photos"),
        ("--model resnet20 --set width=0.01", "leaves none of 16 channels"),
        *((f"--seed {seed}", "--seed") for seed in (-1, 2**32)),
        *((f"--lr {lr}", "--lr") for lr in (-1, "nan", "inf")),
        *((f"--label-smoothing {part}", "smoothing") for part in (2, "nan")),
        *((f"--{name} 0", "at least 1") for name in ("epochs", "images", "size")),
        (f"--batch-size {10**30}", "below 2,147,483,648"),
    ],
)
def test_a_request_that_cannot_be_met_is_explained(words, message, capsys, idle):
    assert run(*words.split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ("--model lenet5 --data cifar10", "28 pixels a side, those of cifar10 have 32"),
        ("--model two_layer_cnn --data mnist", "32 pixels a side, .* have 28"),
        ("--model two_layer_cnn --data dogs_vs_cats", "32 pixels a side, .* have 64"),
        ("--model lenet5 --data dogs_vs_cats", "28 pixels a side, .* have 64"),
        ("--model two_layer_cnn --data cifar10 --set image_size=64", "64 .* have 32"),
        ("--model lenet5 --data dogs_vs_cats --size 224", "28 .* have 224"),
    ],
)
def test_a_network_for_images_of_another_size_is_refused(words, sizes, capsys, idle):
    assert run(*words.split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(sizes, line), line


@pytest.mark.parametrize("option", ["--out", "--save", "--checkpoint"])
def test_nothing_of_an_earlier_run_is_overwritten_unasked(
    tmp_path, option, capsys, idle
):
    file = tmp_path / "run-seed0.json"
    file.write_text("kept")
    words = ["--out", tmp_path] if option == "--out" else [option, file]
    assert run(*words, "--name", "run") == 2
    assert file.read_text() == "kept"
    [line] = capsys.readouterr().err.splitlines()
    assert "exists" in line
    assert "--overwrite" in line
    assert ("--resume" in line) == (option == "--checkpoint")


# From the words to a network, and to batches


@pytest.mark.parametrize("freeze", [True, False])
def test_it_begins_with_trained_weights(tmp_path, freeze):
    saved = tmp_path / "new.pt"
    words = ["--weights", "cifar10", *(["--freeze"] if freeze else ["--lr", "0.01"])]
    words += ["--out", tmp_path, "--save", saved]
    assert train.main([*PHOTOS, *map(str, words)]) == 0
    found = record.read(tmp_path / "resnet20-dogs_vs_cats-seed0.json")
    more = {} if freeze else {"body_lr": 0.1}
    assert found["start"] == {"weights": "cifar10", "frozen": freeze} | more
    assert found["data"]["shape"] == [3, 32, 32]  # the weights' own size
    trained, weights = pretrained("resnet20", "cifar10")
    assert found["data"]["mean"] == list(weights.mean)
    model, new = Transfer(trained, 2), torch.load(saved, weights_only=True)
    same = all(
        tensor.equal(new[name])
        for name, tensor in model.state_dict().items()
        if name.startswith("body.") and "num_batches" not in name
    )
    assert same == freeze
    model.load_state_dict(new)
    splits = weights.prepare(data.dogs_vs_cats(32, source="embedded"))
    judged = evaluate(model, splits.test.loader(512, device="cpu"))
    assert judged.accuracy == pytest.approx(found["test_accuracy"], abs=0.01)


def test_the_body_moves_in_smaller_steps():
    words = [*PHOTOS, "--weights", "cifar10", "--lr", "0.5", "--body-lr", "0.01"]
    model = Transfer(pretrained("resnet20", "cifar10")[0], 2)
    settings = request.make_recipe(request.read_options(words), model)
    head, body = settings["optimizer"](model.parameters()).param_groups
    assert (head["lr"], body["lr"]) == (0.5, 0.005)
    assert head["params"] == list(model.head.parameters())
    assert len(head["params"]) + len(body["params"]) == len(list(model.parameters()))
    assert head["weight_decay"] == body["weight_decay"] == 5e-4


def test_the_words_choose_the_loss_and_the_optimizer():
    logits, labels = torch.randn(4, 10), torch.arange(4)
    for words in ([], ["--label-smoothing", "0.2"]):
        right = nn.CrossEntropyLoss(label_smoothing=0.2 if words else 0.0)
        chosen = options(*words, "--weight-decay", "0.3", "--momentum", "0.7")
        made = request.make_recipe(chosen, build("lenet5"))
        loss = made["loss_function"] or nn.functional.cross_entropy
        assert loss(logits, labels) == right(logits, labels)
        [group] = made["optimizer"](build("lenet5").parameters()).param_groups
        assert (group["weight_decay"], group["momentum"]) == (0.3, 0.7)
        net = build("googlenet", num_classes=10, width=1 / 16, stem="cifar", aux=True)
        net.aux_logits = (logits.flip(0),)
        both = right(logits, labels) + 0.3 * right(logits.flip(0), labels)
        loss = request.make_recipe(chosen, net)["loss_function"]
        torch.testing.assert_close(loss(logits, labels), both)


def test_a_seed_decides_the_weights_and_the_shuffled_batches(monkeypatch):
    begun = []

    def begin(model, batches, *_, **settings):
        begun.append((model.output.weight.clone(), *next(iter(batches))))
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", begin)
    for seed in (1, 1, 2):
        assert run("--seed", seed) == 130
    for first, again, other in zip(*begun, strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.parametrize("name", request.AUGMENTATIONS)
def test_every_augmentation_that_has_a_name_works(name):
    splits = data.cifar10(source="embedded")
    chosen = options("--augment", name, "--batch-size", "8")
    _, batches, _ = request.make_loaders(chosen, build("resnet20"), splits)
    images, _ = next(iter(batches))
    assert images.shape == (8, 3, 32, 32)
    assert images.isfinite().all()


# Around it


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "no record"), ("{}", "format None"), ("NaN", "NaN is")]
)
def test_a_file_that_is_no_record_is_named(tmp_path, text, problem):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(CourseError, match=problem) as error:
        record.read(file)
    assert str(file) in str(error.value)


def test_the_module_is_a_command_even_for_a_pipe_that_knows_few_letters(tmp_path):
    words = [*DIGITS, "--epochs", "1", "--device", "cpu", "--name", "数字"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", *words, "--out", str(tmp_path)],
        cwd=course.ROOT,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"??, seed 0: " in done.stdout
    assert (tmp_path / "数字-seed0.json").is_file()
