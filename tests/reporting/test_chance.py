"""Influences beyond chance, by the normal quantile of all pairs, and where they begin to be."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from gencli.reporting.chance import beyond_chance


@pytest.mark.parametrize(("tests", "pairs"), [(1, 2), (50, 100), (1000, 2000)])
def test_a_pair_is_beyond_chance_where_few_of_all_would_be_as_large(tests: int, pairs: int) -> None:
    least = -NormalDist().inv_cdf(0.05 / pairs)
    memorized = np.array([0.25, 0.75, 0.249, math.nan])
    influence = np.array([1.001, 0.999, 1.001, 2.5, 1.001]) * least / 10
    of_row = np.array([0.25, 0.25, 0.249, math.nan, 0.75])
    found, said = beyond_chance(memorized, tests, of_row, influence, np.full(5, 0.1))
    assert found.tolist() == [True, False, False, False, True]
    assert said == (
        f"2 of the 5 pairs beyond chance: more than {least:.1f} standard errors, as there are {pairs:,} pairs of a "
        "memorized row and a test row"
    )


def test_without_a_memorized_row_there_is_none() -> None:
    nothing = np.zeros(1)
    found, said = beyond_chance(nothing, 5, nothing, np.ones(1), np.full(1, 0.1))
    assert found.tolist() == [False]
    assert said.startswith("none of the 1 pairs beyond chance: more than 1.6 standard errors, as there are 0 pairs")
