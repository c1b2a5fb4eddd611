"""A convolutional network of four blocks with GELU."""

from __future__ import annotations

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, convolution, dropping, he


def convnet_gelu(shape: Shape, classes: int, batch_norm: bool = True, dropout: float = 0.1) -> nn.Module:
    """Four blocks of 128, 256, 512 and 512 channels, then dense layers of 512, 512 and the classes, GELU throughout.

    A block is twice [conv 3×3, batch norm, GELU], then max-pool 2×2 and dropout; dropout also follows the GELU of dense
    layers. Initialization is torch's own, without batch norm He's, for the reason that `inception` gives.

    GELU: Hendrycks, Gimpel 2016, arXiv:1606.08415. The network is no paper's.
    """
    height, width, inputs = shape
    layers: list[nn.Module] = []
    for outputs in (128, 256, 512, 512):
        for before in (inputs, outputs):
            layers += [*convolution(before, outputs, 3, batch_norm=batch_norm), nn.GELU()]
        layers += [nn.MaxPool2d(2), *dropping(dropout)]
        inputs = outputs
    layers.append(Pixels())
    for before in (height // 16 * (width // 16) * 512, 512):
        layers += [nn.Linear(before, 512), nn.GELU(), *dropping(dropout)]
    network = nn.Sequential(*layers, nn.Linear(512, classes))
    return network if batch_norm else he(network)


CONVNET_GELU = Family(
    example="convnet-gelu",
    pattern="convnet-gelu",
    purpose="eight 3x3 convolutions from 128 to 512 channels, GELU, three dense layers",
    source="a common design; GELU: Hendrycks, Gimpel 2016, arXiv:1606.08415",
    build=convnet_gelu,
    options=frozenset({"batch_norm", "dropout"}),
    samples=("convnet-gelu",),
    least=16,
    rates=(0.01, 0.05),  # without batch norm it diverges at 0.05
)
