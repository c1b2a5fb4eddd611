"""Memorization and influence, from which networks saw a row and which are right about it.

mem(i) = P[right at i | i seen] − P[right at i | i left out], infl(i, j) likewise of a test row j (Feldman 2020,
arXiv:1906.05271; Feldman, Zhang 2020, arXiv:2008.03703), the shares of networks each of which saw a random part of the
rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PAIRS_AT_ONCE = 1 << 22

Counts = NDArray[np.int64]


def standard_error(right_in: Counts, seen: Counts, right_out: Counts, left_out: Counts) -> NDArray[np.float64]:
    """Of the difference of the shares right_in/seen and right_out/left_out.

    √(p₁(1 − p₁)/(n₁ + 2) + p₂(1 − p₂)/(n₂ + 2)), where each p has one network right and one wrong more, so
    that it is not 0 where all agree (Agresti, Caffo 2000, "Simple and effective confidence intervals for proportions").
    """
    parts = [((right + 1) / (count + 2), count + 2) for right, count in ((right_in, seen), (right_out, left_out))]
    return np.sqrt(sum(share * (1 - share) / count for share, count in parts))


class Memorization:
    """The counts of n rows.

    Attributes:
        seen, left_out: [n] how many networks saw a row, and how many did not.
    """

    def __init__(self, rows: int) -> None:
        self.seen, self.left_out, self._right_in, self._right_out = np.zeros((4, rows), np.int64)

    def add(self, seen: NDArray[np.bool_], right: NDArray[np.bool_]) -> None:
        """Takes a network: which rows [n] it saw, and at which it is right."""
        self.seen += seen
        self.left_out += ~seen
        self._right_in += seen & right
        self._right_out += ~seen & right

    @property
    def known(self) -> NDArray[np.bool_]:
        """[n] whether some networks saw a row and some did not."""
        return (self.seen > 0) & (self.left_out > 0)

    def values(self) -> NDArray[np.float64]:
        """[n] memorization; NaN where it is not known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._right_in / self.seen - self._right_out / self.left_out

    def errors(self) -> NDArray[np.float64]:
        """[n] standard errors."""
        return standard_error(self._right_in, self.seen, self._right_out, self.left_out)


@dataclass(frozen=True)
class Pairs:
    """Training rows and the test rows that they bear on, strongest first.

    Attributes:
        train, test: [pairs] places of the rows.
        influence, error: [pairs], with its standard error.
        seen, left_out: [pairs] the networks on each side.
    """

    train: Counts
    test: Counts
    influence: NDArray[np.float64]
    error: NDArray[np.float64]
    seen: Counts
    left_out: Counts


def strongest(seen: NDArray[np.bool_], right: NDArray[np.bool_], count: int) -> Pairs:
    """The pairs of largest |influence|, and of equal ones the first by training row and test row.

    The matrix of all pairs is made some training rows at a time; of what comes only those are kept that may be among
    the strongest.

    Args:
        seen: [networks, rows], which network saw which training row.
        right: [networks, test rows], which is right at which.
        count: how many pairs, at most.
    """
    known = np.flatnonzero(seen.any(0) & ~seen.all(0))
    tests = right.shape[1]
    right_all = right.sum(0, dtype=np.int64)
    floats = right.astype(np.float32)  # counts up to 2²⁴ are exact in it
    kept, values = np.empty(0, np.int64), np.empty(0)
    step = max(1, _PAIRS_AT_ONCE // max(1, tests))
    for start in range(0, len(known), step):
        rows = known[start : start + step]
        inside = seen[:, rows].sum(0, dtype=np.int64)[:, None]
        right_in = seen[:, rows].T.astype(np.float32) @ floats
        found = (right_in / inside - (right_all - right_in.astype(np.int64)) / (len(seen) - inside)).ravel()
        least = np.abs(values[-1]) if len(values) == count else -1.0
        new = np.flatnonzero(np.abs(found) > least)
        if len(new) > count:  # those that tie with the last are kept, which come first is decided below
            cut = np.partition(np.abs(found[new]), -count)[-count]
            new = new[np.abs(found[new]) >= cut]
        kept = np.concatenate([kept, rows[new // tests] * tests + new % tests])
        values = np.concatenate([values, found[new]])
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        kept, values = kept[order], values[order]
    train, test = kept // max(1, tests), kept % max(1, tests)
    inside, outside = seen.sum(0, dtype=np.int64)[train], (~seen).sum(0, dtype=np.int64)[train]
    right_in = np.array([(seen[:, i] & right[:, j]).sum() for i, j in zip(train, test)], np.int64)
    error = standard_error(right_in, inside, right_all[test] - right_in, outside)
    return Pairs(train, test, values, error, inside, outside)
