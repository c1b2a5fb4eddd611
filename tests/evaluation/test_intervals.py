"""Bootstrap intervals against the quantiles of the binomial distribution, which they approach."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gencli.evaluation.intervals import bootstrap


def test_intervals_of_one_group_are_the_binomial_distributions() -> None:
    n, right = 400, 300
    low, high = bootstrap(np.array([n]), np.array([right]), 0)
    assert low.shape == high.shape == (2,)
    assert (low[0], high[0]) == (low[1], high[1])
    expected = stats.binom.ppf([0.025, 0.975], n, right / n) / n
    assert (low[0], high[0]) == pytest.approx(expected, abs=0.01)


def test_groups_are_apart_and_those_without_rows_have_none() -> None:
    low, high = bootstrap(np.array([200, 0, 100]), np.array([0, 0, 100]), 1)
    assert (low[0], high[0]) == (0, 0)
    assert np.isnan([low[1], high[1]]).all()
    assert (low[2], high[2]) == (1, 1)
    expected = stats.binom.ppf([0.025, 0.975], 300, 1 / 3) / 300
    assert (low[3], high[3]) == pytest.approx(expected, abs=0.01)


def test_a_single_row_is_left_out_of_some_resamples() -> None:
    low, high = bootstrap(np.array([9, 1]), np.array([4, 1]), 2)
    assert (low[1], high[1]) == (1, 1)


def test_the_seed_alone_decides() -> None:
    rows, right = np.array([20, 30]), np.array([7, 21])
    assert np.array_equal(bootstrap(rows, right, 3), bootstrap(rows, right, 3))
    assert not np.array_equal(bootstrap(rows, right, 3), bootstrap(rows, right, 4))
