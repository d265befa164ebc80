"""The train loop against hand-written ones, and what it says to bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from utils import course, recipe, train
from utils.batches import Pass
from utils.course import CourseError
from utils.train import Metrics, evaluate, predict, train_epoch

CPU = torch.device("cpu")
fit = partial(train.fit, progress=False)

Batch = tuple[Tensor, Tensor]


def examples(n: int = 100, seed: int = 0) -> Batch:
    """Images whose class, of three, is how bright they are."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    images = torch.randn(n, 1, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1) - 1
    return images, labels


def batches(n: int = 100, size: int = 32, seed: int = 0) -> list[Batch]:
    images, labels = examples(n, seed)
    return list(zip(images.split(size), labels.split(size), strict=True))


def net(outputs: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(36, outputs),
    )


def linear(outputs: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


class Counting:
    """A loader that counts its epochs and runs a function before each batch."""

    def __init__(self, given: list[Batch], before=lambda epoch, step: None) -> None:
        self.given, self.before, self.epoch, self.steps = given, before, 0, 0

    def __len__(self) -> int:
        return len(self.given)

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        for step, batch in enumerate(self.given, start=1):
            self.before(self.epoch, step)
            self.steps += 1
            yield batch


# --- the three functions ------------------------------------------------------------


def test_evaluate_weighs_examples_not_batches():
    images, labels = examples(100)
    model = net().eval()
    with torch.no_grad():
        logits = model(images)
    metrics = evaluate(model, batches(100, size=48))  # the last batch holds four
    assert metrics.examples == 100
    assert metrics.loss == pytest.approx(F.cross_entropy(logits, labels).item(), 1e-5)
    assert metrics.accuracy == (logits.argmax(1) == labels).double().mean().item()


def test_a_model_in_evaluation_mode_trains_in_training_mode():
    # as `fit` leaves it: a second `fit` must not train on frozen statistics
    models = net().train(), net().eval()
    for model in models:
        torch.manual_seed(1)
        train_epoch(model, batches(), SGD(model.parameters(), lr=0.1))
    states = (model.state_dict().values() for model in models)
    assert all(map(torch.equal, *states))


def test_train_epoch_equals_the_hand_written_loop():
    ours, theirs = net().train(), net().train()
    optimizer = SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(1)
    losses, right = [], 0
    theirs.to(memory_format=torch.channels_last)
    for images, labels in batches(100):
        logits = theirs(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(labels))
        right += (logits.argmax(1) == labels).sum().item()
    torch.manual_seed(1)
    metrics = train_epoch(
        ours, batches(100), SGD(ours.parameters(), lr=0.1, momentum=0.9)
    )
    for ours_now, theirs_now in zip(
        ours.parameters(), theirs.parameters(), strict=True
    ):
        assert torch.equal(ours_now, theirs_now)
    assert metrics.loss == pytest.approx(sum(losses) / 100, rel=1e-6)
    assert metrics == Metrics(metrics.loss, right / 100, 100)


def test_evaluate_changes_nothing():
    model = net().train()
    model[1].eval()  # frozen, as in transfer learning
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for given in (batches(), []):
        with nullcontext() if given else pytest.raises(CourseError, match="no batch"):
            evaluate(model, given)
        assert [module.training for module in model] == [True, False, *[True] * 4]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_predict_keeps_order_and_gives_ordinary_tensors():
    images, labels = examples(70)
    model = net().train()
    logits, targets = predict(model, batches(70, size=32))
    assert model.training
    with torch.no_grad():
        expected = model.eval()(images)
    assert logits.shape == (70, 3)
    torch.testing.assert_close(logits, expected)
    assert torch.equal(targets, labels)
    logits -= logits.max(1, keepdim=True).values  # not possible in inference tensors


def test_probabilities_as_labels():
    images, labels = examples(64)
    mixed = 0.7 * F.one_hot(labels, 3).float() + 0.3 * F.one_hot(labels.flip(0), 3)
    model = linear()
    metrics = evaluate(model, [(images, mixed)])
    with torch.no_grad():
        logits = model(images)
    assert metrics.loss == pytest.approx(F.cross_entropy(logits, mixed).item(), 1e-5)
    assert metrics.accuracy == (logits.argmax(1) == labels).double().mean().item()
    history = fit(model, [(images, mixed)], epochs=3, lr=0.01)
    assert history["train_loss"][-1] < history["train_loss"][0]


def test_fit_learns_from_a_plain_data_loader():
    loader = DataLoader(TensorDataset(*examples(300)), batch_size=32, shuffle=True)
    history = fit(net(), loader, batches(60, seed=1), epochs=3, lr=0.05, name="tiny")
    assert history.name == "tiny"
    assert history["epoch"] == [1, 2, 3]
    assert history["val_accuracy"][-1] > 0.9
    assert all(row["seconds"] > 0 for row in history.rows)
    assert all(row["images_per_second"] > 300 / row["seconds"] for row in history.rows)


def test_it_computes_in_channels_last_and_leaves_the_filters_as_they_were():
    seen, model = [], nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    model[0].register_forward_hook(
        lambda conv, args, out: seen.extend((args[0], conv.weight.detach()))
    )
    own = model[0].weight.data_ptr()
    given = [(torch.randn(8, 3, 8, 8), torch.zeros(8, dtype=torch.long))]
    fit(model, given, given, epochs=2, lr=0.01)
    predict(model, given)
    order = recipe.layout(model, course.device())
    assert all(x.is_contiguous(memory_format=order) for x in seen)
    assert model[0].weight.is_contiguous()
    assert model[0].weight.data_ptr() == own


@pytest.mark.parametrize(
    ("layer", "thin"),
    [
        (nn.Conv2d(4, 8, 1, stride=2), True),
        (nn.Conv2d(32, 8, 1, stride=2, groups=4), True),
        (nn.Conv2d(16, 8, 1, stride=2), False),
        (nn.Conv2d(4, 8, 1), False),
        (nn.Conv2d(4, 8, 3, stride=2), False),
    ],
)
def test_the_cpu_takes_a_thin_strided_1x1_convolution_contiguous(layer, thin):
    last, first = torch.channels_last, torch.contiguous_format
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert recipe.layout(model, CPU) == (first if thin else last)
    assert recipe.layout(model, torch.device("cuda")) == last
    # There batch norm's gradients are wrong in channels_last.
    assert recipe.layout(model, torch.device("mps")) == first
    seen = []
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = torch.randn(2, layer.in_channels, 8, 8).to(memory_format=last)
    given = [(images, torch.zeros(2, dtype=torch.long))]
    fit(model, given, epochs=1, lr=0.01)
    evaluate(model, given)
    predict(model, given)
    contiguous = recipe.layout(model, course.device()) == first
    assert [x.is_contiguous() for x in seen] == [contiguous] * 3


THIN = """
import torch
from utils.models import build
from utils.train import fit

model = build("resnet34", num_classes=10, stem="cifar", width=1 / 16)
batch = torch.randn(16, 3, 64, 64), torch.randint(10, (16,))
fit(model, [batch] * 2, epochs=2, lr=0.01, progress=False)
"""


def test_a_thin_resnet_does_not_end_the_process():
    env = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "CUDA_VISIBLE_DEVICES": ""}
    env |= {"MALLOC_CHECK_": "3"}  # glibc then notices at once
    words = [sys.executable, "-c", THIN]
    subprocess.run(words, cwd=course.ROOT, env=env, check=True, timeout=120)


