"""Several views of one image, judged together: better predictions for more time."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SixViews(nn.Module):
    """Mean logits of an image and its mirror image, in place and moved by a pixel.

    Where the two largest logits differ by more than `margin`, one view decides.

    Shape: (N, C, H, W) -> (N, num_classes), logits. Source: Jordan 2024, Sec. 3.5
    """

    def __init__(self, network: nn.Module, margin: float = float("inf")) -> None:
        super().__init__()
        self.network, self.margin = network, margin

    def forward(self, x: Tensor) -> Tensor:
        """One view first; the others where it is unsure."""
        logits = self.network(x)
        first, second = logits.float().topk(2).values.unbind(1)
        unsure = first - second <= self.margin
        if unsure.any():
            logits[unsure] = self.mean(x[unsure], logits[unsure])
        return logits

    def mean(self, x: Tensor, first: Tensor) -> Tensor:
        """Half the weight on the views in place, a quarter on those of each move."""
        border = F.pad(x, [1, 1, 1, 1], mode="reflect")
        moved = [border[:, :, :-2, :-2], border[:, :, 2:, 2:]]
        views = [x.flip(3), *moved, *(view.flip(3) for view in moved)]
        mirrored, *others = (self.network(view) for view in views)
        return (first + mirrored) / 4 + sum(others) / 8
