"""Large kernel systems: conjugate gradients over a matrix of which as much is in memory as fits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import isqrt, log
from typing import Protocol

import numpy as np

from gencli import machine
from gencli.fitting import gram, preconditioner
from gencli.fitting.base import Progress
from gencli.fitting.conjugate import Solver
from gencli.fitting.gram import Floats, Gram, Matrix
from gencli.fitting.saving import Saved
from gencli.randomness import derive

# rows up to which Cholesky's method, whose residual is that of rounding, takes little longer: on MNIST, gaussian:0.02,
# 0.34, 1.5 and 6.2 s of one core for 2,000, 5,000 and 10,000 rows, where the iterations take 0.29, 1.2 and 5.5
DIRECT = 10_000
CLASSES = 256  # columns that one product serves
_PROCESS = 1 << 29  # bytes of Python and its libraries
_VECTORS = 16  # of [n, classes] in float64 at a time
_FACTOR, _MATRIX = 0.08, 0.2  # shares of the time, for the bar


class Settings(Protocol):
    """The options of the iterations, see `gencli.fitting.kinds.Kernel`."""

    @property
    def ridge(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def max_products(self) -> int: ...
    @property
    def room(self) -> int | None: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Solution:
    """α [n, m] in K's dtype, K α [n, m] float64, and what is said of them."""

    alpha: Matrix
    scores: Floats
    residual: float
    reached: bool
    facts: dict[str, int]


def rank(n: int) -> int:
    """Columns of the partial factor: 8 √n, so that it costs as much in n as the products do.

    With 4, 8, 16 and 24 √n, 20,000 rows of MNIST (gaussian:0.02) take 144, 106, 75 and 65 products, and 27, 25, 28 and
    38 s of processor time in all.
    """
    return min(n, 8 * isqrt(n))


def memory(n: int, classes: int, itemsize: int) -> int:
    """Bytes that `solve` allocates for n rows beside the tiles of K and the points."""
    tiles = (machine.cores() + 4) * gram.SIDE**2 * (2 * itemsize + 8)
    return rank(n) * (n * itemsize + 8 * 3 * rank(n)) + _VECTORS * 8 * n * min(classes, CLASSES) + tiles


def needed(n: int, d: int, classes: int, itemsize: int, row_bytes: int) -> int:
    """Bytes of a process that solves n rows of d coordinates, beside the tiles of K."""
    return memory(n, classes, itemsize) + n * (2 * row_bytes + (4 + itemsize) * d) + _PROCESS


def solve(gram: Gram, targets: Floats, room: int, settings: Settings, saved: Saved, progress: Progress) -> Solution:
    """α with ‖(K + ridge I) α − Y‖ at most `tolerance` ‖Y‖, or as small as this arithmetic or `max_products` allow.

    Preconditioned as Díaz, Epperly, Frangella, Tropp, Webber 2023, arXiv:2304.12465, do for ridge regression, with the
    factor's smallest eigenvalue added to the ridge, so that it serves without one.

    Args:
        targets: Y [n, m], no column of which is 0.
        room: bytes for tiles of K; those that do not fit are computed again for each product.
    """
    places = gram.fitting(room)
    if len(places) < len(gram.places()):
        progress(0, _said(gram, len(places)))
    random = np.random.Generator(np.random.Philox(derive(settings.seed, "pivots")))
    made = preconditioner.factor(gram, rank(gram.n), random, lambda done: progress(_FACTOR * done, "", "pivots"))
    precondition = preconditioner.Preconditioner(made, settings.ridge)
    gram.keep(places, lambda done: progress(_FACTOR + (_MATRIX - _FACTOR) * done, "", "matrix"))
    solver = Solver(gram, precondition, targets, settings.ridge, settings.tolerance)

    def tell() -> None:
        aim = min(max(settings.tolerance, 1e-16), 0.5)  # one of 0 is never reached
        near = log(min(max(solver.estimate, aim), 1)) / log(aim)
        note = f"relative residual {solver.estimate:.1e} after {solver.products:,} products"
        progress(_MATRIX + (1 - _MATRIX) * (1 if solver.over else min(near, 0.99)), "", note)

    saved.run(solver, settings.max_products, tell)
    facts = {"products": solver.products, "rank": made.shape[1]}
    return Solution(solver.alpha, solver.scores, solver.residual, solver.reached, facts)


def _said(gram: Gram, kept: int) -> str:
    """What recomputing tiles will cost, from the time that a few take."""
    places = gram.places()
    left, few = len(places) - kept, places[-2 * machine.cores() :]
    start = time.monotonic()
    for _ in machine.in_threads(lambda place: gram.make(*place), few):
        pass
    each = (time.monotonic() - start) / len(few) * left
    return (
        f"{left / len(places):.0%} of K do not fit in memory and are computed again for each product, "
        f"about {each:.1f} s each; 100 products: {each / 0.6:.0f} min"
    )
