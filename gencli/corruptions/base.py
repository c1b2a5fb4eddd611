"""What a corruption is: a frozen dataclass whose fields are its options and whose docstring is its help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.counts import by
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.stream import Input
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws

Apply = Callable[[pa.RecordBatch], pa.RecordBatch]


class Moved(NamedTuple):
    """By class before: [classes] rows that were written, and how many of them changed their label."""

    rows: NDArray[np.int64]
    changed: NDArray[np.int64]


@dataclass(frozen=True)
class Corruption(ABC):
    """Changes rows, each by its own draws, or keeps only some of them.

    Attributes:
        name: the kind's, the field's own.
        family: under which the help lists it.
        alone: see `options.command`; several processes write a part each.
        packages: those whose versions bear on the result, beyond numpy and pyarrow.
        slow: whether a batch takes so long that threads help.
        file_option: the one that names `files`; empty for none.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    alone: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()
    slow: ClassVar[bool] = True
    file_option: ClassVar[str] = ""

    @cached_property
    def files(self) -> Sequence[Input]:
        """The files that its option `file_option` names."""
        return []

    def arguments(self) -> dict[str, Any]:
        """The options as provenance records them; files are inputs."""
        return asdict(self) | ({self.file_option: None} if self.files else {})

    def differing(self, table: ImageTable) -> float | None:
        """The share of labels that its files change; None where they hold no labels."""
        return None

    @property
    def purpose(self) -> str:
        """What its draws are for: kinds of one purpose draw the same numbers."""
        return self.name

    def passes(self) -> Sequence[Corruption]:
        """The corruptions that are applied to the whole table, one after the other; the first says the schema."""
        return [self]

    def describe(self, description: Description) -> Description:
        """What the data set is afterwards."""
        return description

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        """The schema of the rows that it makes from rows of `schema`, `description` being that from before."""
        return schema

    def kept(self, table: ImageTable, draws: Draws) -> NDArray[np.bool_] | None:
        """The mask [rows] of the rows that stay; None for all."""
        return None

    @abstractmethod
    def start(self, table: ImageTable, draws: Draws) -> Apply:
        """What corrupts a batch of any of this table's rows; several threads call it at a time.

        What depends on the whole table is computed here, from all its rows.

        Raises:
            GencliError: an option does not fit the table.
        """

    def require(self, made: Any, what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses arrays that the table would hold as other values, of a kind that is not ours.

        Raises:
            GencliError: it is no array of this shape and type.
        """
        if not isinstance(made, np.ndarray) or made.shape != shape or made.dtype != dtype:
            given = f"{made.dtype} {by(made.shape)}" if isinstance(made, np.ndarray) else type(made).__name__
            wanted = f"{dtype} {by(shape)}"
            raise GencliError(
                f"{self.name}: gives {what} as {given}, not {wanted}", "return a numpy array of that kind"
            )

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table | None]:
        """A report on what was done, as text and as a table per class."""
        return f"{moved.rows.sum():,} images", None


class LabelCorruption(Corruption):
    """Changes labels; the column `label_true` keeps what they were before the first such corruption."""

    family = "labels"
    slow = False

    @abstractmethod
    def labels(self, table: ImageTable, draws: Draws) -> Callable[[NDArray[np.int64], NDArray[np.int64]], Any]:
        """What gives labels in place of labels [n] of the rows ids [n]."""

    @abstractmethod
    def asked(self, table: ImageTable, draws: Draws) -> NDArray[np.float64]:
        """[classes] the probability that a label of the class changes."""

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        if "label_true" in schema.names:
            return schema
        place = schema.get_field_index("label")
        return schema.insert(place + 1, schema.field(place).with_name("label_true"))

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        corrupt, classes = self.labels(table, draws), len(table.description.classes)

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            before = batch.column("label")
            columns = {"label_true": before} | dict(zip(batch.schema.names, batch.columns, strict=True))
            labels = arrow.values(before)
            made = corrupt(labels, arrow.values(batch.column("id")))
            self.require(made, "labels", labels.shape, labels.dtype)
            if len(made) and not 0 <= made.min() <= made.max() < classes:
                given = f"{self.name}: gives labels from {made.min()} to {made.max()}"
                raise GencliError(given, f"the table has {classes} classes, from 0")
            columns["label"] = arrow.integers(made)
            schema = self.schema(batch.schema, table.description)
            return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

        return apply

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table | None]:
        """One row per class, and one for all; realized is null where there are no rows."""
        asked, total = self.asked(table, draws), int(moved.rows.sum())
        rows, changed = ([*each.tolist(), int(each.sum())] for each in moved)
        columns = {
            "class": [*table.description.classes, "all"],
            "rows": rows,
            "asked": [*asked.tolist(), float(asked @ moved.rows) / max(total, 1)],
            "realized": [part / whole if whole else None for part, whole in zip(changed, rows)],
        }
        return f"{changed[-1]:,} of {total:,} labels changed", pa.table(columns)


class PixelCorruption(Corruption):
    """Changes images."""

    family = "pixels"

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        corrupt, described = self.images(table, draws), self.describe(table.description)

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            before = arrow.unpack(batch, table.description)
            before.flags.writeable = False  # other batches may share its memory
            images = corrupt(before, arrow.values(batch.column("id")))
            self.require(images, "images", (batch.num_rows, *described.shape), np.dtype(described.dtype))
            place = batch.schema.get_field_index("image")
            return batch.set_column(place, batch.schema.field("image"), arrow.pack(images))

        return apply

    @abstractmethod
    def images(self, table: ImageTable, draws: Draws) -> Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]:
        """What gives images in place of images [n, height, width, channels] of the rows ids [n]."""


def rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values as gray levels: to the nearest of 0 … 255, in place of what they were."""
    return np.rint(np.clip(values, 0, 255, out=values), out=values).astype(np.uint8)
