"""The small Inception of the randomization tests."""

from __future__ import annotations

import torch
from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import GlobalMean, SameConv, SameMaxPool, dropping, he

_MODULES = ((32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96, (176, 160), (176, 160))


class Branches(nn.Module):
    """What its branches make of the same images, one after the other in the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(images) for branch in self.branches], 1)


class Shift(nn.BatchNorm2d):
    """Batch norm with a trained shift and no scale, TensorFlow's default then; the scale is a buffer of ones."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        del self.weight
        self.register_buffer("weight", torch.ones(channels))  # GPU kernels want both or neither


def inception(shape: Shape, classes: int, batch_norm: bool = True, dropout: float = 0.0) -> nn.Module:
    """Conv 3×3 to 96, ten modules, mean over the image, dense.

    The modules: I(32,32) I(32,48) D(80) I(112,48) I(96,64) I(80,80) I(48,96) D(96) I(176,160) I(176,160).
    I(a,b) is conv 1×1 to a beside conv 3×3 to b, D(c) conv 3×3 stride 2 to c beside max-pool 3×3 stride 2; all padding
    is TensorFlow's SAME. Every convolution is followed by batch norm that shifts and does not scale, or without it has
    a bias, then by ReLU. Dropout, of which the paper has none, comes before the dense layer. The paper names no
    initialization and no constants of the batch norm: they are torch's own. Without batch norm initialization is He's,
    since torch's weights, of variance 1 / (3 inputs), leave a sixth of a signal's square at each of the eleven ReLUs:
    the network learned at no rate that was tried.

    Zhang et al. 2017, arXiv:1611.03530, appendix A; 1,649,402 parameters at 28×28×3 and 10 classes, with batch norm and
    without.
    """

    def activated(layer: nn.Conv2d) -> nn.Module:
        return nn.Sequential(layer, *([Shift(layer.out_channels)] if batch_norm else []), nn.ReLU())

    def convolution(inputs: int, outputs: int, kernel: int) -> nn.Module:
        return activated(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not batch_norm))

    width = 96
    layers = [convolution(shape[2], width, 3)]
    for module in _MODULES:
        if isinstance(module, int):
            layers.append(Branches(activated(SameConv(width, module, 3, bias=not batch_norm)), SameMaxPool()))
            width += module
        else:
            layers.append(Branches(convolution(width, module[0], 1), convolution(width, module[1], 3)))
            width = sum(module)
    network = nn.Sequential(*layers, GlobalMean(), *dropping(dropout), nn.Linear(width, classes))
    return network if batch_norm else he(network)


INCEPTION = Family(
    example="inception-small",
    pattern="inception-small",
    purpose="ten modules of parallel convolutions, batch norm",
    source="Zhang et al. 2017, arXiv:1611.03530",
    build=inception,
    options=frozenset({"batch_norm", "dropout"}),
    samples=("inception-small",),
    rates=(0.01, 0.05),  # without batch norm it learns half as much of the digits at 0.05
)
