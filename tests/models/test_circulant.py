"""Circulant layers: the product by FFT is the dense one, the initialization keeps variances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gencli import models
from gencli.models.circulant import Circulant


@given(st.integers(1, 40), st.integers(1, 3))
def test_the_product_by_fft_is_that_of_the_circulant_matrix(size: int, rows: int) -> None:
    layer = Circulant(size)
    values = torch.randn(rows, size)
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    weight, bias = (each.detach().numpy().astype(np.float64) for each in (layer.weight, layer.bias))
    matrix = np.array([[weight[(i - j) % size] for j in range(size)] for i in range(size)])
    expected = values.numpy().astype(np.float64) @ matrix.T + bias
    np.testing.assert_allclose(layer(values).detach(), expected, atol=1e-5)


def test_gradients_are_those_of_the_circulant_matrix() -> None:
    layer = Circulant(5, bias=False).double()
    rows = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)

    def product(weight: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, rows)

    assert torch.autograd.gradcheck(product, (layer.weight, rows))
    assert torch.autograd.gradgradcheck(product, (layer.weight, rows))


def test_a_layer_keeps_the_mean_square_after_relu() -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 64)
    squares = [Circulant(64)(values).relu().square().mean().item() for _ in range(300)]
    assert np.mean(squares) == pytest.approx(values.square().mean().item(), rel=0.05)


def test_the_transform_stays_in_float32_under_autocast() -> None:
    layer, values = Circulant(64), torch.randn(3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(values), layer.float()(values))


def test_circulant_layers_stand_between_dense_ones() -> None:
    network = models.build("circulant-mlp-2x7", (4, 3, 2), 5)
    layers = [type(layer) for layer in network.children()][1:]
    assert layers == [nn.Linear, nn.ReLU, Circulant, nn.ReLU, Circulant, nn.ReLU, nn.Linear]
    assert sum(p.numel() for p in network.parameters()) == 24 * 7 + 7 + 2 * (7 + 7) + 7 * 5 + 5
