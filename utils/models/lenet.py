"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), 1998, section II.B and Fig. 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two convolutions, each followed by pooling, then three linear layers.

    Shape: (N, in_channels, 28, 28) -> (N, num_classes), logits
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, activation: type = nn.Tanh
    ) -> None:
        super().__init__()
        # Paper: 32x32 images, which padding by 2 gives, and 1.7159 tanh(2a / 3).
        self.c1 = nn.Sequential(nn.Conv2d(in_channels, 6, 5, padding=2), activation())
        self.s2 = nn.AvgPool2d(2)  # Paper: then a trained weight, bias and a tanh.
        # Paper, Table I: each map sees 3 to 6 maps of S2 (1,516 parameters); here all.
        self.c3 = nn.Sequential(nn.Conv2d(6, 16, 5), activation())
        self.s4 = nn.AvgPool2d(2)
        # Paper: a convolution; its 5x5 kernel covers all of S4: this linear layer.
        self.c5 = nn.Sequential(nn.Linear(16 * 5 * 5, 120), activation())
        self.f6 = nn.Sequential(nn.Linear(120, 84), activation())
        self.output = nn.Linear(84, num_classes)  # Paper: distances to drawn digits.

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(self.c1(x))  # (N, 6, 14, 14)
        x = self.s4(self.c3(x))  # (N, 16, 5, 5)
        x = self.f6(self.c5(torch.flatten(x, 1)))  # (N, 84)
        return self.output(x)  # (N, num_classes): logits, the loss takes the softmax
