"""What a corruption is: a frozen dataclass whose fields are its options and whose docstring is its help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import tables
from gencli.randomness import Draws
from gencli.tables import Description


@dataclass(frozen=True)
class Corruption(ABC):
    """Changes rows, each by its own draws; `column` is what it changes."""

    name: ClassVar[str]
    column: ClassVar[str]

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema of the rows that it makes from rows of `schema`."""
        return schema

    @abstractmethod
    def apply(self, batch: pa.RecordBatch, description: Description, draws: Draws) -> pa.RecordBatch:
        """The corrupted rows, of `self.schema(batch.schema)`."""


class LabelCorruption(Corruption):
    """Changes labels; the column `label_true` keeps what they were before the first such corruption."""

    column = "label"

    def schema(self, schema: pa.Schema) -> pa.Schema:
        if "label_true" in schema.names:
            return schema
        place = schema.get_field_index("label")
        return schema.insert(place + 1, schema.field(place).with_name("label_true"))

    def apply(self, batch: pa.RecordBatch, description: Description, draws: Draws) -> pa.RecordBatch:
        before = batch.column("label")
        after = self.labels(before.to_numpy(), batch.column("id").to_numpy(), len(description.classes), draws)
        changed = {"label_true": before} | dict(zip(batch.schema.names, batch.columns, strict=True))
        changed["label"] = tables.integers(after)
        schema = self.schema(batch.schema)
        return pa.RecordBatch.from_arrays([changed[name] for name in schema.names], schema=schema)

    @abstractmethod
    def labels(
        self, labels: NDArray[np.int64], ids: NDArray[np.int64], classes: int, draws: Draws
    ) -> NDArray[np.int64]:
        """[n] int64 labels in place of `labels` [n] of the rows `ids` [n]."""


class PixelCorruption(Corruption):
    """Changes images."""

    column = "image"

    def apply(self, batch: pa.RecordBatch, description: Description, draws: Draws) -> pa.RecordBatch:
        images = self.images(tables.unpack(batch, description), batch.column("id").to_numpy(), draws)
        return batch.set_column(batch.schema.get_field_index("image"), batch.schema.field("image"), tables.pack(images))

    @abstractmethod
    def images(self, images: NDArray[Any], ids: NDArray[np.int64], draws: Draws) -> NDArray[Any]:
        """Images in place of `images` [n, height, width, channels] of the rows `ids` [n]."""
