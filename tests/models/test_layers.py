"""Layers of several networks: TensorFlow's SAME padding, against hand-computed outputs and windows by definition."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gencli.models.layers import AdaptiveMean, GlobalMean, Pixels, SameConv, SameMaxPool, convolution, he


def grid(side: int) -> torch.Tensor:
    return torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)


def windows(side: int) -> list[slice]:
    """Rows under each window of 3 at stride 2, by TensorFlow's definition of SAME."""
    count = -(-side // 2)
    before = max((count - 1) * 2 + 3 - side, 0) // 2
    return [slice(max(2 * number - before, 0), 2 * number - before + 3) for number in range(count)]


def test_same_pooling_by_hand() -> None:
    pool = SameMaxPool()
    assert pool(grid(4)).tolist() == [[[[10, 11], [14, 15]]]]
    assert pool(grid(5)).tolist() == [[[[6, 8, 9], [16, 18, 19], [21, 23, 24]]]]
    assert pool(-1 - grid(4)).tolist() == [[[[-1, -3], [-9, -11]]]]  # padding is no zero


def test_same_convolution_by_hand() -> None:
    layer = SameConv(1, 1, 3, bias=False)
    torch.nn.init.ones_(layer.weight)
    assert layer(grid(4)).tolist() == [[[[45, 39], [66, 50]]]]
    assert layer(grid(3)).tolist() == [[[[8, 12], [20, 24]]]]


@given(height=st.integers(1, 12), width=st.integers(1, 12))
def test_same_windows_are_tensorflows(height: int, width: int) -> None:
    images = torch.randn(2, 3, height, width)
    layer = SameConv(3, 3, 3, bias=False)
    torch.nn.init.dirac_(layer.weight)
    torch.nn.init.ones_(layer.weight)
    pooled = np.stack([[images[:, :, r, c].amax((2, 3)) for c in windows(width)] for r in windows(height)])
    summed = np.stack([[images[:, :, r, c].sum((1, 2, 3)) for c in windows(width)] for r in windows(height)])
    np.testing.assert_array_equal(SameMaxPool()(images).permute(2, 3, 0, 1), pooled)
    np.testing.assert_allclose(layer(images).detach()[:, 0].permute(1, 2, 0), summed, atol=1e-5)


def test_pixels_are_rows_in_the_tables_order_without_a_copy() -> None:
    table = torch.randn(2, 4, 5, 3)
    rows = Pixels()(table.permute(0, 3, 1, 2))
    assert torch.equal(rows, table.flatten(1))
    assert rows.data_ptr() == table.data_ptr()


def test_the_global_mean_is_over_height_and_width() -> None:
    images = torch.randn(2, 3, 4, 5)
    assert torch.allclose(GlobalMean()(images), images.flatten(2).mean(2))


def test_he_initialization_has_the_variance_of_the_paper() -> None:
    torch.manual_seed(0)
    dense, kernel = torch.nn.Linear(300, 400), torch.nn.Conv2d(40, 50, 5)
    he(torch.nn.Sequential(dense, kernel))
    for layer, inputs in ((dense, 300), (kernel, 40 * 25)):
        assert abs(layer.weight.var().item() * inputs / 2 - 1) < 0.03
        assert layer.bias is not None
        assert not layer.bias.any()


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_convolution_keeps_the_images_size_but_for_the_stride(kernel: int, batch_norm: bool) -> None:
    images = torch.zeros(2, 3, 9, 8)
    for stride, size in ((1, (9, 8)), (2, (5, 4))):
        layers = convolution(3, 4, kernel, stride, batch_norm=batch_norm)
        assert nn.Sequential(*layers)(images).shape == (2, 4, *size)
        assert len(layers) == 1 + batch_norm
        assert (layers[0].bias is None) == batch_norm


@pytest.mark.parametrize("side", [(8, 8), (1, 1), (5, 13), (7, 6)])
@pytest.mark.parametrize("size", [7, (6, 6), (1, 1), (3, None)])
def test_adaptive_means_by_products_are_torchs(side: tuple[int, int], size: Any) -> None:
    images = torch.randn(2, 3, *side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    ours, theirs = AdaptiveMean(size).by_products(images), nn.AdaptiveAvgPool2d(size)(images)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    weights = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((each * weights).sum(), images)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)
