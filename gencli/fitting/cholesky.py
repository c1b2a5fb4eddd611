"""K α = Y for a positive definite K of many rows in little memory: one matrix, factored in place.

The matrix holds K in its upper triangle until the end, and the factor L of K = L Lᵀ grows in the lower one. So the
residual Y − K α is computed in float64 without a second matrix, and iterative refinement (Wilkinson; Higham 2002,
"Accuracy and stability of numerical algorithms", chapter 12) brings a float32 factor to a small residual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]
Block = Callable[[slice, slice], Matrix]
Progress = Callable[[float], None]

_BLOCK = 1024
_PANELS = 4  # blocks of full height that live at a time
_REFINEMENTS = 20


class NotPositive(Exception):  # noqa: N818
    """The matrix is not positive definite in its arithmetic; the argument is the row at which that shows."""


def memory(n: int, itemsize: int) -> int:
    """Bytes that `solve` allocates for n rows of numbers of `itemsize` bytes."""
    return itemsize * (n * n + _PANELS * n * min(n, _BLOCK))


def solve(block: Block, targets: Matrix, ridge: float, dimension: int, progress: Progress) -> tuple[Matrix, Matrix]:
    """α with (K + ridge I) α = Y, and K α.

    Args:
        block: the part of K in these rows and columns; asked for blocks of rows, right of the diagonal.
        targets: Y [n, m], float32 or float64 as all of the arithmetic but the residual's.
        dimension: multiplications that an element of K takes, for `progress`.
        progress: takes the part that is done, 0 … 1.

    Returns:
        [n, m] like Y, and [n, m] float64, the product with that rounded α.

    Raises:
        NotPositive: it has no factor in this arithmetic.
    """
    n = len(targets)
    gram, whole = n * n * dimension / 2, n * n * dimension / 2 + n**3 / 6
    matrix = np.empty((n, n), targets.dtype)
    for part in _blocks(n):
        matrix[part, part.start :] = block(part, slice(part.start, n))
        progress(gram / whole * (1 - (1 - part.stop / n) ** 2))
    diagonal = matrix.diagonal().astype(np.float64)
    for part in _blocks(n):
        _factor(matrix, part, ridge)
        done = part.stop / n
        progress((gram + (3 * done**2 - 2 * done**3) * (whole - gram)) / whole)
    return _refine(matrix, diagonal, targets.astype(np.float64), ridge)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))


def _factor(matrix: Matrix, part: slice, ridge: float) -> None:
    """The columns `part` of L, those before being known: the left-looking block algorithm."""
    from scipy.linalg import solve_triangular

    start, stop = part.start, part.stop
    panel = matrix[start:, :start] @ matrix[part, :start].T
    np.subtract(matrix[part, start:].T, panel, out=panel)
    size = stop - start
    panel[np.arange(size), np.arange(size)] += ridge
    try:
        corner = np.linalg.cholesky(panel[:size])
        if not np.isfinite(corner).all():
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise NotPositive(start) from None
    matrix[part, part] = np.triu(matrix[part, part], 1) + corner
    below = solve_triangular(corner, panel[size:].T, lower=True, overwrite_b=True, check_finite=False)
    matrix[stop:, part] = below.T


def _refine(matrix: Matrix, diagonal: Matrix, targets: Matrix, ridge: float) -> tuple[Matrix, Matrix]:
    alpha = np.zeros(targets.shape, matrix.dtype)
    product, rest = np.zeros_like(targets), targets
    for _ in range(_REFINEMENTS):
        longer = (alpha + _substitute(matrix, rest)).astype(matrix.dtype)
        image = _product(matrix, diagonal, longer.astype(np.float64))
        left = targets - image - ridge * longer.astype(np.float64)
        if not np.linalg.norm(left) < np.linalg.norm(rest):
            break
        gained = np.linalg.norm(left) < 0.5 * np.linalg.norm(rest)
        alpha, product, rest = longer, image, left
        if not gained:
            break
    return alpha, product


def _substitute(matrix: Matrix, right: Matrix) -> Matrix:
    """L⁻ᵀ L⁻¹ of the columns [n, m], in the matrix's arithmetic but for their scale."""
    from scipy.linalg import solve_triangular

    scale = np.abs(right).max() or 1.0
    x = (right / scale).astype(matrix.dtype)
    parts = list(_blocks(len(x)))
    for part in parts:
        x[part] -= matrix[part, : part.start] @ x[: part.start]
        x[part] = solve_triangular(matrix[part, part], x[part], lower=True, check_finite=False)
    for part in reversed(parts):
        x[part] -= matrix[part.stop :, part].T @ x[part.stop :]
        x[part] = solve_triangular(matrix[part, part], x[part], lower=True, trans=1, check_finite=False)
    return x.astype(np.float64) * scale


def _product(matrix: Matrix, diagonal: Matrix, right: Matrix) -> Matrix:
    """K times the columns [n, m], from K's upper triangle, in float64."""
    product = diagonal[:, None] * right
    for part in _blocks(len(right)):
        size = part.stop - part.start
        upper = matrix[part, part.start :].astype(np.float64)
        upper[:, :size] = np.triu(upper[:, :size], 1)
        product[part] += upper @ right[part.start :]
        product[part.start :] += upper.T @ right[part]
    return product
