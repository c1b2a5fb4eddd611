"""The small AlexNet of the randomization tests."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, SameMaxPool, convolution, dropping


class ResponseNorm(nn.Module):
    """x / (1 + α/9 · Σ x²)^0.75 with the sum over the channel and four to each side, α = 0.001; in float32 or wider.

    The TensorFlow tutorial's constants (radius 4, α/9), equal to `nn.LocalResponseNorm(9, alpha=0.001)`. That pools in
    three dimensions, which is several times slower, and on a GPU has no reproducible gradient.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(torch.promote_types(images.dtype, torch.float32)).permute(0, 2, 3, 1)
        means = functional.avg_pool1d(pixels.flatten(1, 2).square(), 9, stride=1, padding=4).view(pixels.shape)
        root = (1 + 0.001 * means).rsqrt()
        return (pixels * root * root.sqrt()).permute(0, 3, 1, 2)


def alexnet(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """Twice conv 5×5 to 64, ReLU, max-pool 3×3 stride 2 and response norm, then dense layers of 384, 192, classes.

    All padding is TensorFlow's SAME, so that an image of h×w leaves ⌈h/4⌉·⌈w/4⌉·64 values, 7·7·64 of 28×28. The paper
    names no constants of the response norm, and no initialization: it is torch's own. Dropout, of which it has none,
    comes before the dense layers.

    Zhang et al. 2017, arXiv:1611.03530, appendix A; 1,387,786 parameters at 28×28×3 and 10 classes.
    """
    height, width, channels = shape
    layers = []
    for inputs in (channels, 64):
        layers += [*convolution(inputs, 64, 5, batch_norm=False), nn.ReLU(), SameMaxPool(), ResponseNorm()]
    sizes = [-(-height // 4) * -(-width // 4) * 64, 384, 192]
    layers.append(Pixels())
    for before, after in pairwise(sizes):
        layers += [*dropping(dropout), nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, *dropping(dropout), nn.Linear(192, classes))


ALEXNET = Family(
    example="alexnet-small",
    pattern="alexnet-small",
    purpose="two 5x5 convolutions with response norm, three dense layers",
    source="Zhang et al. 2017, arXiv:1611.03530",
    build=alexnet,
    options=frozenset({"dropout"}),
    samples=("alexnet-small",),
)
