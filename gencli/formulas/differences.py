"""Derivatives by finite differences: from evaluations only, each with an estimate of its error.

Forward quotients, central quotients, and central ones extrapolated to step 0 by the tableau of Richardson 1911; a step
or an entry of the tableau is chosen by its estimate of the error, as in Ridders 1982, doi:10.1016/S0141-1195(82)80057-0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError

Floats = NDArray[Any]
Difference = Literal["forward", "central", "richardson"]
Direction = tuple[Floats, Floats | None]

# by the number of directions: steps along the one, steps along the other, weight
_FORWARD = {1: [(1, 0, 1), (0, 0, -1)], 2: [(1, 1, 1), (1, 0, -1), (0, 1, -1), (0, 0, 1)]}
_CENTRAL = {1: [(1, 0, 0.5), (-1, 0, -0.5)], 2: [(1, 1, 0.25), (1, -1, -0.25), (-1, 1, -0.25), (-1, -1, 0.25)]}
_LEVELS, _COLUMNS, _MOST_LEVELS = 8, 8, 120
_NOISY = 6  # levels at the end, of steps that are too short
_ROUNDING = 4  # errors of a value, in units of the last place
_FIRST = (
    0.7548776662466927  # of the steps that are chosen; a round number would meet the points where formulas are special
)


def parse_step(text: str) -> float | None:
    """A step's length; None for `auto`.

    Raises:
        GencliError: it is neither.
    """
    try:
        step = None if text == "auto" else float(text)
    except ValueError:
        step = math.nan
    if step is not None and not 0 < step < math.inf:
        raise GencliError(f"--step: {text!r} is not a step", "give a number above 0, or auto")
    return step


def differentiate(
    function: Callable[[Floats], Floats],
    points: Floats,
    directions: Sequence[Direction],
    difference: Difference,
    step: float | None,
    rounding: Callable[[Floats], Floats] | None = None,
) -> tuple[Floats, Floats]:
    """Derivatives along directions, and estimates of their errors.

    Args:
        function: of points [n, inputs], its outputs [n, outputs], not finite where there are none.
        points: [points, inputs], float32 or float64.
        directions: each a direction [inputs], or two of them for second derivatives.
        step: of the quotient, and of the first one of the extrapolation; None to choose it, point by point.
        rounding: of points [n, inputs], how far the outputs may be from right [n, outputs], where it is more than a few
            units in their last place.

    Returns:
        derivatives, errors: [points, outputs, directions]. Where every step leaves the function's domain the
        derivative is NaN, and the error infinite.
    """
    made = [_along(function, points, each, difference, step, rounding) for each in directions]
    derivatives, errors = (np.stack(each, 2) for each in zip(*made, strict=True))
    return derivatives, errors


@np.errstate(all="ignore")
def _along(
    function: Callable[[Floats], Floats],
    points: Floats,
    direction: Direction,
    difference: Difference,
    step: float | None,
    rounding: Callable[[Floats], Floats] | None,
) -> tuple[Floats, Floats]:
    used = [each for each in direction if each is not None]
    stencil = (_FORWARD if difference == "forward" else _CENTRAL)[len(used)]
    weights = np.array([weight for *_, weight in stencil], points.dtype)
    found: list[tuple[Floats, Floats]] = []
    for steps in _steps(points, used, difference, step):
        moves = [each[..., None] * way for each, way in zip(steps, used, strict=True)]
        places = np.stack([points + sum(by * move for by, move in zip(each[:2], moves)) for each in stencil])
        shape, places = places.shape[:-1], places.reshape(-1, points.shape[1])
        values = function(places).reshape(*shape, -1)
        area = np.multiply.reduce(steps)[..., None]
        quotients = np.tensordot(weights, values, 1) / area
        spread = (values.max(0) - values.min(0)) / np.minimum.reduce(steps)[..., None]
        reach = np.maximum.reduce([abs(points) @ abs(way) for way in used])[:, None]
        noise = _ROUNDING * np.finfo(points.dtype).eps * (abs(values).max(0) + reach * spread)
        if rounding:
            noise += np.tensordot(abs(weights), rounding(places).reshape(values.shape), 1)
        found.append(
            _first(quotients, noise / area, difference)
            if step is not None
            else _chosen(quotients, noise / area, area, difference)
        )
    derivatives, errors = (np.stack(each) for each in zip(*found, strict=True))
    beyond = abs(derivatives - derivatives[-1]) - errors[-1]  # of what the finest contradict
    return _least(derivatives, errors + np.fmax(beyond, 0))


def _steps(
    points: Floats, ways: Sequence[Floats], difference: Difference, step: float | None
) -> Iterator[list[Floats]]:
    """Along each of the ways [levels, points] steps, each half of the one before; twice if they cannot reach so far."""
    if step is not None:
        levels = [_LEVELS if difference == "richardson" else 2]
        firsts = [[np.full(len(points), step)] * len(ways)]
    else:
        large, small = zip(*(_sizes(points, way) for way in ways))
        fewest = math.ceil(-np.log2(np.finfo(points.dtype).eps) * (0.75 if len(ways) == 1 else 0.5))
        reach = math.ceil(np.max(np.log2(large) - np.log2(small)))
        levels = [min(_MOST_LEVELS, fewest + reach)] + ([fewest] if fewest + reach > _MOST_LEVELS else [])
        firsts = [[_FIRST * each for each in sizes] for sizes in (large, small)]
    for count, first in zip(levels, firsts):
        halves = 0.5 ** np.arange(count)[:, None]
        yield [_exact(points, way, (each * halves).astype(points.dtype)) for way, each in zip(ways, first, strict=True)]


def _sizes(points: Floats, way: Floats) -> tuple[Floats, Floats]:
    """[points] the largest and the smallest length of a way over which a function may change."""
    moved = np.flatnonzero(way)
    unit = 1 / abs(way[moved].astype(np.float64))
    sizes = abs(points[:, moved]) * unit
    return np.maximum(sizes, unit).min(1), np.where(sizes > 0, np.minimum(sizes, unit), unit).min(1)


def _exact(points: Floats, way: Floats, steps: Floats) -> Floats:
    """Steps along a coordinate as x + h makes them, which rounding changes."""
    if np.count_nonzero(way) > 1:
        return steps
    [place] = np.flatnonzero(way)
    return ((points[:, place] + steps * way[place]) - points[:, place]) / way[place]


def _entries(quotients: Floats, rounding: Floats, difference: Difference) -> tuple[Floats, Floats, Floats]:
    """The quotients, or what they are extrapolated to, estimates of the errors, and the finest level in each."""
    levels = np.arange(len(quotients))
    if difference != "richardson":
        shrinks = 2 if difference == "forward" else 4  # the error at half the step
        changes = abs(quotients[:-1] - quotients[1:])
        return quotients[:-1], 2 * changes / (1 - 1 / shrinks) + rounding[:-1], levels[:-1]
    column, entries, errors, finest = quotients, [], [], []
    for number in range(1, min(len(quotients) - 1, _COLUMNS + 1)):
        before, column = column, column[1:] + (column[1:] - column[:-1]) / (4.0**number - 1)
        own = column[1:]
        around = before[1:-1], before[2:], column[:-1]  # two can be near by chance, not three
        entries.append(own)
        errors.append(np.maximum.reduce([abs(own - each) for each in around]) + rounding[number + 1 :])
        finest.append(levels[number + 1 :])
    return np.concatenate(entries), np.concatenate(errors), np.concatenate(finest)


def _first(quotients: Floats, rounding: Floats, difference: Difference) -> tuple[Floats, Floats]:
    """[points, outputs] the quotient of the first step, or the best extrapolation, and its error."""
    entries, errors, _ = _entries(quotients, rounding, difference)
    return _least(entries, errors) if difference == "richardson" else _least(entries[:1], errors[:1])


def _chosen(quotients: Floats, rounding: Floats, area: Floats, difference: Difference) -> tuple[Floats, Floats]:
    """[points, outputs] the best entry over all steps, and its error.

    An entry that finer quotients contradict, by more than they can be wrong, is wrong by that much: over steps that are
    too long a function can seem smooth that is not.
    """
    changes = abs(np.diff(quotients, axis=0))
    noise = np.fmax.reduce((changes * area[1:])[-_NOISY:])  # of the shortest steps nothing else is left
    rounding = np.fmax(rounding, _ROUNDING * noise / area)
    entries, errors, finest = _entries(quotients, rounding, difference)
    slack = 4 * rounding[:-1] + 4 * changes
    low = np.fmax.accumulate((quotients[:-1] - slack)[::-1])[::-1]
    high = np.fmin.accumulate((quotients[:-1] + slack)[::-1])[::-1]
    finest = np.minimum(finest, len(low) - 1)
    beyond = np.fmax(low[finest] - entries, entries - high[finest])
    return _least(entries, errors + np.fmax(beyond, 0))


def _least(entries: Floats, errors: Floats) -> tuple[Floats, Floats]:
    errors = np.where(np.isfinite(errors), errors, np.inf)
    chosen = errors.argmin(0)[None]
    return np.take_along_axis(entries, chosen, 0)[0], np.take_along_axis(errors, chosen, 0)[0]
