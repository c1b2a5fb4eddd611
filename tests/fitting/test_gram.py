"""Kernel matrices by tiles against whole ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gencli.fitting import gram
from gencli.fitting.gram import Gram, Products

Floats = NDArray[np.float64]


def points(n: int, dtype: str = "float32", seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, 5)).astype(dtype)


def values(products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """exp(−0.3 ‖x − y‖²)."""
    return products.mul_(-2).add_(left).add_(right).mul_(-0.3).exp_()


def whole(x: Floats) -> Floats:
    x = x.astype(np.float64)
    return np.exp(-0.3 * ((x[:, None] - x) ** 2).sum(2))


def made(x: Floats, index: NDArray[np.int64] | None = None, room: int = 1 << 30) -> Gram:
    matrix = Gram(Products(x), values, index)
    matrix.keep(matrix.fitting(room), lambda done: None)
    return matrix


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gram, "SIDE", 16)


@pytest.mark.parametrize("n", [1, 16, 50])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_those_of_the_whole_matrix(n: int, dtype: str):
    x, right = points(n, dtype), points(n, "float64", 1)
    matrix, expected = made(x), whole(x)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(matrix.product(right), expected @ right, atol=100 * eps * n)
    np.testing.assert_allclose(matrix.diagonal(), 1, atol=20 * eps)
    chosen = np.array([0, n - 1])
    np.testing.assert_allclose(matrix.columns(slice(0, n), chosen), expected[:, chosen], atol=20 * eps)


def test_each_tile_that_is_kept_advances_by_its_share():
    matrix, done = Gram(Products(points(50)), values), list[float]()
    assert matrix.places() == [(i, j) for i in range(4) for j in range(i, 4)]
    matrix.keep(matrix.places(), done.append)
    assert done == [place / 10 for place in range(1, 11)]


def test_an_exact_product_rounds_in_float64_alone():
    x, right = points(50), points(50, "float64", 1)
    matrix, expected = made(x), np.zeros((50, 50))
    for i, j in matrix.places():
        tile = matrix.make(i, j).astype(np.float64)
        expected[matrix.parts[j], matrix.parts[i]] = tile.T
        expected[matrix.parts[i], matrix.parts[j]] = tile
    assert np.abs(matrix.product(right, exact=True) - expected @ right).max() < 1e-13
    assert np.abs(matrix.product(right) - expected @ right).max() > 1e-9


def test_tiles_that_are_made_again_give_the_same_bytes_in_any_number_of_threads(monkeypatch: pytest.MonkeyPatch):
    x, right = points(100), points(100, "float64", 1)
    expected = made(x).product(right)
    for room, threads in [(0, "1"), (5000, "3"), (1 << 30, "2")]:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        matrix = made(x, room=room)
        assert len(matrix.fitting(room)) == min(room // (4 * 256), len(matrix.places()))
        assert (matrix.product(right) == expected).all()
    shared = Products(x)
    shared.keep()
    assert (Gram(shared, values).product(right) == expected).all()
    assert (Gram(shared, values).product(right) == expected).all()  # a tile is a copy that a kernel may overwrite


def test_some_of_the_rows_have_the_matrix_of_their_rows():
    x, index = points(100), np.array([0, 1, 17, 18, 19, 55, 99])
    right = points(len(index), "float64", 1)
    matrix = made(x, index)
    np.testing.assert_allclose(matrix.product(right), whole(x[index]) @ right, atol=1e-5)
    np.testing.assert_allclose(matrix.columns(slice(2, 5), np.array([6])), whole(x[index])[2:5, 6:], atol=1e-5)


def test_the_bytes_of_half_a_matrix_are_those_of_its_tiles():
    matrix = made(points(100))
    assert gram.halves(100, 4) == sum(matrix.make(i, j).nbytes for i, j in matrix.places())
    assert len(matrix.fitting(gram.halves(100, 4))) == len(matrix.places())
    assert len(matrix.fitting(gram.halves(100, 4) - 1)) == len(matrix.places()) - 1


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with gram.one_thread_each():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
