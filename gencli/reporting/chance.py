"""Which influences are larger than chance explains. The largest of very many are large by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MEMORIZED = 0.25  # from which Feldman and Zhang call a row so
_CHANCE = 0.05

Floats = NDArray[np.float64]


def beyond_chance(
    memorized: Floats, tests: int, memorization: Floats, influence: Floats, error: Floats
) -> tuple[NDArray[np.bool_], str]:
    """Pairs of a memorized row and a test row whose influence is beyond chance, and how many they are, in words.

    Counted are influences larger than the normal quantile of 5 % among all pairs of a memorized row (0.25 or more) and
    a test row (Bonferroni), in standard errors.

    Args:
        memorized: [rows] memorization of all training rows; NaN where it is not known.
        tests: how many test rows there are.
        memorization, influence, error: [pairs] of the training row, and of the pair, with its standard error.
    """
    from scipy.special import ndtri

    count = int((memorized >= _MEMORIZED).sum()) * tests
    least = float(-ndtri(_CHANCE / max(1, count)))
    found = (memorization >= _MEMORIZED) & (influence > least * error)
    return found, (
        f"{found.sum() or 'none'} of the {len(found):,} pairs beyond chance: more than {least:.1f} standard errors, "
        f"as there are {count:,} pairs of a memorized row and a test row"
    )
