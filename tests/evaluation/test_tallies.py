"""Counts and sums are the same in whatever portions rows are added, and close where processes add them apart."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from gencli.evaluation.classes import confusion, per_class
from gencli.evaluation.predictions import NONE, Evaluated
from gencli.evaluation.tallies import Tally

CLASSES = ("a", "b", "c", "d")


def evaluated(rows: int, by: tuple[str, ...] = ()) -> Evaluated:
    random = np.random.default_rng(0)
    labels, true, predicted, ranks = random.integers(0, 3, (4, rows))
    predicted[-1] = NONE
    losses, margins = random.normal(0, 1, (2, rows))
    kinds = [[math.nan, "x", None, 0.1][kind] for kind in random.integers(0, 4, rows)]
    groups = [(kind, place % 2) for place, kind in enumerate(kinds)] if by else None
    return Evaluated(
        np.arange(rows), labels, losses, true, predicted, random.random(rows), margins, ranks, by=by, groups=groups
    )


@pytest.mark.parametrize("by", [(), ("corruption", "half")])
def test_portions_change_no_digit(by: tuple[str, ...]) -> None:
    rows = evaluated(500, by)
    whole = Tally.of(rows, 4, [1, 2], True)
    apart = Tally(4, [1, 2], True)
    for start in range(0, 500, 7):
        apart.add(rows.part(slice(start, start + 7)))
    assert per_class(apart, CLASSES, 0).equals(per_class(whole, CLASSES, 0))
    assert confusion(apart, CLASSES).equals(confusion(whole, CLASSES))


@pytest.mark.parametrize("by", [(), ("corruption", "half")])
def test_processes_add_up_to_one(by: tuple[str, ...]) -> None:
    rows = evaluated(100, by)
    whole = Tally.of(rows, 4, [1], True)
    first, *others = (
        Tally.of(rows.part(part), 4, [1], True) for part in (slice(3), slice(3, 70), slice(70, 70), slice(70, 100))
    )
    for other in [*others, Tally(4, [1], True)]:  # the last one had no batch
        first.merge(pickle.loads(pickle.dumps(other)))
    for mine, theirs in zip(per_class(first, CLASSES).to_pylist(), per_class(whole, CLASSES).to_pylist(), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-12)
    assert confusion(first, CLASSES).equals(confusion(whole, CLASSES))
