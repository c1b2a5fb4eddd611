"""Values and derivatives of formulas from evaluations in enough digits for rounding not to matter.

Numbers have hundreds of bits and exponents without end, and derivatives are quotients of differences over steps that
are tiny. What rounding still does to a value is seen by moving the last bits of every operation's result, at random:
Vignes 1993, doi:10.1016/0378-4754(93)90003-D. Nothing here knows the rules of calculus.
"""

from __future__ import annotations

import math
import operator
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from gencli.formulas.differences import Direction
from gencli.formulas.functions import ALPHA, SCALE
from gencli.formulas.parsing import Program

Floats = NDArray[Any]
Real = Any  # of mpmath
Nodes = list[Real | None]  # one value per node, None where it has none
Known = tuple[Real | None, Real]  # a derivative and the bound of its error

# bits of numbers, and of a step ahead and one behind the powers of 2 that they are of a point's size; the two are far
# apart, so that what is finer than the one is seen by the other; the next where the one before does not suffice
_LEVELS = [(512, (70, 160)), (1536, (240, 520)), (6144, (1100, 1800))]
_LAST = 4  # bits that are moved
_SAFETY = 2**20  # changes at random can be smaller than what rounding does
_SUFFICES, _NOTHING, _SHRUNK = 2.0**-50, 2.0**-130, 2.0**-60  # errors: of the derivative, by itself, of the one before
_LARGEST = 2.0**1023
_LARGE = 5000  # bits of what functions take in a moment, and steps that are too long can pass
_SIDES = 0.7548776662466927, -0.5698402909980532  # round or equal ones would meet symmetries

_mp = mpmath.MPContext()


def _tanhshrink(x: Real) -> Real:
    with _mp.extraprec(2 * max(0, -_mp.mag(x)) if x else 0):
        return x - _mp.tanh(x)


def _softplus(x: Real) -> Real:
    return _mp.log1p(_mp.exp(-abs(x))) + max(x, 0)


def _sigmoid(x: Real) -> Real:
    return 1 / (1 + _mp.exp(-x))


def _erfc(x: Real) -> Real:
    if x < 2**100:
        return _mp.erfc(x)
    total = term = _mp.mpf(1)  # DLMF 7.12.1, to below 2^-6144
    for number in range(40):
        term *= -(2 * number + 1) / (2 * x * x)
        total += term
    return total * _mp.exp(-x * x) / (x * _mp.sqrt(_mp.pi))


def _elu(x: Real) -> Real:
    return x if x > 0 else _mp.expm1(x)


# where mpmath has none of the same name
_FUNCTIONS: dict[str, Callable[..., Real]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
    "negative": operator.neg, "abs": abs, "max": max, "min": min,
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1 / _mp.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "exp2": lambda x: _mp.mpf(2) ** x,
    "log2": lambda x: _mp.ln(x) / _mp.ln2,
    "logaddexp": lambda x, y: max(x, y) + _mp.log1p(_mp.exp(-abs(x - y))),
    "sigmoid": _sigmoid,
    "logsigmoid": lambda x: -_softplus(-x),
    "logit": lambda x: _mp.ln(x / (1 - x)),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "hardtanh": lambda x: min(max(x, -1), 1),
    "leaky_relu": lambda x: max(x, x * _mp.mpf(0.01)),
    "elu": _elu,
    "selu": lambda x: _mp.mpf(SCALE) * (x if x > 0 else _mp.mpf(ALPHA) * _elu(x)),
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * _mp.tanh(_softplus(x)),
    "gelu": lambda x: x * _erfc(-x / _mp.sqrt(2)) / 2,
    "tanhshrink": _tanhshrink,
    "erfc": _erfc,
    "round": _mp.nint,
    "trunc": lambda x: _mp.floor(x) if x > 0 else _mp.ceil(x),
}  # fmt: skip


def defined(function: str, arguments: Sequence[float]) -> bool:
    """Whether a function has a value of finite arguments, however large."""
    return _applied(_named(function), [_mp.mpf(each) for each in arguments], math.inf) is not None


