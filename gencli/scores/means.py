"""Means over runs, row by row, with standard errors; each run has its own rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Mean:
    """The mean of what runs say of each of n rows; a few numbers a row, however many runs there are."""

    def __init__(self, rows: int) -> None:
        self.count = np.zeros(rows, np.int32)
        self._mean, self._squares = np.zeros(rows), np.zeros(rows)  # squares take no memory until they are written to
        self._added = 0
        self.endless = np.zeros(rows, bool)

    def add(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Takes a run's values [m] of the rows `places` [m], none twice; an infinite one stays so in the mean.

        Welford 1962, "Note on a method for calculating corrected sums of squares and products".
        """
        self.endless[places[np.isinf(values)]] = True
        known = np.isfinite(values)
        at, values = (places, values) if known.all() else (places[known], values[known])
        self.count[at] += 1
        self._added += 1
        if self._added == 1:
            self._mean[at] += values
            return
        off = values - self._mean[at]
        self._mean[at] += off / self.count[at]
        self._squares[at] += off * (values - self._mean[at])

    @property
    def known(self) -> NDArray[np.bool_]:
        """[n] whether a row has a mean: some run has a value, and none an infinite one."""
        return (self.count > 0) & ~self.endless

    def mean(self) -> pa.Array:
        """[n] float64, null where none is known."""
        return pa.array(self._mean, mask=~self.known)

    def error(self) -> pa.Array:
        """[n] float64, the standard error √(s²/k), s² the variance of k runs over k − 1; null below two runs."""
        if self._added < 2:
            return pa.nulls(len(self.count), pa.float64())
        some = self.known & (self.count > 1)
        return pa.array(
            np.sqrt(self._squares / (np.maximum(self.count, 2) - 1) / np.maximum(self.count, 1)), mask=~some
        )
