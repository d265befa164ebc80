"""The self-checks of lecture 10: the solution passes, known mistakes get their hint."""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from teaching import clinic
from teaching.checks.clinic import epochs as clinic_epochs
from teaching.clinic import PLAYED, Game
from utils import augment
from utils.course import CourseError
from utils.models import TwoLayerCNN


def network(end=lambda x: x, flatten=lambda x: torch.flatten(x, 1)):
    """The class of 10.2 and 10.8, with a known mistake."""

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
    return shuffled(images, labels)[0], shuffled(images, labels)[1]


def epoch(**faults):
    """The epoch of 10.4, with or without its faults."""
    return lambda *given: clinic_epochs.epoch(*given, **faults)


def validation(
    mode=True, grad=False, size=100, means=False, percent=False, raw=False, **options
):
    """The validation of 10.5, with or without its faults."""

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


def unmoved(model, step, clone=torch.clone):
    before = {name: clone(weight) for name, weight in model.named_parameters()}
    step()
    return [n for n, w in model.named_parameters() if w.equal(before[n])]


def keeps_graph(values):
    return any(torch.is_tensor(value) and value.requires_grad for value in values)


def game(bill, named=PLAYED[:4]):
    """A game that has been played, with this bill."""
    played = Game.__new__(Game)
    played.bill, played.named = bill, dict(zip("ABCD", named, strict=True))
    return played


CURVES = "softmax twice", "labels of other images", "sorted by class", "rate too low"
SOLUTIONS = {
    "10.1": network(),
    "10.2": CURVES,
    "10.3": shuffled,
    "10.4": epoch(),
    "10.5": validation(),
    "10.6": (190 / 3, 100 * 181 / 210, 90),
    "10.7": leaked,
    "10.8": network(),
    "10.9": (unmoved, keeps_graph),
    "10.10": game(9),
}
MISTAKES = [
    ("10.2", ("rate too low", *CURVES[1:]), "A: With a rate too low the loss falls"),
    ("10.2", (*CURVES[:3], "labels of other images"), "D: Such labels teach nothing"),
    ("10.2", (CURVES[0], "sorted by class", *CURVES[2:]), "B: Sorted data make"),
    ("10.1", network(lambda x: x.softmax(1)), "adds up to 1"),
    ("10.1", network(torch.sigmoid), "something bounds them"),
    ("10.1", network(lambda x: 10 * x.softmax(1)), "a softmax, times a number"),
    ("10.3", shuffled_apart, "use it for both"),
    ("10.3", lambda: lambda images, labels: (images, labels), "nothing is shuffled"),
    ("10.4", epoch(zero="never"), "zero_grad is missing"),
    ("10.4", epoch(schedule="first"), "The scheduler steps first"),
    ("10.4", epoch(mode=False), r"model.train\(\) is missing"),
    ("10.5", validation(mode=False), r"model.eval\(\)"),
    ("10.5", validation(augment=[augment.Rotation(45)]), "they are augmented"),
    ("10.5", validation(raw=True), "not normalised"),
    ("10.6", (86.19, 86.19, 90), r"\(a\) 86.19 %: this is the true share"),
    ("10.6", (63.33, 63.33, 90), r"\(b\) 63.33 %: this weighs the batch of 10"),
    ("10.6", (0.6333, 0.8619, 0.9), "give percent"),
    (
        "10.7",
        lambda a, b: [i for i, x in enumerate(b) if torch.equal(a[i], x)],
        "Compare each with each",
    ),
    ("10.7", lambda train, test: leaked(test, train), "positions in the training set"),
    ("10.7", lambda train, test: len(leaked(train, test)), "not how many"),
    (
        "10.8",
        network(flatten=lambda x: x.transpose(0, 1).reshape(len(x), -1)),
        "are mixed",
    ),
    ("10.8", network(flatten=lambda x: x.view(-1, 784)), "into the batch axis"),
    (
        "10.9",
        (partial(unmoved, clone=lambda weight: weight), keeps_graph),
        "keep a clone",
    ),
    (
        "10.9",
        (lambda m, s: {*dict(m.named_parameters())} - {*unmoved(m, s)}, keeps_graph),
        "those that moved",
    ),
    ("10.9", (unmoved, lambda values: any(map(torch.is_tensor, values))), "detached"),
    ("10.10", game(9, (*PLAYED[:3], "")), "D: no right name yet"),
    ("10.10", game(84), "30 are enough"),
]


