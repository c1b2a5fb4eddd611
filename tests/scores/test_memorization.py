"""Memorization is exhaustive leave-one-out retraining's, and influence the whole matrix's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gencli.scores import memorization
from gencli.scores.memorization import Memorization, standard_error, strongest

ROWS = 60


def data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Two clusters, and every sixth label wrong."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, ROWS)
    rows = random.normal(0, 1, (ROWS, 3)) + 3 * labels[:, None]
    return rows, np.where(np.arange(ROWS) % 6 == 0, 1 - labels, labels)


def interpolated(rows: NDArray[np.float64], labels: NDArray[np.int64], seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where kernel interpolation of the rows seen is right: a learner in closed form that fits all that it sees."""
    kernel = np.exp(-((rows[:, None] - rows[None]) ** 2).sum(2))
    weights = np.linalg.solve(kernel[np.ix_(seen, seen)], 2.0 * labels[seen] - 1)
    return ((kernel[:, seen] @ weights) > 0) == (labels == 1)


def left_out() -> NDArray[np.float64]:
    """By exhaustive retraining: right with all rows, minus right without the row."""
    rows, labels = data()
    whole = interpolated(rows, labels, np.ones(ROWS, bool))
    without = [interpolated(rows, labels, np.arange(ROWS) != row)[row] for row in range(ROWS)]
    return whole.astype(float) - np.array(without)


def test_of_all_leave_one_out_learners_it_is_exact() -> None:
    rows, labels = data()
    found = Memorization(ROWS)
    for row in range(ROWS):
        seen = np.arange(ROWS) != row
        found.add(seen, interpolated(rows, labels, seen))
    assert found.values().tolist() == left_out().tolist()
    assert 0 < left_out().sum() < ROWS
    assert set(found.seen) == {ROWS - 1}
    assert set(found.left_out) == {1}


def test_of_random_subsets_it_is_near_exhaustive_leave_one_out() -> None:
    rows, labels = data()
    random, found = np.random.default_rng(1), Memorization(ROWS)
    for _ in range(400):
        seen = random.permutation(ROWS) < 0.9 * ROWS
        found.add(seen, interpolated(rows, labels, seen))
    exact, near = left_out(), found.values()
    assert np.corrcoef(exact, near)[0, 1] > 0.95
    assert abs(exact.mean() - near.mean()) < 0.03


def test_a_row_that_all_saw_or_none_is_unknown() -> None:
    found = Memorization(3)
    found.add(np.array([True, True, False]), np.array([True, True, False]))
    found.add(np.array([True, False, False]), np.array([True, False, False]))
    assert found.known.tolist() == [False, True, False]
    assert found.values()[1] == 1


def test_the_standard_error_is_that_of_many_repetitions() -> None:
    random = np.random.default_rng(0)
    inside, outside = random.binomial(70, 0.9, 20_000), random.binomial(30, 0.4, 20_000)
    expected = (inside / 70 - outside / 30).std()
    given = standard_error(inside, np.full(20_000, 70), outside, np.full(20_000, 30))
    assert given.mean() == pytest.approx(expected, rel=0.03)
    assert standard_error(*(np.array([each]) for each in (70, 70, 0, 30)))[0] > 0


@pytest.mark.parametrize("at_once", [1, 50, 1 << 22])
@pytest.mark.parametrize("count", [1, 7, 40, 10_000])
def test_the_strongest_pairs_are_those_of_the_whole_matrix(
    at_once: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memorization, "_PAIRS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    seen, right = random.random((9, 12)) < 0.7, random.random((9, 8)) < 0.5
    seen[:, 3] = True  # a row that all saw
    whole = np.full((12, 8), np.nan)
    for train in range(12):
        for test in range(8):
            inside, outside = right[seen[:, train], test], right[~seen[:, train], test]
            whole[train, test] = inside.mean() - outside.mean() if len(outside) else np.nan
    found = strongest(seen, right, count)
    flat = np.nan_to_num(np.abs(whole.ravel()), nan=-1)
    expected = [at for at in np.argsort(-flat.round(12), kind="stable")[:count] if flat[at] >= 0]
    np.testing.assert_allclose(np.abs(found.influence), flat[expected], atol=1e-12)
    np.testing.assert_allclose(found.influence, whole[found.train, found.test], atol=1e-12)
    assert (found.seen == seen.sum(0)[found.train]).all()
    assert (found.left_out == 9 - found.seen).all()
