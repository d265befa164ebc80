"""Networks, labels, optimizers and files of users, as they bring them to `fit`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Adam, lr_scheduler

from utils import train
from utils.course import CourseError
from utils.train import evaluate, predict

fit = partial(train.fit, progress=False)
Batch = tuple[Tensor, Tensor]


def batches(side: int = 8, classes: int = 3) -> list[Batch]:
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(32, 3, side, side, generator=draw)
    labels = torch.randint(classes, (32,), generator=draw)
    return list(zip(images.split(16), labels.split(16), strict=True))


def net(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, outputs)
    )


class Own(nn.Module):
    """A network whose forward pass is a function of its features and last layer."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.last, self.way = nn.Linear(144, 3), forward

    def forward(self, x: Tensor) -> Any:
        return self.way(self, self.features(x))


# --- a conversion that only some networks survive -------------------------------------

FLATTEN = {
    "x.view(x.size(0), -1)": lambda x: x.view(x.size(0), -1),
    "x.view(-1, 144)": lambda x: x.view(-1, 144),
    "x.view(N, C, -1)": lambda x: x.view(len(x), 4, -1).flatten(1),
    "torch.flatten": lambda x: torch.flatten(x, 1),
    "x.transpose.contiguous.view": lambda x: x.transpose(2, 3).reshape(len(x), -1),
}


@pytest.mark.parametrize("way", FLATTEN)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_way_to_flatten_trains_as_in_plain_torch(way, channels):
    def made() -> Any:
        torch.manual_seed(0)
        model = Own(lambda net, x: net.last(FLATTEN[way](x)))
        model.features[0] = nn.Conv2d(channels, 4, 3)
        return model

    given = [(images[:, :channels], labels) for images, labels in batches()]
    ours, theirs = made(), made()
    own = ours.features[0].weight.data_ptr()
    fit(ours, given, given, epochs=2, lr=0.05, keep_best=False)
    optimizer = SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    for images, labels in given * 2:
        optimizer.zero_grad()
        F.cross_entropy(theirs(images), labels).backward()
        optimizer.step()
    for mine, right in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, right)  # no batch was counted twice
    torch.testing.assert_close(ours.last.weight, theirs.last.weight)
    assert evaluate(ours, given).examples == len(predict(ours, given)[0]) == 32
    assert ours.features[0].weight.data_ptr() == own
    ours(given[0][0])  # nothing that was done to it outlasts the calls


def test_a_network_is_as_it_was_after_an_error():
    model = Own(lambda net, x: net.last(x))
    with pytest.raises(CourseError):
        fit(model, batches(), epochs=1)
    assert model.features[0].weight.is_contiguous()


# --- labels that are not what their shape suggests ------------------------------------

