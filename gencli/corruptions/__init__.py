"""The corruptions: a table of kinds, and an image table seen through one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import provenance
from gencli.corruptions.base import Corruption
from gencli.corruptions.labels import RandomLabels
from gencli.corruptions.pixels import ShuffledPixels
from gencli.randomness import Draws
from gencli.stream import Input
from gencli.tables import Description, ImageTable

KINDS: dict[str, type[Corruption]] = {kind.name: kind for kind in (RandomLabels, ShuffledPixels)}


class Corrupted:
    """An image table seen through a corruption.

    Applying a kind again draws afresh: how often it was applied on the way to this table enters the draws.
    """

    def __init__(self, table: ImageTable, corruption: Corruption, seed: int) -> None:
        self._table, self._corruption = table, corruption
        self.command = f"corrupt {corruption.name}"
        self._draws = Draws(seed, corruption.name, provenance.times(table.made, self.command))
        self.rows = table.rows
        self.inputs: Sequence[Input] = table.inputs
        self.description: Description = table.description
        self.schema = corruption.schema(table.schema)

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        self._read = self._changed = 0
        place = self._corruption.column
        for batch in self._table.batches(keep):
            corrupted = self._corruption.apply(batch, self.description, self._draws)
            self._read += batch.num_rows
            if place == "label":
                self._changed += np.count_nonzero(batch.column(place).to_numpy() != corrupted.column(place).to_numpy())
            yield corrupted

    def summary(self) -> str:
        """What was done to the rows that were read, in words."""
        if self._corruption.column == "label":
            return f"{self._changed:,} of {self._read:,} labels changed"
        return f"{self._read:,} images"
