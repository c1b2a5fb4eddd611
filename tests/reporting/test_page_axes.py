"""Axes of the page's figures: where values stand, whatever they are, and what is left of long curves."""

from __future__ import annotations

import math
import random
import sys

import pytest

from gencli.reporting.page_axes import Axis, around, thinned, written
from gencli.reporting.page_tables import natural
from gencli.reporting.panels import Curve

HUGE, TINY = sys.float_info.max, sys.float_info.min


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1.0], [-HUGE, HUGE], [HUGE], [5e-324], [0.0], [TINY, 2 * TINY], [1e15, 1e15 + 1], [1e300, 1e-300], [],
        [None, math.nan, math.inf], [-3.0, -2.0], [1e6, 1e6 + 1e-9], [7], [1, 2, 3], [3e-5, 4e-5], [1e-8, 1e9],
    ],
)  # fmt: skip
def test_values_stand_within_their_axis_and_ticks_say_where(values: list[float | None], log: bool) -> None:
    axis = around(values, 0.04, log)
    known = [value for value in values if value is not None and math.isfinite(value) and (value > 0 or not log)]
    places = [axis.place(value) for value in known]
    assert all(place is not None and 0 <= place <= 1 for place in places)
    assert axis.place(math.nan) is axis.place(None) is axis.place(math.inf) is None
    ticks = axis.ticks(6)
    assert len(ticks) <= 14
    assert len({word for _, word in ticks}) == len(ticks)
    for place, word in ticks:
        there = axis.place(float(word))
        assert there is not None
        assert abs(there - place) < 1e-6


def test_ticks_are_round_numbers() -> None:
    assert [word for _, word in Axis(-0.02, 1.02).ticks(6)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [word for _, word in around([1, 3], 0.02, whole=True).ticks(6)] == ["1", "2", "3"]
    assert [word for _, word in around([100, 900], 0.02).ticks(6)] == ["200", "400", "600", "800"]
    assert [word for _, word in around([0.2, 4], 0.02, True).ticks(6)] == ["0.2", "0.5", "1", "2"]
    assert [word for _, word in around([1e-6, 1e3], 0.02, True).ticks(6)][:2] == ["1e-06", "0.0001"]


def test_thinned_curves_keep_their_ends_extremes_and_gaps() -> None:
    numbers = random.Random(0)
    y: list[float | None] = [numbers.gauss(0, 1) for _ in range(10_000)]
    y[3333], y[7000], y[8000] = 50.0, None, math.nan
    curve, size = thinned(Curve("a", range(10_000), y, y), 1000)
    assert size == 40
    assert len(curve.x) <= 1002
    assert all(y[int(x)] is value for x, value in zip(curve.x, curve.y))
    assert list(curve.y) == list(curve.spread)
    assert {0, 3333, 7000, 8000, 9999} <= {*map(int, curve.x)}
    for start in range(0, 10_000, size):
        known = [value for value in y[start : start + size] if value is not None and not math.isnan(value)]
        kept = [value for x, value in zip(curve.x, curve.y) if start <= x < start + size]
        assert {min(known), max(known)} <= {*kept}
    assert thinned(curve, 2000) == (curve, 1)


def test_numbers_are_written_with_six_digits_and_whole_ones_with_all() -> None:
    assert written([1, 123456789.0, 0.123456789, None, math.nan, -math.inf, 1e300]) == (
        "1 123456789 0.123457 - nan -inf 1e+300"
    )


def test_words_are_sorted_by_the_numbers_in_them_and_none_is_first() -> None:
    words = [
        "random-labels p=1",
        "fog severity=10",
        "fog severity=9",
        "random-labels p=0.25",
        "none",
        "random-labels p=0.5",
    ]
    assert sorted(words, key=natural) == [
        "none", "fog severity=9", "fog severity=10", "random-labels p=0.25", "random-labels p=0.5", "random-labels p=1",
    ]  # fmt: skip
