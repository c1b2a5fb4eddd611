"""Results of predictions for rows that are all in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.evaluation import classes
from gencli.evaluation.predictions import Evaluated
from gencli.evaluation.tallies import Tally


def per_class(
    rows: Evaluated, names: tuple[str, ...], top: Sequence[int] = (), resampled: int | None = None
) -> pa.Table:
    return classes.per_class(Tally.of(rows, len(names), top), names, resampled)


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], names: tuple[str, ...]) -> pa.Table:
    rows = Evaluated(np.arange(len(labels)), labels, predicted=predicted)
    return classes.confusion(Tally.of(rows, len(names), confusion=True), names)