# --- optimizer, schedule, smoothing -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "theirs", "usual"),
    [
        ("sgd", partial(SGD, momentum=0.9), 0.1),
        ("adam", torch.optim.Adam, 0.001),
        ("adamw", torch.optim.AdamW, 0.001),
    ],
)
def test_named_optimizers_equal_torchs(name, theirs, usual):
    ours, by_hand = linear(), linear()
    train_epoch(by_hand, batches(), theirs(by_hand.parameters(), lr=usual))
    assert fit(ours, batches(), epochs=1, optimizer=name)["lr"] == [usual]
    for a, b in zip(ours.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_an_own_optimizer_and_a_function_bring_their_settings():
    model = linear()
    own = torch.optim.RMSprop(model.parameters(), lr=0.004)
    assert fit(model, batches(), epochs=1, optimizer=own)["lr"] == [0.004]
    assert own.state  # it was this one that stepped
    still = SGD(model.parameters(), lr=0.01, momentum=0.8)
    fit(model, batches(), epochs=1, optimizer=still, schedule="onecycle")
    assert still.param_groups[0]["momentum"] == 0.8  # one-cycle leaves it alone
    make = partial(SGD, lr=0.3, momentum=0.5, weight_decay=0.01)
    other = fit(linear(), batches(), epochs=1, optimizer=make, lr=0.2)
    assert other["lr"] == [0.2]
    ours, by_hand = linear(), linear()
    assert fit(ours, batches(), epochs=1, optimizer=make)["lr"] == [0.3]
    train_epoch(by_hand, batches(), make(by_hand.parameters()))
    assert torch.equal(ours[1].weight, by_hand[1].weight)


def test_frozen_weights_stay():
    model = net()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    decay = partial(SGD, lr=0.1, weight_decay=0.1)
    fit(model, batches(), epochs=1, optimizer=decay)
    assert torch.equal(before, model[0].weight)


def rates(schedule: object, epochs: int = 8, **extra: object) -> list[float]:
    return fit(linear(), batches(), epochs=epochs, schedule=schedule, lr=0.1, **extra)[
        "lr"
    ]


def test_schedules_follow_torchs():
    assert rates("constant") == [0.1] * 8
    step = [0.1] * 4 + [0.01] * 2 + [0.001] * 2
    assert rates("step") == pytest.approx(step)
    assert rates("step", epochs=1) == [0.1]
    own = rates(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5), epochs=3)
    assert own == pytest.approx([0.1, 0.05, 0.025])
    for name, build in {
        "onecycle": partial(
            lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=32, cycle_momentum=False
        ),
        "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=32),
        "linear": partial(
            lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=32
        ),
    }.items():
        optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler, expected = build(optimizer), []
        for step in range(32):  # 8 epochs of 4 batches
            if step % 4 == 0:
                expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates(name) == pytest.approx(expected)
        assert len(rates(name, epochs=1)) == 1


