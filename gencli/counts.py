"""Numbers as they are typed, and counts of rows, classes and steps that are fractions of others.

As floating-point numbers 49 · (1/49) is less than 1, and 0.07 · 150 more than 10.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction


def typed(number: float) -> Fraction:
    """The number as it was typed, exactly: the shortest decimal that reads as this float."""
    return Fraction(repr(float(number)))


def number(text: str) -> float:
    """The number that a cell spells; Python's own spelling, with underscores between digits, is none.

    Raises:
        ValueError: it spells none.
    """
    if "_" in text:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether a cell spells a number."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def by(sizes: Iterable[int]) -> str:
    """A shape in words: 32×32×3."""
    return "×".join(map(str, sizes))


def share(fraction: float, count: int) -> int:
    """fraction · count, rounded to the nearest integer, halves to even."""
    return round(typed(fraction) * count)
