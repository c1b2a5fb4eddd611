"""A small convolutional network that is fast to train."""

from __future__ import annotations

import torch
from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import GlobalMax, Scale, Whitening

_WIDTHS = 64, 256, 256
_SCALE = 1 / 9  # of the features, and so of the logits


def airbench(shape: Shape, classes: int) -> nn.Module:
    """Patches 2×2 whitened, GELU, then three blocks of 64, 256 and 256 channels, maximum over the image, dense.

    A block is conv 3×3, max-pool 2×2, batch norm, GELU, conv 3×3, batch norm, GELU. No layer but the first has a bias;
    batch norm has the shift and no scale, and moves its statistics by 0.4 a step. Convolutions start as the identity on
    their first channels.

    Jordan 2024, arXiv:2404.00498, appendix A (airbench94); 1,971,352 trained parameters for three channels and 10
    classes.
    """
    first = Whitening(shape[2])
    layers: list[nn.Module] = [first, nn.GELU()]
    inputs = first.out_channels
    for outputs in _WIDTHS:
        layers += [_convolution(inputs, outputs), nn.MaxPool2d(2), _norm(outputs), nn.GELU()]
        layers += [_convolution(outputs, outputs), _norm(outputs), nn.GELU()]
        inputs = outputs
    return nn.Sequential(*layers, GlobalMax(), Scale(_SCALE), nn.Linear(inputs, classes, bias=False))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:inputs])
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


AIRBENCH = Family(
    example="airbench",
    pattern="airbench",
    purpose="six 3x3 convolutions on whitened patches, fast to train",
    source="Jordan 2024, arXiv:2404.00498",
    build=airbench,
    samples=("airbench",),
    least=9,
)
