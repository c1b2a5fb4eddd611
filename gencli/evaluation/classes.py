"""Accuracy, loss and memorization, overall and per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

Fractions = tuple[float, float | None, float | None, float | None]


def fractions(predicted: torch.Tensor, labels: torch.Tensor, labels_true: torch.Tensor | None) -> Fractions:
    """Accuracy, and on corrupted data clean accuracy, memorized, recovered.

    Args:
        predicted, labels, labels_true: [n] int64.

    Returns:
        accuracy: fraction of rows predicted as `labels`.
        clean accuracy: of the rows with label = label_true, the fraction predicted so.
        memorized, recovered: of the rows with label ≠ label_true, the fractions predicted as label and as label_true.
        The last three are None without `labels_true`, and where there are no such rows.
    """
    right = predicted == labels
    if labels_true is None:
        return _mean(right), None, None, None
    corrupted = labels != labels_true
    known = (predicted == labels_true)[corrupted]
    return _mean(right), _mean_or_none(right[~corrupted]), _mean_or_none(right[corrupted]), _mean_or_none(known)


def _mean(flags: torch.Tensor) -> float:
    return flags.sum().item() / len(flags)


def _mean_or_none(flags: torch.Tensor) -> float | None:
    return _mean(flags) if len(flags) else None


def per_class(
    predicted: NDArray[np.int64],
    losses: NDArray[np.float64],
    labels: NDArray[np.int64],
    labels_true: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    groups: Sequence[str] | None = None,
) -> pa.Table:
    """The result table: a row a class, by `labels`, then the overall row, whose `label` is null.

    With `groups` [n] it is a row a group instead, in the order of their first rows, `label` its number.

    Columns: label, name, n, accuracy, loss, and with `labels_true` corrupted (rows with label ≠ label_true), memorized
    and recovered (fractions of those, predicted as label and as label_true). A fraction of no rows is null.
    """
    if groups is None:
        rows = labels
    else:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
        classes, rows = tuple(numbers), np.array([numbers[name] for name in groups])
    count = len(classes)
    columns = {
        "label": pa.array([*range(count), None], pa.int64()),
        "name": pa.array([*classes, "all"]),
    }

    def sums(weights: NDArray[Any]) -> NDArray[np.float64]:
        each = np.bincount(rows, weights, minlength=count).astype(np.float64)
        return np.append(each, each.sum())

    def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> pa.Array:
        with np.errstate(invalid="ignore"):
            return pa.array(part / whole, mask=whole == 0)

    n = sums(np.ones(len(labels)))
    columns |= {
        "n": pa.array(n.astype(np.int64)),
        "accuracy": share(sums(predicted == labels), n),
        "loss": share(sums(losses), n),
    }
    if labels_true is not None:
        wrong = labels != labels_true
        corrupted = sums(wrong)
        columns |= {
            "corrupted": pa.array(corrupted.astype(np.int64)),
            "memorized": share(sums(wrong & (predicted == labels)), corrupted),
            "recovered": share(sums(wrong & (predicted == labels_true)), corrupted),
        }
    return pa.table(columns)