class Extended:
    """A program in that arithmetic; its numbers and its results are rounded to float32 or float64."""

    def __init__(self, program: Program, dtype: Any) -> None:
        self._program, self._dtype = program, np.dtype(dtype)
        self._apply = [_named(node.function) if node.arguments else None for node in program.nodes]
        self._moved_by: list[int] = []  # one bit per input that a node depends on
        for node in program.nodes:
            own = 1 << int(node.value) if node.function == "input" else 0
            self._moved_by.append(reduce(operator.or_, (self._moved_by[each] for each in node.arguments), own))
        numbers = [node.value if node.function == "number" else 0 for node in program.nodes]
        with np.errstate(over="ignore"):
            self._numbers = [_mp.mpf(each) for each in np.array(numbers).astype(dtype).tolist()]
        draws = random.Random(0)  # noqa: S311 - nudges, no secrets
        self._nudges = [draws.choice((-1, 1)) * draws.uniform(0.5, 1) for _ in program.nodes]

    def values(self, points: Floats) -> Floats:
        """[points, outputs]; NaN outside the domain."""
        _mp.prec = _LEVELS[0][0]
        return self._rounded([self.outputs(self.nodes(_reals(point))) for point in points])

    def derivatives(self, point: Floats, ways: Sequence[Direction]) -> tuple[Floats, Floats, Floats]:
        """The value and the derivatives at a point, with bounds of their errors.

        Args:
            point: [inputs], finite.
            ways: each a direction [inputs], or two of them for second derivatives.

        Returns:
            values: [outputs].
            derivatives, errors: [outputs, ways]. Where the derivatives to the sides differ, a mean whose error covers
                them. NaN and infinite where no step stays in the domain, or the function or its derivative jumps;
                infinite where they are beyond the dtype.
        """
        outputs = range(len(self._program.outputs))
        known: list[list[Known]] = [[(None, _mp.zero)] * len(ways) for _ in outputs]
        left = list(range(len(ways)))
        around: Any = None
        more = 2 * max(0, *np.frexp(point)[1].tolist())  # steps from large coordinates are no larger than from 1
        for bits, shifts in _LEVELS:
            _mp.prec = bits + more
            around = _Around(self, point, shifts)
            for way in left.copy():
                quotients, suffices = around.quotients(*ways[way]), True
                for output in outputs:
                    before = known[output][way][1]
                    known[output][way] = _mean([(each[output], by) for each, by in quotients], around.noise[output])
                    derivative, error = known[output][way]
                    suffices &= derivative is not None and (
                        error <= _SUFFICES * abs(derivative) or error <= min(_NOTHING, _SHRUNK * before)
                    )
                if suffices:
                    left.remove(way)
            if not left:
                break
        values = self._rounded([around.center])[0]
        derivatives, errors = (self._rounded([[pair[part] for pair in row] for row in known]) for part in (0, 1))
        limits = np.finfo(self._dtype)
        with np.errstate(over="ignore"):
            return values, derivatives, errors + limits.eps * abs(derivatives) + limits.smallest_subnormal

    def _rounded(self, rows: Sequence[Nodes]) -> Floats:
        with np.errstate(over="ignore"):
            return np.array([[math.nan if each is None else float(each) for each in row] for row in rows], self._dtype)

    def outputs(self, nodes: Nodes) -> Nodes:
        """The formulas' values."""
        return [nodes[place] for place in self._program.outputs]

    def noise(self, point: Nodes, exact: Nodes) -> list[Real]:
        """By how much, at most, rounding may change each output."""
        moved = self.outputs(self.nodes(point, nudges=self._nudges))
        return [_mp.inf if a is None or b is None else _SAFETY * abs(a - b) for a, b in zip(exact, moved)]

    def nodes(
        self, point: Nodes, moved: int = -1, center: Nodes | None = None, nudges: Sequence[float] | None = None
    ) -> Nodes:
        """Every node's value at a point; where no moved input is in a node, that at the center."""
        last = _mp.ldexp(1, _LAST - _mp.prec)
        nodes: Nodes = []
        for place, (node, apply) in enumerate(zip(self._program.nodes, self._apply)):
            if center is not None and not self._moved_by[place] & moved:
                value = center[place]
            elif node.function == "input":
                value = point[int(node.value)]
            elif node.function == "number":
                value = self._numbers[place]
            else:
                value = _applied(apply, [nodes[each] for each in node.arguments])
                if nudges is not None and value is not None:
                    value *= 1 + nudges[place] * last
            nodes.append(value)
        return nodes


