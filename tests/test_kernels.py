"""Kernels against their definitions in float64, those of infinite networks also against a wide one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from gencli import kernels
from gencli.errors import GencliError
from gencli.models import learners

SHAPE = (8, 7, 2)
WORDS = ["gaussian:0.1", "linear", "laplace:0.3", "ntk:1", "ntk:3", "arccos:2", "random-conv:5"]
Floats = NDArray[np.float64]


def some(n: int = 9, seed: int = 0) -> torch.Tensor:
    """Rows of pixels, some of both signs, row 0 black and rows 1 and 2 equal."""
    random = np.random.default_rng(seed)
    rows = random.random((n, math.prod(SHAPE))) - (np.arange(n) % 2)[:, None] / 2
    rows[0], rows[2] = 0, rows[1]
    return torch.from_numpy(rows)


def neural_tangents(x: Floats, y: Floats, depth: int) -> tuple[Floats, Floats]:
    """NNGP and NTK as neural_tangents' stax.serial(Dense(W_std=√2), Relu(), …, Dense(W_std=√2)) computes them.

    Dense: nngp ← W_std² nngp, ntk ← nngp + W_std² ntk. ABRelu(0, 1): with s = √(q q' − nngp²) and θ = arctan2(s, nngp),
    nngp ← s / 2π + (1 − θ/π) nngp / 2 and ntk ← ntk (1 − θ/π) / 2. Novak et al. 2020, arXiv:1912.02803.
    """
    nngp, left, right = x @ y.T / x.shape[1], (x**2).mean(1)[:, None], (y**2).mean(1)
    nngp, left, right = 2 * nngp, 2 * left, 2 * right
    ntk = nngp.copy()
    for _ in range(depth):
        root = np.sqrt(np.maximum(left * right - nngp**2, 0))
        share = 1 - np.arctan2(root, nngp) / np.pi
        nngp, ntk = root / (2 * np.pi) + share * nngp / 2, ntk * share / 2
        left, right = left / 2, right / 2
        nngp, left, right = 2 * nngp, 2 * left, 2 * right
        ntk = nngp + 2 * ntk
    return nngp, ntk


def convolutional(x: Floats, filters: int, seed: int) -> Floats:
    """The features patch by patch."""
    from gencli.randomness import derive

    height, width, channels = SHAPE
    random = np.random.Generator(np.random.Philox(derive(seed, "random-conv")))
    drawn = random.standard_normal((filters, channels, 6, 6), np.float32).astype(float)
    found: Any = np.zeros((len(x), filters, height - 5, width - 5))
    for row, image in enumerate(x.reshape(-1, *SHAPE)):
        for i in range(height - 5):
            for j in range(width - 5):
                patch = image[i : i + 6, j : j + 6].transpose(2, 0, 1)
                patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
                found[row, :, i, j] = (drawn * patch).sum((1, 2, 3))
    found /= np.sqrt(drawn[0].size * filters)
    # three rows and two columns of places, in halves that share the middle row
    cells = [[found[:, :, i : i + 2, j] for j in (0, 1)] for i in (0, 1)]
    halves = [np.maximum(sign * np.array(cells), 0).mean(-1).transpose(2, 3, 0, 1) for sign in (1, -1)]
    return np.concatenate([half.reshape(len(x), -1) for half in halves], 1)


def expected(word: str, x: Floats, y: Floats) -> Floats:
    name, _, number = word.partition(":")
    if name == "gaussian":
        return np.exp(-float(number) * cdist(x, y, "sqeuclidean"))
    if name == "laplace":
        return np.exp(-float(number) * cdist(x, y))
    if name == "random-conv":
        return convolutional(x, int(number), 3) @ convolutional(y, int(number), 3).T
    return x @ y.T if name == "linear" else neural_tangents(x, y, int(number))[name == "ntk"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("word", WORDS)
def test_a_kernel_is_its_definition(word: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "_AT_ONCE", 20)  # two rows of each tile at a time
    kernel, x, y = kernels.parse(word, 3), some(), torch.cat([some(seed=1), some()[1:3]])
    found = kernel.matrix(kernel.points(x.to(dtype), SHAPE), kernel.points(y.to(dtype), SHAPE))
    assert found.dtype == dtype
    rounded = x.to(dtype).double().numpy(), y.to(dtype).double().numpy()
    errors = np.abs(found.double().numpy() - expected(word, *rounded))
    same = cdist(*rounded) == 0
    assert errors[~same].max() < (4e-5 if dtype == torch.float32 else 1e-13)
    assert errors[same].max() < (4e-5 if dtype == torch.float32 else 1e-8)  # the recursion's own root of its rounding
    assert kernel.points(x, SHAPE).shape == (len(x), kernel.dimension(SHAPE))


def test_a_matrix_is_computed_in_tiles_of_so_many_elements(monkeypatch: pytest.MonkeyPatch):
    found: list[tuple[int, ...]] = []

    class Seen(kernels.Linear):
        def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            found.append((*products.shape, *left.shape))
            return products

    monkeypatch.setattr(kernels, "_AT_ONCE", 33)
    x, y = torch.rand(7, 2), torch.rand(11, 2)
    assert torch.equal(Seen().matrix(x, y), x @ y.T)
    assert found == [(3, 11, 3, 1), (3, 11, 3, 1), (1, 11, 1, 1)]
    found.clear()
    Seen().matrix(x, torch.rand(34, 2))
    assert found == [(1, 34, 1, 1)] * 7
    Seen().matrix(x, y, derived=True)
    assert found[7:] == [(7, 11, 7, 1)]
    assert {name for name, kind in kernels.KERNELS.items() if kind.linear} == {"linear", "random-conv"}
    assert {name for name, kind in kernels.KERNELS.items() if not kind.zero} == {"gaussian", "laplace"}


@pytest.mark.parametrize("word", WORDS)
def test_equal_images_have_equal_values_and_black_ones_none_that_is_not_finite(word: str):
    """Also in float32, whose rounding of ⟨x, x⟩ κ₀ and the distance would show the root of."""
    kernel, x = kernels.parse(word, 3), some(200).float()
    points = kernel.points(x, SHAPE)
    found = kernel.matrix(points, points)
    assert found.isfinite().all()
    assert (found[0] == 0).all() == kernel.zero
    torch.testing.assert_close(found[1], found[2], rtol=1e-6, atol=1e-6)
    norms = points.square().sum(1)
    factor = {"ntk:1": 2, "ntk:3": 4, "gaussian:0.1": 0, "laplace:0.3": 0}.get(word, 1)
    torch.testing.assert_close(found.diagonal(), norms * factor if factor else norms * 0 + 1, rtol=2e-6, atol=2e-6)


def test_a_wide_network_has_nearly_the_limits_kernels():
    """Two hidden layers of 4,096 ReLUs: gradients by all weights; those by the last layer's have the covariance."""
    x = some(7, seed=2)[4:].float()
    sizes = [(x.shape[1], 4096), (4096, 4096), (4096, 1)]
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(size, generator=random).requires_grad_() for size in sizes]
    gradients = []
    for row in x:
        hidden = row @ weights[0]
        for before, each in pairwise(weights):
            hidden = (hidden * math.sqrt(2 / len(before))).relu() @ each
        gradients.append(torch.autograd.grad(hidden.squeeze() * math.sqrt(2 / len(weights[-1])), weights))
    by_layer = [torch.stack([row[layer].flatten() for row in gradients]) for layer in range(3)]
    products = torch.stack([rows @ rows.T for rows in by_layer]).double()
    for word, found in ("ntk:2", products.sum(0)), ("arccos:2", products[-1]):
        points = kernels.parse(word).points(x.double(), SHAPE)
        limit = kernels.parse(word).matrix(points, points)
        assert ((found - limit).norm() / limit.norm()).item() < 0.05


