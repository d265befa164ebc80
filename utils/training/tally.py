"""One pass over a loader: batches to the device, sums kept there until the end."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from utils.course import CourseError
from utils.training import distributed

CHECK_EVERY = 50  # steps between two looks at whether the loss is still finite
EMPTY = (
    "The loader gave no batch. Is its set empty, or smaller than one batch with"
    " drop_last=True? A generator can be read once only: pass a list."
)
OUT_OF_RANGE = (
    "Label {} for a model of {} outputs. Labels count from 0 to num_classes - 1: build"
    " the model with the num_classes of the data, or correct the labels."
)
CURE = (
    "Try a learning rate ten times lower, check that the images are normalised, or set"
    " precision='float32'."
)


@dataclass(frozen=True)
class Metrics:
    """Means over the examples of one pass.

    Attributes:
        loss: in nats.
        accuracy: fraction in [0, 1].
        examples: how many there were.
    """

    loss: float
    accuracy: float
    examples: int


class Tally:
    """The batches of one pass on the device, and what the model made of them.

    Losses and hits stay on the device until the pass ends: reading one each step would
    make a GPU wait. As a context it turns what a reader can cause and repair (memory,
    a batch of one) into a `CourseError`.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        device: torch.device,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        self.loader = loader
        self.device = device
        self.layout = layout  # of images in memory
        self.classes = classes_of(loader)
        self.batch_size = self.outputs = 0  # of the batch at work
        self.limits: tuple[int, int] | None = None  # its lowest and highest label
        self.losses: list[Tensor] = []
        self.guesses: list[Tensor] = []
        self.targets: list[Tensor] = []

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for step, batch in enumerate(self.loader):
            images, labels = batch if step else check_batch(batch)
            self.batch_size = len(images)
            # On their way to a GPU, where a wrong label would end the whole process.
            leaving = labels.device.type != self.device.type
            self.limits = limits(labels) if leaving or not step else None
            layout = self.layout if images.ndim == 4 else torch.preserve_format
            kind = torch.float32 if labels.ndim == 2 else torch.int64
            yield (
                images.to(self.device, non_blocking=True, memory_format=layout),
                labels.to(self.device, kind, non_blocking=True),
            )

    def check(self, logits: Tensor, labels: Tensor) -> None:
        """Raise a `CourseError` unless the model's outputs fit the labels."""
        if logits.ndim != 2:
            raise CourseError(
                f"The model returned shape {tuple(logits.shape)}, not logits of shape"
                " (N, num_classes). Let it end in Flatten and a Linear layer."
            )
        outputs = logits.shape[1]
        wanted = labels.shape[1] if labels.ndim == 2 else len(self.classes or ())
        self.outputs = outputs
        if wanted and wanted != outputs:
            raise CourseError(
                f"The model has {outputs} outputs, the data {wanted} classes."
                f" Build it with num_classes={wanted}."
            )
        low, high = self.limits or (0, 0)
        if low < 0 or high >= outputs:
            raise CourseError(OUT_OF_RANGE.format(low if low < 0 else high, outputs))

    def share(self, loss: Tensor) -> Tensor | None:
        """What the batch counts in the gradient: None, which is 1, for a whole one.

        Where each rank has a part of the batch, torch takes the mean over the ranks.
        That is the mean over all examples once a part of n counts ranks * n / total.
        """
        if distributed.size() == 1:
            return None
        [total] = distributed.summed(self.batch_size)
        weight = distributed.size() * self.batch_size / max(total, 1)
        return torch.full_like(loss, weight)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: its mean loss, and how many of its examples were right."""
        if not len(labels):  # a rank's part of a small batch
            return
        self.losses.append(loss.detach())
        self.guesses.append(logits.argmax(1))
        self.targets.append(labels.argmax(1) if labels.ndim == 2 else labels)
        if len(self.losses) % CHECK_EVERY == 0:
            check_finite(self.losses, CHECK_EVERY)

    def metrics(self) -> Metrics:
        """The means over all examples; the only place that waits for the device."""
        loss, hits, examples = distributed.summed(*self.sums())
        if not examples:
            raise CourseError(EMPTY)
        return Metrics(loss / examples, hits / examples, int(examples))

    def sums(self) -> tuple[float, float, float]:
        """Over this process's examples: the losses, the hits, and how many they are."""
        if not self.losses:
            return 0, 0, 0
        check_finite(self.losses, CHECK_EVERY)
        counts = torch.tensor([len(part) for part in self.targets]).double()
        losses = torch.stack(self.losses).cpu().double()  # MPS has no float64
        hits = int((torch.cat(self.guesses) == torch.cat(self.targets)).sum())
        return float(losses @ counts), hits, float(counts.sum())

    def __enter__(self) -> Tally:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        message = explain(error, self)
        if message:
            # The traceback would keep the activations alive, and the next try failing.
            traceback.clear_frames(trace)
            raise CourseError(message) from None


