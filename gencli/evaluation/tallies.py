"""Counts and sums over predictions for rows, of which results are made: they grow with classes, not with rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.evaluation import grouping
from gencli.evaluation.predictions import Evaluated

Integers = NDArray[np.int64]

BINS = 15
_MEANS = ("psnr", "ssim", "losses", "cross_entropies", "margins")
_BLOCK = 1 << 16  # rows


class Tally:
    """Counts and sums over rows added one after the other, by class or by group; the same in whatever portions.

    Args:
        classes: how many there are.
        top: the K whose `top_K` are counted.
        confusion: whether the cells of the confusion matrix are counted: classes · (classes + 1).

    Attributes:
        by: the columns that rows are grouped by.
        groups: the number of each group, in the order of their first rows; None where classes are the parts.
        sums: [≥ parts, 1] by name, counts int64 and sums float64, as far as there are any: n, not_finite; psnr, ssim,
            losses, cross_entropies, margins (NaN where one is); right, top_K; corrupted, and of these memorized and
            recovered. Of `off` [parts, bins], right − confidence by bin of the confidence (see
            `classes.calibration_errors`). Of the groups, or of all rows, labelled, predicted and both [parts, classes]:
            how many rows are labelled as a class, predicted as it, and both. The `cells` of the confusion matrix
            [1, classes · (classes + 1)], label by label, the last of each those predicted as no class.
    """

    def __init__(self, classes: int, top: Sequence[int] = (), confusion: bool = False) -> None:
        self.classes, self._top, self._confusion = classes, tuple(top), confusion
        self.by: tuple[str, ...] = ()
        self.groups: dict[grouping.Group, int] | None = None
        self.sums: dict[str, NDArray[Any]] = {}

    @classmethod
    def of(cls, rows: Evaluated, classes: int, top: Sequence[int] = (), confusion: bool = False) -> Tally:
        """That of these rows alone."""
        found = cls(classes, top, confusion)
        for start in range(0, max(1, len(rows.labels)), _BLOCK):
            found.add(rows.part(slice(start, start + _BLOCK)))
        return found

    @property
    def count(self) -> int:
        """Of parts: of groups, or of classes."""
        return self.classes if self.groups is None else len(self.groups)

    def total(self, name: str) -> int:
        """Of a count, over all rows; 0 where there is none."""
        return int(self.sums[name].sum()) if name in self.sums else 0

    def add(self, rows: Evaluated) -> None:
        """Takes more rows."""
        parts, whole = rows.labels, np.zeros_like(rows.labels)
        if rows.groups is not None:
            self.by, self.groups = rows.by, {} if self.groups is None else self.groups
            numbers = [self.groups.setdefault(group, len(self.groups)) for group in rows.groups]
            parts = whole = np.array(numbers, np.int64)
        self._add("n", parts)
        for name in _MEANS:
            if (values := getattr(rows, name)) is not None:
                self._add(name, parts, values)
        self._add("not_finite", parts[rows.not_finite])
        if rows.predicted is not None:
            self._classified(rows, rows.predicted, parts, whole)

    def _classified(self, rows: Evaluated, predicted: Integers, parts: Integers, whole: Integers) -> None:
        labels, classes = rows.labels, self.classes
        right, known = predicted == labels, predicted >= 0
        self._add("right", parts[right])
        if rows.ranks is not None:
            for k in self._top:
                self._add(f"top_{k}", parts[rows.ranks < k])
        for name, some, values in (
            ("labelled", slice(None), labels), ("predicted", known, predicted), ("both", right, labels)
        ):  # fmt: skip
            self._add(name, whole[some] * classes + values[some], width=classes)
        if self._confusion:
            self._add("cells", labels * (classes + 1) + predicted % (classes + 1), width=classes * (classes + 1))
        if rows.confidences is not None:
            bins = np.clip(np.ceil(np.nan_to_num(rows.confidences) * BINS), 1, BINS).astype(np.int64) - 1
            self._add("off", parts * BINS + bins, right - rows.confidences, BINS)
        if rows.labels_true is not None:
            wrong = labels != rows.labels_true
            self._add("corrupted", parts[wrong])
            self._add("memorized", parts[wrong & right])
            self._add("recovered", parts[wrong & (predicted == rows.labels_true)])

    def _add(self, name: str, cells: Integers, values: NDArray[np.float64] | None = None, width: int = 1) -> None:
        """Adds values, or counts, to cells: part · width + column; row by row, so that portions change no digit."""
        alone = name == "cells" or (self.groups is None and name in ("labelled", "predicted", "both"))
        sums = self._room(name, 1 if alone else self.count, width, np.dtype(np.int64 if values is None else np.float64))
        np.add.at(sums.reshape(-1), cells, 1 if values is None else values)

    def _room(self, name: str, parts: int, width: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """The sums, with room for as many parts as there are by now, or for some to come."""
        known = self.sums.get(name, np.zeros((0, width), kind))
        if len(known) < parts:
            more = max(parts, 2 * len(known)) - len(known)
            known = np.concatenate([known, np.zeros((more, width), kind)])
        self.sums[name] = known
        return known

    def merge(self, other: Tally) -> None:
        """Takes the rows that another has, after its own."""
        places: list[int] | None = None
        if other.groups is not None:
            self.by, self.groups = other.by, {} if self.groups is None else self.groups
            places = [self.groups.setdefault(tuple(map(_same, group)), len(self.groups)) for group in other.groups]
        for name, sums in other.sums.items():
            if places is None or name == "cells":
                self._room(name, len(sums), sums.shape[1], sums.dtype)[:] += sums
            else:  # of those that are known to the other so far
                mine, there = self._room(name, self.count, sums.shape[1], sums.dtype), places[: len(sums)]
                mine[there] += sums[: len(there)]

    def ordered(self) -> tuple[list[grouping.Group] | None, dict[str, NDArray[Any]]]:
        """The groups by their values (see `grouping.ordered`), and the sums in the same order."""
        if self.groups is None:
            return None, self.sums
        order = grouping.ordered([*self.groups], self.by)
        places = [self.groups[group] for group in order]
        return order, {
            name: sums if name == "cells" else self._room(name, self.count, sums.shape[1], sums.dtype)[places]
            for name, sums in self.sums.items()
        }


def _same(value: Any) -> Any:
    """NaN that another process sent is another object, and would be another group."""
    return math.nan if isinstance(value, float) and math.isnan(value) else value
