"""Least squares against numpy's pseudo-inverse and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from gencli.fitting import least_squares
from tests.helpers import allocated


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 3), st.integers(0, 9))
def test_it_is_the_pseudo_inverse_of_the_centred_rows(n: int, d: int, rank: int, classes: int, seed: int):
    """Of tall, wide and deficient matrices, in blocks of 7 rows."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, rank)) @ random.standard_normal((rank, d)) + 3
    y = random.standard_normal((n, classes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(least_squares, "_at_once", lambda columns: 7)
        w, b = least_squares.fit(x, y)
    expected = np.linalg.pinv(x - x.mean(0), rcond=1e-10) @ (y - y.mean(0))
    np.testing.assert_allclose(w, expected, atol=1e-8 * max(1, np.abs(expected).max()))
    np.testing.assert_allclose(b, y.mean(0) - x.mean(0) @ w, atol=1e-12)


@pytest.mark.parametrize("n", [30, 8])
def test_the_ridge_is_scikit_learns(n: int):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((n, 12)), random.standard_normal((n, 3))
    w, b = least_squares.fit(x, y, ridge=0.7)
    known = Ridge(alpha=0.7, solver="svd").fit(x, y)
    np.testing.assert_allclose(w.T, known.coef_, rtol=1e-9)
    np.testing.assert_allclose(b, known.intercept_, rtol=1e-9)


def test_fewer_rows_than_pixels_are_fitted_exactly():
    random = np.random.default_rng(0)
    x, y = random.random((20, 100), np.float32), np.eye(4)[random.integers(4, size=20)]
    w, b = least_squares.fit(x, y)
    assert np.abs(x @ w + b - y).max() < 1e-12


@pytest.mark.parametrize(("n", "d", "classes"), [(3000, 500, 5), (2500, 20, 600)])
def test_it_takes_the_memory_that_it_says(n: int, d: int, classes: int):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((n, d)), random.standard_normal((n, classes))
    least_squares.fit(x[:10], y[:10])
    taken = allocated(lambda: least_squares.fit(x, y))
    assert 0.97 * taken < least_squares.memory(n, d, classes) < 1.1 * taken
