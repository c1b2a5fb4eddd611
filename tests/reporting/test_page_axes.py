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


@pytest.mark.parametrize(
    ("axis", "most", "words"),
    [
        (Axis(0, 1), 5, "0.0 0.2 0.4 0.6 0.8 1.0"),  # both ends are within
        (Axis(0, 6), 6, "0 1 2 3 4 5 6"),
        (Axis(0, 12), 6, "0 2 4 6 8 10 12"),
        (Axis(0, 30), 6, "0 5 10 15 20 25 30"),
        (Axis(-31, 31), 6, "-20 0 20"),
        (Axis(-30, 0), 3, "-30 -20 -10 0"),
        (Axis(0, 3), 6, "0.0 0.5 1.0 1.5 2.0 2.5 3.0"),
        (Axis(0, 3, whole=True), 6, "0 1 2 3"),
        (Axis(0, 999_999), 5, "0 200000 400000 600000 800000"),
        (Axis(0, 1e6), 5, "0 2e+05 4e+05 6e+05 8e+05 1e+06"),
        (Axis(0, 5e-4), 5, "0.0000 0.0001 0.0002 0.0003 0.0004 0.0005"),
        (Axis(0, 5e-5), 5, "0 1e-05 2e-05 3e-05 4e-05 5e-05"),
        (Axis(1_234_567, 1_234_570), 3, "1234567 1234568 1234569 1234570"),
        (Axis(0, 1, log=True), 6, "2 4 6 8 10"),
        (Axis(0, 1.01, log=True), 6, "1 2 5 10"),
        (Axis(-1, 0, log=True), 6, "0.2 0.4 0.6 0.8 1.0"),
        (Axis(-1.5, 0.2, log=True), 6, "0.05 0.1 0.2 0.5 1"),
        (Axis(0, 2, log=True), 6, "1 10 100"),
        (Axis(0, 5, log=True), 6, "1 10 100 1000 10000 100000"),
        (Axis(0, 6, log=True), 6, "1 100 10000 1e+06"),
        (Axis(-2.5, 3.5, log=True), 6, "0.01 0.1 1 10 100 1000"),
    ],
)  # fmt: skip
def test_ticks_of_an_axis(axis: Axis, most: int, words: str) -> None:
    found = axis.ticks(most)
    assert " ".join(word for _, word in found) == words
    for place, word in found:
        there = math.log10(float(word)) if axis.log else float(word)
        assert place == pytest.approx((there - axis.low) / (axis.high - axis.low))


def test_an_axis_whose_ends_are_too_near_for_steps_has_these_alone() -> None:
    assert Axis(1.2e16, 1.2e16 + 50).ticks(6) == [(0, "1.2e+16"), (1, "1.2e+16")]
    assert len(Axis(0.8e16, 0.8e16 + 50).ticks(6)) == 6
    assert len(Axis(1e15, 1e15 + 6).ticks(6)) == 7
    assert Axis(0, 4 * TINY).ticks(4) == [(0, "0"), (1, "8.9003e-308")]  # a step would be no normal number
    assert Axis(-HUGE, HUGE).ticks(2) == [(0, "-1.79769e+308"), (1, "1.79769e+308")]


def test_numbers_of_near_ends_have_the_digits_in_which_they_differ_and_no_more() -> None:
    words = (
        "3e-05 3.00000000000002e-05 3.00000000000004e-05 3.00000000000006e-05 3.00000000000008e-05 3.0000000000001e-05"
    )
    assert [word for _, word in Axis(3e-5, 3e-5 + 1e-18).ticks(5)] == words.split()


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-(2.0**53) - 2, -(2.0**53) + 1), (-(2.0**53), -(2.0**53) + 3), (2.0**53 - 3, 2.0**53),
    ],
)  # fmt: skip
def test_a_margin_that_rounding_swallows_at_one_end_is_a_twentieth_of_the_values(low: float, high: float) -> None:
    axis = around([low, high], 0.25)
    assert (axis.low, axis.high) == pytest.approx((low - 0.05 * 2**53, high + 0.05 * 2**53), rel=1e-12)


def test_a_margin_that_is_no_number_is_a_twentieth_of_the_values() -> None:
    axis = around([0.0, 20 * 5e-324], 0.02)
    assert (axis.low, axis.high) == (-5e-324, 21 * 5e-324)


@pytest.mark.parametrize(
    ("values", "log", "ends"),
    [
        ([100, 900, None, math.inf], False, (84, 916)),
        ([5.0], False, (4.75, 5.25)),
        ([-4.0], False, (-4.2, -3.8)),
        ([0.0], False, (-0.5, 0.5)),
        ([], False, (-0.02, 1.02)),
        ([5e-324], False, (-1, 1)),
        ([1e15, 1e15 + 1], False, (1e15 - 5e13, 1e15 + 5e13)),  # 2 % of 1 would be nothing
        ([-HUGE, HUGE], False, (-HUGE, HUGE)),
        ([1, 100, 0, -5], True, (-0.04, 2.04)),
        ([100], True, (1.5, 2.5)),
        ([1], True, (-0.5, 0.5)),
    ],
)
def test_an_axis_has_room_beside_its_values(values: list[float | None], log: bool, ends: tuple[float, float]) -> None:
    axis = around(values, 0.02, log)
    assert (axis.low, axis.high) == pytest.approx(ends, rel=1e-12)
    assert (axis.log, axis.whole) == (log, False)


def test_thinned_curves_keep_their_ends_extremes_and_gaps() -> None:
    numbers = random.Random(0)
    y: list[float | None] = [numbers.gauss(0, 1) for _ in range(10_000)]
    y[3333], y[7013], y[7015], y[8017] = 50.0, None, None, math.nan
    curve, size = thinned(Curve("a", range(10_000), y, y), 1000)
    assert size == 40
    assert len(curve.x) <= 1002
    assert all(y[int(x)] is value for x, value in zip(curve.x, curve.y))
    assert list(curve.y) == list(curve.spread)
    assert {0, 3333, 7013, 8017, 9999} <= {*map(int, curve.x)}
    assert 7015 not in curve.x  # one of a gap is enough
    for start in range(0, 10_000, size):
        known = [value for value in y[start : start + size] if value is not None and not math.isnan(value)]
        kept = [value for x, value in zip(curve.x, curve.y) if start <= x < start + size]
        assert {min(known), max(known)} <= {*kept}
    assert thinned(curve, 2000) == (curve, 1)
    for count, size in ((1000, 1), (1001, 5), (1250, 5), (1253, 6)):
        curve = Curve("a", range(count), [1.0] * count)
        assert thinned(curve, 1000)[1] == size
        assert len(thinned(curve, 1000)[0].x) == (count if size == 1 else 2 * (count // size) + min(2, count % size))


def test_numbers_are_written_with_six_digits_and_whole_ones_with_all() -> None:
    assert written([1e15 - 1, -(1e15 - 1), 1e15]) == "999999999999999 -999999999999999 1e+15"
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
