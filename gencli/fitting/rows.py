"""The rows of a table as equations: pixels, targets, and the treatment of repeated images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.models.inputs import Rows


def require_finite(rows: Rows, title: str) -> None:
    """Refuses images with a pixel that is not finite.

    Raises:
        GencliError: names the first such row.
    """
    wrong = (~rows.images.flatten(1).isfinite().all(1)).nonzero()
    if len(wrong):
        raise GencliError(f"{title}: row {wrong[0].item()}: a pixel is not finite", "remove such rows")


def require_points(rows: Rows, points: torch.Tensor, title: str, kernel: str) -> None:
    """Refuses images whose point [n, d] is 0, where a kernel that is 0 there has no interpolant.

    Raises:
        GencliError: names the first such row.
    """
    zero = (points == 0).all(1).nonzero()
    if len(zero):
        row = int(zero[0])
        number = row if rows.ids is None else int(rows.ids[row])
        raise GencliError(
            f"{title}: row {row} (id {number}): {kernel} is 0 between this image and any; such rows: {len(zero):,}",
            "remove them, or use --ridge 0.001",
        )


def distinct(rows: Rows, title: str, hint: str) -> Rows:
    """The rows without repetitions of an image, in their order, see `first_places`."""
    first = first_places(rows, title, hint)
    return rows if len(first) == len(rows) else rows.select(torch.from_numpy(first))


def first_places(rows: Rows, title: str, hint: str) -> NDArray[np.int64]:
    """The places of the rows without repetitions of an image, ascending.

    Raises:
        GencliError: two equal images have different labels; `hint` says what to do.
    """
    flat = np.ascontiguousarray(rows.images.flatten(1).numpy())
    keys = flat.view(np.dtype((np.void, flat.strides[0]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    labels = rows.labels.numpy()
    twice = np.flatnonzero(labels != labels[first[group]])
    if len(twice):
        one, other = first[group[twice[0]]], twice[0]
        ids = np.arange(len(rows)) if rows.ids is None else rows.ids.numpy()
        raise GencliError(
            f"{title}: rows {one} and {other} (ids {ids[one]} and {ids[other]}) are one image with two labels, "
            f"{labels[one]} and {labels[other]}; such rows: {len(twice):,}",
            hint,
        )
    return np.sort(first)


def one_hot(rows: Rows, classes: int) -> NDArray[np.float32]:
    """[n, classes] float32, 1 at the label, 0 elsewhere."""
    made = np.zeros((len(rows), classes), np.float32)
    made[np.arange(len(rows)), rows.labels.numpy()] = 1
    return made
