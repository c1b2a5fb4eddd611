"""Uniform stability: the sets, points and losses that it compares."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.theory.uniform_stability import UniformStability, _Points


def test_each_set_has_one_held_out_row_in_place_of_one_of_its_own() -> None:
    sets = UniformStability(examples=12, removals=3)._sets(4)
    assert sets.tolist() == [[0, 1, 2, 3], [12, 1, 2, 3], [0, 13, 2, 3], [0, 1, 14, 3]]


def test_more_than_a_quarter_of_the_examples_cannot_be_left_out() -> None:
    assert UniformStability(examples=12, removals=3).removals == 3
    with pytest.raises(GencliError, match="--removals 4: more than a quarter of the 12 --examples"):
        UniformStability(examples=12, removals=4)


def test_points_keep_their_products_and_the_largest_length() -> None:
    x, y = np.random.default_rng(0).standard_normal((12, 20)), np.array([1, -1] * 6)
    points = UniformStability(examples=8, removals=2)._points(x, y)
    assert points.radius == pytest.approx(math.sqrt(max((x**2).sum(1))), rel=1e-12)
    signed = y[:10, None] * x[:10]
    np.testing.assert_allclose(points.signed[:10] @ points.signed[:10].T, signed @ signed.T, atol=1e-12)
    assert points.signed.shape == (12, 10)


def test_losses_are_logistic_of_each_row_at_each_weight() -> None:
    losses = _Points(np.array([[1.0, 2.0], [0.0, -1.0]]), 1.0).losses(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    expected = [[math.log(1 + math.exp(-m)) for m in row] for row in ([1, 3, 0], [0, -1, 0])]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_a_minimizer_has_no_gradient() -> None:
    features = np.array([[1.0, 0.5], [-0.5, 2.0], [0.0, 0.0]])
    w = UniformStability(examples=12, removals=3, decay=0.2)._minimizer(features, np.zeros(2))
    gradient = -(features / (1 + np.exp(features @ w))[:, None]).sum(0) / 3 + 0.2 * w
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_one_visit_of_sgd_moves_each_set_by_its_own_row() -> None:
    claim = UniformStability(examples=4, removals=1, passes=1)
    points = _Points(np.array([[2.0], [1.0], [1.0], [1.0], [-1.0]]), 2.0)
    (row,) = claim._descended(points, np.array([0]), 1, 1)  # steps of 8 / (4 n) = 2 with half the row
    first, other = 2 * 0.5 * 2.0, 2 * 0.5 * -1.0
    change = max(abs(np.logaddexp(0, -x * other) - np.logaddexp(0, -x * first)) for x in (2.0, 1.0, -1.0))
    assert (row.quantity, row.relation) == ("beta, one replaced, at least; bound", "<=")
    assert row.left == pytest.approx(change, rel=1e-12)
    assert row.right == pytest.approx(2 * 4 * 2 * 1)
    (weaker,) = claim._descended(points, np.array([0]), 1, 4)
    assert weaker.right == pytest.approx(4)
