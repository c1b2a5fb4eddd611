"""Confident learning and self-confidence are cleanlab's, on the same probabilities."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gencli.scores import confident

EXAMPLES = 300


def drawn(seed: int, classes: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (EXAMPLES, classes))
    labels = np.where(random.random(EXAMPLES) < 0.7, logits.argmax(1), random.integers(0, classes, EXAMPLES))
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(1, keepdims=True), labels


def counted(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[int]:
    """By loops, from the paper and what cleanlab adds to it."""
    classes, found = range(probabilities.shape[1]), []
    means = {}
    for each in classes:
        own = [row[each] for row, label in zip(probabilities, labels) if label == each]
        means[each] = max(float(np.mean(own)), 2e-6) if own else np.inf
    for row in probabilities:
        reached = [each for each in classes if row[each] >= means[each] - 1e-6]
        most = max(classes, key=lambda each: (row[each], -each))
        found.append(-1 if not reached else reached[0] if len(reached) == 1 else most)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_counted_class_is_that_of_loops(seed: int) -> None:
    probabilities, labels = drawn(seed)
    labels[labels == 4] = 0  # a class without rows
    assert confident.confident_class(probabilities, labels).tolist() == counted(probabilities, labels)


@pytest.mark.parametrize("seed", range(5))
def test_parity_with_cleanlab(seed: int) -> None:
    count = pytest.importorskip("cleanlab.count")
    rank = pytest.importorskip("cleanlab.rank")
    probabilities, labels = drawn(seed)
    _, off = count.compute_confident_joint(labels, probabilities, return_indices_of_off_diagonals=True)
    found = confident.confident_class(probabilities, labels)
    assert np.flatnonzero((found >= 0) & (found != labels)).tolist() == sorted(off)
    ours = confident.self_confidence(probabilities, labels), confident.normalized_margin(probabilities, labels)
    theirs = (
        rank.get_self_confidence_for_each_label(labels, probabilities),
        rank.get_normalized_margin_for_each_label(labels, probabilities),
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_self_confidence_and_margin_by_hand() -> None:
    probabilities, labels = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]), np.array([0, 1])
    assert confident.self_confidence(probabilities, labels).tolist() == [0.7, 0.25]
    np.testing.assert_allclose(confident.normalized_margin(probabilities, labels), [0.75, 0.375], atol=1e-15)


def test_means_over_runs_have_standard_errors_and_their_rows_alone() -> None:
    (one, labels), (other, _) = drawn(0), drawn(1)
    found = confident.Probabilities(labels, 5)
    found.add(np.arange(EXAMPLES), one)
    found.add(np.arange(10, EXAMPLES), other[10:])
    columns = pa.table(dict(found.columns()))
    both = np.stack([confident.self_confidence(each, labels) for each in (one, other)])[:, 10:]
    expected = [*confident.self_confidence(one, labels)[:10], *both.mean(0)]
    np.testing.assert_allclose(columns["self_confidence"], expected, atol=1e-14)
    np.testing.assert_allclose(columns["self_confidence_se"][10:], both.std(0, ddof=1) / 2**0.5, atol=1e-14)
    assert columns["self_confidence_se"][:10].null_count == 10
    means = np.concatenate([one[:10], (one + other)[10:] / 2])
    wrong = [int(each not in (-1, label)) for each, label in zip(counted(means, labels), labels)]
    assert columns["confident_learning"].to_pylist() == wrong
    assert sum(wrong)