class _Around:
    """A point's surroundings at one level of precision.

    Attributes:
        center: the outputs at the point.
        noise: by how much rounding may change them.
    """

    def __init__(self, of: Extended, point: Floats, shifts: tuple[int, int]) -> None:
        self._of, self._shifts, self._point = of, dict(zip(_SIDES, shifts)), point
        self._start = _reals(point)
        self._nodes = of.nodes(self._start)
        self.center = of.outputs(self._nodes)
        self.noise = of.noise(self._start, self.center)
        self._seen: dict[frozenset[tuple[tuple[bytes, float], int]], Nodes] = {}
        self._steps: dict[tuple[bytes, float], Real] = {}

    def quotients(self, first: Floats, second: Floats | None) -> list[tuple[Nodes, Real]]:
        """To each side of the point, or into each of four corners, the outputs' difference and what divides it."""
        if second is None:
            return [
                (_sums((1, self._at((first, side))), (-1, self.center)), self._step(first, side)) for side in _SIDES
            ]
        found = []
        for a, b in product(_SIDES, _SIDES):
            both, one, other = self._at((first, a), (second, b)), self._at((first, a)), self._at((second, b))
            difference = _sums((1, both), (-1, one), (-1, other), (1, self.center))
            found.append((difference, self._step(first, a) * self._step(second, b)))
        return found

    def _at(self, *moves: tuple[Floats, float]) -> Nodes:
        key = frozenset(Counter((way.tobytes(), side) for way, side in moves).items())
        if key not in self._seen:
            place, moved = list(self._start), 0
            for way, side in moves:
                for number in np.flatnonzero(way).tolist():
                    change = self._step(way, side) * _mp.mpf(float(way[number]))
                    place[number] = _mp.fadd(place[number], change, exact=True)
                    moved |= 1 << number
            self._seen[key] = self._of.outputs(self._of.nodes(place, moved, self._nodes))
        return self._seen[key]

    def _step(self, way: Floats, side: float) -> Real:
        """A part of the smallest coordinate that moves, or of 1 if that is smaller, and for 0."""
        key = way.tobytes(), side
        if key not in self._steps:
            moved = np.flatnonzero(way)
            coordinates = np.where(self._point == 0, 1, self._point)[moved]
            sizes = np.minimum(np.frexp(coordinates)[1], 1) - np.frexp(way[moved])[1]
            self._steps[key] = _mp.ldexp(side, int(sizes.min()) - self._shifts[side])
        return self._steps[key]


def _reals(point: Floats) -> Nodes:
    return [_mp.mpf(each) for each in point.tolist()]


def _named(function: str) -> Callable[..., Real]:
    return _FUNCTIONS.get(function) or getattr(_mp, function)


def _applied(apply: Any, arguments: Nodes, most: float = _LARGE) -> Real | None:
    if _lacks(arguments):
        return None
    try:
        value = apply(*arguments)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if isinstance(value, int):
        return _mp.mpf(value)
    if type(value) is not _mp.mpf:
        return None
    _, digits, exponent, bits = value._mpf_
    finite = digits or not exponent
    return value if finite and exponent + bits <= most else None


def _lacks(values: Sequence[Real | None]) -> bool:
    return any(each is None for each in values)  # `None in values` would compare numbers, slowly


def _sums(*terms: tuple[int, Nodes]) -> Nodes:
    """Of each output; None where a term is."""
    return [
        None if _lacks(values) else sum(sign * value for (sign, _), value in zip(terms, values))
        for values in zip(*(nodes for _, nodes in terms))
    ]


def _mean(quotients: Sequence[tuple[Real | None, Real]], noise: Real) -> Known:
    each = [difference / by for difference, by in quotients if difference is not None]
    if len(each) < len(quotients):
        return None, _mp.inf
    mean = sum(each) / len(each)
    error = 2 * max(abs(one - mean) for one in each) + max(abs(4 * noise / by) for _, by in quotients)
    if abs(mean) <= error <= _NOTHING:
        return _mp.mpf(0), error
    jumps = error > max(_SUFFICES * abs(mean), _LARGEST)  # by more and more as steps shrink
    return (None if jumps else mean), error
