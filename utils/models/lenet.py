"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), 1998, section II.B and Fig. 2.

Departures: the paper's tanh is 1.7159 tanh(2a / 3); its poolings have a weight, a bias
and a tanh; by its Table I each map of C3 sees 3 to 6 maps of S2 (1,516 parameters),
here all; its C5 is a convolution whose kernel covers all of S4, which this linear layer
equals; its output layer measures distances to drawn digits.
"""

from __future__ import annotations

from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two convolutions, three linear layers: (N, in_channels, 28, 28) -> logits."""

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, activation: type = nn.Tanh
    ) -> None:
        super().__init__()  # The padding makes 32x32 of 28x28, the paper's size.
        self.c1 = nn.Sequential(nn.Conv2d(in_channels, 6, 5, padding=2), activation())
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Sequential(nn.Conv2d(6, 16, 5), activation())
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Sequential(nn.Linear(16 * 5 * 5, 120), activation())
        self.f6 = nn.Sequential(nn.Linear(120, 84), activation())
        self.output = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(self.c1(x))  # (N, 6, 14, 14)
        x = self.s4(self.c3(x)).flatten(1)  # (N, 16, 5, 5), then (N, 400)
        return self.output(self.f6(self.c5(x)))  # (N, num_classes): logits
