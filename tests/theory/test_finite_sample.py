"""The network of 2n + d weights: it fits whatever distinct points are given, and is the function that it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.fitting.finite_sample import Weights, fit, predict, project

POINTS = st.tuples(st.integers(1, 30), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.int16, shape, elements=st.integers(-100, 100))
)


def dense(network: Weights, points: NDArray[np.floating]) -> NDArray[np.floating]:
    """c(x) as it is written: every hidden unit of every point."""
    hidden = np.maximum((points @ network.a)[:, None] - network.b, 0)
    return (hidden * network.w).sum(1)


@settings(max_examples=60)
@given(POINTS, st.integers(0, 5))
def test_any_distinct_points_are_fitted(points: NDArray[np.int16], seed: int):
    points = np.unique(points, axis=0)
    targets = np.random.default_rng(seed).integers(10, size=len(points))
    network = fit(points, targets, seed)
    assert sum(part.size for part in network) == 2 * points.shape[0] + points.shape[1]
    np.testing.assert_allclose(predict(network, points), targets, atol=1e-6)


def test_prediction_is_the_sum_over_hidden_units_anywhere():
    random = np.random.default_rng(0)
    network = fit(random.standard_normal((40, 3)), random.standard_normal(40))
    elsewhere = 3 * random.standard_normal((200, 3))
    np.testing.assert_allclose(predict(network, elsewhere), dense(network, elsewhere), rtol=1e-9, atol=1e-9)
    shuffled = random.permutation(40)
    other = Weights(network.a, network.b[shuffled], network.w[shuffled])
    np.testing.assert_allclose(predict(other, elsewhere), dense(network, elsewhere), rtol=1e-9, atol=1e-9)


def test_thousands_of_points_are_fitted_to_a_thousandth():
    random = np.random.default_rng(0)
    points, targets = random.standard_normal((20_000, 50), np.float32), random.integers(10, size=20_000)
    assert np.abs(predict(fit(points, targets), points) - targets).max() <= 9e-3


def test_a_row_is_projected_alike_in_any_company():
    random = np.random.default_rng(0)
    for dimension in (1, 7, 3072):
        points, a = random.standard_normal((301, dimension)), random.standard_normal(dimension)
        whole = project(points, a)
        np.testing.assert_allclose(whole, points @ a, rtol=1e-12, atol=1e-12)
        for order in (random.permutation(301), np.arange(5), np.array([300])):
            assert np.array_equal(project(points[order], a), whole[order])
        assert np.array_equal(project(np.asfortranarray(points), a), whole)


def test_one_point_and_no_points():
    network = fit(np.ones((1, 2)), np.array([3]))
    assert predict(network, np.ones((1, 2))) == pytest.approx([3])
    assert predict(network, np.empty((0, 2))).shape == (0,)
    with pytest.raises(GencliError, match=r"points \(0, 2\)"):
        fit(np.empty((0, 2)), np.empty(0))


def test_what_cannot_be_fitted_is_refused():
    points, targets = np.arange(12.0).reshape(6, 2), np.arange(6)
    with pytest.raises(GencliError, match="rows 1 and 4 are the same point"):
        fit(points[[0, 1, 2, 3, 1, 5]], targets)
    for bad in (np.nan, np.inf):
        with pytest.raises(GencliError, match="points that are not finite"):
            fit(np.where(points == 3, bad, points), targets)
        with pytest.raises(GencliError, match="targets that are not finite"):
            fit(points, np.where(targets == 3, bad, targets))
    with pytest.raises(GencliError, match="too close together"):
        fit(points * 5e-324, targets)
    with pytest.raises(GencliError, match=r"points \(6, 1\)"):
        predict(fit(points, targets), points[:, :1])
    with pytest.raises(GencliError, match="with targets"):
        fit(points, targets[:5])
