"""One pass of a model over a loader: batches to its device, sums kept there."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from utils import recipe
from utils.checkpoint import random_state, restore_random
from utils.course import CourseError
from utils.history import Metrics

CHECK_EVERY = 50  # steps between two looks at whether the loss is still finite
CURE = "Try a learning rate ten times lower, or normalise the images."
OTHER_SIZE = (
    r"expected input.* channels|mat1 and mat2 shapes|Kernel size can't be great"
)


def reduce_sums(*sums: float) -> list[float]:
    """The sums of all processes that train together: torchrun puts its own here."""
    return list(sums)


class Pass:
    """The batches of one pass on the device, and what the model made of them.

    Losses and hits stay there until it ends: reading one each step would make a GPU
    wait. What a reader can cause and repair (memory, say) becomes a `CourseError`.
    """

    def __init__(self, model: nn.Module, loader: Iterable[Any]) -> None:
        self.model, self.loader, self.stack = model, loader, ExitStack()
        self.device = recipe.place(model)
        self.layout = recipe.layout(model, self.device)
        self.format = recipe.number_format(self.device)
        self.batch: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self.tried = False  # whether the model has taken a batch in this layout
        self.losses: list[Tensor] = []
        self.guesses: list[Tensor] = []
        self.targets: list[Tensor] = []

    def __enter__(self) -> Pass:
        self.stack.enter_context(recipe.arranged(self.model, self.layout))
        own = getattr(self.loader, "memory_format", None)  # of the course's own loader
        if own:
            self.stack.callback(setattr, self.loader, "memory_format", own)
            self.loader.memory_format = self.layout  # type: ignore[attr-defined]
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.stack.close()
        if message := explain(error, self.batch[0]):
            # The traceback would keep the activations alive, and the next try failing.
            traceback.clear_frames(trace)
            raise CourseError(message) from None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        floats = (w.dtype for w in self.model.parameters() if w.is_floating_point())
        dtype, step = next(floats, torch.float32), 0
        for step, batch in enumerate(self.loader, 1):
            images, labels = self.batch = check_batch(batch) if step == 1 else batch
            order = self.layout if images.ndim == 4 else torch.preserve_format
            kind = torch.float32 if labels.ndim == 2 else torch.int64
            yield (
                images.to(self.device, dtype, non_blocking=True, memory_format=order),
                labels.to(self.device, kind, non_blocking=True),
            )
        if not step:
            raise CourseError(
                "The loader gave no batch: its set is empty, or smaller than one batch"
                " with drop_last=True; or it is a generator, which can be read once."
            )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) in float32; the forward pass is in the number format in use.

        A network that flattens with `x.view(len(x), -1)` cannot take channels_last: it
        goes on in the contiguous order, from the state before its first try.
        """
        if self.tried or self.layout == torch.contiguous_format:
            return self._logits(images)
        drawn, self.tried = random_state(), True
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        try:
            return self._logits(images)
        except RuntimeError as error:
            if "view size is not compatible" not in str(error):
                raise
        restore_random(drawn)
        for buffer, value in buffers:
            buffer.data.copy_(value)
        self.layout = torch.contiguous_format
        self.stack.enter_context(recipe.arranged(self.model, self.layout))
        # A copy: with one channel both orders count as contiguous, and torch keeps one.
        return self._logits(images.clone(memory_format=torch.contiguous_format))

    def _logits(self, images: Tensor) -> Tensor:
        half = self.format != torch.float32
        with torch.autocast(self.device.type, self.format, enabled=half):
            logits = self.model(images)
        if getattr(logits, "ndim", None) != 2:
            what = getattr(logits, "shape", type(logits).__name__)
            raise CourseError(
                f"The model returned {what}, not logits (N, num_classes). Let forward"
                " return the output of its last Linear layer alone; build a network of"
                " torchvision with aux_logits=False."
            )
        return logits.float()

    def check(self, logits: Tensor) -> None:
        """Raise a `CourseError` unless the outputs fit the labels."""
        outputs, labels = logits.shape[1], self.batch[1]
        classes = labels.shape[1] if labels.ndim == 2 else classes_of(self.loader)
        if outputs < 2 or classes not in (None, outputs):
            raise CourseError(
                f"The model has {outputs} outputs, the data {classes or 'two or more'}"
                f" classes. Build it with num_classes={classes or 2}."
            )
        # Wrong ones would end a GPU's process; there already, looking makes it wait.
        if labels.ndim == 1 and len(labels) and (labels.is_cpu or not self.losses):
            low, high = map(int, labels.aminmax())
            if low < 0 or high >= outputs:
                raise CourseError(
                    f"Label {low if low < 0 else high} for a model of {outputs}"
                    " outputs: labels count from 0 to num_classes - 1. Correct them, or"
                    " build the model with the num_classes of the data."
                )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: its mean loss, and how many of its examples were right."""
        self.losses.append(loss.detach())
        self.guesses.append(logits.argmax(1))
        self.targets.append(labels.argmax(1) if labels.ndim == 2 else labels)
        if len(self.losses) % CHECK_EVERY == 0:
            self.check_finite()

    def metrics(self) -> Metrics:
        """The means over all examples; the only place that waits for the device."""
        self.check_finite()
        counts = torch.tensor([len(part) for part in self.targets]).double()
        losses = torch.stack(self.losses).cpu().double()  # MPS has no float64
        hits = int((torch.cat(self.guesses) == torch.cat(self.targets)).sum())
        loss, hits, n = reduce_sums(float(losses @ counts), hits, float(counts.sum()))
        return Metrics(loss / n, hits / n, int(n))

    def check_finite(self) -> None:
        """Raise a `CourseError` if a loss is infinite or no number, and say why."""
        finite = torch.stack(self.losses[-CHECK_EVERY:]).isfinite()
        if bool(finite.all()):
            return
        step = len(self.losses) - len(finite) + int((~finite).nonzero()[0]) + 1
        cure, value = CURE, self.losses[step - 1].item()
        for number, (images, _) in enumerate(islice(self.loader, step), 1):
            if not bool(images.isfinite().all()):
                cure = f"Batch {number} holds an image with such a value: correct it."
        raise CourseError(f"The loss is {value} at step {step}, not finite. {cure}")


def classes_of(loader: Any) -> int | None:
    """How many classes a loader or its data set names."""
    owner = loader if hasattr(loader, "classes") else getattr(loader, "dataset", None)
    classes = getattr(owner, "classes", None)
    return len(classes) if isinstance(classes, list | tuple) else None


def check_batch(batch: Any) -> tuple[Tensor, Tensor]:
    """The images and the labels of a batch, or a `CourseError` that says what it is."""
    pair = isinstance(batch, list | tuple) and len(batch) == 2
    if not pair or not all(isinstance(part, Tensor) and part.ndim for part in batch):
        raise CourseError(
            "The loader must give pairs (images, labels) of tensors. For a data set"
            " pass its loader(batch_size), or a torch DataLoader."
        )
    images, labels = batch
    if not images.is_floating_point():
        raise CourseError(f"Images of {images.dtype}: divide by 255, and normalise.")
    right = labels.ndim == 1 and not labels.is_floating_point()
    if labels.ndim == 2 and labels.is_floating_point() and labels.shape[1] > 1:
        off = (labels.float().sum(1) - 1).abs()
        right = bool((labels >= 0).all() and (off < 0.01).all())
    if not right:
        raise CourseError(
            f"Labels of shape {tuple(labels.shape)} and {labels.dtype}: give class"
            " numbers, int64 (N,), of two classes too, or probabilities, float"
            " (N, num_classes), whose rows sum to 1."
        )
    return images, labels


def check_weights(model: nn.Module) -> None:
    """Raise a `CourseError` if the last step left a weight infinite or no number."""
    state = {k: w for k, w in model.state_dict().items() if w.is_floating_point()}
    finite = torch.stack([weight.isfinite().all() for weight in state.values()])
    if not bool(finite.all()):
        name = list(state)[int((~finite).nonzero()[0])]
        raise CourseError(f"{name} is no longer finite after the last step. {CURE}")


def explain(error: BaseException | None, images: Tensor) -> str | None:
    """What to do about an error of torch that the reader can repair, else None."""
    text, size = str(error), len(images)
    memory = "out of memory" in text or "DefaultCPUAllocator" in text
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and memory):
        if size < 2:
            return "Out of memory with one image: use smaller images, a smaller model."
        return f"Out of memory with a batch of {size}: try batch_size={size // 2}."
    if isinstance(error, ValueError) and "more than 1 value per channel" in text:
        return (
            "A batch of one, and batch norm needs two: pass the loader drop_last=True."
        )
    if isinstance(error, RuntimeError) and re.search(OTHER_SIZE, text):
        shape = tuple(images.shape[1:])
        return f"The network is built for other images than these, {shape}: {text}"
    return None


def look_ahead(model: nn.Module, loader: Iterable[Any]) -> None:
    """Raise now what the first validation would raise after an epoch of training.

    Two examples go through the model; every random generator is then put back.
    """
    if isinstance(loader, Iterator):  # it can be read once only
        return
    drawn = random_state(loader)
    try:
        with Pass(model, loader) as batches, evaluating(model), torch.no_grad():
            for images, _ in batches:
                batches.check(batches.forward(images[:2]))
                break
    finally:
        restore_random(drawn, loader)


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
