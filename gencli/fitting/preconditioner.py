"""A preconditioner of K + ridge I from a partial Cholesky factor of K with pivots drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gencli.fitting.gram import Gram, Matrix, blocks
from gencli.fitting.products import across
from gencli.machine import in_threads

Floats = NDArray[np.float64]
_PROPOSED = 256  # pivots at a time, of which a part is taken


def factor(gram: Gram, rank: int, random: np.random.Generator, advance: Callable[[float], None]) -> Matrix:
    """F [n, at most rank] with F Fᵀ near K, in K's dtype: randomly pivoted Cholesky.

    Each pivot is drawn with probability proportional to the diagonal of K − F Fᵀ (Chen, Epperly, Tropp, Webber 2023,
    arXiv:2207.06503); many are proposed at once, and accepted so that they have that distribution (Epperly, Tropp,
    Webber 2024, arXiv:2410.03969). Fewer columns than `rank` where K − F Fᵀ is no more than rounding.
    """
    n = gram.n
    made, count = np.zeros((n, rank), gram.dtype), 0
    rest = gram.diagonal()
    least = 10 * np.finfo(gram.dtype).eps * rest.sum()
    parts = blocks(n)
    while count < rank and rest.sum() > least:
        proposed = random.choice(n, _PROPOSED, p=rest / rest.sum())
        known = made[proposed, :count].astype(np.float64)
        corner = gram.columns(proposed, proposed).astype(np.float64) - known @ known.T
        taken, lower = _accept(corner, rest[proposed] * random.random(_PROPOSED), rank - count)
        pivots = proposed[taken]
        if not len(pivots):
            break

        def extend(
            part: slice, count: int = count, pivots: NDArray[np.int64] = pivots, lower: Floats = lower
        ) -> Floats:
            panel = gram.columns(part, pivots)
            panel -= across(made[part, :count], made[pivots, :count])
            columns = np.linalg.solve(lower, panel.T.astype(np.float64)).T
            made[part, count : count + len(pivots)] = columns
            return np.square(columns).sum(1)

        whole = dict(in_threads(lambda place: extend(parts[place]), range(len(parts))))
        rest = np.maximum(rest - np.concatenate([whole[place] for place in range(len(parts))]), 0)
        rest[pivots] = 0
        count += len(pivots)
        advance(count / rank)
    return made if count == rank else made[:, :count].copy()


def _accept(corner: Floats, levels: Floats, most: int) -> tuple[NDArray[np.int64], Floats]:
    """Which proposals are taken, at most so many, and the Cholesky factor of their part of the corner.

    A proposal is taken where what is left of its diagonal element, after those taken before it, exceeds its level.
    """
    taken: list[int] = []
    columns = np.zeros((len(corner), min(most, len(corner))))
    left = corner.diagonal().copy()
    for place in range(len(corner)):
        if len(taken) == columns.shape[1]:
            break
        if not left[place] > max(levels[place], 0):
            continue
        column = (corner[:, place] - columns @ columns[place]) / np.sqrt(left[place])
        columns[:, len(taken)] = column
        left -= np.square(column)
        taken.append(place)
    chosen = np.array(taken, np.int64)
    return chosen, np.tril(columns[chosen, : len(taken)])


class Preconditioner:
    """P = (F Fᵀ/μ + I)^−½, symmetric, so that P (K + ridge I) P is near to μ I in F's range; μ = ridge + λ_min.

    In eigenvectors of FᵀF, with eigenvalues λ and vectors V, P = I + F V diag(((1 + λ/μ)^−½ − 1) / λ) Vᵀ Fᵀ.

    Attributes:
        rank: columns of F.
    """

    def __init__(self, factor: Matrix, ridge: float) -> None:
        self._factor, self.rank, self._parts = factor, factor.shape[1], blocks(len(factor))
        inner = np.zeros((self.rank, self.rank))
        for _, part in in_threads(self._squared, self._parts):
            inner += part
        values, vectors = np.linalg.eigh(inner)
        values = np.maximum(values, np.finfo(factor.dtype).tiny)
        weights = (1 / np.sqrt(1 + values / (values[0] + ridge)) - 1) / values
        self._core = (vectors * weights) @ vectors.T

    def _squared(self, part: slice) -> Floats:
        one = self._factor[part].astype(np.float64)
        return one.T @ one

    def __call__(self, right: Floats) -> Floats:
        """P times columns [n, m]."""
        kind = self._factor.dtype
        columns = np.ascontiguousarray(right.T, kind)
        inner = np.zeros((right.shape[1], self.rank))
        for _, each in in_threads(lambda part: across(columns[:, part], self._factor[part].T), self._parts):
            inner += each
        inner = (inner @ self._core).astype(kind)
        made = right.copy()
        for part, each in in_threads(lambda part: across(self._factor[part], inner), self._parts):
            made[part] += each
        return made
