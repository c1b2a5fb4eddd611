"""Bootstrap intervals of accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gencli.randomness import derive

RESAMPLES, LEVEL = 1000, 0.95


def bootstrap(
    rows: NDArray[np.int64], right: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % percentile intervals of accuracy in groups and overall, from 1,000 resamples of all rows.

    A resample of n rows with replacement is a multinomial draw of how often each (group, right or wrong) comes, which
    is drawn instead: the same distribution, whatever n.

    Efron 1979, "Bootstrap methods: another look at the jackknife"; the percentile interval.

    Args:
        rows, right: [count] how many each group has, and how many of these are predicted as their labels.

    Returns:
        low, high: [count + 1] float64, the overall ones last; NaN where a group has no rows.
    """
    cells, total, count = np.stack([rows - right, right], 1).ravel(), rows.sum(), len(rows)
    generator = np.random.Generator(np.random.Philox(derive(seed, "bootstrap")))
    drawn = generator.multinomial(total, cells / total, RESAMPLES).reshape(RESAMPLES, count, 2)
    drawn = np.concatenate([drawn, drawn.sum(1, keepdims=True)], 1)
    n = drawn.sum(2)
    low, high = np.full((2, count + 1), np.nan)
    for group in np.flatnonzero(n.any(0)):
        there = n[:, group] > 0  # a small group may be left out of a resample
        shares = drawn[there, group, 1] / n[there, group]
        low[group], high[group] = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return low, high
