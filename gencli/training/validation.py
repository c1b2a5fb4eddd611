"""Rows held out of the training data."""

from __future__ import annotations

import numpy as np
import torch

from gencli.counts import share
from gencli.errors import GencliError
from gencli.models.inputs import Rows
from gencli.randomness import Draws


def split(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Training and validation rows: of each class's n rows, round(fraction · n) are held out, by seed and id only.

    Classes are those of `label`, what training sees.

    Raises:
        GencliError: no rows for one of them.
    """
    labels = rows.labels.numpy()
    ids = np.arange(len(rows)) if rows.ids is None else rows.ids.numpy()
    places = np.lexsort([Draws(seed, "validation").uniforms(ids), labels])
    starts = np.searchsorted(labels[places], labels[places])  # where the class of each starts
    parts = np.array([share(fraction, count) for count in np.bincount(labels).tolist()])
    held = np.zeros(len(rows), bool)
    held[places] = np.arange(len(rows)) - starts < parts[labels[places]]
    if held.all() or not held.any():
        which = "training" if held.all() else "validation"
        raise GencliError(
            f"--validation-fraction: {fraction:g} of {len(rows):,} rows leaves no {which} rows", "change it"
        )
    chosen = torch.from_numpy(held)
    return rows.select((~chosen).nonzero().squeeze(1)), rows.select(chosen.nonzero().squeeze(1))
