"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class Pixels(nn.Module):
    """Images [n, channels, height, width] as rows [n, height·width·channels] in the image table's order.

    No copy where the images lie channels last, as preprocessing leaves them.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


def mlp(depth: int, width: int, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Linear and ReLU `depth` times at `width` units, then Linear to the classes; biases everywhere.

    Args:
        shape: height, width, channels of the images; they come as [n, channels, height, width].

    Zhang et al. 2017, arXiv:1611.03530, section 3 (1×512 and 3×512).
    """
    sizes = [shape[0] * shape[1] * shape[2]] + [width] * depth
    hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(Pixels(), *hidden, nn.Linear(sizes[-1], classes))
