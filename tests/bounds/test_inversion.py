"""Limits against scipy's, and their slopes against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import rel_entr
from scipy.stats import beta, binom

from gencli.bounds import inversion

CASES = [(q, c) for q in (0.0, 1e-6, 0.03, 0.5, 0.97) for c in (1e-6, 0.01, 0.3, 0.9)]


@pytest.mark.parametrize(("q", "c"), CASES)
def test_the_inverse_is_the_root_that_brent_finds(q: float, c: float) -> None:
    expected = brentq(lambda p: rel_entr(q, p) + rel_entr(1 - q, 1 - p) - c, q, 1 - 1e-15, xtol=1e-15)
    found = inversion.upper(q, c)
    assert found == pytest.approx(expected, abs=1e-12)
    assert inversion.kl(q, found) >= c - 1e-12


def test_the_ends() -> None:
    assert inversion.upper(1.0, 0.1) == 1
    assert inversion.upper(0.2, math.inf) == 1
    assert inversion.upper(0.2, 0.0) == pytest.approx(0.2, abs=1e-7)
    assert inversion.upper(0.0, 0.5) == pytest.approx(-math.expm1(-0.5), abs=1e-12)
    assert inversion.kl(0.3, 0.3) == 0
    assert inversion.kl(0.0, 0.5) == inversion.kl(1.0, 0.5) == math.log(2)
    assert inversion.kl(0.3, 0.0) == inversion.kl(0.3, 1.0) == math.inf
    assert inversion.kl(0.0, 0.0) == inversion.kl(1.0, 1.0) == 0


@pytest.mark.parametrize(("q", "c"), [(0.03, 0.05), (0.3, 0.01), (0.5, 0.5), (0.001, 0.2)])
def test_slopes_are_limits_of_differences(q: float, c: float) -> None:
    step = 1e-6
    by_q = (inversion.upper(q + step, c) - inversion.upper(q - step, c)) / (2 * step)
    by_c = (inversion.upper(q, c + step) - inversion.upper(q, c - step)) / (2 * step)
    assert inversion.slopes(q, c) == pytest.approx((by_q, by_c), rel=1e-4)


@pytest.mark.parametrize("q", [0.0, 1.0, 0.5])
def test_slopes_are_finite_at_the_ends(q: float) -> None:
    for c in (0.0, 1e-9, 0.1, 5.0, 100.0):
        assert np.isfinite(inversion.slopes(q, c)).all()


def test_slopes_at_the_ends_are_those_a_little_beside_them() -> None:
    """Of q 1e-9 from them, p at least as much beside it in parts of the width, which is 1e-12 at least."""
    assert inversion.slopes(1.0, 0.1) == pytest.approx((math.log(1000), 1.0), rel=1e-4)
    assert inversion.slopes(0.0, 0.0) == pytest.approx((1e-9, 1e3), rel=1e-3)


@pytest.mark.parametrize(("errors", "n"), [(0, 1), (0, 100), (3, 100), (99, 100), (411, 10_000), (50, 51)])
def test_the_binomial_limit_is_the_beta_quantile_and_just_covers(errors: int, n: int) -> None:
    for delta in (0.5, 0.05, 1e-6):
        found = inversion.binomial_upper(errors, n, delta)
        assert found == pytest.approx(beta.ppf(1 - delta, errors + 1, n - errors), abs=1e-10)
        assert binom.cdf(errors, n, found) == pytest.approx(delta, rel=1e-6)
    assert inversion.binomial_upper(n, n, 0.05) == 1
