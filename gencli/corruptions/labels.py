"""Corruptions of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import LabelCorruption
from gencli.randomness import Draws


@dataclass(frozen=True)
class RandomLabels(LabelCorruption):
    """Draw labels again, uniformly over all classes.

    Each label is replaced, with probability p, by a uniform draw over all classes. The draw may be the true
    class, so with 10 classes 0.9·p of the labels change. The column label_true keeps the original. A label
    that p corrupts, a larger p corrupts to the same class. Reads and writes an image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.5 -o half.parquet
    """

    name = "random-labels"
    p: Annotated[float, typer.Option("-p", min=0, max=1, help="Probability of drawing a label again.")]

    def labels(
        self, labels: NDArray[np.int64], ids: NDArray[np.int64], classes: int, draws: Draws
    ) -> NDArray[np.int64]:
        # ⌊word·classes/2³²⌋ is uniform up to a bias below classes/2³²
        drawn = draws.words(ids, 1)[:, 0].astype(np.uint64) * np.uint64(classes) >> np.uint64(32)
        return np.where(draws.uniforms(ids) < self.p, drawn.astype(np.int64), labels)
