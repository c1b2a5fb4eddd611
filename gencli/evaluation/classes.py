"""How good predictions are, overall, per class and per group of rows; and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gencli.evaluation import grouping
from gencli.evaluation.intervals import bootstrap
from gencli.evaluation.tallies import Tally

Fractions = tuple[float, float | None, float | None, float | None]
Floats = NDArray[np.float64]

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


def per_class(tally: Tally, classes: tuple[str, ...], resampled: int | None = None) -> pa.Table:
    """The result table: one row per class, by label, then the overall row, whose `label` is null.

    Rows in groups give one row per group instead, corruptions in the order of their first rows, with `label` the value
    that they share, or its number if that is not an integer or there are several. Without rows all but the counts are
    null.

    Columns: label, name, n, accuracy; accuracy_low and accuracy_high, if `resampled`; top_K for each K of the tally's,
    the fraction with the label among the K largest logits; precision, recall and f1 (see `class_scores`), in rows of
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
    parts = _Parts(*tally.ordered())
    names = list(classes) if parts.groups is None else grouping.names(parts.groups)
    n = parts.sums("n")
    columns = {
        "label": pa.array([*(grouping.numbers(parts.groups or []) or range(len(names))), None], pa.int64()),
        "name": pa.array([*names, "all"]),
        "n": pa.array(n.astype(np.int64)),
    }
    if "right" in parts.each:
        columns |= _scores(parts, n, tally, resampled)
    else:
        means = {"psnr": "psnr", "ssim": "ssim", "loss": "losses"}
        columns |= {name: parts.share(of, n) for name, of in means.items() if of in parts.each}
    if tally.total("not_finite"):
        columns["not_finite"] = pa.array(parts.sums("not_finite").astype(np.int64))
    return pa.table(columns)


@dataclass(frozen=True)
class _Parts:
    """The parts of the rows that a table has a row of: classes, or groups; see `Tally.ordered`."""

    groups: list[grouping.Group] | None
    each: dict[str, NDArray[Any]]

    def sums(self, name: str) -> Floats:
        """[parts + 1], the last over all rows."""
        each = self.each[name][:, 0].astype(np.float64)
        return np.append(each, each.sum())

    def share(self, part: str, whole: Floats) -> pa.Array:
        """Their quotient by whole [parts + 1], null where that is 0."""
        with np.errstate(invalid="ignore"):
            return _known(self.sums(part) / whole, whole)


def _scores(parts: _Parts, n: Floats, tally: Tally, resampled: int | None) -> dict[str, pa.Array]:
    """The columns of classifiers, see `per_class`."""
    right, each = parts.sums("right"), parts.each
    columns = {"accuracy": parts.share("right", n)}
    if resampled is not None:
        low, high = bootstrap(n[:-1].astype(np.int64), right[:-1].astype(np.int64), resampled)
        columns |= {"accuracy_low": _known(low, n), "accuracy_high": _known(high, n)}
    columns |= {name: parts.share(name, n) for name in each if name.startswith("top_")}
    cells = [each[name].astype(np.float64) for name in ("labelled", "predicted", "both")]
    overall = class_scores(*(of.sum(0, keepdims=True) for of in cells))
    grouped = class_scores(*cells) if parts.groups is not None else None
    for name, whole in overall.items():
        of = whole[0] if grouped is None else np.nanmean(grouped[name], 1)
        columns[name] = _known(np.append(of, np.nanmean(whole)), n)
    columns["loss"] = parts.share("losses", n) if "losses" in each else pa.nulls(len(n), pa.float64())
    if "cross_entropies" in each:
        columns["cross_entropy"] = parts.share("cross_entropies", n)
    if "off" in each:
        columns["calibration_error"] = _known(calibration_errors(each["off"], n), n)
    if "margins" in each and tally.classes > 1:
        columns["margin"] = parts.share("margins", n)
    if "corrupted" in each:
        corrupted = parts.sums("corrupted")
        columns["corrupted"] = pa.array(corrupted.astype(np.int64))
        columns |= {name: parts.share(name, corrupted) for name in ("memorized", "recovered")}
    if parts.groups is not None and "corruption" in tally.by:
        kinds = [str(group[tally.by.index("corruption")]) for group in parts.groups]
        columns["corruption_error"] = pa.array(corruption_errors(kinds, 1 - right[:-1] / n[:-1]))
    return columns


def _known(values: Floats, n: Floats) -> pa.Array:
    return pa.array(values, mask=(n == 0) | np.isnan(values))


def class_scores(labelled: Floats, predicted: Floats, both: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of each class in each group of rows: [count, classes], NaN where a class has no rows.

    Precision is the fraction of the rows predicted as the class that are labelled so, 0 where none is predicted;
    recall that of the rows labelled so that are predicted; F1 their harmonic mean, 0 where both are.

    Args:
        labelled, predicted, both: [count, classes] how many rows are.
    """
    n = np.where(labelled == 0, np.nan, labelled)
    return {"precision": both / np.maximum(predicted, 1) + 0 * n, "recall": both / n, "f1": 2 * both / (n + predicted)}


def calibration_errors(off: Floats, n: Floats) -> Floats:
    """[count + 1] the expected calibration error of each group of rows, the overall one last; NaN without rows.

    Σ over bins of |bin| / n · |accuracy − mean confidence| with 15 bins of the confidence, ((m − 1) / 15, m / 15].
    Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599, equation 3.

    Args:
        off: [count, bins] the sums of right − confidence, a row's largest probability.
        n: [count + 1] the rows.
    """
    with np.errstate(invalid="ignore"):
        return np.append(np.abs(off).sum(1), np.abs(off.sum(0)).sum()) / n


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


def confusion(tally: Tally, classes: tuple[str, ...]) -> pa.Table:
    """The confusion matrix in counts: one row per label, with columns label, name, and one per predicted class.

    The columns' names are the classes', or where two have one name, or one of them is label, name or not_finite, their
    labels. The last one, not_finite, where there are any, counts those predicted as none.
    """
    count = len(classes)
    cells = tally.sums["cells"].reshape(count, count + 1)
    distinct = len({"label", "name", "not_finite", *classes}) == count + 3
    headings = [*(classes if distinct else map(str, range(count))), "not_finite"]
    columns = {"label": pa.array(range(count), pa.int64()), "name": pa.array(classes)}
    columns |= {heading: pa.array(column) for heading, column in zip(headings, cells.T)}
    return pa.table(columns).drop_columns([] if cells[:, -1].any() else ["not_finite"])


def labelled(rows: pa.Table, names: Mapping[str, str | int]) -> pa.Table:
    """The table with leading columns of constants, which name the model, the data and the run."""
    kinds = {str: pa.string(), int: pa.int64()}
    lead = {name: pa.array([value] * rows.num_rows, kinds[type(value)]) for name, value in names.items()}
    return pa.table(lead | dict(zip(rows.column_names, rows.columns)))
