"""How good predictions are, overall, per class and per group of rows; and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gencli.evaluation import grouping
from gencli.evaluation.intervals import bootstrap

if TYPE_CHECKING:
    from gencli.evaluation.predictions import Evaluated

Fractions = tuple[float, float | None, float | None, float | None]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_BINS = 15
# left out of the mean corruption error; identity is none, in MNIST-C
_EXTRA = {"speckle-noise", "gaussian-blur", "spatter", "saturate", "identity"}


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
    evaluated: Evaluated, classes: tuple[str, ...], top: Sequence[int] = (), resampled: int | None = None
) -> pa.Table:
    """The result table: one row per class, by label, then the overall row, whose `label` is null.

    Rows in groups give one row per group instead, corruptions in the order of their first rows, with `label` the value
    that they share, or its number if that is not an integer or there are several. Without rows all but the counts are
    null.

    Columns: label, name, n, accuracy; accuracy_low and accuracy_high, if `resampled`; top_K for each K of `top`, the
    fraction with the label among the K largest logits; precision, recall and f1 (see `class_scores`), in rows of
    several classes their means over the classes that have rows there; loss and cross_entropy, means; calibration_error
    (see `calibration_errors`) and margin (mean, see `logits`); where labels_true is known corrupted (rows with label ≠
    label_true), memorized and recovered (fractions of those, predicted as label and as label_true); and
    corruption_error where grouped by corruption (see `corruption_errors`). Of image-to-image networks: label, name, n,
    psnr in dB, ssim, loss. Last, where there are any, not_finite: the rows whose outputs are not all finite. They are
    predicted as no class, so never right, and loss, cross_entropy, calibration_error, margin, psnr and ssim of rows
    with one among them are null.

    Args:
        resampled: the seed of bootstrap intervals (see `intervals`).
    """
    parts = _Parts.of(evaluated, classes)
    n = parts.sums(np.ones(len(evaluated.labels)))
    columns = {
        "label": pa.array([*(grouping.numbers(parts.groups or []) or range(len(parts.names))), None], pa.int64()),
        "name": pa.array([*parts.names, "all"]),
        "n": pa.array(n.astype(np.int64)),
    }
    if evaluated.predicted is None:
        means = {"psnr": evaluated.psnr, "ssim": evaluated.ssim, "loss": evaluated.losses}
        columns |= {name: parts.share(values, n) for name, values in means.items() if values is not None}
    else:
        columns |= _scores(evaluated, evaluated.predicted, parts, n, len(classes), top, resampled)
    if evaluated.not_finite.any():
        columns["not_finite"] = pa.array(parts.sums(evaluated.not_finite).astype(np.int64))
    return pa.table(columns)


@dataclass(frozen=True)
class _Parts:
    """The parts of the rows that a table has a row of: classes, or groups.

    Attributes:
        rows: [n], each row's part.
        names: of the parts.
        groups: their values; None for classes.
    """

    rows: Integers
    names: list[str]
    groups: list[grouping.Group] | None

    @classmethod
    def of(cls, evaluated: Evaluated, classes: tuple[str, ...]) -> _Parts:
        if evaluated.groups is None:
            return cls(evaluated.labels, list(classes), None)
        order = grouping.ordered(evaluated.groups, evaluated.by)
        places = {group: place for place, group in enumerate(order)}
        rows = np.array([places[group] for group in evaluated.groups])
        return cls(rows, grouping.names(order), order)

    def sums(self, weights: NDArray[Any]) -> Floats:
        """[parts + 1] of weights [n], the last over all rows."""
        each = np.bincount(self.rows, weights, minlength=len(self.names)).astype(np.float64)
        return np.append(each, each.sum())

    def share(self, part: NDArray[Any], whole: Floats) -> pa.Array:
        """Their quotient by whole [parts + 1], null where that is 0."""
        with np.errstate(invalid="ignore"):
            return _known(self.sums(part) / whole, whole)


def _scores(
    evaluated: Evaluated, predicted: Integers, parts: _Parts, n: Floats,
    classes: int, top: Sequence[int], resampled: int | None,
) -> dict[str, pa.Array]:  # fmt: skip
    """The columns of classifiers, see `per_class`."""
    labels, rows, count = evaluated.labels, parts.rows, len(parts.names)
    right = predicted == labels
    columns = {"accuracy": parts.share(right, n)}
    if resampled is not None:
        low, high = bootstrap(rows, right, count, resampled)
        columns |= {"accuracy_low": _known(low, n), "accuracy_high": _known(high, n)}
    if evaluated.ranks is not None:
        columns |= {f"top_{k}": parts.share(evaluated.ranks < k, n) for k in top}
    overall = class_scores(labels, predicted, np.zeros_like(labels), 1, classes)
    grouped = class_scores(labels, predicted, rows, count, classes) if parts.groups is not None else None
    for name, whole in overall.items():
        each = whole[0] if grouped is None else np.nanmean(grouped[name], 1)
        columns[name] = _known(np.append(each, np.nanmean(whole)), n)
    losses = evaluated.losses
    columns["loss"] = pa.nulls(count + 1, pa.float64()) if losses is None else parts.share(losses, n)
    if evaluated.cross_entropies is not None:
        columns["cross_entropy"] = parts.share(evaluated.cross_entropies, n)
    if evaluated.confidences is not None:
        columns["calibration_error"] = _known(calibration_errors(evaluated.confidences, right, rows, count), n)
    if evaluated.margins is not None and classes > 1:
        columns["margin"] = parts.share(evaluated.margins, n)
    if evaluated.labels_true is not None:
        wrong = labels != evaluated.labels_true
        corrupted = parts.sums(wrong)
        columns |= {
            "corrupted": pa.array(corrupted.astype(np.int64)),
            "memorized": parts.share(wrong & right, corrupted),
            "recovered": parts.share(wrong & (predicted == evaluated.labels_true), corrupted),
        }
    if parts.groups is not None and "corruption" in evaluated.by:
        place, accuracies = evaluated.by.index("corruption"), parts.sums(right)[:-1] / n[:-1]
        kinds = [str(group[place]) for group in parts.groups]
        columns["corruption_error"] = pa.array(corruption_errors(kinds, 1 - accuracies))
    return columns


def _known(values: Floats, n: Floats) -> pa.Array:
    return pa.array(values, mask=(n == 0) | np.isnan(values))


def class_scores(labels: Integers, predicted: Integers, rows: Integers, count: int, classes: int) -> dict[str, Floats]:
    """Precision, recall and F1 of each class in each group of rows: [count, classes], NaN where a class has no rows.

    Precision is the fraction of the rows predicted as the class that are labelled so, 0 where none is predicted;
    recall that of the rows labelled so that are predicted; F1 their harmonic mean, 0 where both are.

    Args:
        labels, predicted: [n]; what is predicted as no class is below 0.
        rows: [n], each row's group, 0 … count − 1.
    """

    def cells(values: Integers, weights: NDArray[Any] | None = None) -> Floats:
        found = np.bincount(rows * classes + values, weights, minlength=count * classes)
        return found.reshape(count, classes).astype(np.float64)

    known = predicted >= 0
    n, said, both = cells(labels), cells(predicted * known, known), cells(labels, labels == predicted)
    n[n == 0] = np.nan
    return {"precision": both / np.maximum(said, 1) + 0 * n, "recall": both / n, "f1": 2 * both / (n + said)}


def calibration_errors(confidences: Floats, right: NDArray[np.bool_], rows: Integers, count: int) -> Floats:
    """[count + 1] the expected calibration error of each group of rows, the overall one last; NaN without rows.

    Σ over bins of |bin| / n · |accuracy − mean confidence| with 15 bins of the confidence, ((m − 1) / 15, m / 15].
    Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599, equation 3.

    Args:
        confidences, right, rows: [n], a row's largest probability, whether it is predicted as labelled, its group.
    """
    bins = np.clip(np.ceil(np.nan_to_num(confidences) * _BINS), 1, _BINS).astype(np.int64) - 1
    off = np.bincount(rows * _BINS + bins, right - confidences, minlength=count * _BINS).reshape(count, _BINS)
    n = np.bincount(rows, minlength=count)
    with np.errstate(invalid="ignore"):
        return np.append(np.abs(off).sum(1) / n, np.abs(off.sum(0)).sum() / n.sum())


def corruption_errors(kinds: Sequence[str], errors: Floats) -> Floats:
    """[groups + 1] the groups' errors, 1 − accuracy, and last the mean corruption error.

    That is the mean over kinds of corruption of the mean over their groups, the severities, without dividing by
    another network's errors. The four extra kinds (speckle-noise, gaussian-blur, spatter, saturate) are left out of it
    if there are others, as is MNIST-C's identity.

    Hendrycks, Dietterich 2019, arXiv:1903.12261, section 4, where errors are divided by AlexNet's for ImageNet-C.

    Args:
        kinds, errors: [groups].
    """
    names = [kind.replace("_", "-") for kind in kinds]
    counted = [kind for kind in dict.fromkeys(names) if kind not in _EXTRA] or list(dict.fromkeys(names))
    means = [np.mean([error for name, error in zip(names, errors) if name == kind]) for kind in counted]
    return np.append(errors, np.float64(np.mean(means)))


def confusion(labels: Integers, predicted: Integers, classes: tuple[str, ...]) -> pa.Table:
    """The confusion matrix in counts: one row per label, with columns label, name, and one per predicted class.

    The columns' names are the classes', or where two have one name, or one of them is label, name or not_finite, their
    labels. The last one, not_finite, where there are any, counts those predicted as none, below 0.
    """
    count = len(classes)
    cells = np.bincount(labels * (count + 1) + predicted % (count + 1), minlength=count * (count + 1))
    distinct = len({"label", "name", "not_finite", *classes}) == count + 3
    headings = [*(classes if distinct else map(str, range(count))), "not_finite"]
    columns = {"label": pa.array(range(count), pa.int64()), "name": pa.array(classes)}
    columns |= {heading: pa.array(column) for heading, column in zip(headings, cells.reshape(count, -1).T)}
    return pa.table(columns).drop_columns([] if (predicted < 0).any() else ["not_finite"])


def labelled(rows: pa.Table, names: Mapping[str, str | int]) -> pa.Table:
    """The table with leading columns of constants, which name the model, the data and the run."""
    kinds = {str: pa.string(), int: pa.int64()}
    lead = {name: pa.array([value] * rows.num_rows, kinds[type(value)]) for name, value in names.items()}
    return pa.table(lead | dict(zip(rows.column_names, rows.columns)))