def test_plateau_watches_the_accuracy_not_the_loss():
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = recipe.make_scheduler("plateau", optimizer, 9, [])
    for epoch in range(9):  # overconfident: more images right, at a higher loss
        row = {"val_accuracy": 0.1 * epoch, "val_loss": 1.0 + epoch}
        recipe.step_epoch(scheduler, row)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_plateau_divides_by_ten_when_validation_stalls():
    # all validation labels are class 0 and the model is sure of it: accuracy stays 1
    model = linear()
    with torch.no_grad():
        model[1].bias[0] = 1000.0
    images, labels = examples(16)
    val = [(images, torch.zeros_like(labels))]
    history = fit(model, [(images, labels)], val, epochs=6, lr=1e-3, schedule="plateau")
    assert history["lr"] == pytest.approx([1e-3] * 4 + [1e-4] * 2)


def test_an_own_loss_is_for_training_alone():
    given, model = [examples(64)], linear()
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)
    logits, labels = model(given[0][0]), given[0][1]
    still = partial(SGD, lr=0.0)
    history = fit(model, given, given, epochs=1, optimizer=still, loss_function=smooth)
    expected = smooth(logits, labels).item(), F.cross_entropy(logits, labels).item()
    found = history["train_loss"] + history["val_loss"]
    assert found == pytest.approx(expected, rel=1e-5)


# --- the best epoch, early stopping, interruption -----------------------------------


def test_the_best_weights_are_kept():
    val = batches(60, seed=1)
    noisy = {"epochs": 6, "optimizer": partial(SGD, lr=0.6, momentum=0.95)}
    best = net()
    history = fit(best, batches(), val, **noisy)
    assert history.best["val_accuracy"] == max(history["val_accuracy"])
    assert history.kept == history.best["epoch"] < 6
    assert evaluate(best, val).loss == pytest.approx(history.best["val_loss"])
    last = net()
    plain = fit(last, batches(), val, keep_best=False, **noisy)
    assert plain.kept is None
    assert plain["val_loss"] == history["val_loss"]
    assert evaluate(last, val).loss == pytest.approx(plain["val_loss"][-1])


