"""Rows that a run does not train on: those held out to validate it, and those that its subset leaves out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.counts import share
from gencli.errors import GencliError
from gencli.models.inputs import Rows
from gencli.randomness import Draws
from gencli.runs import seen
from gencli.runs import subset as bound


def subset(rows: Rows, fraction: float, seed: int, copied: bool = True) -> tuple[Rows, float]:
    """round(fraction · n) rows by seed and id only, and the bound that tells them, see `gencli.runs.subset`."""
    ids = _ids(rows)
    below = bound(ids, fraction, seed)
    return _select(rows, seen(ids, seed, below), copied), below


def _ids(rows: Rows) -> NDArray[np.int64]:
    return np.arange(len(rows)) if rows.ids is None else rows.ids.cpu().numpy()


def _select(rows: Rows, mask: NDArray[np.bool_], copied: bool) -> Rows:
    index = torch.from_numpy(mask).nonzero().squeeze(1).to(rows.labels.device)
    return rows.select(index) if copied else rows.view(index)


def split(rows: Rows, fraction: float, seed: int, copied: bool = True) -> tuple[Rows, Rows]:
    """Training and validation rows: of each class's n rows, round(fraction · n) are held out, by seed and id only.

    Classes are those of `label`, what training sees.

    Args:
        copied: whether the rows get images of their own.

    Raises:
        GencliError: no rows for one of them.
    """
    labels = rows.labels.cpu().numpy()
    places = np.lexsort([Draws(seed, "validation").uniforms(_ids(rows)), labels])
    starts = np.searchsorted(labels[places], labels[places])  # where the class of each starts
    parts = np.array([share(fraction, count) for count in np.bincount(labels).tolist()])
    held = np.zeros(len(rows), bool)
    held[places] = np.arange(len(rows)) - starts < parts[labels[places]]
    if held.all() or not held.any():
        which = "training" if held.all() else "validation"
        raise GencliError(
            f"--validation-fraction: {fraction:g} of {len(rows):,} rows leaves no {which} rows", "change it"
        )
    return _select(rows, ~held, copied), _select(rows, held, copied)
