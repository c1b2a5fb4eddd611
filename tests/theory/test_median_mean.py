"""Medians and means as minimizers: losses, minimizers and variances that are known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from gencli.randomness import Draws
from gencli.theory import median_mean
from gencli.theory.base import Panel, Row
from gencli.theory.median_mean import MedianMean


def test_losses_and_minimizers_of_three_values_are_those_by_hand() -> None:
    y = np.array([0.0, 1.0, 5.0])
    assert median_mean._absolute(y, 2) == 2
    assert median_mean._squared(y, 2) == pytest.approx(14 / 3)
    assert median_mean._argmin(median_mean._absolute, y) == pytest.approx(1, abs=1e-6)
    assert median_mean._argmin(median_mean._squared, y) == pytest.approx(2, abs=1e-6)


def test_curves_are_the_expectations_over_exponential_noise() -> None:
    panel = median_mean._losses()
    first, lowest, second, least = panel.series
    for at in 0, 40, 100, 200:
        z = -1 + at / 100

        def expected(power: int, z: float = z) -> float:
            return integrate.quad(lambda e: abs(z - e) ** power * math.exp(-e - 1), -1, 40, points=[z], limit=200)[0]

        assert first.x[at] == second.x[at] == pytest.approx(z)
        assert first.y[at] == pytest.approx(expected(1), abs=1e-6)
        assert second.y[at] == pytest.approx(expected(2), abs=1e-6)
    assert len(first.x) == 201
    assert (lowest.x.tolist(), lowest.y.tolist()) == ([pytest.approx(math.log(2) - 1)], [pytest.approx(math.log(2))])
    assert (least.x.tolist(), least.y.tolist()) == ([0], [1])
    assert panel.scales == ("linear", "linear")


@pytest.mark.parametrize("broken", [False, True])
def test_variances_are_compared_with_those_known_exactly(broken: bool) -> None:
    parts = list(MedianMean(runs=400)._variances(Draws(0, "test"), broken))
    rows = [part for part in parts if isinstance(part, Row) and part.instance.startswith("0")]
    means = [1 / 17, 1 / 65, 1 / 257, 1 / 1025]
    medians = [sum(1 / j**2 for j in range((n + 1) // 2, n + 1)) for n in (17, 65, 257, 1025)]
    np.testing.assert_allclose([float(row.right) for row in rows], [*means, -1, *medians, -1], rtol=1e-12)
    error = 6 * math.sqrt(3 / 400)
    tolerances = [*(error * each for each in means), error / 3 + 0.02] + [error * each for each in medians]
    np.testing.assert_allclose([float(row.tolerance) for row in rows[:-1]], tolerances, rtol=1e-12)
    assert [row.quantity for row in rows[3:6]] == [
        "variance of the mean",
        "log-log slope, mean",
        "variance of the median",
    ]
    random = next(iter(Draws(0, "test").rows(np.arange(1))))
    samples = [random.standard_exponential((400, n)) - 1 for n in (17, 65, 257, 1025)]
    found = [np.var([np.mean(each) for each in part]) for part in samples]
    middle = [np.var([np.sort(each)[len(each) // 2] for each in part]) for part in samples]
    lefts = [float(row.left) for row in rows]
    np.testing.assert_allclose([*lefts[:4], *lefts[5:9]], [*middle, *found] if broken else [*found, *middle])
    panel = parts[-1]
    assert isinstance(panel, Panel)
    assert [line.label for line in panel.series] == ["mean", "mean, exact", "median", "median, exact"]
    np.testing.assert_allclose(panel.series[3].y, medians)


def test_minimizers_of_noise_are_its_mean_and_median() -> None:
    rows = list(MedianMean()._noise(median_mean._absolute, median_mean._squared))
    assert all(row.holds for row in rows)
    np.testing.assert_allclose(
        [float(row.right) for row in rows], [0, 0, 0, 0, 0, 0, 0, math.log(2) - 1, 0.1], atol=1e-12
    )
    assert rows[-1].left == pytest.approx(1 - math.log(2), abs=1e-4)


def test_memory_is_asked_for_the_largest_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(median_mean, "require_memory", lambda *words: asked.append(words))
    MedianMean(runs=200)
    assert asked == [(4 * 200 * 1025 * 8, "--runs 200")]
