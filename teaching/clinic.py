"""The bug clinic: ten questions with known answers, and a game that asks them.

ask(faulty, 1, 2, 3)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from teaching.program import FAULTS, Program, cases, numbers
from teaching.tables import Table
from utils import plot
from utils.course import CourseError

__all__ = ["Program", "cases"]

BATCH = 32  # digits, for the questions that need one batch


class Finding(NamedTuple):
    """A question's answer for one program, and whether a healthy one gives it, too."""

    text: str
    right: bool


class Visit(NamedTuple):
    """A program on the table: its first batch, and the digits that judge it."""

    program: Program
    batch: tuple[Tensor, Tensor]  # bytes and labels
    unseen: tuple[Tensor, Tensor]

    def new(self) -> nn.Module:
        """A network as the program begins with it."""
        torch.manual_seed(0)
        return self.program.Reader().to(self.program.outside["run"].device)

    def train(self, **settings: Any) -> tuple[nn.Module, list[float]]:
        """Train a new network with the program's own loop, on this one batch."""
        model = self.new()
        return model, numbers(self.program.train(model, *self.batch, **settings))


class Seen(nn.Module):
    """A network that keeps what it is given, and always answers 0."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Keep (N, 1, 28, 28), answer (N, 10)."""
        self.inputs.append(x.detach().cpu())
        return torch.zeros(len(x), 10, device=x.device)


def goes_in(visit: Visit) -> Finding:
    """Mean 0 and deviation 1, in training and in validation; all of it finite."""
    program, seen = visit.program, Seen().to(visit.program.outside["run"].device)
    inputs = torch.cat([x for x, _ in program.batches(*visit.batch)]).cpu()
    program.read(seen, *visit.unseen)
    pair = {"training": inputs, "validation": torch.cat(seen.inputs)}
    text = [f"{n} {_rounded(x.mean())} ± {x.std():.1f}" for n, x in pair.items()]
    near = (abs(x.mean()) < 0.3 and abs(x.std() - 1) < 0.3 for x in pair.values())
    return Finding(", ".join(text), all(near))


def _rounded(mean: Tensor) -> float:
    return round(mean.item(), 1) + 0.0  # no "-0.0"


def first_loss(visit: Visit) -> Finding:
    """ln K, for K classes."""
    loss = visit.train(epochs=1)[1][0]
    return Finding(f"{loss:.2f}", abs(loss - math.log(10)) < 0.4)


def every_weight_moves(visit: Visit) -> Finding:
    """After one step every parameter differs."""
    before = dict(visit.new().named_parameters())
    after = dict(visit.train(epochs=1)[0].named_parameters())
    still = [name for name, weight in before.items() if weight.equal(after[name])]
    return Finding(f"unmoved: {', '.join(still) or 'none'}", not still)


def one_batch(visit: Visit) -> Finding:
    """A loss of nearly 0 after 40 steps."""
    last = visit.train(epochs=40)[1][-5:]
    loss = sum(last) / len(last)
    return Finding(f"loss {loss:.2f} after 40 steps", loss < 0.3)


def labels_agree(visit: Visit) -> Finding:
    """Every picture of a batch is one of the set, with its label, and classes mix.

    A person looks; this compares with the file.
    """
    program = visit.program
    images, labels, *_ = program.load()
    file = {_bytes(x): y for x, y in zip(*program.healthy.load()[:2], strict=True)}
    own = [file.get(_bytes(x), y) for x, y in zip(images, labels, strict=True)]
    known = dict(zip(map(_bytes, program.prepare(images)), own, strict=True))
    x, y = next(iter(program.batches(images, labels)))
    found = [known.get(_bytes(image)) for image in x]
    changed = found.count(None)
    wrong = sum(f is not None and f != one for f, one in zip(found, y, strict=True))
    most = y.bincount().max().item() / len(y)
    text = f"{int(wrong)} labels wrong, {changed} images changed, {most:.0%} one class"
    return Finding(text, not wrong and not changed and most < 0.4)


def _bytes(image: Tensor) -> bytes:
    return image.numpy().tobytes()


BLANK = "def prepare(images):\n    return torch.zeros(images.shape)\n"


def without_images(visit: Visit) -> Finding:
    """Trained on black images it guesses, 1 / K; with the images it is far better."""
    blank = visit.program.put(prepare=BLANK)
    share = visit.program.main(n=320, epochs=6)[2]
    none = blank.main(n=320, epochs=2)[2]
    better = share - none > 0.25 and none < 0.2
    return Finding(f"with images {share:.0%}, without {none:.0%}", better)