class Stub(network()):
    def forward(self, x): ...


STUBS = [
    *((f"10.{k}", lambda *args: None) for k in (3, 4, 5, 7)),
    ("10.1", Stub),
    ("10.6", (..., ..., ...)),
    ("10.8", Stub),
]
ACCEPTED = [
    ("10.1", network(lambda x: x.log_softmax(1))),
    ("10.1", network()()),
    ("10.5", validation(size=7, shuffle=True)),
    ("10.8", network(flatten=lambda x: x.view(x.size(0), -1))),
    ("10.8", network(flatten=lambda x: F.adaptive_avg_pool2d(x, 7).flatten(1))),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program of the lecture, as its cells define it."""
    source = Path(__file__).parent.parent / "notebooks/source/10_bug_clinic.py"
    cells = re.split(r"^# %%.*\n", source.read_text(encoding="utf-8"), flags=re.M)
    parts = [c for c in cells if re.match(r"(def (load|train|read)|class Reader)\b", c)]
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
    head += "from utils import course, data\n\ncount, epochs = 400, 6\n"
    head += "run, digits = course.start(), data.mnist()\n"
    head += "(mean,), (std,) = digits.train.mean, digits.train.std\n\n"
    folder = tmp_path_factory.mktemp("lecture")
    (folder / "healthy_program.py").write_text(head + "\n\n".join(parts), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        module = importlib.import_module("healthy_program")
        names = ["load", "prepare", "batches", "Reader", "train", "read", "main"]
        yield clinic.Program(*(getattr(module, name) for name in names))


ALONE = {
    1: "validation not normalised",
    2: "1,000 outputs",
    3: "weights not in the optimizer",
    5: "flips on digits, sorted by class, labels of other images, nearly all are ones",
    7: "images mixed",
    8: "no zero_grad",
    9: "no eval, mean of batch means",
    10: "test digits in training",
}  # of the questions that need no long run, the one that finds each fault


def test_each_fault_is_found_by_the_question_that_it_belongs_to(program):
    cases = {one.name: one for one in clinic.cases(program).values()}
    expected = {name: k for k, names in ALONE.items() for name in names.split(", ")}
    for name, number in (expected | {"losses keep their graph": 0}).items():
        found = [k for k in ALONE if not clinic.answer(cases[name], k).right]
        assert found == [number][: number > 0], name
    assert all(clinic.answer(program, k).right for k in ALONE)


def test_five_faults_stop_the_program_and_name_what_is_wrong(program):
    words = ("784x10", "Long", "device", "3136x10", "64")
    for number, word in zip(range(20, 25), words, strict=True):
        ended = clinic.cases(program)[number].run()
        assert word in ended.error
        assert repr(ended).startswith("stopped by RuntimeError")


def test_a_fault_is_one_change_of_one_place(program):
    faulty = program.plant("asleep", "lr=0.05", "lr=0.0")
    line = "def train(model, images, labels, epochs=epochs, lr="
    assert repr(faulty) == f"- {line}0.05):\n+ {line}0.0):"
    ended = faulty.run()
    assert ended.reported == ended.true < 0.4
    for old, new, words in (
        ("lr", "rate", "not once"),
        ("no such line", "", "0 times"),
        ("losses = []", "losses = [", "no Python"),
    ):
        with pytest.raises(CourseError, match=words):
            program.plant("wrong", old, new)


def test_the_game_bills_questions_and_wrong_names(program):
    game = clinic.Game(program, seed=0)
    rows = game.ask("A", 2, 3).rows
    assert [row[0] for row in rows] == ["2", "3"]
    assert "conv1.weight" in rows[1][3]
    assert game.bill == 2
    assert "no: 10 minutes" in game.name("A", "no eval")
    assert "right" in game.name("A", "weights not in the optimizer")
    assert (game.bill, game.named["A"]) == (12, "weights not in the optimizer")
    with pytest.raises(CourseError, match="is none of"):
        game.name("A", "a typo")
