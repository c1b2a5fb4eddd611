"""A convolutional network of one convolution."""

from __future__ import annotations

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, convolution, dropping


def convnet_vanilla(shape: Shape, classes: int, batch_norm: bool = False, dropout: float = 0.0) -> nn.Module:
    """Conv 7×7 to 32 channels, ReLU, max-pool 2×2, dense to the classes.

    Batch norm comes before ReLU, dropout before the dense layer. Initialization is torch's own.
    """
    height, width, channels = shape
    first = convolution(channels, 32, 7, batch_norm=batch_norm)
    last = nn.Linear(height // 2 * (width // 2) * 32, classes)
    return nn.Sequential(*first, nn.ReLU(), nn.MaxPool2d(2), Pixels(), *dropping(dropout), last)


CONVNET_VANILLA = Family(
    example="convnet-vanilla",
    pattern="convnet-vanilla",
    purpose="one 7x7 convolution to 32 channels, ReLU, one dense layer",
    source="a common first exercise",
    build=convnet_vanilla,
    options=frozenset({"batch_norm", "dropout"}),
    samples=("convnet-vanilla",),
    least=2,
    rates=(0.01, 0.01),  # at 0.05 it diverges on CIFAR-10, with batch norm it learns nothing there
)
