"""Differences are as exact as they say, on smooth functions and on functions of bad scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.interpolate import BarycentricInterpolator

from gencli.errors import GencliError
from gencli.formulas.differences import Difference, _entries, differentiate, parse_step

AXIS = np.ones(1)


def derivative(
    function: Any, x: float, difference: Difference = "richardson", step: float | None = None
) -> tuple[float, float]:
    found, errors = differentiate(function, np.array([[x]]), [(AXIS, None)], difference, step)
    return found.item(), errors.item()


@pytest.mark.parametrize("x", [-3.0, 1e-3, 0.7, 1.0, 20.0])
@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.sin, np.cos),
        (np.exp, np.exp),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (lambda x: x**3, lambda x: 3 * x**2),
    ],
)
def test_smooth_functions_to_12_digits(function: Any, slope: Any, x: float) -> None:
    found, error = derivative(function, x)
    assert abs(found - slope(x)) <= 1e-12 * max(1, abs(slope(x)))
    assert abs(found - slope(x)) <= error <= 1e-9 * max(1, abs(slope(x)))
    assert abs(derivative(function, x, "richardson", 0.05)[0] - slope(x)) <= 1e-11 * max(1, abs(slope(x)))


@pytest.mark.parametrize("frequency", [1e-6, 1e6, 2e6 * np.pi, 2.0**20 * np.pi])
def test_bad_scales_to_8_digits(frequency: float) -> None:
    """Steps of a whole number of periods would see no change at all."""
    found, error = derivative(lambda x: np.sin(frequency * x), 1.0)
    expected = frequency * np.cos(frequency)
    assert abs(found - expected) <= 1e-8 * frequency
    assert abs(found - expected) <= error


def test_what_is_smooth_over_long_steps_alone_is_seen() -> None:
    """A kink, and a steep ridge that long steps step over."""
    assert derivative(lambda x: abs(x - 0.3), 0.0)[0] == pytest.approx(-1, rel=1e-9)
    assert derivative(lambda x: x + 1e-3 * np.sin(1e5 * x), 0.0)[0] == pytest.approx(101, rel=1e-8)
    assert derivative(np.floor, 0.5)[0] == 0


@pytest.mark.parametrize(("difference", "digits"), [("forward", 6), ("central", 9)])
def test_chosen_steps_of_plain_quotients(difference: Difference, digits: int) -> None:
    for x in np.linspace(-2, 2, 23):
        found, error = derivative(np.sin, x, difference)
        assert abs(found - np.cos(x)) <= min(error, 10.0**-digits)


def test_plain_quotients_are_the_textbooks() -> None:
    found, error = derivative(np.exp, 1.0, "forward", 0.01)
    assert found == pytest.approx((np.exp(1.01) - np.exp(1)) / 0.01, rel=1e-12)
    assert abs(found - np.e) <= error <= 3 * abs(found - np.e)
    found, error = derivative(np.exp, 1.0, "central", 0.01)
    assert found == pytest.approx((np.exp(1.01) - np.exp(0.99)) / 0.02, rel=1e-12)
    assert abs(found - np.e) <= error <= 3 * abs(found - np.e)


def test_near_the_edge_of_the_domain() -> None:
    with np.errstate(invalid="ignore"):
        assert derivative(np.log, 1e-8)[0] == pytest.approx(1e8, rel=1e-10)
        assert derivative(np.sqrt, 1e-12)[0] == pytest.approx(5e5, rel=1e-9)
        assert np.isinf(derivative(np.log, -1.0)[1])
        assert np.isnan(derivative(np.log, 0.005, "central", 0.01)[0])


@pytest.mark.parametrize("difference", ["forward", "central", "richardson"])
def test_points_of_any_size(difference: Difference) -> None:
    """Down to the smallest normal number, where steps of 1 and of the point's size lie 1,000 halvings apart."""
    for x in (1e-300, 2.3e-308, -1e-200, 1e300):
        assert derivative(np.sin, x, difference)[0] == pytest.approx(np.cos(x), abs=1e-6) or abs(x) > 1
        for function, slope in (
            (lambda x: x + 1, 1),
            (lambda x: x, 1),
            (lambda x: 1 / x, -1 / x / x if abs(x) > 1 else None),
        ):
            found, error = derivative(function, x, difference)
            assert slope is None or abs(found - slope) <= error <= 1e-6
    found, error = derivative(np.log, 1e-300, difference)
    assert abs(found - 1e300) <= error <= 1e295


def test_rounding_that_is_known_is_in_the_error() -> None:
    def cancelled(x: Any) -> Any:
        return (1 + x) ** 2 - 1

    def rounding(x: Any) -> Any:
        return abs(cancelled(x) - x * (2 + x))

    for step in (None, 1e-10, 1e-15):
        for difference in ("forward", "central", "richardson"):
            found, error = differentiate(cancelled, np.array([[1e-12]]), [(AXIS, None)], difference, step, rounding)
            assert abs(found - 2.000000000002) <= error


def test_second_derivatives_along_two_directions() -> None:
    points = np.array([[0.3, -1.2], [1.0, 2.0]])
    a, b = np.array([1.0, 0.0]), np.array([2.0, -1.0])
    found, errors = differentiate(
        lambda x: np.stack([np.sin(x[:, 0] * x[:, 1])], 1), points, [(a, b)], "richardson", None
    )
    x, y = points.T
    along = 2 * -(y**2) * np.sin(x * y) - (np.cos(x * y) - x * y * np.sin(x * y))
    assert found[:, 0, 0] == pytest.approx(along, abs=1e-9)
    assert (abs(found[:, 0, 0] - along) <= errors[:, 0, 0]).all()


def test_steps() -> None:
    assert parse_step("auto") is None
    assert parse_step("1e-2") == 0.01
    for text in ("0", "-1", "nan", "inf", "small", ""):
        with pytest.raises(GencliError, match="--step"):
            parse_step(text)


def test_the_tableau_is_polynomial_extrapolation_in_the_squared_step() -> None:
    levels, rounding = 7, np.zeros((7, 1))
    quotients = np.random.default_rng(0).normal(size=(levels, 1))
    squares = 0.25 ** np.arange(levels)

    def at_0(first: int, count: int) -> float:
        used = slice(first, first + count)
        return float(BarycentricInterpolator(squares[used], quotients[used, 0])(0.0))

    entries, errors, finest = _entries(quotients, rounding, "richardson")
    expected = [
        (at_0(first, column + 1), finest)
        for column in range(1, levels - 1)
        for first, finest in enumerate(range(column + 1, levels), 1)
    ]
    assert entries[:, 0] == pytest.approx([entry for entry, _ in expected], rel=1e-9)
    assert finest.tolist() == [level for _, level in expected]
    # the first entry, of levels 1 and 2, against levels 1, 2, and 0 and 1
    around = quotients[1, 0], quotients[2, 0], at_0(0, 2)
    assert errors[0, 0] == pytest.approx(max(abs(at_0(1, 2) - each) for each in around))
