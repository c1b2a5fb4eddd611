"""Fully connected networks whose square layers are circulant matrices."""

from __future__ import annotations

import torch
from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, hidden


class Circulant(nn.Module):
    """y = C x + bias with C[i, j] = weight[(i − j) mod size]: rows [n, size] to rows [n, size].

    C x is the circular convolution of weight and x, which the discrete Fourier transform F makes a product:
    C x = F⁻¹(F weight ⊙ F x). So a row takes O(size log size) operations, and the layer `size` weights for size².
    The transform is computed in the weights' precision, under autocast too.

    The weights are drawn from N(0, 2 / size), the bias is 0: a unit sums `size` products of different weights, so that
    E yᵢ² = size · 2/size · (mean of xⱼ²), of which ReLU leaves half, the mean of xⱼ². As in He et al. 2015,
    arXiv:1502.01852, section 2.2, the variance stays from layer to layer; that the rows of C share their weights makes
    units depend on each other, and leaves each one's variance as it is.

    Gray 2006, "Toeplitz and circulant matrices: a review", chapter 3.
    """

    def __init__(self, size: int, bias: bool = True) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(size).normal_(0, (2 / size) ** 0.5))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        result = convolved(rows.to(self.weight.dtype), self.weight)
        return result if self.bias is None else result + self.bias

    def extra_repr(self) -> str:
        return f"{self.size}, bias={self.bias is not None}"


def convolved(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """C x for rows x [n, size] and the weight [size] that C is made of."""
    return torch.fft.irfft(torch.fft.rfft(weight) * torch.fft.rfft(rows), rows.shape[-1])


def circulant_mlp(
    depth: int, width: int, shape: Shape, classes: int, batch_norm: bool = False, dropout: float = 0.0
) -> nn.Module:
    """An mlp of depth + 1 hidden layers of `width` units, the `depth` matrices between which are circulant.

    Linear to the width, `depth` times `Circulant`, Linear to the classes, with biases everywhere and ReLU between;
    batch norm and dropout as in an mlp. The dense layers have torch's own initialization.
    """
    dense = nn.Linear(shape[0] * shape[1] * shape[2], width, not batch_norm)
    square = [Circulant(width, not batch_norm) for _ in range(depth)]
    layers = [layer for each in (dense, *square) for layer in hidden(each, width, batch_norm, dropout)]
    return nn.Sequential(Pixels(), *layers, nn.Linear(width, classes))


CIRCULANT_MLP = Family(
    example="circulant-mlp-KxW",
    pattern=r"circulant-mlp-([1-9]\d{0,3})x([1-9]\d{0,6})",
    purpose="dense in and out, between them K square circulant layers of W units by FFT",
    source="circulant layers: Cheng et al. 2015, arXiv:1502.03436",
    build=circulant_mlp,
    options=frozenset({"batch_norm", "dropout"}),
    samples=("circulant-mlp-3x512",),
    rates=(0.005, 0.05),  # at 0.01 and above its units may die, of the digits and of CIFAR-10
)
