"""The self-checks of lecture 10: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from teaching.checks.lecture_10 import patient
from utils import augment, data
from utils.course import CourseError
from utils.models import TwoLayerCNN


def network(end=lambda x: x, flatten=lambda x: torch.flatten(x, 1)):
    """The class of 10.2 and 10.10, with a known mistake."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            net = TwoLayerCNN(in_channels=1, image_size=28)
            self.features, self.fc = nn.Sequential(net.layer1, net.layer2), net.fc

        def forward(self, x):
            return end(self.fc(flatten(self.features(x))))

    return Network


def shuffled(images, labels):
    order = torch.randperm(len(images))
    return images[order], labels[order]


def shuffled_apart(images, labels):
    first, second = torch.randperm(len(images)), torch.randperm(len(labels))
    return images[first], labels[second]


def drawn(images, labels):
    order = torch.randint(len(images), (len(images),))
    return images[order], labels[order]


def shuffled_in_place(images, labels):
    order = torch.randperm(len(images))
    images.copy_(images[order])
    labels.copy_(labels[order])
    return images, labels


def prepare(images, mean, std, scale=255, times=1):
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    images = images.float() / scale
    for _ in range(times):
        images = (images - mean) / std
    return images


def own_statistics(images, mean, std):
    axes = (0, 2, 3)
    images = images.float() / 255
    return (images - images.mean(axes, keepdim=True)) / images.std(axes, keepdim=True)


def epoch(zero=True, first=False, mode=True, between=False, each=False):
    """The epoch of 10.6, with or without its faults."""

    def train_epoch(model, loader, optimizer, scheduler):
        losses = []
        if mode:
            model.train()
        if first:
            scheduler.step()
        for images, labels in loader:
            if zero:
                optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            if between:
                optimizer.zero_grad()
            optimizer.step()
            if each:
                scheduler.step()
            losses.append(loss.item())
        if not first and not each:
            scheduler.step()
        return losses

    return train_epoch


def validation(
    mode=True, grad=False, size=100, means=False, percent=False, raw=False, **options
):
    """The validation of 10.7, with or without its faults."""

    def validated(model, images):
        model.train(not mode)
        right, shares = 0, []
        with torch.set_grad_enabled(grad):
            seen = images.raw() if raw else images
            for inputs, labels in seen.loader(size, **options):
                hits = (model(inputs).argmax(dim=1) == labels).sum().item()
                right += hits
                shares.append(hits / len(labels))
        share = sum(shares) / len(shares) if means else right / len(images)
        return 100 * share if percent else share

    return validated


def leaked(train_images, test_images):
    known = {image.numpy().tobytes() for image in train_images}
    return [i for i, x in enumerate(test_images) if x.numpy().tobytes() in known]


def by_sum(train_images, test_images):
    known = set(train_images.long().flatten(1).sum(1).tolist())
    sums = test_images.long().flatten(1).sum(1).tolist()
    return [i for i, total in enumerate(sums) if total in known]


