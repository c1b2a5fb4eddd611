"""The in-place solver against numpy's float64 solution."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from gencli.fitting import cholesky
from tests.helpers import allocated

Floats = NDArray[np.float64]


def positive(n: int, smallest: float, seed: int = 0) -> Floats:
    """A random symmetric matrix with eigenvalues from `smallest` to 1."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return (q * np.geomspace(smallest, 1, n)) @ q.T


def solve(matrix: Floats, y: Floats, ridge: float, dtype: str, seen: list[float]) -> tuple[Floats, Floats]:
    return cholesky.solve(lambda i, j: matrix[i, j].astype(dtype), y.astype(dtype), ridge, 5, seen.append)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 70),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-2]),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 9),
)
def test_it_solves_as_numpy_does(n: int, m: int, ridge: float, dtype: str, seed: int):
    """In blocks of 16 rows, that the sizes do and do not divide into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cholesky, "_BLOCK", 16)
        matrix = positive(n, 1e-3, seed).astype(dtype).astype(np.float64)
        y = np.random.default_rng(seed).standard_normal((n, m)).astype(dtype)
        seen: list[float] = []
        alpha, product = solve(matrix, y, ridge, dtype, seen)
    exact = np.linalg.solve(matrix + ridge * np.eye(n), y.astype(np.float64))
    eps = float(np.finfo(dtype).eps)
    assert alpha.dtype == dtype
    assert np.linalg.norm(alpha - exact) < 1e4 * eps * np.linalg.norm(exact)
    np.testing.assert_allclose(product, matrix @ alpha, atol=1e-12 * np.abs(exact).sum())
    assert all(one < other for one, other in pairwise(seen))
    assert seen[-1] == pytest.approx(1)
    assert seen[len(seen) // 2 - 1] == pytest.approx(n * n * 5 / 2 / (n * n * 5 / 2 + n**3 / 6))  # the matrix itself


def test_refinement_leaves_the_rounding_of_the_solution_alone(monkeypatch: pytest.MonkeyPatch):
    """A factor alone leaves an error of about eps times the condition number."""
    monkeypatch.setattr(cholesky, "_BLOCK", 16)
    matrix, y = positive(300, 1e-4).astype(np.float32).astype(np.float64), np.ones((300, 1))
    exact = np.linalg.solve(matrix, y)
    once = cho_solve(cho_factor(matrix.astype(np.float32)), y.astype(np.float32))
    alpha, _ = solve(matrix, y, 0.0, "float32", [])
    assert np.linalg.norm(alpha - exact) < 1e-6 * np.linalg.norm(exact)
    assert np.linalg.norm(once - exact) > 1e-5 * np.linalg.norm(exact)


def test_a_matrix_that_is_not_positive_definite_has_no_factor():
    matrix = np.eye(2000)
    matrix[1500, 1500] = -1.0
    with pytest.raises(cholesky.NotPositive, match="1024"):
        solve(matrix, np.ones((2000, 1)), 0.0, "float32", [])
    matrix[1500, 1500] = np.nan
    with pytest.raises(cholesky.NotPositive, match="1024"):
        solve(matrix, np.ones((2000, 1)), 0.0, "float64", [])


@pytest.mark.parametrize(("n", "dtype", "most"), [(2500, "float32", 1.2), (1500, "float64", 1.5)])
def test_it_takes_the_memory_that_it_says(n: int, dtype: str, most: float):
    points = np.random.default_rng(0).standard_normal((n, 10)).astype(dtype)

    def run(rows: int) -> None:
        few = points[:rows]
        cholesky.solve(lambda i, j: few[i] @ few[j].T, few[:, :1], 100.0, 10, lambda done: None)

    run(10)
    taken = allocated(lambda: run(n))
    assert taken < cholesky.memory(n, np.dtype(dtype).itemsize) < most * taken