def own_image_alone(visit: Visit) -> Finding:
    """The gradient of an answer is 0 for all images but its own."""
    model = visit.new().eval()
    x = visit.program.prepare(visit.batch[0])
    x = x.to(visit.program.outside["run"].device).requires_grad_()
    model(x)[0].square().sum().backward()
    moved = x.grad.flatten(1).abs().sum(dim=1) > 0
    text = f"answer 1 depends on {int(moved.sum())} of {len(x)} images"
    return Finding(text, moved.tolist() == [True] + [False] * (len(x) - 1))


def same_gradient(visit: Visit) -> Finding:
    """With a rate of 0 the gradient of a batch has one size, at every step."""
    norms = []
    for steps in (1, 4):
        model = visit.train(epochs=steps, lr=0.0)[0]
        norms.append(model.fc.weight.grad.norm().item())
    text = f"{norms[0]:.2f}, after three steps more {norms[1]:.2f}"
    return Finding(text, norms[1] < 1.5 * norms[0])


def same_again(visit: Visit) -> Finding:
    """The accuracy is the same again, and with batches of another size."""
    model = visit.train(epochs=8)[0]
    n = len(visit.unseen[0])
    shares = [
        visit.program.read(model, *visit.unseen, size=k) for k in (100, 100, n - 1)
    ]
    text = f"{', '.join(f'{share:.1%}' for share in shares)}"
    return Finding(text, len(set(shares)) == 1)


def nearest(visit: Visit) -> Finding:
    """No unseen image has a copy in the training set."""
    images, _, unseen, _ = visit.program.load()
    known = {_bytes(image) for image in images}
    copies = sum(_bytes(image) in known for image in unseen[:100])
    return Finding(f"{copies} of 100 unseen images are in training", not copies)


class Question(NamedTuple):
    """One of the ten: what it asks, the known answer, its price in minutes."""

    asked: str
    known: str
    minutes: int
    put: Callable[[Visit], Finding]


QUESTIONS = {
    1: Question("What goes in?", "0 ± 1, twice", 1, goes_in),
    2: Question("How large is the first loss?", "ln 10 = 2.30", 1, first_loss),
    3: Question(
        "Does one step move every weight?", "none unmoved", 1, every_weight_moves
    ),
    4: Question("Is one batch learned by heart?", "loss near 0", 3, one_batch),
    5: Question("Do pictures and labels agree?", "all, and mixed", 2, labels_agree),
    6: Question(
        "How good without the images?", "1 in 10, far below", 6, without_images
    ),
    7: Question(
        "Does an answer need its own image only?", "1 image", 1, own_image_alone
    ),
    8: Question("Is the gradient the same again?", "twice the same", 1, same_gradient),
    9: Question("Is the result the same again?", "three times", 2, same_again),
    10: Question("Is a test image in the training set?", "0 of 100", 3, nearest),
}


def answer(program: Program, number: int) -> Finding:
    """Put one question to a program; one that stops has given a wrong answer."""
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images, labels, *unseen = program.load()
            chosen = torch.randperm(len(images))[:BATCH]
            batch = images[chosen], labels[chosen]
            visit = Visit(program, batch, (unseen[0], unseen[1]))
            return QUESTIONS[number].put(visit)
    except Exception as error:
        return Finding(f"stops: {type(error).__name__}", False)


def ask(program: Program, *chosen: int) -> Table:
    """Put questions to a program, by their numbers: what is known, what it answers."""
    asked = {number: QUESTIONS[number] for number in chosen}
    rows = [
        (str(i), q.asked, q.known, answer(program, i).text) for i, q in asked.items()
    ]
    return Table(("", "question", "healthy", "here"), tuple(rows), left=True)


def prices() -> Table:
    """The ten questions, what a healthy program answers, and what each costs."""
    rows = [(str(i), q.asked, q.known, str(q.minutes)) for i, q in QUESTIONS.items()]
    return Table(("", "question", "healthy", "minutes"), tuple(rows), left=True)


PLAYED = (
    "softmax twice",
    "labels of other images",
    "validation not normalised",
    "no zero_grad",
    "weights not in the optimizer",
    "no eval",
    "test digits in training",
    "images mixed",
    "1,000 outputs",
    "divided by zero",
)


