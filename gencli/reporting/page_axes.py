"""Axes of the page's figures: where a value stands, and round numbers beside them; and curves of few enough points."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gencli.reporting.panels import Curve, Numbers

T = TypeVar("T")

_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, of a logarithmic one their logarithms to base 10; `whole`: it counts."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def place(self, value: float | None) -> float | None:
        """Where a value stands, 0 at the start and 1 at the end; None where it has no place."""
        if value is None or not math.isfinite(value) or (self.log and value <= 0):
            return None
        value = math.log10(value) if self.log else value
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # a difference may overflow

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Places of some round numbers within it, and these in words."""
        found = [(self.place(value), word) for value, word in self._numbers(most)]
        return [(place, word) for place, word in found if place is not None and 0 <= place <= 1]

    def _numbers(self, most: int) -> list[tuple[float, str]]:
        if self.log and self.high - self.low > 1:
            factors = (1, 2, 5) if self.high - self.low < 2 else (1,)
            first, last = math.ceil(self.low) - (len(factors) > 1), math.floor(self.high)
            decades = range(first, last + 1, -(-(last - first + 1) // most))
            values = [float(f"{factor}e{each}") for each in decades for factor in factors]
            return [(value, f"{value:g}") for value in values]
        low, high = (10 ** min(308, self.low), 10 ** min(308, self.high)) if self.log else (self.low, self.high)
        rough = high / most - low / most
        power = 10.0 ** math.floor(math.log10(rough)) if rough > sys.float_info.min else 0
        step = next((each * power for each in (1, 2, 5, 10) if each * power >= rough), 0)
        step = max(step, 1) if self.whole else step
        if not 0 < step < math.inf or abs(low / step) > 1e15:
            return [(low, f"{low:g}"), (high, f"{high:g}")]
        numbers = [each * step for each in range(math.ceil(low / step), math.floor(high / step) + 1)]
        least, most_digits = math.floor(math.log10(step)), math.ceil(math.log10(max(abs(low), abs(high)) / step)) + 1
        if least >= -4 and max(map(abs, numbers), default=0) < 1e6:
            return [(each, f"{each:.{max(0, -least)}f}") for each in numbers]
        return [(each, f"{each:.{most_digits}g}") for each in numbers]


def around(values: Iterable[float | None], margin: float, log: bool = False, whole: bool = False) -> Axis:
    """The axis on which all values with a place are, with a margin, a share of what they take."""
    known = [value for value in values if value is not None and math.isfinite(value) and (value > 0 or not log)]
    known = [math.log10(value) for value in known] if log else known
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = margin * (high / 2 - low / 2) * 2
    if not room or low - room == low or high + room == high:
        room = 0.5 if log or not high else 0.05 * max(abs(low), abs(high))
        room = 1.0 if high + room == high and not log else room  # of numbers that are almost 0
    return Axis(max(-_LARGEST, low - room), min(_LARGEST, high + room), log, whole)


def thinned(curve: Curve, most: int) -> tuple[Curve, int]:
    """The curve with at most about `most` of its points, and of how many each time some are kept; 1: all.

    Of each group of points that follow one another the first, the last, the lowest and the highest are kept, all that
    a picture of them shows (Jugel et al. 2014, M4, doi:10.14778/2732951.2732953), and one where there is a gap.
    """
    count = len(curve.x)
    if count <= most:
        return curve, 1
    size = math.ceil(4 * count / most)
    kept: list[int] = []
    for start in range(0, count, size):
        group = range(start, min(start + size, count))
        known = [place for place in group if _known(curve.y[place])]
        gap = [place for place in group if not _known(curve.y[place])][:1]
        ends = [min(known, key=curve.y.__getitem__), max(known, key=curve.y.__getitem__)] if known else []  # pyright: ignore[reportArgumentType, reportCallIssue]
        kept += sorted({group[0], group[-1], *ends, *gap})
    x, y, spread = ([each[place] for place in kept] if each else [] for each in (curve.x, curve.y, curve.spread))
    return Curve(curve.name, x, y, spread, curve.marks), size  # pyright: ignore[reportArgumentType]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def steps(points: Sequence[T | None]) -> list[list[T]]:
    """Points as parts without gaps."""
    parts: list[list[T]] = [[]]
    for point in points:
        if point is not None:
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def written(values: Numbers) -> str:
    """Numbers as the page keeps them to be read: six digits, whole ones all of theirs; - for a gap."""
    return " ".join(map(_written, values))


def _written(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) < 1e15 and float(value).is_integer() else f"{value:.6g}"