def test_early_stopping_waits_for_patience():
    model = linear()
    still = SGD(model.parameters(), lr=0.0)
    history = fit(model, batches(), batches(), epochs=9, optimizer=still, patience=2)
    assert history["epoch"] == [1, 2, 3]  # the first is best; two more bring nothing
    assert history.stopped == "early"
    assert history.best["epoch"] == 1


@pytest.mark.parametrize(("epoch", "validated"), [(3, True), (3, False), (1, False)])
def test_interrupting_keeps_the_model_and_the_history(epoch, validated):
    def press_stop(now: int, step: int) -> None:
        if (now, step) == (epoch, 2):
            signal.raise_signal(signal.SIGINT)

    model, val = net(), batches(60, seed=1) if validated else None
    history = fit(model, Counting(batches(), press_stop), val, epochs=9, lr=0.05)
    assert history["epoch"] == [1, 2][: epoch - 1]
    assert history.stopped == "interrupted"
    assert f"Interrupted in epoch {epoch}." in str(history)
    assert not model.training
    if validated:
        assert evaluate(model, val).loss == pytest.approx(history.best["val_loss"])
    assert len(predict(model, batches())[0]) == 100


# --- a loss that is not finite, memory ----------------------------------------------


def spoil(after: int) -> nn.Module:
    """A model whose forward pass number `after` + 1 gives infinite logits."""
    model = linear()
    calls = []

    def hook(module: nn.Module, args: object, logits: Tensor) -> Tensor:
        calls.append(1)
        return logits * float("inf") if len(calls) > after else logits

    model.register_forward_hook(hook)
    return model


def test_a_loss_that_is_not_finite_names_epoch_and_step():
    with pytest.raises(CourseError, match=r"Epoch 2: .* is nan at step 3.*rate ten"):
        fit(spoil(after=6), batches(), epochs=3, lr=0.01)  # 4 batches an epoch


def test_it_is_found_within_fifty_steps():
    loader = Counting(batches(10, size=5) * 150)
    with pytest.raises(CourseError, match="at step 52,"):
        fit(spoil(after=51), loader, epochs=1, lr=0.01)
    assert loader.steps == 100 + 52  # and looked for a reason in the images


def test_weights_that_the_last_step_spoilt_are_found_and_the_best_come_back():
    model, val = linear(), batches(60, seed=1)

    def explode(epoch: int, step: int) -> None:
        if epoch == 2:
            for weight in model.parameters():
                weight.register_hook(lambda grad: grad * float("inf"))

    train_on = Counting(batches(20, size=20), explode)  # one step an epoch
    with pytest.raises(CourseError, match="Epoch 2: The loss is nan at step 1"):
        fit(model, train_on, val, epochs=3, lr=0.01)
    assert all(weight.isfinite().all() for weight in model.parameters())


