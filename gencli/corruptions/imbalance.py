"""Corruptions that drop rows and change nothing else: imbalanced classes, samples, folds."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from math import ceil, gcd, inf
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import Apply, Corruption, Moved
from gencli.counts import parse_part, typed
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws
from gencli.sources.selection import class_numbers, numbers_of, require_one_version


@dataclass(frozen=True)
class Subset(Corruption):
    """Keeps the rows with the smallest lots, so that a smaller subset is part of a larger one."""

    family = "imbalance"
    slow = False

    @abstractmethod
    def kept(self, table: ImageTable, draws: Draws) -> NDArray[np.bool_]:
        """The mask [rows] of the rows to keep."""

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        return lambda batch: batch

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table]:
        labels, names = table.column("label"), table.description.classes
        before, after = (np.bincount(each, minlength=len(names)) for each in (labels, labels[self.kept(table, draws)]))
        columns = {"class": list(names), "rows": before, "kept": after}
        return f"{after.sum():,} of {before.sum():,} rows kept", pa.table(columns)


@dataclass(frozen=True)
class Imbalance(Subset):
    """Keeps of some classes fewer rows than of others."""

    ratio: Annotated[
        float, typer.Option(help="Ratio of the largest to the smallest class; 100 and 0.01 mean the same.")
    ]

    def __post_init__(self) -> None:
        if not 0 < self.ratio < inf:
            raise GencliError(f"--ratio: {self.ratio:g} is not a ratio", "give a positive number, such as 100 or 0.01")

    @property
    def factor(self) -> Fraction:
        """The ratio as a number of at most 1."""
        ratio = typed(self.ratio)
        return min(ratio, 1 / ratio)

    @abstractmethod
    def sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """[classes] how many rows a class is to keep, where the classes have `rows` [classes]."""

    def kept(self, table: ImageTable, draws: Draws) -> NDArray[np.bool_]:
        require_one_version(table)
        labels, lots = table.column("label"), draws.uniforms(table.column("id"))
        classes = len(table.description.classes)
        if classes == 1:
            raise GencliError(f"{table.title}: has only one class", f"{self.name} needs two or more")
        order = np.lexsort((lots, labels))
        sizes = self.sizes(np.bincount(labels, minlength=classes))
        return mask(order[_ranks(labels[order]) < sizes[labels[order]]], table.rows)

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table]:
        words, rows = super().report(table, draws, moved)
        asked = self.sizes(rows["rows"].to_numpy())
        if (asked != rows["kept"].to_numpy()).any():
            rows = rows.add_column(2, "asked", pa.array(asked))
        return f"{words}, ratio {max(self.ratio, 1 / self.ratio):g} ({float(self.factor):g})", rows


@dataclass(frozen=True)
class LongTail(Imbalance):
    """Keep exponentially fewer rows from first to last class.

    Class i of C (i from 0) keeps int(m r^(i/(C-1))) rows, where m is the number of rows of the largest class and
    r = 1/ratio; a class with fewer rows keeps them all. The rows are drawn at random; those that a larger ratio keeps
    are a subset of those that a smaller one keeps. Classes without rows count, and stay classes. The counts are those
    of the whole table, also with --shard. Reads and writes an image table.

    Source: Cui, Jia, Lin, Song, Belongie 2019, arXiv:1901.05555.

    \b
    Example:
      gencli data digits | gencli corrupt long-tail --ratio 100 -o tail.parquet
    """

    name = "long-tail"

    def sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return _parts_of(int(rows.max()), self.factor, len(rows))


@dataclass(frozen=True)
class StepImbalance(Imbalance):
    """Keep few rows of the last classes, all of the others.

    Of C classes, the last fraction C (rounded to the nearest integer, a half down, as in Cao et al.) keep
    int(m / ratio) rows each, where m is the number of rows of the largest class; a class with fewer rows keeps them
    all. The rows are drawn at random; those that a larger ratio keeps are a subset of those that a smaller one keeps.
    Classes without rows count, and stay classes. The counts are those of the whole table, also with --shard. Reads and
    writes an image table.

    Source: Buda, Maki, Mazurowski 2018, arXiv:1710.05381; Cao, Wei, Gaidon, Arechiga, Ma 2019, arXiv:1906.07413.

    \b
    Example:
      gencli data digits | gencli corrupt step-imbalance --ratio 10 -o step.parquet
    """

    name = "step-imbalance"
    fraction: Annotated[float, typer.Option(help="Share of the classes that keep only few rows.")] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fraction < 1:
            raise GencliError(f"--fraction: {self.fraction:g} is not between 0 and 1", "0.5 takes half of the classes")

    def sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        few = ceil(typed(self.fraction) * len(rows) - Fraction(1, 2))
        if not 0 < few < len(rows):
            raise GencliError(f"--fraction: {self.fraction:g} of {len(rows)} classes is {few}", "choose one nearer 0.5")
        return np.append(rows[:-few], np.full(few, int(int(rows.max()) * self.factor)))


@dataclass(frozen=True)
class Subsample(Subset):
    """Keep a number of rows, some classes, or a fold.

    Options are applied in this order: --classes keeps these classes, --fold one of N stratified folds (--invert all
    others), --per-class N rows of each class, -n N rows in total. Rows are drawn at random: a smaller number keeps a
    subset of what a larger one keeps, and the folds of one seed partition the table, so that a fold and its inverse are
    a validation and a training set. Each class is dealt to the folds in random order, starting where the previous class
    ended: fold sizes differ by at most one row, per class and in total. A class without rows stays a class, unless
    --renumber keeps only those of --classes as classes, numbered from 0 in their order. Too few rows are an error. All
    options refer to the whole table, also with --shard. Reads and writes an image table.

    Source: Kohavi 1995, "A study of cross-validation and bootstrap", IJCAI (stratified folds).

    \b
    Example:
      gencli data digits -o digits.parquet
      gencli corrupt subsample --fold 0/5 digits.parquet -o validation.parquet
      gencli corrupt subsample --fold 0/5 --invert digits.parquet -o train.parquet
      gencli corrupt subsample --classes 3,8 --renumber digits.parquet -o two-classes.parquet
    """

    name = "subsample"
    n: Annotated[int | None, typer.Option("-n", "--n", min=1, metavar="N", help="Number of rows to keep.")] = None
    per_class: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of rows to keep per class.")] = None
    classes: Annotated[str | None, typer.Option(metavar="A,B", help="Keep only these classes (names or numbers).")] = (
        None
    )
    fold: Annotated[str | None, typer.Option(metavar="K/N", help="Keep fold K of N, K from 0.")] = None
    invert: Annotated[bool, typer.Option("--invert", help="Keep all folds except that one.")] = False
    renumber: Annotated[
        bool, typer.Option("--renumber", help="Number the classes of --classes from 0 and drop the others.")
    ] = False

    def __post_init__(self) -> None:
        if self.invert and self.fold is None:
            raise GencliError("--invert needs a fold", "also give --fold K/N")
        if {self.n, self.per_class, self.classes, self.fold} == {None}:
            raise GencliError("no option selects rows", "give -n, --per-class, --classes or --fold")
        if self.renumber and self.classes is None:
            raise GencliError("--renumber needs classes", "also give --classes A,B")
        parse_part(self.fold, "--fold")

    def _numbers(self, description: Description) -> list[int]:
        return sorted({*numbers_of(self.classes or "", description.classes, "--classes")})

    def describe(self, description: Description) -> Description:
        if not self.renumber:
            return description
        return replace(description, classes=tuple(description.classes[number] for number in self._numbers(description)))

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        return schema.with_metadata(self.describe(description).schema().metadata) if self.renumber else schema

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        if not self.renumber:
            return super().start(table, draws)
        places = np.full(len(table.description.classes), -1)
        numbers = self._numbers(table.description)
        places[numbers] = range(len(numbers))

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name in {"label", "label_true"} & columns.keys():
                labels = arrow.values(columns[name])
                if (places[labels] < 0).any():
                    raise GencliError(
                        f"{table.title}: rows of these labels have a {name} of another class",
                        "--renumber before labels are corrupted, or omit it",
                    )
                columns[name] = arrow.integers(places[labels])
            return pa.RecordBatch.from_arrays([*columns.values()], schema=self.schema(batch.schema, table.description))

        return apply

    def kept(self, table: ImageTable, draws: Draws) -> NDArray[np.bool_]:
        require_one_version(table)
        labels, lots = table.column("label"), draws.uniforms(table.column("id"))
        order = np.lexsort((lots, labels))
        if self.classes is not None:
            order = order[np.isin(labels[order], class_numbers(self.classes, table))]
        wanted = np.unique(labels[order])
        part, parts = parse_part(self.fold, "--fold")
        order = order[(np.arange(len(order)) % parts == part) != self.invert]
        if self.per_class:
            rows = np.bincount(labels[order], minlength=len(table.description.classes))
            for label in wanted[rows[wanted] < self.per_class]:
                raise GencliError(
                    f"{table.title}: class {table.description.classes[label]!r}: {rows[label]} rows to draw "
                    f"{self.per_class} from", "draw fewer, or exclude the class with --classes",
                )  # fmt: skip
            order = order[_ranks(labels[order]) < self.per_class]
        if self.n:
            if len(order) < self.n:
                raise GencliError(f"{table.title}: {len(order):,} rows to draw {self.n:,} from", "draw fewer")
            order = order[np.argsort(lots[order], kind="stable")[: self.n]]
        return mask(order, table.rows)


def _parts_of(largest: int, factor: Fraction, count: int) -> NDArray[np.int64]:
    """[count] int(largest · factor^(i/(count − 1))), exactly: where floats cannot tell, powers of integers do."""
    last = count - 1
    near = largest * float(factor) ** (np.arange(count) / last)
    whole = np.rint(near)
    parts = near.astype(np.int64)
    unsure = np.flatnonzero(abs(near - whole) <= 1e-9 * np.maximum(near, 1))
    unsure = unsure[(whole[unsure] > 0) & (factor < 1)]
    for same in np.split(unsure, np.flatnonzero(np.diff(whole[unsure])) + 1):
        if len(same):  # the numbers fall, so that the first ones reach the whole one
            size = int(whole[same[0]])
            short = partial(_falls_short, largest, factor, last, size)
            reach = bisect_left(same.tolist(), True, key=short)
            parts[same] = size - (np.arange(len(same)) >= reach)
    return parts


def _falls_short(largest: int, factor: Fraction, last: int, size: int, number: int) -> bool:
    """Whether largest · factor^(number/last) < size, of positive numbers."""
    common = gcd(number, last)
    number, last = number // common, last // common
    if last <= factor.denominator.bit_length():
        return size**last * factor.denominator**number > largest**last * factor.numerator**number
    digits = 50  # equal they cannot be: the factor would be a rational number to the power of `last`
    while True:
        with localcontext(prec=digits):
            left = last * (Decimal(size) / largest).ln()
            right = number * (Decimal(factor.numerator) / factor.denominator).ln()
            if abs(left - right) > abs(left + right) * Decimal(10) ** (10 - digits):
                return left > right
        digits *= 2


def _ranks(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For ascending labels [rows]: how many of the same stand before."""
    return np.arange(len(labels)) - np.searchsorted(labels, labels)


def mask(places: NDArray[np.int64], rows: int) -> NDArray[np.bool_]:
    """[rows] True at the places."""
    marked = np.zeros(rows, bool)
    marked[places] = True
    return marked
