"""ResNet-32, the network of the long-tailed CIFAR experiments."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from gencli.models.base import Family, Shape
from gencli.models.layers import BasicBlock, GlobalMean, convolution, dropping, he


class Subsample(nn.Module):
    """Every second row and column, among as many channels of zeros again: the shortcut's option A."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        zeros = images.shape[1] // 2
        return functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros))


def resnet32(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """Conv 3×3 to 16, five blocks each of 16, 32 and 64 channels, mean over the image, dense.

    Shortcuts have no parameters. Dropout, of which the papers have none, comes before the dense layer. Initialization
    is He's, as in the paper.

    He, Zhang, Ren, Sun 2016, arXiv:1512.03385, section 4.2 with n = 5; used by Cui et al. 2019, arXiv:1901.05555;
    464,154 parameters for three channels and 10 classes.
    """
    layers = [*convolution(shape[2], 16, 3), nn.ReLU()]
    for outputs in (16, 32, 64):
        first = (
            BasicBlock(16, 16, 1, nn.Identity()) if outputs == 16 else BasicBlock(outputs // 2, outputs, 2, Subsample())
        )
        layers += [first, *(BasicBlock(outputs, outputs, 1, nn.Identity()) for _ in range(4))]
    return he(nn.Sequential(*layers, GlobalMean(), *dropping(dropout), nn.Linear(64, classes)))


RESNET32 = Family(
    example="resnet32",
    pattern="resnet32",
    purpose="residual network of 32 layers for 32x32, shortcuts without parameters",
    source="He et al. 2016, arXiv:1512.03385; Cui et al. 2019, arXiv:1901.05555",
    build=resnet32,
    options=frozenset({"dropout"}),
    samples=("resnet32",),
)
