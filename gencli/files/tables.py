"""The image table: its schema, rows in, rows out.

Columns `id` int64, `image` fixed-size binary (height·width·channels values, row-major, channels last), `label` int64,
`label_true` int64 once labels were corrupted, `target` as `image` where an image is to be made of it. What the data set
is stands in the schema's key `gencli`, how the file was made in the footer's key `gencli.provenance`, written when the
file closes. `sources` reads tables made elsewhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli.counts import by
from gencli.errors import GencliError, first_line
from gencli.files import arrow, parquet, provenance
from gencli.files.arrow import integers, pack, select, values
from gencli.files.stream import Input, Output

_DESCRIPTION = b"gencli"
_GROUP_ROWS, _GROUP_BYTES = 1000, 3 << 20
_IMAGES = {"image": "an image", "target": "a target"}
_FIXED = ("id", "image", "label", "label_true", "target")


@dataclass(frozen=True)
class Description:
    """What a data set is.

    Attributes:
        name, split: of the source; they enter the rows' identities.
        classes: the classes' names, by label.
        shape: height, width, channels.
        dtype: of the image's values, `uint8` or `float32`.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    dtype: str = "uint8"

    def __post_init__(self) -> None:
        _utf8(f"{self.name}\0{self.split}")

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def group_rows(self) -> int:
        """Rows of a row group: 1,000, fewer where images are large."""
        return max(1, min(_GROUP_ROWS, _GROUP_BYTES // self.row_bytes))

    def schema(self, columns: tuple[str, ...] = ("id", "image", "label")) -> pa.Schema:
        """The table's schema, the description in its metadata and the shape in the image field's."""
        facts = {"shape": ",".join(map(str, self.shape)), "dtype": self.dtype}
        fields = [
            pa.field(name, pa.binary(self.row_bytes), nullable=False, metadata=facts)
            if name in _IMAGES
            else pa.field(name, pa.int64(), nullable=False)
            for name in columns
        ]
        return pa.schema(fields, {_DESCRIPTION: json.dumps(asdict(self), ensure_ascii=False)})


class Batches(Protocol):
    """Rows of images and labels from anywhere, in batches, and the files they are read from."""

    @property
    def description(self) -> Description:
        """What the data set is."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The schema of the batches."""
        ...

    @property
    def rows(self) -> int:
        """The number of rows."""
        ...

    @property
    def inputs(self) -> Sequence[Input]:
        """The files that the rows are read from."""
        ...

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order, or those that the mask `keep` [rows] marks."""
        ...


class ImageTable(Batches, Protocol):
    """A whole image table.

    Attributes:
        title: its name in messages.
        made: its provenance; None for data that gencli did not write.
    """

    @property
    def title(self) -> str: ...
    @property
    def made(self) -> provenance.Step | None: ...

    def column(self, name: str) -> NDArray[np.int64]:
        """One whole int64 column, without reading images."""
        ...


def sources(table: ImageTable, role: str) -> list[provenance.Source]:
    """The table's files as inputs of a step."""
    share = differing(table)
    return [replace(source(role, file, table.made is not None), labels_differ=share) for file in table.inputs]


def differing(table: ImageTable) -> float | None:
    """The share of rows with label ≠ label_true, where that is not 0 and no step of ours did it."""
    before = [step.command for step, depth in provenance.walk(table.made) if depth == 0]
    if "label_true" not in table.schema.names or any(re.fullmatch("corrupt (.*-)?labels", each) for each in before):
        return None
    share = float(np.mean(table.column("label") != table.column("label_true")))
    return share or None


def source(role: str, file: Input, made: bool = True) -> provenance.Source:
    """A file as an input of a step, with its provenance if it is Parquet that gencli wrote."""
    if file.part is not None:
        file.settle()
        return provenance.part(role, file.part.said, file.path)
    known = made and file.starts(b"PAR1")
    step = parquet.read_provenance(parquet.open_file(file)) if known else None
    return provenance.source(role, file.sha256, step, file.path)


def rewritten(table: ImageTable) -> bool:
    """Whether another tool rewrote a table of gencli's, so that its steps are not recorded.

    It kept the description, or identities that gencli gave: those with another hash than the table's own.
    """
    if table.made is None and isinstance(table, FileTable):
        return True
    first = next((step.command for step, depth in provenance.walk(table.made) if depth == 0), "data parquet")
    own = identities(table.description.name, table.description.split, 0, 1)[0] >> 32
    return first == "data parquet" and bool(np.isin(table.column("id") >> 32, (0, own), invert=True).any())


class FileTable:
    """An image table in the files of one data set."""

    def __init__(self, inputs: list[Input], files: list[pq.ParquetFile], description: Description) -> None:
        self.title = inputs[0].name if len(inputs) == 1 else f"{inputs[0].name} and {len(inputs) - 1} more"
        self.description = description
        self.rows = sum(file.metadata.num_rows for file in files)
        self.made = parquet.read_provenance(files[0])
        self.inputs, self._files = inputs, files
        stored = files[0].schema_arrow
        self._check_columns(stored)
        fixed = description.schema(_FIXED)
        others = {field.name: pa.field(field.name, arrow.plain_type(field.type), field.nullable) for field in stored}
        fields = [fixed.field(name) if name in fixed.names else others[name] for name in stored.names]
        self.schema = pa.schema(fields, fixed.metadata)

    def _check_columns(self, stored: pa.Schema) -> None:
        for name in _FIXED:
            count = stored.names.count(name)
            if count > 1 or (not count and name in ("id", "image", "label")):
                raise GencliError(
                    f"{self.title}: {f'{count} columns' if count else 'no column'} `{name}`; "
                    f"its columns are {', '.join(stored.names)}",
                    "an image table has exactly one column id, image and label",
                )
            right = arrow.holds_pixels if name in _IMAGES else arrow.holds_integers
            if count and not right(stored.field(name).type):
                raise GencliError(
                    f"{self.title}: column `{name}` is {stored.field(name).type}",
                    "images and targets are bytes or lists of one length, all other columns integers",
                )

    def column(self, name: str) -> NDArray[np.int64]:
        parts, start = [np.empty(0, np.int64)], 0
        for chunk in parquet.column(self.inputs, self._files, name):
            parts.append(values(self._stored(chunk, name, start)))
            start += len(chunk)
        column = np.concatenate(parts)
        if name in ("label", "label_true"):
            check_labels(column, len(self.description.classes), self.title, name)
        return column

    def other(self, name: str) -> pa.Array:
        """One whole column of another tool's, of any type, as the schema has it."""
        with parquet.undamaged(self.title):
            chunks = [chunk for file in self._files for chunk in parquet.read(file, [name]).column(0).chunks]
            return pa.concat_arrays([arrow.plain(chunk) for chunk in chunks])

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        start = 0
        with parquet.undamaged(self.title):
            for source, file in zip(self.inputs, self._files, strict=True):
                rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                # all at once, or those row groups alone that hold kept rows
                for groups in [list(range(len(rows)))] if keep is None else [[group] for group in range(len(rows))]:
                    end = start + sum(rows[group] for group in groups)
                    if keep is not None and not keep[start:end].any():
                        start = end
                        continue
                    found = file.iter_batches(self.description.group_rows, row_groups=groups)
                    for batch in parquet.batches(source, found):
                        stop = start + batch.num_rows
                        if keep is None or keep[start:stop].any():
                            checked = self._check(batch, start)
                            yield checked if keep is None else select(checked, keep[start:stop])
                        start = stop
                        if source.part is not None and keep is not None and not keep[start:end].any():
                            start = end  # the rest of the row group is not fetched
                            break
            if start != self.rows:
                raise OSError(f"{start} rows of {self.rows}")
        for source in self.inputs:
            source.settle()

    def _stored(self, column: pa.Array, name: str, start: int) -> pa.Array:
        """A column as the schema has it, whose first row is the table's row `start`."""
        if name not in _FIXED:
            return arrow.plain(column)
        column = arrow.plain(column)
        if column.null_count:
            row = start + int(np.flatnonzero(column.is_null())[0])
            raise GencliError(f"{self.title}: row {row}: no {name}", f"every row needs a value in column `{name}`")
        try:
            if name in _IMAGES:
                return arrow.to_images(column, self.description.shape, self.description.dtype)
            return column if column.type == pa.int64() else integers(arrow.to_integers(column))
        except ValueError as error:
            row, what = error.args
            if name not in _IMAGES:
                raise GencliError(
                    f"{self.title}: row {start + row}: {name} {what}", "values must be 64-bit integers"
                ) from None
            raise GencliError(
                f"{self.title}: row {start + row}: {what.replace('an image', _IMAGES[name])}, "
                f"where {by(self.description.shape)} takes {self.description.row_bytes}",
                "all images of a table must have the same size",
            ) from None

    def _check(self, batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        columns = []
        for field in self.schema:
            column = self._stored(batch.column(field.name), field.name, start)
            if field.name in ("label", "label_true"):
                check_labels(values(column), len(self.description.classes), self.title, field.name, start)
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


class MemoryTable:
    """An image table that a source made in memory."""

    made = None
    inputs: tuple[Input, ...] = ()

    def __init__(self, title: str, description: Description, images: NDArray[Any], labels: NDArray[np.int64]) -> None:
        self.title, self.description, self.rows = title, description, len(labels)
        self.schema = description.schema()
        ids = identities(description.name, description.split, 0, self.rows)
        arrays = [integers(ids), pack(images), integers(labels)]
        self._rows = pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def column(self, name: str) -> NDArray[np.int64]:
        return values(self._rows.column(name))

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        yield self._rows if keep is None else select(self._rows, keep)


class TableWriter:
    """Writes an image table: row groups of equal size for any batches, and the provenance when it closes."""

    def __init__(self, output: Output, schema: pa.Schema, description: Description) -> None:
        self._output, self._schema, self._group = output, schema, description.group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self.rows = 0
        self._writer = parquet.Writer(output, schema, use_dictionary=["label"], write_statistics=["label"])

    def write(self, batch: pa.RecordBatch) -> None:
        """Takes rows of the schema, in order."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        while self._waiting_rows >= self._group:
            self._flush(self._group)

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        group = table.slice(0, rows).combine_chunks()  # pages end where chunks end
        self._waiting_rows -= rows
        self._waiting = table.slice(rows).to_batches() if self._waiting_rows else []
        del table  # what was copied is not to take room while it is written
        self._writer.write(group, self._group)

    def close(self, made: provenance.Step) -> None:
        """Writes what waits, and the footer."""
        if self._waiting_rows:
            self._flush(self._waiting_rows)
        self._writer.close(made, self.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._output.mute()
            self._writer.abandon()


def read_description(file: pq.ParquetFile, title: str) -> Description | None:
    """A table's description of its data set; None if it has none.

    Raises:
        GencliError: the description is not valid.
    """
    text = (file.schema_arrow.metadata or {}).get(_DESCRIPTION)
    if text is None:
        return None
    try:
        return _description(provenance.parse(text))
    except ValueError as error:
        raise GencliError(f"{title}: corrupt metadata: {first_line(error)}", "make the file again") from None


def _description(facts: dict[str, Any]) -> Description:
    name, split, classes, shape, dtype = (facts.get(key) for key in ("name", "split", "classes", "shape", "dtype"))
    if not (isinstance(name, str) and isinstance(split, str) and isinstance(classes, list) and isinstance(shape, list)):
        raise ValueError("its description has the wrong form")
    if not (classes and all(isinstance(each, str) for each in classes)):
        raise ValueError("its classes have no names")
    if not is_shape(shape) or dtype not in ("uint8", "float32"):
        raise ValueError(f"no images are {shape} of {dtype}")
    return Description(name, split, tuple(classes), (shape[0], shape[1], shape[2]), dtype)


def is_shape(value: Any) -> bool:
    """Whether it is a height, a width and a number of channels, of an image that fits in 2³¹ bytes."""
    numbers = isinstance(value, list | tuple) and len(value) == 3 and all(type(each) is int for each in value)
    return numbers and min(value) > 0 and math.prod(value) * 4 < 1 << 31


def check_labels(labels: NDArray[np.int64], classes: int, title: str, name: str = "label", start: int = 0) -> None:
    """Refuses labels outside 0 … classes−1, naming the first such row."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise GencliError(
            f"{title}: row {start + wrong[0]}: {name} {labels[wrong[0]]} is not one of the {classes} classes",
            f"labels range from 0 to {classes - 1}; remove such rows first",
        )


def identities(name: str, split: str, start: int, stop: int) -> NDArray[np.int64]:
    """[stop − start] int64: a row's place in the source, with a hash of name and split in the high 31 bits."""
    import hashlib

    digest = hashlib.sha256(_utf8(f"{name}\0{split}")).digest()
    return np.arange(start, stop, dtype=np.int64) | (int.from_bytes(digest[:4], "big") >> 1) << 32


def _utf8(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        shown = name.replace("\0", " ").strip()
        raise GencliError(f"{shown!r}: not a data set name: not UTF-8", "choose another name and split") from None
