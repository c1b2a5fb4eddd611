"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(depth: int, width: int, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Linear and ReLU `depth` times at `width` units, then Linear to the classes; biases everywhere.

    Args:
        shape: height, width, channels of the images; they come as [n, channels, height, width].

    Zhang et al. 2017, arXiv:1611.03530, section 3 (1×512 and 3×512).
    """
    sizes = [shape[0] * shape[1] * shape[2]] + [width] * depth
    hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))
