"""The self-checks of lecture 09: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torchvision import transforms

from utils.history import History
from utils.images import ImageSet, Splits
from utils.models import build
from utils.models.pretrained import Transfer, pretrained


def evaluation(photo, size):
    height, width = photo.shape[1:]
    scale = size / min(height, width)
    new = round(height * scale), round(width * scale)
    photo = F.interpolate(photo[None], new, mode="bilinear")[0]
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return photo[:, top : top + size, left : left + size]


def by_torchvision(photo, size):
    resize = transforms.Resize(size, antialias=True)
    return transforms.CenterCrop(size)(resize(photo))


def to_bytes(photo, size):
    return 255 * evaluation(photo, size)


def apart(p, q, n):
    return abs(p - q) / (p * (1 - p) / n + q * (1 - q) / n) ** 0.5


def precision_recall(confusion, k):
    found = confusion[k, k].item()
    return found / confusion[:, k].sum().item(), found / confusion[k].sum().item()


def cam_weights(maps, rest, target):
    maps = maps.detach().clone().requires_grad_()
    rest(maps[None])[0, target].backward()
    return maps.grad.mean(dim=(1, 2))


def after(change):
    """The right weights, changed."""
    return lambda maps, rest, target: change(cam_weights(maps, rest, target))


def asked_twice(model, images):
    return (model(images).softmax(1) + model(images.flip(-1)).softmax(1)) / 2


def of_run(size, *, told=0.5, name="vgg11_bn", scratch=False, pixels=None):
    """What `compete` returns: a network, its photos, its history."""
    trained, weights = pretrained(name, "cifar10")
    if scratch:
        trained = build(name, **weights.options)
    side = pixels or size  # grey squares, which all get one answer: half of them right
    grey = torch.full((20, 3, side, side), 128, dtype=torch.uint8)
    labels, third = torch.arange(20) % 2, (0.5, 0.5, 0.5)
    part = ImageSet(grey, labels, ("cat", "dog"), third, third)
    rows = [{"val_accuracy": told, "val_loss": 0.5}]
    return Transfer(trained, 2).eval(), Splits(part, part, part), History("own", rows)


SOLUTIONS = {
    "09.1": (298, 75, 4 / 3),
    "09.2": evaluation,
    "09.3": (apart, "no", 8556.0),
    "09.4": precision_recall,
    "09.5": cam_weights,
    "09.6": asked_twice,
    "09.7": lambda: ({32: of_run(32), 64: of_run(64)}, "no"),
}
MISTAKES = [
    ("09.1", (224, 75, 4 / 3), r"\(a\) 224: .*keeps the proportions"),
    ("09.1", (168, 75, 4 / 3), r"\(a\) 168: .*longer side"),
    ("09.1", (299, 75, 4 / 3), r"\(a\) 299: round down"),
    ("09.2", lambda x, n: transforms.Resize((n, n))(x), "ne factor for both"),
    ("09.2", lambda x, n: transforms.Resize(n)(x), "it is not cut"),
    ("09.2", lambda x, n: transforms.CenterCrop(n)(x), "First resize"),
    ("09.3", (lambda p, q, n: p - q, "no", 8556.0), "difference alone"),
    ("09.3", (lambda p, q, n: -apart(p, q, n), "no", 8556.0), "not negative"),
    ("09.3", (lambda p, q, n: abs(p - q) / (p * (1 - p) / n) ** 0.5, "no", 8556.0),
     "both scatter"),
    ("09.4", lambda: lambda c, k: precision_recall(c, k)[::-1], "by a column"),
    ("09.4", lambda: lambda c, k: (c.diag().sum() / c.sum(),) * 2, "the accuracy"),
    ("09.4", lambda: lambda c, k: (c[k, k] / c.sum(),) * 2, "the whole table"),
    ("09.5", after(lambda w: 28 * w), "the mean"),
    ("09.5", after(torch.relu), "after the sum over the maps"),
    ("09.5", after(torch.abs), "keep the sign"),
    ("09.6", lambda: lambda m, x: 2 * asked_twice(m, x), "divide by 2"),
    ("09.6", lambda: lambda m, x: m(x).softmax(1), "images alone"),
    ("09.6", lambda: lambda m, x: m(x.flip(-1)).softmax(1), "mirror images alone"),
    ("09.7", ({32: 0.82, 64: 0.86}, "no"), "what compete returns"),
    ("09.7", lambda: ({32: of_run(32), 64: of_run(64)}, "yes"), r"z is \+0.0"),
    ("09.7", lambda: ({32: of_run(32), 64: of_run(64, pixels=32)}, "no"), "of 32 pix"),
    ("09.7", lambda: ({32: of_run(32, told=0.9), 64: of_run(64)}, "no"), "says 90"),
    ("09.7", lambda: ({32: of_run(32, name="resnet20"), 64: of_run(64)}, "no"),
     "another network"),
    ("09.7", lambda: ({32: of_run(32, scratch=True), 64: of_run(64)}, "no"),
     "did not start from"),
]  # fmt: skip


STUBS = [
    ("09.2", lambda photo, size: None),
    ("09.3", (lambda p, q, n: None, ..., ...)),
    ("09.4", lambda confusion, k: None),
    ("09.5", lambda maps, rest, target: None),
    ("09.6", lambda model, images: None),
    ("09.7", ({32: ..., 64: ...}, ...)),
]
ACCEPTED = [("09.2", by_torchvision)]


def test_changed_values_are_rejected(check):
    check("09.2", to_bytes)
    assert check.results["09.2"] == "wrong"
