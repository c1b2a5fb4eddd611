"""K α = Y for a positive definite K of many rows in little memory: one matrix, factored in place.

The matrix holds K in its upper triangle until the end, and the factor L of K = L Lᵀ grows in the lower one. So the
residual Y − K α is computed in float64 without a second matrix, and iterative refinement (Wilkinson; Higham 2002,
"Accuracy and stability of numerical algorithms", on iterative refinement) brings a float32 factor to a small residual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gencli.fitting.products import Matrix, across

Block = Callable[[slice, slice], Matrix]
Progress = Callable[[float], None]

_BLOCK = 1024
_PANELS = 3  # blocks of full height that are in memory at once
_REFINEMENTS = 20


class NotPositive(Exception):  # noqa: N818
    """The matrix is not positive definite in its arithmetic; the argument is the row at which that shows."""


def memory(n: int, itemsize: int) -> int:
    """Bytes that `solve` allocates for n rows of numbers of `itemsize` bytes."""
    return itemsize * (n * n + _PANELS * n * min(n, _BLOCK))


def solve(block: Block, targets: Matrix, ridge: float, dimension: int, progress: Progress) -> tuple[Matrix, Matrix]:
    """α with (K + ridge I) α = Y, and K α.

    Args:
        block: returns the part of K in these rows and columns; called for blocks of rows, from the diagonal on.
        targets: Y [n, m], float32 or float64 as all of the arithmetic but the residual's.
        dimension: number of multiplications per element of K, for `progress`.
        progress: called with the fraction done, 0 … 1.

    Returns:
        [n, m] like Y, and [n, m] float64, the product with that rounded α.

    Raises:
        NotPositive: it has no factor in this arithmetic.
    """
    n = len(targets)
    # multiplications: half of K by symmetry, n² d / 2, and n³ / 6 for the factor
    gram, whole = n * n * dimension / 2, n * n * dimension / 2 + n**3 / 6
    matrix = np.empty((n, n), targets.dtype)
    for part in _blocks(n):
        matrix[part, part.start :] = block(part, slice(part.start, n))
        progress(gram / whole * (1 - (1 - part.stop / n) ** 2))
    diagonal = matrix.diagonal().astype(np.float64)  # of K, which that of L overwrites
    for part in _blocks(n):
        _factor(matrix, part, ridge)
        done = part.stop / n  # column j costs about j (n − j): the integral up to t = j / n is 3 t² − 2 t³ of the whole
        progress((gram + (3 * done**2 - 2 * done**3) * (whole - gram)) / whole)
    return _refine(matrix, diagonal, targets.astype(np.float64), ridge)


def _blocks(n: int, parts: int = 1) -> Iterator[slice]:
    """Rows of blocks, or of so many parts of a block."""
    size = _BLOCK // parts
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _factor(matrix: Matrix, part: slice, ridge: float) -> None:
    """Computes the columns `part` of L from those before them: the left-looking block algorithm.

    With J = `part`, K[:, J] − L[:, :J] L[J, :J]ᵀ = L[:, J] L[J, J]ᵀ from the rows J down. Its square corner is
    factored by LAPACK, and the rows below follow by a triangular solve (Golub and Van Loan 2013, Matrix
    Computations, on positive definite systems).
    """
    from scipy.linalg import solve_triangular

    start, stop = part.start, part.stop
    size = stop - start
    panel = np.ascontiguousarray(matrix[part, start:].T)
    for each in _blocks(start):  # pieces of one size: products of many sizes would leave gaps in memory
        known = np.ascontiguousarray(matrix[part, each])
        for rows in _blocks(len(panel)):
            panel[rows] -= across(matrix[start:][rows, each], known)
    panel[np.arange(size), np.arange(size)] += ridge
    try:
        corner = np.linalg.cholesky(panel[:size])
        if not np.isfinite(corner).all():
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise NotPositive(start) from None
    matrix[part, part] = np.triu(matrix[part, part], 1) + corner  # K stays above the diagonal
    below = solve_triangular(corner, panel[size:].T, lower=True, overwrite_b=True, check_finite=False)
    matrix[stop:, part] = below.T


def _refine(matrix: Matrix, diagonal: Matrix, targets: Matrix, ridge: float) -> tuple[Matrix, Matrix]:
    """α and K α by iterative refinement: α ← α + L⁻ᵀ L⁻¹ r with the residual r = Y − (K + ridge I) α in float64.

    Each round multiplies ‖r‖ by about the condition number times the rounding of the factor (Higham 2002).
    It ends when ‖r‖ does not fall, or by less than half, which is as good as this arithmetic gets.
    """
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
    """L⁻ᵀ L⁻¹ times the columns [n, m], by forward and back substitution in the arithmetic of the matrix.

    The columns are divided by their largest entry, so that small residuals do not underflow in float32.
    """
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
    """K times the columns [n, m] in float64, from its diagonal and upper triangle: K = D + U + Uᵀ."""
    product = diagonal[:, None] * right
    for part in _blocks(len(right), 4):  # they are copied to float64
        size = part.stop - part.start
        upper = matrix[part, part.start :].astype(np.float64)
        upper[:, :size] = np.triu(upper[:, :size], 1)
        product[part] += upper @ right[part.start :]
        product[part.start :] += upper.T @ right[part]
    return product
