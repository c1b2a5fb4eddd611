"""Which labels probabilities speak against: self-confidence, normalized margin, confident learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.scores.means import Mean
from gencli.scores.names import ERROR

_EQUAL = 1e-6  # by which cleanlab, the authors' own code, takes numbers for equal

_BLOCK = 1 << 16  # rows


def self_confidence(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n] each label's own probability, of probabilities [n, classes]."""
    return probabilities[np.arange(len(labels)), labels]


def normalized_margin(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n] (p_label − largest other + 1)/2 (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068, as cleanlab scales it)."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return (self_confidence(probabilities, labels) - others.max(1) + 1) / 2


def confident_class(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n] the class that a row is counted for in the confident joint, −1 for none.

    A class counts where its probability is at least the mean that it has over the rows labelled so; of several the most
    probable one (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068, section 3.1), with cleanlab's tolerances: its
    thresholds are 2e-6 or more, and count as reached from 1e-6 below. Where several count, it takes the most probable
    of all classes, as we do, even one that is below its own threshold.

    Args:
        probabilities: [n, classes].
        labels: [n].
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.array([
        probabilities[labels == each, each].mean() if counts[each] else np.inf for each in range(classes)
    ])  # fmt: skip
    reached = probabilities >= np.maximum(thresholds, 2 * _EQUAL) - _EQUAL
    several = reached.sum(1)
    found = np.where(several > 1, probabilities.argmax(1), reached.argmax(1))
    return np.where(several > 0, found, -1)


@dataclass
class Probabilities:
    """The mean probabilities of n rows over runs, and what each run's say of the labels."""

    labels: NDArray[np.int64]
    classes: int
    _sums: NDArray[np.float64] = field(init=False)
    _confidence: Mean = field(init=False)
    _margin: Mean = field(init=False)

    def __post_init__(self) -> None:
        self._sums = np.zeros((len(self.labels), self.classes))
        self._confidence, self._margin = Mean(len(self.labels)), Mean(len(self.labels))

    @property
    def count(self) -> NDArray[np.int32]:
        """[n] how many runs have a row."""
        return self._confidence.count

    def add(self, places: NDArray[np.int64], probabilities: NDArray[np.floating]) -> None:
        """Takes a run's probabilities [m, classes] of the rows `places` [m], none twice."""
        for start in range(0, len(places), _BLOCK):
            at, found = places[start : start + _BLOCK], probabilities[start : start + _BLOCK].astype(np.float64)
            self._sums[at] += found
            self._confidence.add(at, self_confidence(found, self.labels[at]))
            self._margin.add(at, normalized_margin(found, self.labels[at]))

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The scores by name; confident learning, of the mean probabilities, 1 where another class is counted for."""
        for name, mean in (("self_confidence", self._confidence), ("normalized_margin", self._margin)):
            yield name, mean.mean()
            yield name + ERROR, mean.error()
        known = self.count > 0
        found = np.full(len(self.labels), -1)
        found[known] = confident_class(self._sums[known] / self.count[known, None], self.labels[known])
        yield "confident_learning", pa.array(((found >= 0) & (found != self.labels)).astype(float), mask=~known)
        yield "confident_label", pa.array(found, mask=found < 0)
