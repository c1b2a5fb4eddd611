"""The partial factor against its matrix, the preconditioner against explicit roots, and its use."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gencli.fitting import gram, preconditioner
from gencli.fitting.preconditioner import Preconditioner, factor
from tests.fitting.test_gram import made, points, whole


def nothing(done: float) -> None:
    pass


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_factor_is_of_a_part_of_the_matrix(dtype: str, monkeypatch: pytest.MonkeyPatch):
    """K − F Fᵀ is positive, 0 in the pivots' rows, and 0 everywhere once all rows are pivots."""
    monkeypatch.setattr(gram, "SIDE", 16)
    monkeypatch.setattr(preconditioner, "_PROPOSED", 8)
    x = points(40, dtype)
    eps = float(np.finfo(dtype).eps)
    for rank in (1, 12, 40):
        found = factor(made(x), rank, np.random.default_rng(0), nothing).astype(np.float64)
        rest = whole(x) - found @ found.T
        assert found.shape == (40, rank)
        assert np.linalg.eigvalsh(rest)[0] > -1000 * eps
        assert (np.abs(rest).max(1) < 1000 * eps).sum() >= rank
    assert np.trace(rest) < 1e4 * eps


def test_pivots_are_drawn_in_proportion_to_what_is_left(monkeypatch: pytest.MonkeyPatch):
    """Of K = diag(1, 2, 3, 4), whatever is proposed at once, a second pivot follows the first by what is left."""
    monkeypatch.setattr(preconditioner, "_PROPOSED", 3)
    x = np.diag(np.sqrt([1.0, 2, 3, 4]))
    matrix = gram.Gram(gram.Products(x), lambda products, left, right: products)
    counts, random = np.zeros((4, 4)), np.random.default_rng(0)
    for _ in range(800):
        found = factor(matrix, 2, random, nothing)
        one, other = np.abs(found).argmax(0)
        counts[one, other] += 1
    weights = np.arange(1, 5)
    expected = np.array(
        [[0 if i == j else weights[i] / 10 * weights[j] / (10 - weights[i]) for j in range(4)] for i in range(4)]
    )
    assert np.abs(counts / 800 - expected).max() < 4 * np.sqrt(0.25 / 800)


def test_a_matrix_of_low_rank_has_a_factor_of_its_rank():
    x = np.random.default_rng(0).standard_normal((60, 3))
    matrix = gram.Gram(gram.Products(x), lambda products, left, right: products)
    found = factor(matrix, 20, np.random.default_rng(0), nothing)
    assert found.shape == (60, 3)
    np.testing.assert_allclose(found @ found.T, x @ x.T, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_preconditioner_is_the_root_of_an_inverse(ridge: float):
    found = np.random.default_rng(0).standard_normal((30, 4))
    shift = ridge + np.linalg.eigvalsh(found.T @ found)[0]
    expected = np.linalg.inv(np.real(sqrtm(found @ found.T / shift + np.eye(30))))
    np.testing.assert_allclose(Preconditioner(found, ridge)(np.eye(30)), expected, atol=1e-12)
