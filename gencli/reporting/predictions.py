"""Confusion matrices, reliability and spectral density, from files with one row per class, image or eigenvalue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gencli.errors import GencliError
from gencli.reporting.documents import Document

_BINS = 15  # as `gencli eval` has
_MAKE = "evaluate a model whose outputs are finite on all rows; gencli eval reports which are not"


@dataclass(frozen=True)
class Reliability:
    """Mean confidence and accuracy of each bin that has rows, and the expected calibration error."""

    confidence: list[float]
    accuracy: list[float]
    error: float


def confusion(documents: Sequence[Document]) -> tuple[list[str], list[list[int]]]:
    """The classes' names and the sum of the runs' confusion matrices.

    Raises:
        GencliError: one is not square, or of other classes than the first.
    """
    total, names = None, documents[0].rows["name"].to_pylist()
    for document in documents:
        rows = document.rows.drop_columns(["label", "name"])
        if rows.num_columns == rows.num_rows + 1 and rows.column_names[-1] == "not_finite":
            count = sum(filter(None, rows["not_finite"].to_pylist()))
            raise GencliError(
                f"{document.title}: {count:,} rows have no class, because their outputs are not finite",
                _MAKE,
            )
        if rows.num_columns != rows.num_rows or any(column.null_count for column in rows.columns):
            raise GencliError(
                f"{document.title}: a confusion matrix of {rows.num_rows} by {rows.num_columns}, or with gaps",
                "give the output of `gencli eval --confusion`",
            )
        if document.rows["name"].to_pylist() != names:
            raise GencliError(
                f"{document.title}: its classes differ from those of {documents[0].title}", "report them separately"
            )
        cells = np.stack([column.to_numpy() for column in rows.columns], 1).astype(np.int64)
        total = cells if total is None else total + cells
    assert total is not None
    return [str(name) for name in names], total.tolist()


def reliability(documents: Sequence[Document]) -> Reliability | None:
    """The runs' predictions, pooled, in 15 bins of the largest probability; None where there are no probabilities.

    The expected calibration error is Σ |bin| / n · |accuracy − mean confidence|. Guo, Pleiss, Sun, Weinberger 2017,
    arXiv:1706.04599, equation 3, with bins ((m − 1) / 15, m / 15].
    """
    confidences, right = [], []
    for document in documents:
        rows = document.rows
        if "probabilities" in rows.column_names and rows["probabilities"].null_count < rows.num_rows:
            if gone := rows["probabilities"].null_count:
                raise GencliError(
                    f"{document.title}: {gone:,} rows without probabilities, as the model's outputs are not finite",
                    _MAKE,
                )
            confidences.append(_largest(document, rows["probabilities"]))
            right.append(np.equal(rows["label"].to_numpy(), rows["prediction"].to_numpy()))
    if not confidences:
        return None
    confidence, hit = np.concatenate(confidences), np.concatenate(right)
    bins = np.clip(np.ceil(np.nan_to_num(confidence) * _BINS), 1, _BINS).astype(np.int64) - 1
    n = np.bincount(bins, minlength=_BINS)
    known = n > 0
    mean = np.bincount(bins, confidence, minlength=_BINS)[known] / n[known]
    accuracy = np.bincount(bins, hit, minlength=_BINS)[known] / n[known]
    error = float((n[known] * np.abs(accuracy - mean)).sum() / n.sum())
    return Reliability(mean.tolist(), accuracy.tolist(), error)


def _largest(document: Document, column: pa.ChunkedArray) -> np.ndarray:
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    if not lengths.all():
        raise GencliError(f"{document.title}: a row without probabilities", "make it again")
    return np.maximum.reduceat(
        lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64),
        lists.offsets.to_numpy()[:-1] - lists.offsets[0].as_py(),
    )


def density(document: Document) -> tuple[list[float], list[float | None]]:
    """Eigenvalues and their density, None where it is 0: its axis is logarithmic."""
    values = document.rows["density"].to_pylist()
    top = max((value for value in values if value is not None), default=0) * 1e-7
    return document.rows["eigenvalue"].to_pylist(), [
        value if value is not None and value > top else None for value in values
    ]