@pytest.mark.parametrize("word", WORDS)
def test_a_kernel_is_read_from_its_facts(word: str):
    kernel = kernels.parse(word, 3)
    assert kernels.read(kernel.facts()) == kernel
    assert kernel.word == word


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("arccos:100", "arccos:100"), ("ntk:100", "ntk:100"), ("random-conv:65536", "random-conv:65536"),
        ("gaussian:.5", "gaussian:0.5"), ("gaussian:2.", "gaussian:2"), ("laplace:1e-3", "laplace:0.001"),
        ("gaussian:0.123456789", "gaussian:0.123456789"),
    ],
)  # fmt: skip
def test_a_kernel_takes_numbers_up_to_its_most(word: str, means: str):
    assert kernels.parse(word).word == means


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"kernel": "gauss", "scale": 1.0},
        {"kernel": "gaussian"},
        {"kernel": "gaussian", "scale": float("nan")},
        {"kernel": "gaussian", "scale": -1.0},
        {"kernel": "gaussian", "scale": "1"},
        {"kernel": "gaussian", "scale": True},
        {"kernel": "linear", "scale": 1.0},
        {"kernel": "ntk", "depth": 0},
        {"kernel": "ntk", "depth": 2.5},
        {"kernel": "ntk", "depth": 10**9},
        {"kernel": "random-conv", "filters": 10**9, "seed": 0},
        {"kernel": "random-conv", "filters": 2, "seed": [1]},
    ],
)
def test_facts_of_no_kernel_are_refused(facts: dict[str, Any]):
    with pytest.raises((KeyError, TypeError, ValueError)):
        kernels.read(facts)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("gausian:1", "no kernel 'gausian'", "did you mean gaussian?"),
        ("nkt:2", "no kernel 'nkt'", "did you mean ntk?"),
        ("", "no kernel ''", "known: gaussian, linear, laplace, arccos, ntk, random-conv"),
        ("ntk", "'ntk' is not a kernel", "give ntk:DEPTH, such as ntk:2"),
        ("ntk:0", "'ntk:0' is not a kernel", "give ntk:DEPTH, such as ntk:2"),
        ("ntk:1.5", "'ntk:1.5' is not a kernel", "give ntk:DEPTH, such as ntk:2"),
        ("arccos:101", "'arccos:101' is not a kernel", "give arccos:DEPTH, such as arccos:2"),
        ("random-conv:65537", "is not a kernel", "give random-conv:FILTERS, such as random-conv:512"),
        ("laplace:0", "'laplace:0' is not a kernel", "give laplace:G, such as laplace:0.1"),
        ("laplace:inf", "'laplace:inf' is not a kernel", "give laplace:G, such as laplace:0.1"),
        ("random-conv:-3", "'random-conv:-3' is not a kernel", "give random-conv:FILTERS, such as random-conv:512"),
        ("linear:2", "'linear:2' is not a kernel", "give linear, without a number"),
        ("linear:", "'linear:' is not a kernel", "give linear, without a number"),
    ],
)
def test_words_that_are_no_kernel_are_refused_with_the_nearest(word: str, message: str, hint: str):
    with pytest.raises(GencliError) as refused:
        kernels.parse(word)
    assert message in refused.value.message
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("shape", "cells"), [((8, 7, 2), 4), ((6, 7, 1), 2), ((7, 6, 1), 2), ((3, 9, 1), 2), ((9, 3, 1), 2)]
)
def test_a_random_convolution_pools_as_many_cells_as_there_are_places(shape: tuple[int, int, int], cells: int) -> None:
    kernel, pixels = kernels.parse("random-conv:5"), torch.rand(3, math.prod(shape))
    assert kernel.dimension(shape) == kernel.points(pixels, shape).shape[1] == 2 * 5 * cells


@pytest.mark.parametrize("word", ["gaussian:0.5", "laplace:0.5", "linear", "arccos:2", "ntk:2"])
def test_a_fitted_kernel_is_derived_by_its_images(word: str) -> None:
    """Against central differences, in float64; what is computed in place has no derivatives in reverse mode."""
    draws = torch.Generator().manual_seed(3)
    learner = learners.Kernel((2, 3, 1), 4, 5, "float32", "float64", **kernels.parse(word).facts())
    learner.images.copy_(255 * torch.rand(5, 2, 3, 1, generator=draws))
    torch.nn.init.normal_(learner.alpha, generator=draws)
    image = torch.rand(1, 1, 2, 3, generator=draws, dtype=torch.float64)
    found = torch.func.jacrev(learner)(image).reshape(4, 6)
    for place in range(6):
        step = 1e-5 * torch.eye(6, dtype=torch.float64)[place].reshape(image.shape)
        with torch.no_grad():
            expected = (learner(image + step) - learner(image - step))[0] / 2e-5
        torch.testing.assert_close(found[:, place], expected, rtol=1e-6, atol=1e-8)
