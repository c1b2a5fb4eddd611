"""ResNet-18 for images of 32×32."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import BasicBlock, GlobalMean, convolution, dropping, he


def resnet18(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """Conv 3×3 to 64, two blocks each of 64, 128, 256 and 512 channels, mean over the image, dense.

    For ImageNet the first convolution is 7×7 at stride 2, followed by a max-pool; small images keep their size here
    instead. Where a block changes the size its shortcut is conv 1×1 with batch norm (option B). Dropout, of which the
    paper has none, comes before the dense layer. Initialization is He's, as in the paper.

    He, Zhang, Ren, Sun 2016, arXiv:1512.03385, section 4.1; 11,173,962 parameters for three channels and 10 classes.
    """
    layers = [*convolution(shape[2], 64, 3), nn.ReLU()]
    for inputs, outputs in pairwise((64, 64, 128, 256, 512)):
        shortcut = nn.Identity() if inputs == outputs else nn.Sequential(*convolution(inputs, outputs, 1, 2))
        layers.append(BasicBlock(inputs, outputs, outputs // inputs, shortcut))
        layers.append(BasicBlock(outputs, outputs, 1, nn.Identity()))
    return he(nn.Sequential(*layers, GlobalMean(), *dropping(dropout), nn.Linear(512, classes)))


RESNET18 = Family(
    example="resnet18",
    pattern="resnet18",
    purpose="residual network of 18 layers for 32x32: 3x3 stem, no first max-pool",
    source="He et al. 2016, arXiv:1512.03385",
    build=resnet18,
    options=frozenset({"dropout"}),
    samples=("resnet18",),
)
