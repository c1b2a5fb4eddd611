"""Rank statistics against scipy's, and against their definitions in plain loops."""

import math
from collections import Counter
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from gencli.reporting import correlation
from gencli.reporting.correlation import signs

RANDOM = np.random.default_rng(0)
GRID = [dict(zip("abc", values)) for values in product("12", "xyz", "pq") for _ in range(2)]  # two seeds each
SEEDS = [place % 2 for place in range(len(GRID))]
ONE, OTHER = RANDOM.standard_normal(len(GRID)).round(1), RANDOM.standard_normal(len(GRID)).round(1)


@pytest.mark.parametrize("n", [5, 30])
def test_tau_is_scipys(n: int) -> None:
    for digits in (0, 8):  # with and without ties
        one, other = (RANDOM.standard_normal(n).round(digits) for _ in range(2))
        expected = kendalltau(one, other)[0]
        assert correlation.tau(signs(one), signs(other))[0] == pytest.approx(expected, abs=1e-12)
        weights = correlation.resamples(n, 3)
        found = correlation.tau(signs(one), signs(other), weights)
        for counts, value in list(zip(weights, found, strict=True))[:40]:
            drawn = np.repeat(np.arange(n), counts.astype(int))
            assert value == pytest.approx(kendalltau(one[drawn], other[drawn])[0], abs=1e-12, nan_ok=True)
    assert math.isnan(correlation.tau(signs(np.ones(n)), signs(other))[0])


def test_the_interval_holds_the_middle_of_the_resamples() -> None:
    assert correlation.interval(np.arange(1001.0)) == (25.0, 975.0)
    assert correlation.interval(np.array([math.nan, math.nan, 1.0])) is None


def sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def test_psi_is_the_mean_over_groups_of_tau_along_one_hyper_parameter() -> None:
    kept = [place for place in range(len(GRID)) if place not in (3, 10, 11)]  # not all combinations
    for name in "abc":
        groups: dict[Any, list[int]] = {}
        for place in kept:
            others = tuple(value for key, value in GRID[place].items() if key != name)
            groups.setdefault((SEEDS[place], others), []).append(place)
        taus = []
        for places in groups.values():
            if len(places) > 1:
                pairs = [*permutations(places, 2)]
                taus.append(sum(sign(ONE[i] - ONE[j]) * sign(OTHER[i] - OTHER[j]) for i, j in pairs) / len(pairs))
        settings, seeds = [GRID[place] for place in kept], [SEEDS[place] for place in kept]
        weights = correlation.alone(settings, seeds, name)
        found = correlation.granulated(signs(ONE[kept]), signs(OTHER[kept]), weights)
        assert found[0] == pytest.approx(sum(taus) / len(taus))


def mutual(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The least of the normalized conditional mutual information, by its definition."""
    pairs = [(i, j) for i, j in permutations(range(len(GRID)), 2) if other[i] != other[j]]
    least = math.inf
    for chosen in (each for size in range(3) for each in combinations("abc", size)):
        known = lambda i, j, chosen=chosen: tuple((GRID[i][name], GRID[j][name]) for name in chosen)  # noqa: E731
        joint = Counter((known(i, j), sign(one[i] - one[j]), sign(other[i] - other[j])) for i, j in pairs)
        u, first, second = Counter[Any](), Counter[Any](), Counter[Any]()
        for (where, v, w), count in joint.items():
            u[where] += count
            first[where, v] += count
            second[where, w] += count
        information = sum(
            count / len(pairs) * math.log(count * u[where] / (first[where, v] * second[where, w]))
            for (where, v, w), count in joint.items()
        )
        entropy = -sum(count / len(pairs) * math.log(count / u[where]) for (where, _), count in second.items())
        least = min(least, information / entropy) if entropy > 0 else least
    return least


def test_information_is_its_definition() -> None:
    for one in (ONE, OTHER + 0.5 * ONE):
        found = correlation.information(signs(one), signs(OTHER), GRID)
        assert found == pytest.approx(mutual(one, OTHER), abs=1e-12)
    assert correlation.information(signs(OTHER), signs(OTHER), GRID) == pytest.approx(1)
    assert correlation.information(signs(ONE), signs(np.ones(len(GRID))), GRID) is None


def test_sign_errors_are_of_environments_that_differ_in_one_setting() -> None:
    found = correlation.environments(GRID)
    assert len(found) == 2 * 3 * 2 * (1 + 2 + 1) // 2
    errors = correlation.sign_errors(signs(ONE), signs(OTHER), found)
    expected = []
    for left, right in combinations(range(0, len(GRID), 2), 2):
        if sum(GRID[left][name] != GRID[right][name] for name in "abc") == 1:
            pairs = product((left, left + 1), (right, right + 1))
            expected.append(sum((1 - sign(ONE[i] - ONE[j]) * sign(OTHER[i] - OTHER[j])) / 2 for i, j in pairs) / 4)
    assert sorted(errors) == pytest.approx(sorted(expected))
    exact = np.arange(len(GRID), dtype=np.float64)
    assert correlation.sign_errors(signs(exact), signs(exact), found).max() == 0
    assert correlation.sign_errors(signs(exact), signs(-exact), found).min() == 1


def test_pairs_of_runs_that_differ_in_one_setting_alone_have_the_weight_of_their_group() -> None:
    """Of two groups in which b varies, of two and of three runs, half the weight each; a group of one has none."""
    settings = [{"a": a, "b": b} for a, b in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 2), (3, 1))]
    found = correlation.alone(settings, [0] * 6, "b")
    expected = np.zeros((6, 6))
    expected[:2, :2], expected[2:5, 2:5] = 1 / 4, 1 / 12
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected)
    assert not correlation.alone(settings, [0, 1, 2, 3, 4, 5], "b").any()
    assert not correlation.alone(settings[:1] * 2, [0, 0], "b").any()


@pytest.mark.parametrize(("known", "interval"), [(1, None), (2, (0.0, 0.0)), (3, (0.0, 0.0)), (4, (0.0, 0.0))])
def test_an_interval_is_of_half_the_resamples_at_least(known: int, interval: tuple[float, float] | None) -> None:
    assert correlation.interval(np.array([0.0] * known + [math.nan] * (4 - known))) == interval


def test_information_is_none_where_no_pair_is_left_uncertain_and_never_below_nothing() -> None:
    settings = [{"a": place} for place in range(3)]
    order = signs(np.arange(3.0))
    assert correlation.information(order, order, settings) == pytest.approx(1)
    assert correlation.information(signs(np.ones(3)), order, settings) == 0
    assert correlation.information(order, np.zeros((3, 3)), settings) is None
