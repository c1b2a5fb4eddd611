"""A two-layer ReLU network that fits any labels, built without iterations.

c(x) = Σ_j w_j max(⟨a, x⟩ − b_j, 0), with 2n + d weights for n points in d dimensions: theorem 1 of Zhang, Bengio,
Hardt, Recht, Vinyals 2017, arXiv:1611.03530. Along the projections z_i = ⟨a, x_i⟩, sorted, c is a broken line. With
each b_j at the previous projection it bends at the points only, so its slopes are (y_j − y_{j−1}) / (z_j − z_{j−1})
and w their differences: no system of n equations is solved. All arithmetic is float64; float32 does not hold the w,
which are as large as 1 over the gaps between projections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.randomness import derive

Floats = NDArray[np.float64]
_AT_ONCE = 1 << 18  # values converted to float64 at a time
_TRIES = 10
_TOO_CLOSE = "points too close together for float64", "scale them, or remove some"


class Weights(NamedTuple):
    """The weights: a [d] of the first layer, its biases b [n] and the output weights w [n], float64."""

    a: Floats
    b: Floats
    w: Floats


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def fit(points: NDArray[Any], targets: NDArray[Any], seed: int = 0) -> Weights:
    """The network whose value at each point is its target, in O(nd + n log n) operations.

    Args:
        points: [n, d] numbers.
        targets: [n] numbers.
        seed: of the direction a, which is normal and separates distinct points with probability one.

    Raises:
        GencliError: no points, numbers that are not finite, a repeated point, or points too close for float64.
    """
    if points.ndim != 2 or targets.shape != points.shape[:1] or not points.size:
        raise GencliError(f"points {points.shape} with targets {targets.shape}", "give [n, d] points with [n] targets")
    if not np.isfinite(targets).all():
        raise GencliError("targets that are not finite", "remove such rows")
    a, projected, order = _direction(points, seed)
    z = projected[order]
    before = z[0] - (np.ptp(z) / (len(z) - 1) if len(z) > 1 else 1.0)  # up to there c is 0
    b = np.concatenate([[before], z[:-1]])
    rises = np.diff(targets[order].astype(np.float64), prepend=0.0)
    w = np.diff(rises / (z - b), prepend=0.0)
    if not np.isfinite(w).all():
        raise GencliError(*_TOO_CLOSE)
    return Weights(a, b, w)


def _direction(points: NDArray[Any], seed: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """A direction [d], the projections [n] of the points on it, all different, and their order [n]."""
    random = np.random.Generator(np.random.Philox(derive(seed, "finite-sample")))
    for _ in range(_TRIES):  # distinct points can project to one number by rounding
        a = random.standard_normal(points.shape[1])
        projected = project(points, a)
        if not np.isfinite(projected).all():
            raise GencliError("points that are not finite", "remove such rows")
        order = np.argsort(projected, kind="stable")
        ties = np.flatnonzero(np.diff(projected[order]) == 0)
        for tie in ties:
            one, other = sorted(order[tie : tie + 2].tolist())
            if np.array_equal(points[one], points[other]):
                raise GencliError(f"rows {one} and {other} are the same point", "omit one of them")
        if not len(ties):
            return a, projected, order
    raise GencliError(*_TOO_CLOSE)


def predict(network: Weights, points: NDArray[Any]) -> Floats:
    """c(x) [m] float64 of points [m, d]; O(md + (n + m) log n), no matrix of m × n.

    Raises:
        GencliError: points of another dimension.
    """
    if points.ndim != 2 or points.shape[1] != len(network.a):
        raise GencliError(f"points {points.shape}", f"the network takes [m, {len(network.a)}]")
    order = np.argsort(network.b, kind="stable")
    b, slopes = network.b[order], np.cumsum(network.w[order])
    heights = np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(b))])  # of c at each b
    z = project(points, network.a)
    below = np.searchsorted(b, z, side="left") - 1
    return np.where(below < 0, 0.0, heights[below] + slopes[below] * (z - b[below]))


def project(points: NDArray[Any], a: Floats) -> Floats:
    """⟨a, x⟩ [n] float64 of points [n, d] of any dtype; each is the same to the bit, whatever the other rows."""
    projected, rows = np.empty(len(points)), max(1, _AT_ONCE // points.shape[1])
    for start in range(0, len(points), rows):
        part = points[start : start + rows].astype(np.float64, order="C")
        part *= a
        part.sum(1, out=projected[start : start + rows])
    return projected
