"""Accuracy, loss and memorization, overall and per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gencli.evaluation.predictions import Evaluated

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


def per_class(evaluated: Evaluated, classes: tuple[str, ...]) -> pa.Table:
    """The result table: a row a class, by label, then the overall row, whose `label` is null.

    Of rows in groups it is a row a group instead, in the order of their first rows, `label` its number.

    Columns: label, name, n, accuracy (psnr of image-to-image networks, in dB), loss, and where labels_true is known
    corrupted (rows with label ≠ label_true), memorized and recovered (fractions of those, predicted as label and as
    label_true). A mean over no rows is null.
    """
    labels, predicted = evaluated.labels, evaluated.predicted
    rows = labels
    if evaluated.groups is not None:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(evaluated.groups))}
        classes, rows = tuple(numbers), np.array([numbers[name] for name in evaluated.groups])
    count = len(classes)

    def sums(weights: NDArray[Any]) -> NDArray[np.float64]:
        each = np.bincount(rows, weights, minlength=count).astype(np.float64)
        return np.append(each, each.sum())

    def share(part: NDArray[Any], whole: NDArray[np.float64]) -> pa.Array:
        with np.errstate(invalid="ignore"):
            return pa.array(sums(part) / whole, mask=whole == 0)

    n = sums(np.ones(len(labels)))
    score = {"psnr": evaluated.psnr} if predicted is None else {"accuracy": predicted == labels}
    columns = {
        "label": pa.array([*range(count), None], pa.int64()),
        "name": pa.array([*classes, "all"]),
        "n": pa.array(n.astype(np.int64)),
    } | {name: share(values, n) for name, values in (score | {"loss": evaluated.losses}).items() if values is not None}
    if evaluated.labels_true is not None and predicted is not None:
        wrong = labels != evaluated.labels_true
        corrupted = sums(wrong)
        columns |= {
            "corrupted": pa.array(corrupted.astype(np.int64)),
            "memorized": share(wrong & (predicted == labels), corrupted),
            "recovered": share(wrong & (predicted == evaluated.labels_true), corrupted),
        }
    return pa.table(columns)
