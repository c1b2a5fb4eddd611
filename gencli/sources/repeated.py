"""An image table repeated several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.stream import Input
from gencli.files.tables import Description, ImageTable

_PLACES = 1 << 32  # an identity's low bits


class Repeated:
    """An image table seen `times` times, copy after copy.

    Copy 0 keeps its identities; copy k's are k·stride higher, the stride being one more than the highest place (the low
    32 bits), so that none occurs in two copies and each copy draws its own random numbers.

    Raises:
        GencliError: the places run out.
    """

    def __init__(self, table: ImageTable, times: int) -> None:
        self._stride = 1 + int((table.column("id") & (_PLACES - 1)).max())
        if times * self._stride > _PLACES:
            raise GencliError(
                f"{table.title}: {times} copies of ids up to {self._stride - 1} need more than {_PLACES} ids",
                f"--times can be at most {_PLACES // self._stride}",
            )
        self._table, self._times = table, times
        self.rows = table.rows * times
        self.inputs: Sequence[Input] = table.inputs
        self.description: Description = table.description
        self.schema = table.schema

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        place, field, rows = self.schema.get_field_index("id"), self.schema.field("id"), self._table.rows
        for copy in range(self._times):
            for batch in self._table.batches(None if keep is None else keep[copy * rows :][:rows]):
                ids = batch.column(place).to_numpy() + copy * self._stride
                yield batch.set_column(place, field, arrow.integers(ids))
