"""A network that notes what it is shown, and what it may be shown: exercise 10.5."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching.checks import Wrong


class Recorder(nn.Module):
    """A fixed classifier that notes how it is used; copies write to the same notes."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.ones(1))
        self.seen: list[tuple[Tensor, bool, bool]] = []

    def __deepcopy__(self, memo: dict) -> Recorder:
        return self

    def answer(self, x: Tensor) -> Tensor:
        """Four scores from the four quarters of the image."""
        return F.adaptive_avg_pool2d(x, 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Answer, in training mode with noise."""
        self.seen.append((x.detach(), self.training, torch.is_grad_enabled()))
        scores = self.answer(x) * self.unit.to(x.device)
        return scores + torch.randn_like(scores) if self.training else scores


def check_seen(seen: list[tuple[Tensor, bool, bool]], inputs: Tensor) -> None:
    """Refuse a validation that gave the network anything but the set as it is."""
    if not seen:
        raise Wrong("The network is never asked.")
    got = torch.cat([x for x, _, _ in seen])
    if any(training for _, training, _ in seen):
        raise Wrong(
            "The network answers in training mode: with dropout it draws.",
            "Call model.eval() first.",
        )
    if len(seen) == 1 and len(got) < len(inputs):
        raise Wrong("Only the first batch is seen: does return stand inside the loop?")
    if len(got) != len(inputs):
        raise Wrong(
            f"The network sees {len(got)} images; the set has {len(inputs)}.",
            "Every image once, those of the last, shorter batch too.",
        )
    hint = "images.loader(100) normalises, and changes nothing else."
    if _among(got, 0.3 * inputs + 0.4):
        raise Wrong("The images are not normalised as in training.", hint)
    if not _among(got, inputs):
        raise Wrong(
            "The network sees other pixels than the set holds: they are augmented.",
            hint,
        )
    if any(gradients for _, _, gradients in seen):
        raise Wrong(
            "Right, but every batch keeps its activations for a backward pass.",
            "Put it under torch.no_grad().",
        )


def _among(images: Tensor, known: Tensor) -> bool:
    """Whether each image is one of the known ones, but for rounding."""
    distances = torch.cdist(images.cpu().flatten(1), known.cpu().flatten(1))
    return bool(distances.min(dim=1).values.max() < 1e-2)
