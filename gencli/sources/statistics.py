"""Statistics of an image table per class and per channel, from one pass over its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.cli import console
from gencli.counts import by
from gencli.files import arrow
from gencli.files.tables import Description, ImageTable
from gencli.machine import in_threads

_BLOCK = 1 << 16  # values at a time, as float64 in the processor's cache

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Facts:
    """Of a table with k classes and c channels.

    Attributes:
        title: how messages call it.
        rows: [k] int64, by label.
        corrupted: [k] int64, those with label ≠ label_true; None where there is no label_true.
        shift, sums, squares: [k, c], with the values v of a class and channel: Σ(v − shift) and Σ(v − shift)².
            uint8: shift is 0, the sums are int64 and exact. float32: shift is the mean of the class's first image,
            the sums are float64; the variance then loses no more digits than the number of images has (Chan, Golub
            and LeVeque 1983).
        low, high: the least and the greatest value; not a number where a value is not.
    """

    title: str
    description: Description
    rows: NDArray[np.int64]
    corrupted: NDArray[np.int64] | None
    shift: NDArray[np.float64]
    sums: NDArray[Any]
    squares: NDArray[Any]
    low: float
    high: float

    @property
    def name(self) -> str:
        """Of the data set and its split, or the title where they have none."""
        return f"{self.description.name} {self.description.split}".strip() or self.title

    @property
    def by_class(self) -> Moments:
        """Mean and standard deviation of all values of a class, [k] each; not a number where it has no rows."""
        return self._pooled(1)

    @property
    def by_channel(self) -> Moments:
        """Mean and standard deviation of all values of a channel, [c] each."""
        return self._pooled(0)

    @property
    def overall(self) -> Moments:
        """Mean and standard deviation of all values."""
        return self._pooled((0, 1))

    def _pooled(self, axis: int | tuple[int, ...]) -> Moments:
        height, width, channels = self.description.shape
        counts = np.repeat(self.rows[:, None] * (height * width), channels, 1)
        sums, squares, some = (values.astype(object) for values in (self.sums, self.squares, np.maximum(counts, 1)))
        spread = ((some * squares - sums * sums) / some).astype(np.float64)  # Python's integers do not overflow
        means = self.shift + (sums / some).astype(np.float64)
        with np.errstate(invalid="ignore"):
            total = counts.sum(axis)
            mean = (counts * means).sum(axis) / total
            spread += counts * (means - np.expand_dims(mean, axis)) ** 2
            return mean, np.sqrt(np.where(counts, spread, 0).sum(axis) / total)

    def table(self) -> pa.Table:
        """One row per class: label, name, rows, share, pixel_mean, pixel_deviation (null without rows), corrupted."""
        mean, deviation = self.by_class
        columns = {
            "label": pa.array(range(len(self.rows)), pa.int64()),
            "name": pa.array(self.description.classes, pa.string()),
            "rows": pa.array(self.rows),
            "share": pa.array(self.rows / self.rows.sum()),
            "pixel_mean": pa.array(mean, mask=self.rows == 0),
            "pixel_deviation": pa.array(deviation, mask=self.rows == 0),
        }
        return pa.table(columns | ({} if self.corrupted is None else {"corrupted": pa.array(self.corrupted)}))

    def summary(self) -> str:
        """One line each on the table, its pixel values per channel, and how many labels differ from label_true."""
        description, total = self.description, self.rows.sum()
        shape = by(description.shape)
        mean, deviation = (" ".join(f"{value:.5g}" for value in values) for values in self.by_channel)
        lines = [
            f"{console.printable(self.name)}: {total:,} rows, {description.dtype} {shape}, {len(self.rows):,} classes",
            f"pixels {self.low:.5g} to {self.high:.5g}, mean {mean}, deviation {deviation}",
        ]
        if self.corrupted is not None:
            wrong = self.corrupted.sum()
            lines.append(f"label differs from label_true in {wrong:,} rows, {wrong / total:.2%}")
        return "\n".join(lines)


_Part = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.bool_]]  # images, labels, which of these are wrong
See = Callable[[NDArray[Any], NDArray[np.int64], NDArray[np.bool_]], None]


def measure(table: ImageTable, see: See | None = None, advance: Callable[[int], None] = lambda done: None) -> Facts:
    """The facts of a table, in one pass that holds one batch.

    Args:
        see: is given each batch as well: its images [n, height, width, channels], labels [n], and which of these
            differ from label_true [n].
        advance: is told how many rows are done.
    """
    description = table.description
    size = len(description.classes), description.shape[2]
    kind = np.int64 if description.dtype == "uint8" else np.float64
    known = "label_true" in table.schema.names
    rows, corrupted = np.zeros(size[0], np.int64), np.zeros(size[0], np.int64)
    shift, sums, squares = np.zeros(size), np.zeros(size, kind), np.zeros(size, kind)
    low, high, done = np.inf, -np.inf, 0

    def shifted() -> Iterator[_Part]:
        for batch in table.batches():
            images, labels = arrow.unpack(batch, description), arrow.values(batch.column("label"))
            if description.dtype == "float32":
                seen, first = np.unique(labels, return_index=True)
                new = rows[seen] == 0
                with np.errstate(invalid="ignore"):
                    shift[seen[new]] = _planes(images[first[new]]).mean(2)
            np.add.at(rows, labels, 1)
            true = batch.column("label_true").to_numpy() if known else labels
            yield images, labels, labels != true

    for (images, labels, wrong), (total, square) in in_threads(lambda part: _sums(part, shift), shifted()):
        with np.errstate(invalid="ignore"):
            np.add.at(sums, labels, total.astype(kind))
            np.add.at(squares, labels, square.astype(kind))
        np.add.at(corrupted, labels, wrong)
        low, high = np.minimum(low, images.min()), np.maximum(high, images.max())
        if see is not None:
            see(images, labels, wrong)
        done += len(labels)
        advance(done)
    corrupted = corrupted if known else None
    return Facts(table.title, description, rows, corrupted, shift, sums, squares, float(low), float(high))


def _sums(part: _Part, shift: NDArray[np.float64]) -> Moments:
    """Of each image and channel, [n, c], the sum of what is left without its class's shift, and of its square."""
    images, labels, _ = part
    sums, squares = np.empty((2, len(images), images.shape[3]))
    step = max(1, _BLOCK // images[0].size)
    for start in range(0, len(images), step):
        few = slice(start, start + step)
        values = _planes(images[few])
        with np.errstate(invalid="ignore"):  # where the images hold infinities
            if images.dtype == np.float32:
                values -= shift[labels[few]][:, :, None]
            sums[few] = values.sum(2)
            squares[few] = np.square(values, out=values).sum(2)
    return sums, squares


def _planes(images: NDArray[Any]) -> NDArray[np.float64]:
    """[n, channels, pixels]"""
    count, height, width, channels = images.shape
    return images.reshape(count, height * width, channels).transpose(0, 2, 1).astype(np.float64, order="C")