LABELS: dict[str, tuple[int, Callable[[Tensor], Tensor], str]] = {
    "one output, BCE": (1, lambda y: (y % 2).float()[:, None], "class numbers"),
    "one output, all true": (1, lambda y: torch.ones(len(y), 1), "class numbers"),
    "one output, class numbers": (1, lambda y: y * 0, "num_classes=2"),
    "several classes an image": (3, lambda y: torch.ones(len(y), 3), "sum to 1"),
    "logits for labels": (3, lambda y: 9 * F.one_hot(y, 3) - 8.0 / 3, "sum to 1"),
    "percent": (3, lambda y: 100.0 * F.one_hot(y, 3), "sum to 1"),
    "one-hot integers": (3, lambda y: F.one_hot(y, 3), "class numbers"),
    "a column of numbers": (3, lambda y: y[:, None], "class numbers"),
    "float numbers": (3, lambda y: y.float(), "class numbers"),
    "from 1": (3, lambda y: y + 1, "3 outputs, and labels go from 1 to 3"),
    "-1 for unknown": (3, lambda y: y - 1, "from -1 to"),
    "more classes": (3, lambda y: torch.full((len(y), 5), 0.2), "num_classes=5"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_refused_before_they_are_measured(kind):
    outputs, change, message = LABELS[kind]
    given = [(images, change(labels)) for images, labels in batches()]
    with pytest.raises(CourseError, match=message):
        fit(net(outputs), given, epochs=1)
    with pytest.raises(CourseError, match=message):
        evaluate(net(outputs), given)


# --- the caller's own objects ---------------------------------------------------------


def head_replaced() -> tuple[nn.Module, Any]:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    model[-1] = nn.Linear(144, 3)
    return model, optimizer


def head_alone() -> tuple[nn.Module, Any]:
    model = net()
    return model, Adam(model[-1].parameters())


OPTIMIZERS: dict[str, tuple[Callable[[], tuple[nn.Module, Any]], str]] = {
    "a head replaced after it was made": (head_replaced, r"lacks 3.weight: 2 of 6"),
    "the body forgotten": (head_alone, r"lacks 0.weight: 4 of 6"),
    "another model's": (lambda: (net(), SGD(net().parameters(), 0.1)), "lacks 0.wei"),
    "a function that gives None": (lambda: (net(), lambda weights: None), "lacks"),
    "everything frozen": (lambda: (net().requires_grad_(False), "sgd"), "Nothing to"),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_that_would_not_train_all_of_it(kind):
    make, message = OPTIMIZERS[kind]
    model, optimizer = make()
    with pytest.raises(CourseError, match=message):
        fit(model, batches(), epochs=1, optimizer=optimizer)


other = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
SCHEDULES: dict[str, tuple[Any, str]] = {
    "None": (lambda o: None, "gave None"),
    "of another optimizer": (lambda o: lr_scheduler.StepLR(other, 1), "optimizer that"),
    "the optimizer": (lambda o: o, "Return one of the"),
    "too short": (
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, 2),
        r"of 2 .*of 4 steps",
    ),
    "a scheduler, no function": (lr_scheduler.StepLR(other, 1), "no schedule"),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_that_does_not_fit_is_refused_before_the_first_step(kind):
    schedule, message = SCHEDULES[kind]
    model = net()
    before = model[0].weight.clone()
    with pytest.raises(CourseError, match=message):
        fit(model, batches(), epochs=4, schedule=schedule)
    assert torch.equal(before, model[0].weight)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("validated", [True, False])
def test_a_plateau_schedule_waits_while_it_gets_better(mode, validated):
    given = [
        (images + labels.view(-1, 1, 1, 1), labels) for images, labels in batches()
    ]
    val = given if validated else None
    plateau = partial(lr_scheduler.ReduceLROnPlateau, mode=mode, patience=0)
    history = fit(net(), given, val, epochs=6, lr=0.01, schedule=plateau)
    part = "val" if validated else "train"
    watched = history[f"{part}_{'loss' if mode == 'min' else 'accuracy'}"]
    better = min if mode == "min" else max
    for i in range(1, 5):
        if watched[i] == better(watched[: i + 1]) and watched[i] not in watched[:i]:
            assert history["lr"][i + 1] == history["lr"][i]


# --- the right diagnosis, and no destructive advice -----------------------------------


def frozen() -> nn.Module:
    model = net()
    model[0].requires_grad_(False)
    return model


RESUMED: dict[str, tuple[Callable, Callable, str]] = {
    "unfrozen": (frozen, net, "0.weight was 'fixed, .* and is 'trainable"),
    "frozen": (net, frozen, "0.weight was 'trainable, .* and is 'fixed"),
    "another width": (net, partial(net, 5), r"3.weight .* of shape \(3, 144\)' and is"),
    "a layer more": (net, lambda: net().append(nn.Linear(3, 3)), "4.weight was None"),
}


@pytest.mark.parametrize("kind", RESUMED)
def test_a_sound_file_of_another_run_is_never_called_damaged(kind, tmp_path):
    before, after, message = RESUMED[kind]
    file = tmp_path / "run.pt"
    fit(before(), batches(), epochs=1, checkpoint=file)
    with pytest.raises(CourseError, match=message) as error:
        fit(after(), batches(), epochs=2, checkpoint=file, resume=True)
    assert "damaged" not in str(error.value)
    assert "delete" not in str(error.value)


@pytest.mark.parametrize(("part", "value"), [("train", np.nan), ("val", np.inf)])
def test_an_image_that_is_not_finite_is_named(part, value):
    spoilt = [*batches(), *batches()]
    spoilt[2][0][0, 0, 0, 0] = value
    spoilt[0] = (spoilt[0][0].clone().nan_to_num(0.0, 0.0), spoilt[0][1])
    given = {"train": batches(), "val": batches(), part: spoilt}
    with pytest.raises(CourseError, match="Batch 3 holds an image") as error:
        fit(net(), given["train"], given["val"], epochs=1)
    assert "learning rate" not in str(error.value)


# --- looked at before the first epoch, and nothing overwritten ------------------------


class Watched(list):
    """Training batches that must not be asked for."""

    def __iter__(self):
        raise AssertionError("an epoch began")


EARLY: dict[str, tuple[dict[str, Any], str]] = {
    "no validation images": ({"val_loader": []}, "gave no batch"),
    "other validation labels": (
        {"val_loader": [(x, y + 5) for x, y in batches()]},
        "labels go from 5 to",
    ),
    "validation images of another size": ({"val_loader": batches(9)}, r"\[3, 9, 9\]"),
    "no pairs": ({"val_loader": [batches()[0][0]]}, "pairs"),
    "a folder for a checkpoint": ({"checkpoint": "."}, "already there"),
    "a file on its way": ({"checkpoint": "file/run.pt"}, "cannot be written"),
    "an earlier run's": ({"checkpoint": "old.pt"}, "already there.*resume=True"),
}


@pytest.mark.parametrize("kind", EARLY)
def test_what_is_wrong_is_said_before_the_first_epoch(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    fit(net(), batches(), epochs=1, checkpoint="old.pt")
    before = (tmp_path / "old.pt").read_bytes()
    settings, message = EARLY[kind]
    with pytest.raises(CourseError, match=message):
        fit(net(), Watched(batches()), epochs=3, **settings)
    assert (tmp_path / "old.pt").read_bytes() == before


# --- networks and images outside the errors that explain ------------------------------

RETURNED: dict[str, Callable[[Tensor], Any]] = {
    "tuple": lambda logits: (logits, logits),
    "dict": lambda logits: {"logits": logits},
    "NoneType": lambda logits: None,
    "SimpleNamespace": lambda logits: SimpleNamespace(logits=logits),
    "list": lambda logits: [logits],
    "float": lambda logits: 0.5,
    r"torch.Size\(\[16, 3, 1, 1\]\)": lambda logits: logits[:, :, None, None],
    r"torch.Size\(\[48\]\)": lambda logits: logits.flatten(),
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_logits_is_named(what):
    model = Own(lambda net, x: RETURNED[what](net.last(x.flatten(1))))
    for use in (evaluate, predict, partial(fit, epochs=1)):
        with pytest.raises(CourseError, match=f"returned {what}, not logits"):
            use(model, batches())


@pytest.mark.parametrize("images", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("labels", [torch.int64, torch.uint8])
def test_other_numbers_are_converted(images, labels):
    given = [(x.to(images), y.to(labels)) for x, y in batches()]
    assert fit(net(), given, given, epochs=1).rows
    assert evaluate(net().double(), given).examples == 32


def pooled() -> nn.Module:
    return Own(lambda net, x: net.last(F.max_pool2d(x, 9).flatten(1)))


@pytest.mark.parametrize(
    ("side", "change", "shape", "make"),
    [
        (9, lambda x: x, r"\[3, 9, 9\]", net),
        (8, lambda x: x[:, :1], r"\[1, 8, 8\]", net),
        (8, lambda x: x[:, 0], r"\[8, 8\]", net),
        (8, lambda x: x.permute(0, 2, 3, 1), r"\[8, 8, 3\]", net),
        (8, lambda x: x, r"\[3, 8, 8\]", pooled),
        (2, lambda x: x, r"\[3, 2, 2\]", net),
    ],
)
def test_images_of_another_size_are_named(side, change, shape, make):
    given = [(change(images), labels) for images, labels in batches(side)]
    with pytest.raises(CourseError, match=f"other images than these, {shape}"):
        fit(make(), given, epochs=1)


@pytest.mark.parametrize(
    "objects",
    [
        {"loss_function": nn.CrossEntropyLoss},  # a class in place of an object
        {"loss_function": nn.CrossEntropyLoss(reduction="none")},
        {"optimizer": torch.optim.LBFGS},
    ],
)
def test_a_loss_or_an_optimizer_of_another_kind_is_named(objects):
    with pytest.raises(CourseError, match="Pass a loss that is a number"):
        fit(net(), batches(), epochs=1, **objects)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (torch.utils.data.TensorDataset(*batches()[0]), "pass its loader"),
        ([torch.zeros(4, 1, 8, 8)], "pairs"),
        ([(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4))], "255"),
        ([(torch.zeros(4, 3, 8, 8), torch.zeros(4, 2), torch.zeros(4))], "pairs"),
    ],
)
def test_batches_that_are_no_batches(loader, message):
    with pytest.raises(CourseError, match=message):
        fit(net(), loader, epochs=1)