def classes_of(loader: Any) -> Any:
    """The classes that a loader or its data set names, else None."""
    owner = loader if hasattr(loader, "classes") else getattr(loader, "dataset", None)
    classes = getattr(owner, "classes", None)
    return classes if isinstance(classes, list | tuple) else None


def check_batch(batch: Any) -> tuple[Tensor, Tensor]:
    """The images and the labels of a batch, or a `CourseError` that says what it is."""
    pair = isinstance(batch, list | tuple) and len(batch) == 2
    if not pair or not all(isinstance(part, Tensor) and part.ndim for part in batch):
        raise CourseError(
            "The loader must give pairs (images, labels) of tensors. For a data set"
            " pass its loader: images.loader(batch_size) or a torch DataLoader."
        )
    images, labels = batch
    if not images.is_floating_point():
        raise CourseError(
            f"The images are {images.dtype}, not float. Use the set's own loader, or"
            " divide by 255 and normalise."
        )
    if labels.is_floating_point() != (labels.ndim == 2) or labels.ndim > 2:
        raise CourseError(
            f"Labels of shape {tuple(labels.shape)} and {labels.dtype}: give class"
            " numbers, int64 (N,), or probabilities, float (N, num_classes)."
        )
    return images, labels


def limits(labels: Tensor) -> tuple[int, int] | None:
    """The lowest and the highest class number; None for probabilities."""
    if labels.ndim == 2 or not len(labels):
        return None
    low, high = labels.aminmax()
    return int(low), int(high)


def check_finite(losses: list[Tensor], last: int) -> None:
    """Raise a `CourseError` if one of the `last` losses is infinite or no number."""
    recent = torch.stack(losses[-last:])
    if bool(recent.isfinite().all()):
        return
    first = int((~recent.isfinite()).nonzero()[0])
    step = len(losses) - len(recent) + first + 1
    value = recent[first].item()
    raise CourseError(f"The loss is {value} at step {step}, not finite. {CURE}")


def check_weights(model: nn.Module) -> None:
    """Raise a `CourseError` if the last step left a weight infinite or no number."""
    state = model.state_dict()
    names = [name for name, weight in state.items() if weight.is_floating_point()]
    finite = torch.stack([state[name].isfinite().all() for name in names])
    if not bool(finite.all()):
        name = names[int((~finite).nonzero()[0])]
        raise CourseError(f"{name} is no longer finite after the last step. {CURE}")


def explain(error: BaseException | None, batches: Tally) -> str | None:
    """What to do about an error of torch that the reader can repair, else None."""
    text = str(error)
    if is_out_of_memory(error):
        if batches.batch_size < 2:
            return "Out of memory with one image: use smaller images, a smaller model."
        size = batches.batch_size
        return f"Out of memory with a batch of {size}: try batch_size={size // 2}."
    if isinstance(error, ValueError) and "more than 1 value per channel" in text:
        return (
            "A batch of one example: batch normalisation needs two or more to train on."
            " Pass drop_last=True to the training loader, or another batch size."
        )
    if isinstance(error, RuntimeError) and "finished reduction" in text:
        return (
            "Some weights take no part in the loss, and so get no gradient, for which"
            " several processes would wait. Give them requires_grad=False, or a part in"
            " loss_function; or train on one process."
        )
    wrong = re.match(r"Target (-?\d+) is out of bounds", text)
    if isinstance(error, IndexError) and wrong:
        return OUT_OF_RANGE.format(wrong[1], batches.outputs)
    return None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, on a GPU, on the CPU or in Python."""
    if isinstance(error, RuntimeError):  # torch's own class for it among them
        return "out of memory" in str(error) or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module is in its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
