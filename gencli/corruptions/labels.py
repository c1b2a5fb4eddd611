"""Corruptions of labels."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import LabelCorruption
from gencli.corruptions.transitions import MATRIX, Named, read_matrix, require_order
from gencli.counts import by, share
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.files.tables import ImageTable, rewritten
from gencli.randomness import Draws
from gencli.sources.selection import class_numbers

Probability = Annotated[float, typer.Option("-p", min=0, max=1, help="Probability that a label is replaced.")]
Exact = Annotated[
    bool, typer.Option("--exact", help="Replace exactly round(p n) of the n labels of each class of the input.")
]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Rule = tuple[Floats, Callable[[Integers, Floats], Integers]]

_TOLERANCE = 1e-6
_CHANCE = 1e-12  # that independent draws look like used ones
_SPOTS = 4096  # that the probabilities of a rule are counted at
_MOST_CLASSES = 256  # for which they are, since the cost goes with the classes squared
_ORDERS = 1_000_000  # so many orders of the classes are not the same by chance


class ReplacedLabels(LabelCorruption):
    """Replaces some labels.

    Whether a label is replaced and by what are two draws, so that what a rate replaces a larger rate replaces too, by
    the same class.
    """

    exact: bool
    repeats_show = False  # whether draws that were used before can be told from the labels alone
    seeded = True  # whether the user chose the seed; no option

    def resolved(self, given: Collection[str]) -> Self:
        """The corruption, which knows whether its seed was chosen."""
        object.__setattr__(self, "seeded", "seed" in given)
        return self

    @abstractmethod
    def rule(self, table: ImageTable) -> Rule:
        """[classes] the probability that a label of the class is replaced, and what gives the new labels.

        It gives them for labels [n] that are replaced, by a uniform number [n] in [0, 1) for each.
        """

    def asked(self, table: ImageTable, draws: Draws) -> Floats:
        return self.rule(table)[0]

    def labels(self, table: ImageTable, draws: Draws) -> Callable[[Integers, Integers], Integers]:
        rates, replace = self.rule(table)
        if (wrong := _wrong(table)) is not None:
            _require_fresh(table.title, draws, *wrong, len(rates), replace)
        bars = _exact_bars(table, draws, rates) if self.exact else rates
        if "label_true" not in table.schema.names:  # dropped with the provenance, maybe
            ids, labels = table.column("id"), table.column("label")
            drawn = draws.uniforms(ids) < bars[labels]
            _require_unlike(table.title, draws, ids[drawn], labels[drawn], labels[drawn], len(rates), replace)
            if not (self.seeded or self.repeats_show) and rewritten(table):
                raise GencliError(
                    f"{table.title}: another tool wrote it, and {self.name} may have replaced its labels before",
                    "give a --seed that no earlier one had, or the file that gencli wrote",
                )

        def replaced(labels: Integers, ids: Integers) -> Integers:
            drawn = np.flatnonzero(draws.uniforms(ids) < bars[labels])
            after = labels.copy()
            after[drawn] = replace(labels[drawn], _spots(draws, ids[drawn]))
            return after

        return replaced


@dataclass(frozen=True)
class RandomLabels(ReplacedLabels):
    """Replace labels by uniform draws over all classes.

    Each label is replaced, with probability p, by a uniform draw over all classes. The draw may be the true
    class, so with 10 classes 0.9 p of the labels change. The column label_true keeps the original. A label
    that p corrupts is corrupted to the same class at every larger p. Reads and writes an image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.5 -o half.parquet
    """

    name = "random-labels"
    repeats_show = True
    p: Probability
    exact: Exact = False

    def rule(self, table: ImageTable) -> Rule:
        classes = len(table.description.classes)
        return np.full(classes, self.p), lambda labels, spots: (spots * classes).astype(np.int64)

    def asked(self, table: ImageTable, draws: Draws) -> Floats:
        return super().asked(table, draws) * (1 - 1 / len(table.description.classes))


@dataclass(frozen=True)
class FlipLabels(ReplacedLabels):
    """Replace labels by other classes, all equally likely.

    Symmetric noise: each label is replaced, with probability p, by a uniform draw over the other classes, so that
    a fraction p of the labels changes. The column label_true keeps the original. A label that p corrupts is corrupted
    to the same class at every larger p. Reads and writes an image table.

    Source: "symmetry flipping" of Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama 2018, arXiv:1804.06872.

    \b
    Example:
      gencli data digits | gencli corrupt flip-labels -p 0.2 --exact -o noisy.parquet
    """

    name = "flip-labels"
    p: Probability
    exact: Exact = False

    def rule(self, table: ImageTable) -> Rule:
        classes = _several(table)

        def other(labels: Integers, spots: Floats) -> Integers:
            return (labels + 1 + (spots * (classes - 1)).astype(np.int64)) % classes

        return np.full(classes, self.p), other


@dataclass(frozen=True)
class PairLabels(ReplacedLabels):
    """Replace labels by the next class, or along named pairs.

    Each label c is replaced, with probability p, by c + 1, the last class by the first. With --pairs only the labels of
    the named classes are replaced, each by the class after its colon; classes are given by name or number. Similar
    classes of CIFAR-10 are, following Patrini et al. 2017,
    truck:automobile,bird:airplane,deer:horse,cat:dog,dog:cat. The column label_true keeps the original. A label that
    p corrupts is also corrupted at every larger p. Reads and writes an image table.

    Source: "pair flipping" of Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama 2018, arXiv:1804.06872.

    \b
    Example:
      gencli data digits | gencli corrupt pair-labels -p 0.4 --pairs 3:8,8:3 -o noisy.parquet
    """

    name = "pair-labels"
    p: Probability
    pairs: Annotated[
        str | None, typer.Option(metavar="FROM:TO,...", help="Classes and their replacements. Default: the next class.")
    ] = None
    exact: Exact = False

    def __post_init__(self) -> None:
        for pair in self._pairs():
            if pair.count(":") != 1:
                raise GencliError(f"--pairs: {pair!r} is not a pair", "write FROM:TO, such as cat:dog,dog:cat")

    def _pairs(self) -> list[str]:
        return [] if self.pairs is None else self.pairs.split(",")

    def rule(self, table: ImageTable) -> Rule:
        classes = np.arange(_several(table))
        targets = (classes + 1) % len(classes) if self.pairs is None else classes.copy()
        for pair in self._pairs():
            [before], [after] = (class_numbers(word, table) for word in pair.split(":"))
            if targets[before] != before or after == before:
                what = "a class becomes itself" if after == before else "a second pair for this class"
                raise GencliError(
                    f"--pairs: {pair!r}: {what}",
                    "name each class at most once before a colon, and another class after it",
                )
            targets[before] = after
        return np.where(targets != classes, self.p, 0.0), lambda labels, spots: targets[labels]


@dataclass(frozen=True)
class MatrixLabels(ReplacedLabels):
    """Replace labels with the probabilities of a matrix.

    A label c becomes c' with probability T[c][c'] and stays with probability T[c][c]. FILE holds T as Parquet, CSV, or
    text as written by numpy's savetxt, with one row and one column per class, in the order of the classes; rows must
    sum to 1 within 1e-6. Column names, and row names in a first column, are optional in text; they must be those of the
    classes in their order, or 0, 1, 2, ...; nothing is reordered. With --exact, p is 1 - T[c][c].
    The column label_true keeps the original. Reads and writes an image table.

    Source: Patrini, Rozza, Menon, Nock, Qu 2017, arXiv:1609.03683.

    \b
    Example:
      echo 0.7,0.3 > noise.csv
      echo 0.1,0.9 >> noise.csv
      gencli data synthetic two-moons | gencli corrupt matrix-labels --matrix noise.csv -o noisy.parquet
    """

    name, file_option = "matrix-labels", "matrix"
    matrix: Annotated[str, typer.Option(metavar="FILE", help="The matrix T, as Parquet, CSV or text.")]
    exact: Exact = False

    @cached_property
    def files(self) -> Sequence[Input]:
        return [Input(self.matrix)]

    @cached_property
    def _read(self) -> Named:
        return read_matrix(self.files[0])

    def rule(self, table: ImageTable) -> Rule:
        matrix = self._checked(table)
        classes = np.arange(len(matrix))
        edges = matrix.copy()
        edges[classes, classes] = 0
        np.cumsum(edges, axis=1, out=edges)
        moving = edges[:, -1].copy()
        edges /= np.where(moving > 0, moving, 1)[:, None]
        edges += classes[:, None]  # a class's lie between its number and the next

        def replace(labels: Integers, spots: Floats) -> Integers:
            return np.searchsorted(edges.ravel(), labels + spots, side="right") - labels * len(classes)

        return np.round(moving / (moving + matrix.diagonal()), 12), replace  # the decimals that 0.1 + 0.2 stands for

    def _checked(self, table: ImageTable) -> Floats:
        (header, index, matrix), file, names = self._read, self.files[0].name, table.description.classes
        if matrix.shape != (len(names), len(names)):
            size = by(matrix.shape)
            raise GencliError(f"{file}: {size} numbers, but {table.title} has {len(names)} classes", MATRIX)
        require_order(file, "column", header, names)
        require_order(file, "row", index, names)
        wrong = np.argwhere(~((matrix >= 0) & (matrix <= 1 + _TOLERANCE)))
        if len(wrong):
            row, column = wrong[0]
            raise GencliError(
                f"{file}: row {row}, column {column}: {matrix[row, column]:g} is not a probability", MATRIX
            )
        sums = matrix.sum(1)
        wrong = np.flatnonzero(abs(sums - 1) > _TOLERANCE)
        if len(wrong):
            raise GencliError(f"{file}: row {wrong[0]}: it sums to {sums[wrong[0]]:.9g}, not to 1", MATRIX)
        return matrix


@dataclass(frozen=True)
class PermuteLabels(LabelCorruption):
    """Permute the classes, the same way in train and test.

    Labels are mapped by one permutation of the classes for the whole data set. It depends only on the seed and
    the number of classes: train and test tables under one seed share it. All permutations are equally likely, so a
    class may keep its label. The column label_true keeps the original. Reads and writes an image table.

    Source: Elsayed, Mahmood 2024, arXiv:2404.00781.

    \b
    Example:
      gencli data digits | gencli corrupt permute-labels -o permuted.parquet
    """

    name = "permute-labels"

    def labels(self, table: ImageTable, draws: Draws) -> Callable[[Integers, Integers], Integers]:
        order = draws.permutation(_several(table))
        if "label_true" in table.schema.names:
            labels, true = table.column("label"), table.column("label_true")
            if math.perm(len(order), len(np.unique(true))) > _ORDERS and (labels == order[true]).all():
                raise _used(table.title)
        return lambda labels, ids: order[labels]

    def asked(self, table: ImageTable, draws: Draws) -> Floats:
        order = draws.permutation(_several(table))
        return (order != np.arange(len(order))).astype(np.float64)


def _spots(draws: Draws, ids: Integers) -> Floats:
    """[n] uniform on [0, 1): which label replaces that of each row."""
    return draws.words(ids, 1)[:, 0].astype(np.float64) * 2.0**-32


def _wrong(table: ImageTable) -> tuple[Integers, Integers, Integers] | None:
    """Ids, labels and true labels of the rows that are labelled wrong; None where none are known to be."""
    if "label_true" not in table.schema.names:
        return None
    ids, labels, true = (table.column(name) for name in ("id", "label", "label_true"))
    wrong = labels != true
    return (ids[wrong], labels[wrong], true[wrong]) if wrong.any() else None


def _require_fresh(
    title: str, draws: Draws, ids: Integers, labels: Integers, true: Integers, classes: int,
    replace: Callable[[Integers, Floats], Integers],
) -> None:  # fmt: skip
    """Refuses wrong labels that these very draws made before, which a tool that drops provenance hides from the count.

    Draws that are fresh are uniform over the rows that are wrong: that none of n goes beyond u has probability uⁿ. And
    what they would put in place of the true labels are the wrong ones by chance alone: that a share f of n is, where q
    is expected, has a probability of at most exp(−n KL(f ‖ q)) (Hoeffding 1963, theorem 1). So rates of 1 are found
    too, but not where a class has one other that replaces it, nor where few rows are wrong.
    """
    if draws.uniforms(ids).max() ** len(ids) < _CHANCE:
        raise _used(title)
    _require_unlike(title, draws, ids, labels, true, classes, replace)


def _require_unlike(
    title: str, draws: Draws, ids: Integers, labels: Integers, true: Integers, classes: int,
    replace: Callable[[Integers, Floats], Integers],
) -> None:  # fmt: skip
    """Refuses labels that are, too often for chance, what these draws put in place of `true`.

    Where no true labels are known, those that are to be replaced stand for them: it tells what draws regardless of
    them, as uniform labels are, which would change nothing.
    """
    if not len(ids) or classes > _MOST_CLASSES:
        return
    grid = np.tile((np.arange(_SPOTS) + 0.5) / _SPOTS, classes)
    before = np.repeat(np.arange(classes), _SPOTS)
    counts = np.bincount(before * classes + replace(before, grid), minlength=classes * classes)
    expected = max((counts[true * classes + labels] / _SPOTS).mean(), 1 / _SPOTS)
    found = (replace(true, _spots(draws, ids)) == labels).mean()
    pairs = ((found, expected), (1 - found, 1 - expected))
    if found > expected and len(ids) * sum(f * math.log(f / q) for f, q in pairs if f > 0) > -math.log(_CHANCE):
        raise _used(title)


def _used(title: str) -> GencliError:
    return GencliError(
        f"{title}: this kind and seed already replaced labels, in a step that the file no longer records",
        "use another --seed, or the file that gencli wrote",
    )


def _several(table: ImageTable) -> int:
    """How many classes the table has, at least two."""
    classes = len(table.description.classes)
    if classes == 1:
        raise GencliError(
            f"{table.title}: has only one class, so no label can change", "give a table with more classes"
        )
    return classes


def _exact_bars(table: ImageTable, draws: Draws, rates: Floats) -> Floats:
    """[classes] numbers below which round(rate n) of the lots of a class's n rows lie.

    Rows of one id have one lot: where the bar would part them, they go to the side that is nearer to that number.
    """
    labels, lots = table.column("label"), draws.uniforms(table.column("id"))
    lots = lots[np.lexsort((lots, labels))]
    bars = np.ones(len(rates))
    present, rows = np.unique(labels, return_counts=True)
    for label, own in zip(present, np.split(lots, np.cumsum(rows)[:-1])):
        count = share(float(rates[label]), len(own))
        if count < len(own):
            first, last = np.searchsorted(own, own[count]), np.searchsorted(own, own[count], side="right")
            bars[label] = own[count] if count - first <= last - count else np.nextafter(own[count], 1)
    return bars
