"""The corruptions: a table of kinds, and an image table seen through one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.corruptions.base import Corruption, Moved
from gencli.corruptions.classes import MergeClasses
from gencli.corruptions.common import Common
from gencli.corruptions.given import GivenLabels
from gencli.corruptions.imbalance import LongTail, StepImbalance, Subsample
from gencli.corruptions.labels import FlipLabels, MatrixLabels, PairLabels, PermuteLabels, RandomLabels
from gencli.corruptions.noise import GaussianNoise, ImpulseNoise, PoissonNoise, TextOverlay
from gencli.corruptions.pixels import GaussianPixels, RandomPixels, ShuffledPixels
from gencli.corruptions.pruning import Prune
from gencli.errors import GencliError
from gencli.files import arrow, provenance, tables
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.machine import in_threads
from gencli.randomness import Draws

KINDS: dict[str, type[Corruption]] = {
    kind.name: kind
    for kind in (
        RandomLabels, FlipLabels, PairLabels, MatrixLabels, PermuteLabels, GivenLabels, MergeClasses,
        ShuffledPixels, RandomPixels, GaussianPixels,
        GaussianNoise, PoissonNoise, ImpulseNoise, TextOverlay,
        LongTail, StepImbalance, Subsample, Prune,
        Common,
    )
}  # fmt: skip


class Corrupted:
    """An image table seen through a corruption, or one of `shards` parts of it, the first being 0.

    Applying a kind again draws new numbers: the number of earlier applications is part of the random seed.
    """

    def __init__(self, table: ImageTable, corruption: Corruption, seed: int, shard: int = 0, shards: int = 1) -> None:
        self._table, self._corruption = table, corruption
        self.command = f"corrupt {corruption.name}"
        before = provenance.times(table.made, self.command)
        self._draws = Draws(seed, corruption.purpose, before)
        self._passes = [each.start(table, Draws(seed, each.purpose, before)) for each in corruption.passes()]
        self.inputs: Sequence[Input] = [*table.inputs, *corruption.files]
        self.description = corruption.describe(table.description)
        try:
            self.schema = corruption.schema(table.schema, table.description)
        except GencliError as error:
            raise GencliError(f"{table.title}: {error.message}", error.hint) from None
        kept = corruption.kept(table, self._draws)
        places = np.arange(table.rows) if kept is None else np.flatnonzero(kept)
        self._places = places[len(places) * shard // shards : len(places) * (shard + 1) // shards]
        self.rows = len(self._places) * len(self._passes)
        if len(places) == 0:
            raise GencliError(f"{table.title}: no rows are left", "keep more rows")

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        classes = len(self._table.description.classes)
        self._moved = Moved(np.zeros(classes, np.int64), np.zeros(classes, np.int64))
        count = len(self._places)
        for number, apply in enumerate(self._passes):
            places = self._places if keep is None else self._places[keep[number * count :][:count]]
            mask = np.zeros(self._table.rows, bool)
            mask[places] = True
            found = self._pieces(None if mask.all() else mask)
            made = in_threads(apply, found) if self._corruption.slow else ((batch, apply(batch)) for batch in found)
            for before, after in made:
                labels, now = (arrow.values(batch.column("label")) for batch in (before, after))
                np.add.at(self._moved.rows, labels, 1)
                np.add.at(self._moved.changed, labels[labels != now], 1)
                yield after

    def _pieces(self, mask: NDArray[np.bool_] | None) -> Iterator[pa.RecordBatch]:
        """The table's batches, in parts that are written as one where corrupted images are larger."""
        step = self.description.group_rows
        for batch in self._table.batches(mask):
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step)

    def report(self) -> tuple[str, pa.Table | None]:
        """A report on the rows that were read, as text and as a table per class."""
        return self._corruption.report(self._table, self._draws, self._moved)

    def sources(self) -> list[provenance.Source]:
        """What it is made from, as inputs of a step."""
        role, files = self._corruption.file_option, self._corruption.files
        share = self._corruption.differing(self._table)
        given = [replace(tables.source(role, file), labels_differ=share) for file in files]
        return tables.sources(self._table, "data") + given
