"""ResNet-32, as its authors have it and as the long-tailed CIFAR experiments' authors do."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from gencli.models.base import Family, Shape
from gencli.models.layers import BasicBlock, GlobalMean, convolution, dropping, he, initialized


class Subsample(nn.Module):
    """Every second row and column, among as many channels of zeros again: the shortcut's option A."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        zeros = images.shape[1] // 2
        return functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros))


class Average(nn.Module):
    """Means of 2×2 pixels, of what is there at an odd side's end, among as many channels of zeros again."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        zeros = images.shape[1] // 2
        return functional.pad(functional.avg_pool2d(images, 2, ceil_mode=True), (0, 0, 0, 0, zeros, zeros))


def _layers(shape: Shape, classes: int, dropout: float, smaller: type[nn.Module]) -> nn.Module:
    layers = [*convolution(shape[2], 16, 3), nn.ReLU()]
    for outputs in (16, 32, 64):
        first = (
            BasicBlock(16, 16, 1, nn.Identity()) if outputs == 16 else BasicBlock(outputs // 2, outputs, 2, smaller())
        )
        layers += [first, *(BasicBlock(outputs, outputs, 1, nn.Identity()) for _ in range(4))]
    return nn.Sequential(*layers, GlobalMean(), *dropping(dropout), nn.Linear(64, classes))


def resnet32(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """Conv 3×3 to 16, five blocks each of 16, 32 and 64 channels, mean over the image, dense.

    Shortcuts have no parameters. Dropout, of which the papers have none, comes before the dense layer. Initialization
    is He's, as in the paper.

    He, Zhang, Ren, Sun 2016, arXiv:1512.03385, section 4.2 with n = 5; 464,154 parameters for three channels and 10
    classes.
    """
    return he(_layers(shape, classes, dropout, Subsample))


def resnet32_cui2019(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """`resnet32` as the code of Cui et al. has it, which names neither.

    Shortcuts that halve the image take means of 2×2 pixels, not every second one; weights are Glorot's uniform ones,
    biases 0 (Glorot, Bengio 2010; TensorFlow's default). As many parameters.

    Cui, Jia, Lin, Song, Belongie 2019, arXiv:1901.05555, github.com/richardaecn/class-balanced-loss, model_base.py.
    """
    return initialized(_layers(shape, classes, dropout, Average), nn.init.xavier_uniform_)


RESNET32 = Family(
    example="resnet32",
    pattern="resnet32",
    purpose="residual network of 32 layers for 32x32, shortcuts without parameters",
    source="He et al. 2016, arXiv:1512.03385",
    build=resnet32,
    options=frozenset({"dropout"}),
    samples=("resnet32",),
)
RESNET32_CUI2019 = Family(
    example="resnet32-cui2019",
    pattern="resnet32-cui2019",
    purpose="resnet32 of the long-tailed CIFAR experiments: averaging shortcuts, Glorot's weights",
    source="Cui et al. 2019, arXiv:1901.05555",
    build=resnet32_cui2019,
    options=frozenset({"dropout"}),
    samples=("resnet32-cui2019",),
)
