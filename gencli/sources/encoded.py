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
from gencli.sources import coded
from gencli.sources.classes import classes_of, hub_names
from gencli.sources.coded import Coding
from gencli.sources.decoded import DecodedTable, Decoding, Piece, Places, identify, most_bytes, parse_shape

_FEW = 16
_STARTS = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*", re.DOTALL)


@dataclass(frozen=True)
class Foreign:
    """How to read a table that another tool wrote.

    Attributes:
        name, split: enter the rows' identities; by default from the first file's stem (`cifar10-train` is name
            `cifar10`, split `train`), for standard input from its content's hash.
        image: the image column; by default `image` or `img`.
        label: the label column. Both can be paths into structs, a.b.
        keep: further columns to keep.
        renumber: whether classes are the labels that there are, in order, with no gaps.
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
    image: str | None = None
    keep: tuple[str, ...] = ()
    renumber: bool = False


def encoded_table(inputs: list[Input], files: list[pq.ParquetFile], foreign: Foreign) -> ImageTable:
    """The table in files that gencli did not write, or whose description was lost on the way."""
    schema, title = files[0].schema_arrow, inputs[0].name
    column = foreign.image or next((name for name in ("image", "img") if name in schema.names), None)
    image = None if column is None else coded.field_at(schema, column)
    label = coded.field_at(schema, foreign.label)
    twice = [each for each in (column, foreign.label) if schema.names.count(each) > 1]
    if twice:
        raise GencliError(
            f"{title}: two columns have the same name; its columns are {', '.join(schema.names)}",
            "give each column a distinct name",
        )
    if column is None or image is None or label is None:
        missing = "image` or `img" if column is None else column if image is None else foreign.label
        raise GencliError(
            f"{title}: no column `{missing}`; its columns are {', '.join(schema.names) or 'none'}",
            "an image table has id, image and label; --image and --label of `gencli data parquet` name other columns",
        )
    if not (arrow.holds_integers(label.type) or pa.types.is_string(arrow.plain_type(label.type))):
        raise GencliError(
            f"{title}: column `{foreign.label}` is {label.type}, not integer",
            "labels are class numbers from 0, or names",
        )
    stem = inputs[0].path.stem if inputs[0].path else inputs[0].sha256[:16]
    name, split = identify(stem)
    foreign = replace(
        foreign,
        name=name if foreign.name is None else foreign.name,
        split=split if foreign.split is None else foreign.split,
    )
    if _encoded_in(column, image, foreign, files[0]):
        return EncodedTable(inputs, files, column, foreign)
    if foreign.decoding != Decoding():
        raise GencliError(f"{title}: raw pixels, not encoded images", "omit --mode, --range, --size and --crop")
    return _raw_table(inputs, files, column, foreign)


def _encoded_in(path: str, field: pa.Field, foreign: Foreign, file: pq.ParquetFile) -> bool:
    """Whether a column holds encoded images: `struct<bytes, path>`, or bytes that start as those of images do."""
    if _holds_encoded(field):
        return True
    if foreign.shape is not None or b"shape" in (field.metadata or {}) or not arrow.holds_bytes(field.type):
        return False
    with parquet.undamaged(f"column `{path}`"):
        first = coded.dug(next(file.iter_batches(1, columns=[path])), path)[0].as_py()
    return first is not None and _STARTS.match(first) is not None


def _holds_encoded(field: pa.Field) -> bool:
    kind = field.type
    place = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    return place >= 0 and arrow.holds_bytes(kind.field(place).type)


def _raw_table(inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> FileTable:
    schema, title = files[0].schema_arrow, inputs[0].name
    if column not in schema.names or foreign.label not in schema.names:
        raise GencliError(f"{title}: raw pixels, and a path into a struct", "paths are for encoded images")
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
    coding = _coding(inputs, files, foreign)
    labels = _labels(inputs, files, foreign.label, coding)
    classes = coding.names if coding else classes_of(hub_names(schema, foreign.label), foreign.classes, labels, title)
    names = {column: "image", foreign.label: "label"}
    others = (name for name in schema.names if name in names.values() and name not in names)
    _say_left(title, [f"{name} ({schema.field(name).type})" for name in others])
    _require_there(foreign.keep, schema, title, foreign.label)
    if coding or "id" not in schema.names or any(theirs != ours for theirs, ours in names.items()):
        stops = np.cumsum([file.metadata.num_rows for file in files])
        firsts = [None if "id" in schema.names else (name, split, int(stop)) for stop in [0, *stops[:-1]]]
        files = [
            cast(pq.ParquetFile, _Renamed(*each))
            for each in zip(files, [names] * len(files), firsts, [coding] * len(files))
        ]
    return FileTable(inputs, files, Description(name, split, classes, (shape[0], shape[1], shape[2]), dtype))


class _Renamed:
    """A Parquet file whose columns are called otherwise, with numbered ids where it has none: what a FileTable reads.

    Args:
        names: ours by theirs.
        first: name and split of the data set and the file's first place in it, where the ids are to be made.
        coding: of the labels, where they are no class numbers.
    """

    def __init__(
        self, file: pq.ParquetFile, names: dict[str, str], first: tuple[str, str, int] | None, coding: Coding | None
    ) -> None:
        self._file, self._first, self._coding = file, first, coding
        self.metadata, self.num_row_groups = file.metadata, file.num_row_groups
        stored = file.schema_arrow
        theirs = [name for name in stored.names if name in names or name not in names.values()]
        self._theirs = {names.get(name, name): name for name in theirs}
        fields = [
            pa.field(ours, pa.int64()) if coding and ours == "label" else stored.field(name).with_name(ours)
            for ours, name in self._theirs.items()
        ]
        self._made = [pa.field("id", pa.int64(), nullable=False)] if first else []
        self.schema_arrow = pa.schema([*self._made, *fields], stored.metadata)

    def _ids(self, start: int, stop: int) -> pa.Array:
        name, split, first = self._first or ("", "", 0)
        return arrow.integers(tables.identities(name, split, first + start, first + stop))

    def read(self, columns: list[str]) -> pa.Table:
        [name] = columns
        if self._first and name == "id":
            return pa.table({"id": self._ids(0, self.metadata.num_rows)})
        found = self._file.read(columns=[self._theirs[name]])
        if name != "label" or self._coding is None:
            return found
        return pa.table({name: pa.chunked_array([self._coded(chunk) for chunk in found.column(0).chunks], pa.int64())})

    def _coded(self, column: pa.Array) -> pa.Array:
        return column if self._coding is None else arrow.integers(self._coding.codes(column))

    def iter_batches(self, rows: int, row_groups: list[int]) -> Iterator[pa.RecordBatch]:
        start = sum(self.metadata.row_group(group).num_rows for group in range(row_groups[0]))
        for batch in self._file.iter_batches(rows, row_groups=row_groups, columns=list(self._theirs.values())):
            columns = [
                self._coded(batch.column(name)) if ours == "label" else batch.column(name)
                for ours, name in self._theirs.items()
            ]
            made = [self._ids(start, start + batch.num_rows)] if self._made else []
            yield pa.RecordBatch.from_arrays([*made, *columns], names=self.schema_arrow.names)
            start += batch.num_rows


def _integers(inputs: list[Input], files: list[pq.ParquetFile], name: str) -> NDArray[np.int64]:
    parts, start, title = [np.empty(0, np.int64)], 0, inputs[0].name
    with parquet.undamaged(title):
        for column in coded.read(inputs, files, name):
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


def _coding(inputs: list[Input], files: list[pq.ParquetFile], foreign: Foreign) -> Coding | None:
    found = coded.coding(inputs, files, foreign.label, foreign.classes, foreign.renumber)
    if found is not None and "label_true" in files[0].schema_arrow.names and foreign.label != "label_true":
        raise GencliError(
            f"{inputs[0].name}: has label_true, whose classes are those of {foreign.label} before they are numbered",
            "number the labels first, or drop one column",
        )
    return found


def _labels(
    inputs: list[Input], files: list[pq.ParquetFile], label: str, coding: Coding | None
) -> dict[str, NDArray[np.int64]]:
    """The labels, and the true ones where there are any, by column."""
    if coding is not None:
        return {label: np.concatenate([coding.codes(part) for part in coded.read(inputs, files, label)])}
    names = [label, *({"label_true"} & set(files[0].schema_arrow.names) - {label})]
    return {name: _integers(inputs, files, name) for name in names}


def _require_there(names: tuple[str, ...], schema: pa.Schema, title: str, label: str) -> None:
    """Refuses columns to keep that are not there, or whose names are taken."""
    for name in names:
        if coded.field_at(schema, name) is None:
            raise GencliError(f"--keep: {title} has no column {name!r}", f"its columns are {', '.join(schema.names)}")
        if name in ("image", "label", "target") and name != label:
            raise GencliError(
                f"--keep: {name!r} is what an image table calls a column of its own",
                f"rename it in {title}, or omit it",
            )


class EncodedTable(DecodedTable):
    """An image table in hub-style Parquet; what `gencli data export` wrote keeps its identities and true labels."""

    def __init__(self, inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> None:
        self._files = files
        schema, title = files[0].schema_arrow, inputs[0].name
        described = tables.read_description(files[0], title)
        name, split = foreign.name or "", foreign.split or ""
        if described is not None:
            name, split = described.name, described.split
        coding = _coding(inputs, files, foreign)
        labels = _labels(inputs, files, foreign.label, coding)
        if coding is not None:
            classes = coding.names
        elif described is None:
            classes = classes_of(hub_names(schema, foreign.label), foreign.classes, labels, title)
        else:
            classes = described.classes
            for each, column_labels in labels.items():
                tables.check_labels(column_labels, len(classes), title, each)
        labels["label"] = labels.pop(foreign.label)
        self._images = [
            column,
            *(["target"] if "target" in schema.names and _holds_encoded(schema.field("target")) else []),
        ]
        self._paths = (column, foreign.label, *foreign.keep)
        columns: dict[str, NDArray[np.int64] | pa.Array] = {"label": labels["label"]}
        left = []
        _require_there(foreign.keep, schema, title, foreign.label)
        for each in [*schema.names, *(each for each in foreign.keep if each not in schema.names)]:
            if each in foreign.keep and each not in ("id", "label_true", foreign.label, *self._images):
                columns[each] = _kept(inputs, files, each)
                continue
            ours, kind = "label" if each == foreign.label else each, arrow.plain_type(schema.field(each).type)
            if ours in labels and each in ("label_true", foreign.label):
                columns[ours] = labels[ours]
            elif each in ("id", "severity") and pa.types.is_integer(kind):
                columns[each] = _integers(inputs, files, each)
            elif each == "corruption" and pa.types.is_string(kind):
                columns[each] = _words(inputs, files, each)
            elif each not in self._images and not any(path.startswith(f"{each}.") for path in self._paths):
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
        kinds = {name: cast(pa.Field, coded.field_at(file.schema_arrow, name)).type for name in self._images}
        leaves = [f"{name}.bytes" if pa.types.is_struct(kind) else name for name, kind in kinds.items()]
        found = file.iter_batches(min(count, _few(file, group, leaves)), row_groups=[group], columns=leaves)
        for batch in parquet.batches(source, found):
            now, places = places[: batch.num_rows], places[batch.num_rows :]
            wanted = np.arange(len(now)) if keep is None else np.flatnonzero(keep[now])
            columns = [_bytes(coded.dug(batch, name)) for name in self._images]
            if len(wanted):
                yield [column[row].as_py() for row in wanted.tolist() for column in columns], now[wanted]
            if last <= now[-1]:
                return
        with parquet.undamaged(source):
            raise OSError(f"a row group lacks {len(places)} rows")


def _bytes(column: pa.Array) -> pa.Array:
    return column.flatten()[column.type.get_field_index("bytes")] if pa.types.is_struct(column.type) else column


def _words(inputs: list[Input], files: list[pq.ParquetFile], name: str) -> pa.Array:
    return pa.concat_arrays([arrow.plain(chunk) for chunk in parquet.column(inputs, files, name)])


def _kept(inputs: list[Input], files: list[pq.ParquetFile], path: str) -> NDArray[np.int64] | pa.Array:
    """A column to keep: whole numbers as such where none is missing, others as they are."""
    found = pa.concat_arrays(coded.read(inputs, files, path))
    if arrow.holds_bytes(found.type):
        raise GencliError(f"{inputs[0].name}: column `{path}` is {found.type}", "--keep is for numbers and words")
    return arrow.to_integers(found) if pa.types.is_signed_integer(found.type) and not found.null_count else found


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
