"""The content of a figure, independent of how it is drawn: panels of curves, bars, or a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """For each name a bar of each series: (name, values, standard deviations), None where there is a gap."""

    title: str
    names: Sequence[str]
    series: Sequence[tuple[str, Numbers, Numbers]]
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Matrix:
    """How many rows of each class (down) are predicted as each (across)."""

    title: str
    names: Sequence[str]
    cells: Sequence[Sequence[int]]


Panel = Lines | Bars | Matrix


def limits(metric: str) -> tuple[float, float] | None:
    """The vertical axis of a metric: 0 to 1 of fractions."""
    fraction = metric.endswith(("accuracy", "precision", "recall", "f1")) or metric in ("memorized", "recovered")
    return (0, 1) if fraction or metric.startswith("top_") else None
