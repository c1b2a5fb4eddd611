"""Counts of rows, classes and steps that are fractions of others, by the decimal numbers that were typed.

As floating-point numbers 49 · (1/49) is less than 1, and 0.07 · 150 more than 10.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction


def typed(number: float) -> Fraction:
    """The number as it was typed, exactly: the shortest decimal that reads as this float."""
    return Fraction(repr(float(number)))


def by(sizes: Iterable[int]) -> str:
    """A shape in words: 32×32×3."""
    return "×".join(map(str, sizes))


def share(fraction: float, count: int) -> int:
    """fraction · count, rounded to the nearest integer, halves to even."""
    return round(typed(fraction) * count)