DEALT = (1, 3, 16, 18)  # the cases of 10.2


class Game:
    """Four programs, a fault in each: pay for questions, then name the faults.

    Args:
        program: the healthy one.
        seed: deals the faults out.

    Attributes:
        bill: minutes spent so far.
        named: the names given so far, by the letters A to D.
    """

    WRONG = 10  # minutes that a wrong name costs

    def __init__(self, program: Program, seed: int = 0) -> None:
        order = torch.randperm(len(PLAYED), generator=torch.manual_seed(seed)).tolist()
        planted = {fault[0]: fault for fault in FAULTS}
        dealt = [program.plant(*planted[PLAYED[i]]) for i in order[:4]]
        self._patients = dict(zip("ABCD", dealt, strict=True))
        self.bill, self.named = 0, dict.fromkeys("ABCD", "")

    def ask(self, letter: str, *numbers: int) -> Table:
        """Put questions to a patient, and pay for each."""
        self.bill += sum(QUESTIONS[number].minutes for number in numbers)
        return ask(self._patients[letter], *numbers)

    def name(self, letter: str, fault: str) -> str:
        """Name a patient's fault; a wrong name costs 10 minutes."""
        if fault not in PLAYED:
            raise CourseError(f"{fault!r} is none of: {', '.join(PLAYED)}.")
        right = self._patients[letter].name == fault
        self.bill += 0 if right else self.WRONG
        self.named[letter] = fault if right else self.named[letter]
        verdict = "right" if right else f"no: {self.WRONG} minutes"
        return f"{letter}: {fault}? {verdict}. The bill: {self.bill} minutes."


def four_patients(program: Program) -> dict[str, Sequence[float]]:
    """The losses of exercise 10.2's programs, by their letters."""
    planted = cases(program)
    return {c: planted[i].run(1).losses for c, i in zip("ABCD", DEALT, strict=True)}


def loss_curves(
    curves: Mapping[str, Sequence[float]], *, title: str | None = None
) -> list[Axes]:
    """Small panels, four in a row: the loss of every step, smoothed; ln 10 dotted."""
    rows = -(-len(curves) // 4)
    fig, axes = plt.subplots(rows, 4, figsize=(7, 0.6 + 1.55 * rows), sharey=True)
    for ax, (name, losses) in zip(axes.ravel(), curves.items(), strict=True):
        window = max(1, len(losses) // 40)
        smooth = torch.tensor(losses).unfold(0, window, 1).mean(dim=1)
        ax.axhline(math.log(10), linestyle=":", color=plot.PAPER, linewidth=1)
        ax.plot(smooth, color=plot.TRAIN, linewidth=1.3)
        ax.set_title(name, fontsize=10)
        ax.set(ylim=(0, 4), xlim=(0, len(losses)), xticks=[0, len(losses)])
    axes.ravel()[0].annotate("ln 10", (0.3, 2.45), color=plot.PAPER, fontsize=10)
    fig.supxlabel("step", fontsize=10)
    fig.supylabel("training loss (nats)", fontsize=10)
    plot.headline(fig, title)
    return list(axes.ravel())


def findings(programs: Sequence[Program]) -> dict[str, list[bool]]:
    """For each program, which of the ten questions get a wrong answer."""
    return {p.name: [not answer(p, n).right for n in QUESTIONS] for p in programs}


def found_by(
    found: Mapping[str, list[bool]],
    reported: Mapping[str, float],
    *,
    title: str | None = None,
) -> Axes:
    """A row a fault, a column a question: a square where the answer is wrong.

    `reported` holds the accuracy that each program reports, a fraction.
    """
    _, ax = plt.subplots(figsize=(7, 1.1 + 0.24 * len(found)))
    for i, row in enumerate(found.values()):
        hits = [k for k, hit in enumerate(row) if hit]
        ax.plot(hits, [i] * len(hits), "s", color=plot.HIGHLIGHT, ms=9)
    names = [f"{name}, {reported[name]:.0%}" for name in found]
    ax.set_yticks(range(len(found)), names, fontsize=10)
    ax.set_ylabel("fault, and the share of digits that it reports")
    ax.set_xticks(range(len(QUESTIONS)), list(QUESTIONS))
    ax.set(xlabel="question", ylim=(len(found) - 0.5, -0.5), xlim=(-0.5, 9.5))
    ax.grid(True, axis="both", alpha=0.4)
    plot.headline(ax.figure, title)
    return ax
