"""Small networks that train in seconds: the first ones of the course."""

from __future__ import annotations

from torch import Tensor, nn


def conv_pool(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution, ReLU, and max pooling that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


class TwoLayerCNN(nn.Module):
    """Two convolutions, one linear layer: (N, C, image_size, image_size) -> logits."""

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, *, image_size: int = 32
    ) -> None:
        super().__init__()
        self.layer1 = conv_pool(in_channels, 8)
        self.layer2 = conv_pool(8, 16)
        # Each pooling halves the side, rounding down: a quarter of it remains.
        self.fc = nn.Linear(16 * (image_size // 4) ** 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(x)  # (N, 8, 16, 16)
        x = self.layer2(x)  # (N, 16, 8, 8)
        return self.fc(x.flatten(1))  # (N, num_classes)