BOXES = ("labels of other images", "a layer gets no gradient", "healthy")
SOLUTIONS = {
    "10.1": ("labels shuffled", "softmax twice", "sorted by class", "rate too low"),
    "10.2": network(),
    "10.3": F.cross_entropy,
    "10.4": shuffled,
    "10.5": prepare,
    "10.6": epoch(),
    "10.7": validation(),
    "10.8": (190 / 3, 100 * 181 / 210, 90),
    "10.9": leaked,
    "10.10": network(),
    "10.11": (*BOXES, "softmax in the network"),
}
CURVES = SOLUTIONS["10.1"]
MISTAKES = [
    ("10.1", ("rate too low", *CURVES[1:]), "A: With a rate too low the loss falls"),
    ("10.1", (*CURVES[:3], "labels shuffled"), "D: Shuffled labels teach nothing"),
    ("10.1", (CURVES[0], "sorted by class", *CURVES[2:]), "B: Sorted data make"),
    ("10.1", ("too low", *CURVES[1:]), "Choose one of"),
    ("10.2", network(lambda x: x.softmax(1)), "adds up to 1"),
    ("10.2", network(torch.sigmoid), "something bounds them"),
    ("10.2", network(torch.tanh), "something bounds them"),
    ("10.2", network(torch.relu), "ReLU behind the last layer"),
    ("10.2", network(lambda x: x.detach()), "No gradient leads back"),
    ("10.2", network(lambda x: x.argmax(1)), r"not \(4, 10\)"),
    ("10.3", lambda: lambda a, b: F.mse_loss(a, b[:, None] + 0 * a), "on a line"),
    (
        "10.3",
        lambda: lambda a, b: F.mse_loss(a, F.one_hot(b, a.shape[1]) + 0 * a),
        "one-hot codes",
    ),
    ("10.3", lambda: lambda a, b: F.cross_entropy(a.softmax(1), b), "taken twice"),
    ("10.3", lambda: lambda a, b: F.nll_loss(a, b), "log_softmax is missing"),
    ("10.3", lambda: lambda a, b: F.cross_entropy(a, b, reduction="sum"), "the mean"),
    ("10.3", lambda: lambda a, b: F.cross_entropy(a, b).detach(), "no gradient leads"),
    ("10.4", shuffled_apart, "use it for both"),
    ("10.4", drawn, "draws each number once"),
    ("10.4", shuffled_in_place, "changed themselves"),
    ("10.4", lambda: lambda images, labels: (images, labels), "nothing is shuffled"),
    ("10.5", partial(prepare, times=2), "normalised twice"),
    ("10.5", partial(prepare, scale=1), "divide by 255 first"),
    ("10.5", own_statistics, "the batch's own statistics"),
    ("10.6", epoch(zero=False), "zero_grad is missing"),
    ("10.6", epoch(first=True), "The scheduler steps first"),
    ("10.6", epoch(mode=False), r"model.train\(\) is missing"),
    ("10.6", epoch(between=True), "between backward and step"),
    ("10.6", epoch(each=True), "it counts epochs"),
    ("10.6", epoch(zero=False, first=True, mode=False), "the faulty one"),
    ("10.7", validation(mode=False), r"model.eval\(\)"),
    ("10.7", validation(augment=[augment.Rotation(45)]), "they are augmented"),
    ("10.7", validation(raw=True), "not normalised"),
    ("10.7", validation(drop_last=True), "no drop_last"),
    ("10.7", validation(grad=True), r"torch.no_grad\(\)"),
    ("10.7", validation(means=True), "divide once"),
    ("10.7", validation(percent=True), "no fraction from 0 to 1"),
    ("10.8", (86.19, 86.19, 90), r"\(a\) 86.19 %: this is the true share"),
    ("10.8", (63.33, 63.33, 90), r"\(b\) 63.33 %: this weighs the batch of 10"),
    ("10.8", (63.33, 86.19, 85.71), "not counted at all"),
    ("10.8", (0.6333, 0.8619, 0.9), "give percent"),
    (
        "10.9",
        lambda a, b: [i for i, x in enumerate(b) if torch.equal(a[i], x)],
        "Compare each with each",
    ),
    ("10.9", by_sum, "at other places"),
    ("10.9", lambda train, test: leaked(test, train), "positions in the training set"),
    ("10.9", lambda train, test: len(leaked(train, test)), "not how many"),
    ("10.10", network(flatten=lambda x: x.view(64, -1)), "keeps the first axis"),
    ("10.10", network(flatten=lambda x: x.view(-1, 784)), "into the batch axis"),
    ("10.10", network(lambda x: x.squeeze()), r"not \(1, 10\)"),
    ("10.11", ("healthy", *BOXES[1:], "softmax in the network"), "A: Then all four"),
    ("10.11", (*BOXES[:2], *BOXES[:1], "softmax in the network"), "C: Then pictures"),
]


class Stub(network()):
    def forward(self, x): ...


STUBS = [
    *((f"10.{k}", lambda *args: None) for k in (3, 4, 5, 6, 7, 9)),
    ("10.2", Stub),
    ("10.8", (..., ..., ...)),
    ("10.10", Stub),
]
ACCEPTED = [
    ("10.2", network(lambda x: x.log_softmax(1))),
    ("10.2", network()()),
    ("10.3", nn.CrossEntropyLoss()),
    ("10.7", validation(size=7, shuffle=True)),
    ("10.10", network(flatten=lambda x: x.reshape(len(x), -1))),
    ("10.10", network(flatten=lambda x: x.view(x.size(0), -1))),
    ("10.10", network(flatten=lambda x: F.adaptive_avg_pool2d(x, 7).flatten(1))),
]


def test_each_patient_has_the_fault_that_its_answer_names():
    digits = data.mnist().train.subset(60)
    [(inputs, classes)] = digits.loader(60, device="cpu")
    truth = dict(zip(map(as_bytes, inputs), classes.tolist(), strict=True))
    for name in "ABCD":
        torch.manual_seed(0)
        model, loader = patient(name, digits)
        images, labels = next(iter(loader))
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        told = [truth[as_bytes(image)] for image in images]
        assert (told == labels.tolist()) == (name != "A")
        frozen = any(weight.grad is None for weight in model.parameters())
        assert frozen == (name == "B")
        rows = logits.sum(dim=1)
        assert torch.allclose(rows, torch.ones_like(rows)) == (name == "D")
        assert abs(loss.item() - math.log(10)) < 0.2  # it gives nobody away


def as_bytes(image):
    return image.cpu().numpy().tobytes()


def test_an_unknown_patient_is_refused():
    with pytest.raises(CourseError, match="choose A, B, C or D"):
        patient("E", data.mnist().train)
