"""The content of a figure, independent of how it is drawn: panels of curves, bars, a matrix, or images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """Values y at places x, None or NaN where there is a gap; their standard deviations over seeds, if there are any.

    Attributes:
        marks: points that are marked.
    """

    name: str
    x: Sequence[float]
    y: Numbers
    spread: Numbers = ()
    marks: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Lines:
    """Curves over one axis.

    Attributes:
        limits: of the vertical axis; None where the values say.
        dots: whether the points are marked.
        log, log_across: whether the vertical and the horizontal axis are logarithmic.
        mark: what the marks are.
        scatter: whether the points are by themselves, not joined.
    """

    title: str
    across: str
    curves: Sequence[Curve]
    limits: tuple[float, float] | None = None
    dots: bool = False
    log: bool = False
    mark: str = ""
    scatter: bool = False
    log_across: bool = False


@dataclass(frozen=True)
class Bars:
    """For each name a bar of each series: (name, values, standard deviations), None where there is a gap.

    Attributes:
        log: whether they are shares, most of them small: the axis is logarithmic, and each bar has its percentage.
    """

    title: str
    names: Sequence[str]
    series: Sequence[tuple[str, Numbers, Numbers]]
    limits: tuple[float, float] | None = None
    log: bool = False


@dataclass(frozen=True)
class Matrix:
    """How many rows of each class (down) are predicted as each (across)."""

    title: str
    names: Sequence[str]
    cells: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Tile:
    """An image [height, width, 3] uint8, lines of words below it, and whether it is framed in red."""

    pixels: NDArray[np.uint8]
    words: Sequence[str]
    marked: bool = False


@dataclass(frozen=True)
class Sheet:
    """Rows of images.

    Attributes:
        note: what the words are.
        apart: whether the first of a row stands apart from the others, which belong to it.
    """

    title: str
    rows: Sequence[Sequence[Tile]]
    note: str
    apart: bool = False


Panel = Lines | Bars | Matrix | Sheet


def limits(metric: str) -> tuple[float, float] | None:
    """The vertical axis of a metric: 0 to 1 of fractions."""
    fraction = metric.endswith(("accuracy", "precision", "recall", "f1")) or metric in ("memorized", "recovered")
    return (0, 1) if fraction or metric.startswith("top_") else None
