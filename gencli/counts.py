"""Numbers and times as they are typed, and counts of rows, classes and steps that are fractions of others.

As floating-point numbers 49 · (1/49) is less than 1, and 0.07 · 150 more than 10.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from gencli.errors import GencliError

_UNITS = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}  # in seconds
_PART = rf"(\d{{1,9}}(?:\.\d{{1,9}})?)({'|'.join(_UNITS)})"
_PLURALS = {"copies": "copy", "entries": "entry", "classes": "class", "processes": "process"}
_REGULAR = (
    "rows|networks|images|labels|epochs|parameters|runs|products|files|tensors|columns|bytes|versions|steps|measures"
    "|tables|values|arrays|models|draws|pixels|cores|threads|scores|claims|pairs|eigenvalues|directions|members|tiles"
)
_ONE = re.compile(rf"(?<![\w.,:/×+-])1 ({_REGULAR}|{'|'.join(_PLURALS)})(?![\w./-])")  # of no longer number or name
TIMES = "90s, 5min, 1h30min"  # how they are given


def seconds(text: str) -> float | None:
    """The seconds of `90s`, `5min` (or `5m`), `1.5h`, `2d` or several such, `1h30min`; None of anything else."""
    if not re.fullmatch(f"({_PART})+", text, re.ASCII):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text, re.ASCII))


def typed(number: float) -> Fraction:
    """The number as it was typed, exactly: the shortest decimal that reads as this float."""
    return Fraction(repr(float(number)))


def number(text: str) -> float:
    """The number that a word spells; see `plainly`.

    Raises:
        ValueError: it spells none.
    """
    return float(plainly(text))


def plainly(text: str) -> str:
    """A word that may spell a number: Python also reads underscores between digits, and digits of other scripts.

    Raises:
        ValueError: it has them.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not a number")
    return text


def is_number(text: str) -> bool:
    """Whether a cell spells a number."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def numbered(text: str) -> list[tuple[str, int, str]]:
    """A key that sorts texts by their words and the numbers between them: mlp-1x16 comes before mlp-1x128."""
    found = re.findall(r"(\D*)0*(\d*)", text, re.ASCII)
    return [(word, len(digits), digits) for word, digits in found]


def singular(text: str) -> str:
    """A text in which what there is one of is in the singular: `1 rows` becomes `1 row`."""
    return _ONE.sub(lambda found: f"1 {_PLURALS.get(found[1], found[1][:-1])}", text)


def by(sizes: Iterable[int]) -> str:
    """A shape in words: 32×32×3."""
    return "×".join(map(str, sizes))


def share(fraction: float, count: int) -> int:
    """fraction · count, rounded to the nearest integer, halves to even."""
    return round(typed(fraction) * count)


def parse_part(text: str | None, option: str) -> tuple[int, int]:
    """`2/5`, the third of five parts, as 2 and 5; all of it, 0 and 1, where nothing is given."""
    numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", "0/1" if text is None else text, re.ASCII)
    part, parts = map(int, numbers.groups()) if numbers else (0, 0)
    if part >= parts:
        raise GencliError(
            f"{option}: {text!r} is not a part", f"write K/N with K from 0 to N-1, such as 0/{max(parts, 2)}"
        )
    return part, parts


def span(count: int, part: int, parts: int) -> range:
    """The places of those of `count` rows that one of several parts has: consecutive, as many as others or one more."""
    return range(count * part // parts, count * (part + 1) // parts)
