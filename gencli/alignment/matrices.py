"""Kernel matrices of a table's rows: of their images, and of a network's gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.jacobians.rows import Confirm, RowFunction
from gencli.kernels import Kernel
from gencli.machine import free_memory
from gencli.models.inputs import PEAK, Rows

Advance = Callable[[int], None]
_AT_ONCE = 512  # rows
_HELD = 1 << 32  # bytes of gradients that are kept while those of later rows pass


def of_images(kernel: Kernel, rows: Rows, normalize: str, title: str, advance: Advance) -> NDArray[np.float64]:
    """k(x_i, x_j) [n, n] float64 of images as pixels/255, less their own mean (whitened), of norm 1 (unless none).

    Raises:
        GencliError: a pixel is not finite, or an image has no norm.
    """
    x = rows.images.flatten(1).double() / PEAK
    if not x.isfinite().all():
        row = int((~x.isfinite().all(1)).nonzero()[0])
        raise GencliError(f"{title}: row {row}: a pixel is not finite", "remove such rows")
    if normalize == "whitened":
        constant = (x == x[:, :1]).all(1)
        x = (x - x.mean(1, keepdim=True)).masked_fill_(constant[:, None], 0)
    if normalize != "none":
        norms = x.norm(dim=1, keepdim=True)
        if not norms.all():
            row = int((norms == 0).nonzero()[0, 0])
            black = "is black" if normalize == "unit" else "has one value in all pixels"
            raise GencliError(f"{title}: row {row}: the image {black}, so it has no direction", "use --normalize none")
        x /= norms
    height, width, channels = rows.images.shape[1:]
    points = kernel.points(x, (height, width, channels))
    matrix = np.empty((len(x), len(x)))
    for start in range(0, len(x), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(x))
        matrix[start:stop, :stop] = kernel.matrix(points[start:stop], points[:stop])
        matrix[:stop, start:stop] = matrix[start:stop, :stop].T
        advance(stop * stop)
    return matrix


def of_network(
    function: RowFunction, mean: bool, confirm: Confirm, say: Callable[[str], None], advance: Advance
) -> NDArray[np.float64]:
    """⟨∂f_c(x_i), ∂f_d(x_j)⟩ of the outputs' gradients by the parameters, computed in the function's dtype.

    As many rows' gradients are kept as fit into 4 GiB or half of what is free; those of the later rows pass by them,
    and are computed again for the next rows that are kept.

    Args:
        mean: the mean over outputs c = d, instead of all pairs.
        confirm, say: see `RowFunction.jacobians`.
        advance: takes the pairs of rows that are done.

    Returns:
        [n · outputs, n · outputs], a row's outputs beside each other, or [n, n].
    """
    n, outputs = function.rows, function.outputs
    each = 1 if mean else outputs
    one = function.dtype.itemsize * outputs * function.size
    held = max(1, min(n, min(_HELD, free_memory() // 2) // one))
    matrix, done = np.empty((n * each, n * each)), 0
    for start in range(0, n, held):
        stop = min(start + held, n)
        kept: torch.Tensor | None = None
        for chunk in function.jacobians("reverse", say, range(start, n), confirm):
            if kept is None:
                kept = chunk.matrices.new_empty(stop - start, outputs, function.size)
            first, last = chunk.start, chunk.start + len(chunk.matrices)
            own = chunk.matrices[: max(0, stop - first)]
            kept[first - start : first - start + len(own)] = own
            known = kept[: min(last, stop) - start]
            shape = (-1, outputs * function.size if mean else function.size)
            products = (known.reshape(shape) @ chunk.matrices.reshape(shape).T).cpu().double().numpy()
            above, beside = slice(start * each, (start + len(known)) * each), slice(first * each, last * each)
            matrix[above, beside] = products / outputs if mean else products
            matrix[beside, above] = matrix[above, beside].T
            advance(done + (last - start) * len(known))
        done += (stop - start) * (n - start)
    return matrix
