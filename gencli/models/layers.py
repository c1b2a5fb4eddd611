"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gencli.files.tensors import double


class Pixels(nn.Module):
    """Images [n, channels, height, width] as rows [n, height·width·channels] in the image table's order.

    No copy where the images lie channels last, as preprocessing leaves them.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class GlobalMean(nn.Module):
    """The mean over height and width: [n, channels, height, width] → [n, channels]."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


class GlobalMax(nn.Module):
    """The maximum over height and width: [n, channels, height, width] → [n, channels]."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.amax((2, 3))


class AdaptiveMean(nn.AdaptiveAvgPool2d):
    """torch's, whose gradient on a GPU is not reproducible: there by products with matrices of means."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.by_products(input) if input.is_cuda else super().forward(input)

    def by_products(self, images: torch.Tensor) -> torch.Tensor:
        """R x C' of each channel x [height, width], R and C the matrices of means over rows and columns."""
        wanted = self.output_size if isinstance(self.output_size, tuple) else (self.output_size,) * 2
        rows, columns = (
            _means(side, side if count is None else count, images) for side, count in zip(images.shape[2:], wanted)
        )
        return rows @ images @ columns.T


def _means(side: int, count: int, like: torch.Tensor) -> torch.Tensor:
    """[count, side], row i the mean from ⌊i side / count⌋ to before ⌈(i + 1) side / count⌉."""
    index, places = (torch.arange(each, device=like.device) for each in (count, side))
    start, stop = index * side // count, -(-(index + 1) * side // count)
    inside = (places >= start[:, None]) & (places < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None].to(like.dtype)


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


class Whitening(nn.Conv2d):
    """A convolution 2×2 that whitens patches of `channels`·4 values: each principal axis, and its negative.

    Its weights are the eigenvectors of the patches' second moments over √(eigenvalue + 5e-4), of training images
    (`fit`), and are not trained; its bias is. Jordan 2024, arXiv:2404.00498, section 3.1. Until it is fitted the axes
    are the patch's own values.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * channels * 4, 2)
        self.weight.requires_grad_(False)
        if self.bias is not None and self.weight.device.type != "meta":
            nn.init.zeros_(self.bias)
            self.fit(torch.eye(channels * 4 + 1))

    @staticmethod
    def moments(images: torch.Tensor) -> torch.Tensor:
        """The sum of p pᵀ over the patches of images [n, channels, height, width], p their values and 1.

        Returns:
            [values + 1, values + 1] float64. That of several parts is the sum of theirs.
        """
        size = images.shape[1] * 4 + 1
        total = double(torch.zeros(size, size, device=images.device))
        for part in images.split(100):
            patches = double(functional.unfold(part.contiguous(), 2)).transpose(0, 1).flatten(1)
            patches = torch.cat([patches, torch.ones_like(patches[:1])])
            total += patches @ patches.T
        return total

    @torch.no_grad()
    def fit(self, moments: torch.Tensor) -> None:
        """Sets the weights by patches' `moments`."""
        values, axes = torch.linalg.eigh((moments[:-1, :-1] / moments[-1, -1]).cpu())
        signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # which of two, eigh leaves open
        kernels = (axes * signs / (values.clamp(min=0) + 5e-4).sqrt()).T.view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([kernels, -kernels]))


class SameMaxPool(nn.Module):
    """Max-pool 3×3 at stride 2 with TensorFlow's SAME padding: ⌈height/2⌉ × ⌈width/2⌉.

    SAME pads an even side by (0, 1) and an odd one by (1, 1); torch's own padding is (1, 1) for both.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        before = images.shape[2] % 2, images.shape[3] % 2
        return functional.max_pool2d(images, 3, 2, before, ceil_mode=True)  # the last window may stand out by one


class SameConv(nn.Conv2d):
    """A convolution at stride 2 with TensorFlow's SAME padding, see `SameMaxPool`: ⌈height/2⌉ × ⌈width/2⌉."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, stride=2, bias=bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = (_same(side, self.kernel_size[0]) for side in input.shape[2:])
        return super().forward(functional.pad(input, (left, right, top, bottom)))


def _same(side: int, kernel: int) -> tuple[int, int]:
    total = max((-(-side // 2) - 1) * 2 + kernel - side, 0)
    return total // 2, total - total // 2


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, batch_norm: bool = True
) -> tuple[nn.Module, ...]:
    """A convolution that keeps the image's size but for the stride; with batch norm, which has the shift, or a bias."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not batch_norm)
    return (layer, nn.BatchNorm2d(outputs)) if batch_norm else (layer,)


def dropping(rate: float) -> tuple[nn.Module, ...]:
    """Dropout, or nothing at rate 0."""
    return (nn.Dropout(rate),) if rate else ()


def hidden(
    layer: nn.Module, units: int, batch_norm: bool, dropout: float, activation: type[nn.Module] = nn.ReLU
) -> tuple[nn.Module, ...]:
    """A layer of units [n, units], batch norm where asked for, ReLU or another activation, dropout."""
    normalized = (nn.BatchNorm1d(units),) if batch_norm else ()
    return layer, *normalized, activation(), *dropping(dropout)


class BasicBlock(nn.Module):
    """ReLU(x's shortcut + conv 3×3, batch norm, ReLU, conv 3×3, batch norm of x).

    He, Zhang, Ren, Sun 2016, arXiv:1512.03385, section 3.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *convolution(inputs, outputs, 3, stride), nn.ReLU(), *convolution(outputs, outputs, 3)
        )
        self.shortcut = shortcut

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.residual(images) + self.shortcut(images))


def he(network: nn.Module) -> nn.Module:
    """Draws weights of convolutions and dense layers from N(0, 2 / inputs) and sets their biases to 0.

    He, Zhang, Ren, Sun 2015, arXiv:1502.01852, section 2.2.
    """
    return initialized(network, nn.init.kaiming_normal_)


def initialized(network: nn.Module, draw: Callable[[torch.Tensor], Any]) -> nn.Module:
    """Draws weights of convolutions and dense layers in place by `draw`, and sets their biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
