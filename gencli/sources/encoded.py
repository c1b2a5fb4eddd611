"""Image tables of other tools: Parquet with encoded images as on public hubs, or raw pixels without a description.

Encoded images are a column `image` or `img` of `struct<bytes, path>` or bytes, pixels one of bytes or lists, in all of
Arrow's spellings; class names come from the `huggingface` metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli.cli import console
from gencli.counts import by
from gencli.errors import GencliError
from gencli.files import arrow, parquet, tables
from gencli.files.stream import Input
from gencli.files.tables import Description, FileTable, ImageTable
from gencli.sources.classes import classes_of, hub_names
from gencli.sources.decoded import DecodedTable, Decoding, Piece, Places, identify, most_bytes, parse_shape

_FEW = 16
_STARTS = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*", re.DOTALL)


@dataclass(frozen=True)
class Foreign:
    """How to read a table that another tool wrote.

    Attributes:
        name, split: enter the rows' identities; by default from the first file's stem (`cifar10-train` is name
            `cifar10`, split `train`), for standard input from its content's hash.
        label: the label column.
        shape: height, width, channels of raw pixels that have no description.
        classes: the classes' names, where the metadata has none.
        decoding: of encoded images.
    """

    name: str | None = None
    split: str | None = None
    label: str = "label"
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None
    decoding: Decoding = field(default_factory=Decoding)


def encoded_table(inputs: list[Input], files: list[pq.ParquetFile], foreign: Foreign) -> ImageTable:
    """The table in files that gencli did not write, or whose description was lost on the way."""
    schema, title = files[0].schema_arrow, inputs[0].name
    column = next((name for name in ("image", "img") if name in schema.names), None)
    if column is None or foreign.label not in schema.names:
        missing = "image` or `img" if column is None else foreign.label
        raise GencliError(
            f"{title}: no column `{missing}`; its columns are {', '.join(schema.names) or 'none'}",
            "an image table has id, image and label; --label of `gencli data parquet` names another label column",
        )
    if schema.names.count(column) > 1 or schema.names.count(foreign.label) > 1:
        raise GencliError(
            f"{title}: two columns have the same name; its columns are {', '.join(schema.names)}",
            "give each column a distinct name",
        )
    kind = schema.field(foreign.label).type
    if not arrow.holds_integers(kind):
        raise GencliError(
            f"{title}: column `{foreign.label}` is {kind}, not integer", "labels are class numbers from 0"
        )
    stem = inputs[0].path.stem if inputs[0].path else inputs[0].sha256[:16]
    name, split = identify(stem)
    foreign = replace(
        foreign,
        name=name if foreign.name is None else foreign.name,
        split=split if foreign.split is None else foreign.split,
    )
    if _encoded_in(schema.field(column), foreign, files[0]):
        return EncodedTable(inputs, files, column, foreign)
    if foreign.decoding != Decoding():
        raise GencliError(f"{title}: raw pixels, not encoded images", "omit --mode, --range, --size and --crop")
    return _raw_table(inputs, files, column, foreign)


def _encoded_in(field: pa.Field, foreign: Foreign, file: pq.ParquetFile) -> bool:
    """Whether a column holds encoded images: `struct<bytes, path>`, or bytes that start as those of images do."""
    if _holds_encoded(file.schema_arrow, field.name):
        return True
    if foreign.shape is not None or b"shape" in (field.metadata or {}) or not arrow.holds_bytes(field.type):
        return False
    with parquet.undamaged(f"column `{field.name}`"):
        first = next(file.iter_batches(1, columns=[field.name])).column(0)[0].as_py()
    return first is not None and _STARTS.match(first) is not None


def _holds_encoded(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type if name in schema.names else pa.null()
    place = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    return place >= 0 and arrow.holds_bytes(kind.field(place).type)


def _raw_table(inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> FileTable:
    schema, title = files[0].schema_arrow, inputs[0].name
    field = schema.field(column)
    if not arrow.holds_pixels(field.type):
        raise GencliError(
            f"{title}: column `{column}` is {field.type}, neither encoded images nor pixels",
            "encoded images are struct<bytes, path> or bytes, pixels are bytes or lists of whole numbers",
        )
    facts = field.metadata or {}
    shape, dtype = foreign.shape, facts.get(b"dtype", b"uint8").decode(errors="replace")
    if b"shape" in facts and shape is None:
        shape = parse_shape(facts[b"shape"].decode(errors="replace").replace(",", "x"), f"{title}: column `{column}`")
    if not arrow.holds_bytes(field.type):
        with parquet.undamaged(title):
            told, dtype = arrow.shape_of(next(files[0].iter_batches(1, columns=[column])).column(0))
        shape = told if shape is None else shape
    if shape is None:
        raise GencliError(
            f"{title}: column `{column}` ({field.type}) has no shape",
            "give it with gencli data parquet FILE --shape 32x32x3",
        )
    if not tables.is_shape(shape) or (shape[0] in (1, 3) and shape[2] > 4):
        raise GencliError(
            f"{title}: column `{column}` holds images of {by(shape)}",
            "images are height×width×channels, channels last: reorder them",
        )
    if dtype not in ("uint8", "float32"):
        raise GencliError(f"{title}: column `{column}` holds {dtype}", "images are uint8 or float32")
    name, split = foreign.name or "", foreign.split or ""
    labels = _labels(inputs, files, foreign.label)
    classes = classes_of(hub_names(schema, foreign.label), foreign.classes, labels, title)
    names = {column: "image", foreign.label: "label"}
    others = (name for name in schema.names if name in names.values() and name not in names)
    _say_left(title, [f"{name} ({schema.field(name).type})" for name in others])
    if "id" not in schema.names or any(theirs != ours for theirs, ours in names.items()):
        stops = np.cumsum([file.metadata.num_rows for file in files])
        firsts = [None if "id" in schema.names else (name, split, int(stop)) for stop in [0, *stops[:-1]]]
        files = [cast(pq.ParquetFile, _Renamed(*each)) for each in zip(files, [names] * len(files), firsts)]
    return FileTable(inputs, files, Description(name, split, classes, (shape[0], shape[1], shape[2]), dtype))


class _Renamed:
    """A Parquet file whose columns are called otherwise, with numbered ids where it has none: what a FileTable reads.

    Args:
        names: ours by theirs.
        first: name and split of the data set and the file's first place in it, where the ids are to be made.
    """

    def __init__(self, file: pq.ParquetFile, names: dict[str, str], first: tuple[str, str, int] | None) -> None:
        self._file, self._first = file, first
        self.metadata, self.num_row_groups = file.metadata, file.num_row_groups
        stored = file.schema_arrow
        theirs = [name for name in stored.names if name in names or name not in names.values()]
        self._theirs = {names.get(name, name): name for name in theirs}
        fields = [stored.field(name).with_name(ours) for ours, name in self._theirs.items()]
        self._made = [pa.field("id", pa.int64(), nullable=False)] if first else []
        self.schema_arrow = pa.schema([*self._made, *fields], stored.metadata)

    def _ids(self, start: int, stop: int) -> pa.Array:
        name, split, first = self._first or ("", "", 0)
        return arrow.integers(tables.identities(name, split, first + start, first + stop))

    def read(self, columns: list[str]) -> pa.Table:
        [name] = columns
        if self._first and name == "id":
            return pa.table({"id": self._ids(0, self.metadata.num_rows)})
        return self._file.read(columns=[self._theirs[name]])

    def iter_batches(self, rows: int, row_groups: list[int]) -> Iterator[pa.RecordBatch]:
        start = sum(self.metadata.row_group(group).num_rows for group in range(row_groups[0]))
        for batch in self._file.iter_batches(rows, row_groups=row_groups, columns=list(self._theirs.values())):
            columns = [batch.column(name) for name in self._theirs.values()]
            made = [self._ids(start, start + batch.num_rows)] if self._made else []
            yield pa.RecordBatch.from_arrays([*made, *columns], names=self.schema_arrow.names)
            start += batch.num_rows


def _integers(inputs: list[Input], files: list[pq.ParquetFile], name: str) -> NDArray[np.int64]:
    parts, start, title = [np.empty(0, np.int64)], 0, inputs[0].name
    with parquet.undamaged(title):
        for chunk in parquet.column(inputs, files, name):
            column = arrow.plain(chunk)
            if column.null_count:
                raise GencliError(f"{title}: {column.null_count} rows without `{name}`", "remove such rows first")
            try:
                parts.append(arrow.to_integers(column))
            except ValueError as error:
                row, value = error.args
                words = f"{title}: row {start + row}: {name} {value}"
                raise GencliError(words, "values must be 64-bit integers") from None
            start += len(column)
    return np.concatenate(parts)


def _labels(inputs: list[Input], files: list[pq.ParquetFile], label: str) -> dict[str, NDArray[np.int64]]:
    """The labels, and the true ones where there are any, by column."""
    names = [label, *({"label_true"} & set(files[0].schema_arrow.names) - {label})]
    return {name: _integers(inputs, files, name) for name in names}


class EncodedTable(DecodedTable):
    """An image table in hub-style Parquet; what `gencli data export` wrote keeps its identities and true labels."""

    def __init__(self, inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> None:
        self._files = files
        schema, title = files[0].schema_arrow, inputs[0].name
        described = tables.read_description(files[0], title)
        name, split = foreign.name or "", foreign.split or ""
        if described is not None:
            name, split = described.name, described.split
        labels = _labels(inputs, files, foreign.label)
        if described is None:
            classes = classes_of(hub_names(schema, foreign.label), foreign.classes, labels, title)
        else:
            classes = described.classes
            for each, column_labels in labels.items():
                tables.check_labels(column_labels, len(classes), title, each)
        labels["label"] = labels.pop(foreign.label)
        self._images = [column, *(["target"] if _holds_encoded(schema, "target") else [])]
        columns: dict[str, NDArray[np.int64] | pa.Array] = {}
        left = []
        for each in schema.names:
            ours, kind = "label" if each == foreign.label else each, arrow.plain_type(schema.field(each).type)
            if ours in labels and each in ("label_true", foreign.label):
                columns[ours] = labels[ours]
            elif each in ("id", "severity") and pa.types.is_integer(kind):
                columns[each] = _integers(inputs, files, each)
            elif each == "corruption" and pa.types.is_string(kind):
                columns[each] = _words(inputs, files, each)
            elif each not in self._images:
                left.append(f"{each} ({kind})")
        _say_left(title, left)
        if "id" not in columns and described is not None:
            raise GencliError(f"{title}: no column `id` of whole numbers", "export it again with its ids")
        if "id" not in columns:
            columns["id"] = tables.identities(name, split, 0, len(labels["label"]))
        elif described is None and "corruption" not in columns:
            _require_unique(columns["id"], title)
        made = parquet.read_provenance(files[0])
        super().__init__(inputs, made, columns, name, split, classes, foreign.decoding, len(self._images) > 1)

    def image_name(self, place: int) -> str:
        return f"{self.title}: row {place}"

    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        start = 0
        with parquet.undamaged(self.title):
            for source, file in zip(self.inputs, self._files, strict=True):
                for group in range(file.num_row_groups):
                    stop = start + file.metadata.row_group(group).num_rows
                    if keep is None or keep[start:stop].any():
                        yield from self._group(source, file, group, np.arange(start, stop), count, keep)
                    start = stop

    def _group(
        self,
        source: Input,
        file: pq.ParquetFile,
        group: int,
        places: Places,
        count: int,
        keep: NDArray[np.bool_] | None,
    ) -> Iterator[Piece]:
        """The images of a row group, whose rows have these places in the table."""
        last = places[-1] if keep is None else places[keep[places]][-1]
        kinds = {name: file.schema_arrow.field(name).type for name in self._images}
        leaves = [f"{name}.bytes" if pa.types.is_struct(kind) else name for name, kind in kinds.items()]
        found = file.iter_batches(min(count, _few(file, group, leaves)), row_groups=[group], columns=leaves)
        for batch in parquet.batches(source, found):
            now, places = places[: batch.num_rows], places[batch.num_rows :]
            wanted = np.arange(len(now)) if keep is None else np.flatnonzero(keep[now])
            columns = [_bytes(batch.column(name)) for name in self._images]
            if len(wanted):
                yield [column[row].as_py() for row in wanted.tolist() for column in columns], now[wanted]
            if last <= now[-1]:
                return
        with parquet.undamaged(source.name):
            raise OSError(f"a row group lacks {len(places)} rows")


def _bytes(column: pa.Array) -> pa.Array:
    return column.field("bytes") if pa.types.is_struct(column.type) else column


def _words(inputs: list[Input], files: list[pq.ParquetFile], name: str) -> pa.Array:
    return pa.concat_arrays([arrow.plain(chunk) for chunk in parquet.column(inputs, files, name)])


def _say_left(title: str, columns: list[str]) -> None:
    if columns:
        console.message(console.printable(f"{title}: dropped columns: {', '.join(columns)}"))


def _require_unique(ids: NDArray[np.int64] | pa.Array, title: str) -> None:
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(again):
        first, second = sorted(order[again[0] : again[0] + 2])
        raise GencliError(
            f"{title}: rows {first} and {second} have the same id, {ids[first]}",
            "give each row a distinct id, or rename the column so that rows are numbered",
        )


def _few(file: pq.ParquetFile, group: int, leaves: list[str]) -> int:
    """A number of a row group's values that is read at a time: as many as fit, or so few that they can be large.

    No value is larger than all that are stored, though many can be one stored value (its dictionary's).
    """
    chunks = file.metadata.row_group(group)
    sizes = [chunks.column(place) for place in range(chunks.num_columns)]
    stored = sum(size.total_uncompressed_size for size in sizes if size.path_in_schema in leaves)
    return max(min(_FEW, chunks.num_rows * most_bytes() // max(1, stored)), most_bytes() // max(1, stored), 1)