class Hungry(nn.Module):
    """Asks for a pebibyte once it sees a batch of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, images: Tensor) -> Tensor:
        if len(images) >= 32:
            torch.empty(2**50, dtype=torch.uint8)
        return self.inner(images)


def test_out_of_memory_says_which_batch_size_to_try():
    for use in (partial(fit, epochs=1), predict):
        with pytest.raises(CourseError, match=r"batch of 32: .*batch_size=16"):
            use(Hungry(), batches())


# --- bad input ----------------------------------------------------------------------


def test_a_last_batch_of_one_with_batch_norm():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
    with pytest.raises(CourseError, match="drop_last=True"):
        fit(model, batches(33, size=32), epochs=1)
    assert evaluate(model, batches(33, size=32)).examples == 33  # no matter here


def test_empty_loaders():
    with pytest.raises(CourseError, match="no batch"):
        fit(net(), [], epochs=1, schedule="onecycle")
    with pytest.raises(CourseError, match="no batch"):
        predict(net(), [])
    with pytest.raises(CourseError, match=r"Epoch 2: .*generator read before"):
        fit(net(), iter(batches()), epochs=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "at least one"),
        ({"epochs": 1.5}, "epochs=1.5: give a whole number"),
        ({"patience": 0}, "patience=0: give a whole number, at least one"),
        ({"optimizer": "sdg"}, "one of 'sgd', 'adam', 'adamw'"),
        ({"schedule": "cyclic"}, "one of 'constant', 'onecycle'"),
        ({"patience": 2}, "pass a val_loader"),
        ({"schedule": "plateau"}, "pass a val_loader"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(CourseError, match=message):
        fit(net(), batches(), **{"epochs": 1, **arguments})


# --- precision ----------------------------------------------------------------------


def test_a_number_format_holds_in_its_block_alone(monkeypatch):
    monkeypatch.setattr(recipe, "native_formats", lambda device: ("float32",))
    with pytest.raises(
        CourseError, match="one of 'auto', 'float32', 'bfloat16', 'float16'"
    ):
        recipe.use_precision("fp16")
    for name in ("bfloat16", "float16"):  # never emulated
        with (
            recipe.use_precision(name),
            pytest.raises(CourseError, match=r"emulated on this cpu device.*'auto'"),
        ):
            fit(net(), batches(), epochs=1)
    assert evaluate(net(), batches()).examples == 100
    before = recipe.use_precision("float32")
    assert recipe.SETTING == {"precision": "float32"}
    before.close()
    assert recipe.SETTING == {"precision": "auto"}


class Sent(Tensor):
    """A tensor that says whether a device may still copy it while Python goes on."""

    def to(self, device: Any, *rest: Any, non_blocking: bool, **more: Any) -> Any:
        return device.type, non_blocking


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_only_cuda_copies_a_batch_while_python_goes_on(kind: str) -> None:
    """MPS reads from memory that is already free: wrong numbers, and no error."""
    given = [tuple(part.as_subclass(Sent) for part in batches()[0])]
    one = Pass(net(), given)
    one.device = torch.device(kind)
    assert next(iter(one)) == ((kind, kind == "cuda"),) * 2


def test_float32_needs_no_autocast(monkeypatch) -> None:
    """torch 2.4 has none for Apple's MPS, not even one that is switched off."""
    monkeypatch.setattr(torch, "autocast", None)
    with recipe.use_precision("float32"):
        assert fit(net(), batches(), batches(), epochs=1).rows


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_mixed_precision_where_it_is_native(name):
    """Forward pass in `name`, weights and loss in float32, and it learns."""
    if name not in recipe.native_formats(course.device()):
        pytest.skip(f"this device has no units for {name}")
    seen = {}

    def loss_function(logits: Tensor, labels: Tensor) -> Tensor:
        seen["loss"] = logits.dtype
        return F.cross_entropy(logits, labels)

    model = net()
    model[-1].register_forward_hook(lambda m, args, out: seen.update(out=out.dtype))
    with recipe.use_precision(name):
        assert recipe.make_scaler(course.device()).is_enabled() == (name == "float16")
        settings = {"epochs": 6, "lr": 0.05, "loss_function": loss_function}
        history = fit(model, batches(200), **settings)
        assert seen == {"out": getattr(torch, name), "loss": torch.float32}
        seen.clear()
        evaluate(model, batches())
    assert seen == {"out": getattr(torch, name)}
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
    assert history["train_accuracy"][-1] > 0.8


def test_float16_scales_its_gradients_and_takes_the_scale_out_again(monkeypatch):
    monkeypatch.setattr(recipe, "native_formats", lambda device: ("float16", "float32"))
    flat = [(images.flatten(1), labels) for images, labels in batches()]
    half, full = linear(), linear()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    train_epoch(half, flat, SGD(half.parameters(), lr=0.1), scaler=scaler)
    with recipe.use_precision("float32"):
        train_epoch(full, flat, SGD(full.parameters(), lr=0.1))
    torch.testing.assert_close(half[1].weight, full[1].weight, atol=1e-3, rtol=0.0)
    assert not torch.equal(half[1].weight, full[1].weight)
