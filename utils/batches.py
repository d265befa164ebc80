"""One pass of a model over a loader: batches to its device, sums kept there."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from utils import recipe
from utils.course import CourseError
from utils.history import Metrics

CHECK_EVERY = 50  # steps between two looks at whether the loss is still finite
CURE = "Try a learning rate ten times lower, or normalise the images."
ADVICE = {  # a part of torch's message -> what to do about it
    "out of memory|DefaultCPUAllocator": "Out of memory with a batch of {size}: try"
    " a smaller one (batch_size={half}), smaller images or a smaller model.",
    "more than 1 value per channel": "A batch of one, and batch norm needs two: pass"
    " the loader drop_last=True.",
    "expected (input.* chan|4D)|mat1 and mat2|Kernel size can't|is too small": "The"
    " network is built for other images than these, {shape}: {error}",
    "only for scalar|'closure'|Boolean value of Tensor": "Pass a loss that is a number,"
    " such as nn.CrossEntropyLoss(), and an optimizer without a closure: {error}",
}


class Pass:
    """The batches of one pass on the device, and what the model made of them.

    Losses and hits stay there until it ends: reading one a step would make a GPU wait.
    """

    def __init__(self, model: nn.Module, loader: Any, *, trains: bool = False) -> None:
        self.model, self.loader, self.trains = model, loader, trains
        self.stack = ExitStack()  # what is to be undone
        self.device = recipe.place(model)
        self.layout = recipe.layout(model, self.device)
        self.format = recipe.number_format(self.device)
        self.batch: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self.tried = False  # whether the model has taken a batch in this layout
        self.seen: list[tuple[Tensor, Tensor, int]] = []  # losses, hits and sizes

    def __enter__(self) -> Pass:
        for module in () if self.trains else self.model.modules():
            self.stack.callback(setattr, module, "training", module.training)
        self.model.train(self.trains)
        if own := getattr(self.loader, "memory_format", None):  # the course's loader
            self.stack.callback(setattr, self.loader, "memory_format", own)
            self.loader.memory_format = self.layout
        self.stack.enter_context(recipe.arranged(self.model, self.layout))
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.stack.close()
        text = "out of memory" if isinstance(error, MemoryError) else str(error)
        size, *shape = self.batch[0].shape
        for part, advice in ADVICE.items():
            if not isinstance(error, CourseError) and re.search(part, text):
                # The traceback would keep the activations alive, and the memory full.
                traceback.clear_frames(trace)
                more = {"half": size // 2 or 1, "shape": shape, "error": text}
                raise CourseError(advice.format(size=size, **more)) from None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        floats = (w.dtype for w in self.model.parameters() if w.is_floating_point())
        dtype, step = next(floats, torch.float32), 0
        # Not to MPS: it may read what is the next batch's (pytorch, issue 189690).
        on = {"device": self.device, "non_blocking": self.device.type == "cuda"}
        for step, batch in enumerate(self.loader, 1):
            images, labels = self.batch = check_batch(batch) if step == 1 else batch
            order = self.layout if images.ndim == 4 else torch.preserve_format
            kind = torch.float32 if labels.ndim == 2 else torch.int64
            yield (
                images.to(dtype=dtype, memory_format=order, **on),
                labels.to(dtype=kind, **on),
            )
        if not step:
            cause = "smaller than one, with drop_last=True, or a generator read before"
            raise CourseError(f"The loader gave no batch: it is empty, {cause}.")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) in float32; the forward pass is in the number format in use.

        A network that flattens with `x.view(len(x), -1)` cannot take channels_last: it
        goes on in the contiguous order, and no batch norm counts its first try.
        """
        before = [] if self.tried else [(b, b.clone()) for b in self.model.buffers()]
        half = self.format != torch.float32  # else none: torch 2.4 has none for MPS
        mixed = torch.autocast(self.device.type, self.format) if half else nullcontext()
        try:
            with mixed, torch.inference_mode(not self.trains):
                logits = self.model(images)
        except RuntimeError as error:
            if self.tried or "view size is not compatible" not in str(error):
                raise
            for buffer, value in before:
                buffer.data.copy_(value)
            self.tried, self.layout = True, torch.contiguous_format
            self.stack.enter_context(recipe.arranged(self.model, self.layout))
            # A copy: images of one channel count as contiguous in both orders.
            return self.forward(images.clone(memory_format=self.layout))
        self.tried = True
        if getattr(logits, "ndim", None) != 2:
            what = getattr(logits, "shape", type(logits).__name__)
            raise CourseError(
                f"The model returned {what}, not logits (N, num_classes). Let forward"
                " return its last layer's alone; in torchvision, aux_logits=False."
            )
        return logits.float()

    def check(self, logits: Tensor) -> None:
        """Raise a `CourseError` unless the outputs fit the labels."""
        outputs, labels = logits.shape[1], self.batch[1]
        named = getattr(getattr(self.loader, "dataset", self.loader), "classes", None)
        classes = len(named) if isinstance(named, list | tuple) else None
        classes = labels.shape[1] if labels.ndim == 2 else classes
        low, high = 0, (classes or outputs) - 1
        # Wrong ones would end a GPU's process; there already, looking makes it wait.
        if labels.ndim == 1 and len(labels) and (labels.is_cpu or not self.seen):
            low, high = map(int, labels.aminmax())
        fits = classes in (None, outputs) and low >= 0 and high < outputs
        if outputs < 2 or not fits:
            n = classes or max(2, high + 1)
            raise CourseError(
                f"The model has {outputs} outputs, and labels go from {low} to {high}."
                f" They count from 0: build it with num_classes={n}, or correct them."
            )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: its mean loss, and how many of its examples were right."""
        labels = labels.argmax(1) if labels.ndim == 2 else labels
        hits = (logits.argmax(1) == labels).sum()
        self.seen.append((loss.detach(), hits, len(labels)))
        if len(self.seen) % CHECK_EVERY == 0:
            self.check_finite()

    def metrics(self) -> Metrics:
        """The means over all examples; the only place that waits for the device."""
        self.check_finite()
        losses, hits, sizes = zip(*self.seen, strict=True)
        n, means = sum(sizes), torch.stack(losses).cpu().double()  # MPS has no float64
        loss = float(means @ torch.tensor(sizes).double()) / n
        return Metrics(loss, int(sum(hits)) / n, n)

    def check_finite(self) -> None:
        """Raise a `CourseError` if a loss is infinite or no number, and say why."""
        losses = torch.stack([loss for loss, *_ in self.seen[-CHECK_EVERY:]])
        if bool(losses.isfinite().all()):
            return
        place, cure = int((~losses.isfinite()).nonzero()[0]), CURE
        step = len(self.seen) - len(losses) + place + 1
        for number, (images, _) in enumerate(islice(self.loader, step), 1):
            if not bool(images.isfinite().all()):
                cure = f"Batch {number} holds an image with such a value: correct it."
        loss = losses[place].item()
        raise CourseError(f"The loss is {loss} at step {step}, not finite. {cure}")


def check_batch(batch: Any) -> tuple[Tensor, Tensor]:
    """The images and the labels of a batch, or a `CourseError` that says what it is."""
    parts = batch if isinstance(batch, list | tuple) else [batch]
    right = len(parts) == 2 and all(isinstance(p, Tensor) and p.ndim for p in parts)
    if right and parts[1].is_floating_point():  # how probable each class is
        labels = parts[1].float()
        right = labels.ndim == 2 and labels.shape[1] > 1 and bool((labels >= 0).all())
        right = right and bool(((labels.sum(1) - 1).abs() < 0.01).all())
    elif right:
        right = parts[1].ndim == 1
    if right and parts[0].is_floating_point():
        return parts[0], parts[1]
    given = [(getattr(p, "dtype", type(p)), *getattr(p, "shape", ())) for p in parts]
    raise CourseError(
        f"The loader gave {given}. It must give pairs of tensors: images, float (so"
        " divide bytes by 255), and class numbers, int64 (N,), of two classes too, or"
        " probabilities (N, num_classes) whose rows sum to 1. For a data set pass its"
        " loader(batch_size)."
    )
