"""Least squares of any shape, with the solution of least norm if there are several, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def memory(n: int, d: int, classes: int) -> int:
    """Bytes that `fit` allocates, mostly for QR decompositions of a block of rows above a triangle."""
    columns = d + classes
    return 8 * (4 * min(n, columns) + 2 * min(n, _at_once(columns))) * columns


def fit(
    points: NDArray[Any],
    targets: NDArray[Any],
    ridge: float = 0.0,
    progress: Callable[[float], None] = lambda _: None,
    intercept: bool = True,
) -> tuple[Floats, Floats]:
    """W and b that minimize ‖XW + b − Y‖² + ridge ‖W‖², with the W of least norm if several do.

    b is not penalized: it is taken out by centring, or 0 without an `intercept`. Then X and Y become one triangle by QR
    decompositions of blocks of rows (Demmel, Grigori, Hoemmen, Langou 2012, "Communication-optimal parallel and
    sequential QR and LU factorizations"), which keeps X's condition where normal equations square it;
    W = V diag(s / (s² + ridge)) Uᵀ R_Y of the triangle's singular value decomposition, without those s below rounding.

    Args:
        points: X [n, d] numbers.
        targets: Y [n, classes].

    Returns:
        W [d, classes] and b [classes], float64.
    """
    n, d = points.shape
    share = 1 / n if intercept else 0.0
    center = points.sum(0, dtype=np.float64) * share, targets.sum(0, dtype=np.float64) * share
    triangle: Floats = np.empty((0, d + targets.shape[1]))
    step = _at_once(triangle.shape[1])
    for start in range(0, n, step):
        parts = (each[start : start + step] - mean for each, mean in zip((points, targets), center))
        progress(0.8 * start / n)  # the last step, the singular values, is the rest
        triangle = _upper(np.vstack([triangle, np.hstack(list(parts))]))
    u, s, vt = np.linalg.svd(triangle[:, :d], full_matrices=False)
    longest = np.hypot(s[0], np.sqrt(n) * np.linalg.norm(center[0]))  # of X before centring, which rounds by it
    kept = s > longest * max(n, d) * np.finfo(np.float64).eps
    factors = np.divide(s, s**2 + ridge, out=np.zeros_like(s), where=kept)
    w = vt.T @ (factors[:, None] * (u.T @ triangle[:, d:]))
    return w, center[1] - center[0] @ w


def _upper(matrix: Floats) -> Floats:
    return np.linalg.qr(matrix, mode="r")  # type: ignore[return-value]  # a triangle alone in this mode


def _at_once(columns: int) -> int:
    return max(1024, 2 * columns)
