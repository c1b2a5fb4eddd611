"""Image tables made elsewhere: Parquet with encoded images as public hubs publish it, or raw pixels without a word.

Encoded images are a column `image` or `img` of `struct<bytes, path>`; class names come from the `huggingface` metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli import parquet, tables
from gencli.errors import GencliError
from gencli.sources.classes import classes_of, hub_names
from gencli.sources.decoded import DecodedTable, Decoding, Places, identify, parse_shape
from gencli.stream import Input
from gencli.tables import Description, FileTable, ImageTable


@dataclass(frozen=True)
class Foreign:
    """How to read a table made elsewhere.

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
        raise GencliError(f"{title}: its columns are {', '.join(schema.names)}", "give each column a name of its own")
    kind = schema.field(foreign.label).type
    if not pa.types.is_integer(kind):
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
    stored = schema.field(column).type
    place = stored.get_field_index("bytes") if pa.types.is_struct(stored) else -1
    if place >= 0 and pa.types.is_binary(stored.field(place).type):
        return EncodedTable(inputs, files, column, foreign)
    if foreign.decoding != Decoding():
        raise GencliError(f"{title}: raw pixels, not encoded images", "leave --mode, --size and --crop out")
    return _raw_table(inputs, files, column, foreign)


def _raw_table(inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> FileTable:
    schema, title = files[0].schema_arrow, inputs[0].name
    field = schema.field(column)
    facts = field.metadata or {}
    shape, dtype = foreign.shape, facts.get(b"dtype", b"uint8").decode(errors="replace")
    if shape is None and b"shape" in facts:
        shape = parse_shape(facts[b"shape"].decode(errors="replace").replace(",", "x"), f"{title}: column `{column}`")
    if shape is None:
        raise GencliError(
            f"{title}: column `{column}` ({field.type}) has no shape",
            "say it: gencli data parquet FILE --shape 32x32x3",
        )
    if dtype not in ("uint8", "float32"):
        raise GencliError(f"{title}: column `{column}` holds {dtype}", "images are uint8 or float32")
    if column != "image" or foreign.label != "label" or "id" not in schema.names:
        raise GencliError(f"{title}: raw pixels need columns id, image, label", "rename them, or keep the ids")
    labels = {name: _integers(files, title, name) for name in ("label", "label_true") if name in schema.names}
    classes = classes_of(hub_names(schema, "label"), foreign.classes, labels, title)
    return FileTable(inputs, files, Description(foreign.name or "", foreign.split or "", classes, shape, dtype))


def _integers(files: list[pq.ParquetFile], title: str, name: str) -> NDArray[np.int64]:
    with parquet.undamaged(title):
        column = pa.chunked_array([chunk for file in files for chunk in file.read(columns=[name]).column(0).chunks])
        if column.null_count:
            raise GencliError(f"{title}: {column.null_count} rows without `{name}`", "leave such rows out first")
        return column.cast(pa.int64()).to_numpy()


class EncodedTable(DecodedTable):
    """An image table in hub-style Parquet; what `gencli data export` wrote keeps its identities and true labels."""

    def __init__(self, inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> None:
        self._files, self._column = files, column
        schema, title, described = (
            files[0].schema_arrow,
            inputs[0].name,
            tables.read_description(files[0], inputs[0].name),
        )
        name, split, label = foreign.name or "", foreign.split or "", foreign.label
        columns = {"label": _integers(files, title, label)}
        if described is None:
            columns["id"] = tables.identities(name, split, 0, len(columns["label"]))
            classes = classes_of(hub_names(schema, label), foreign.classes, {label: columns["label"]}, title)
        else:
            name, split, classes = described.name, described.split, described.classes
            columns["id"] = _integers(files, title, "id")
            if "label_true" in schema.names:
                columns["label_true"] = _integers(files, title, "label_true")
            for each in columns.keys() - {"id"}:
                tables.check_labels(columns[each], len(classes), title, each)
        made = parquet.read_provenance(files[0])
        super().__init__(inputs, made, columns, name, split, classes, foreign.decoding)

    def image_name(self, place: int) -> str:
        return f"{self.title}: row {place}"

    def values(self, count: int, keep: NDArray[np.bool_] | None = None) -> Iterator[tuple[list[bytes | None], Places]]:
        start = 0
        with parquet.undamaged(self.title):
            for file in self._files:
                for batch in file.iter_batches(count, columns=[self._column]):
                    places = np.arange(start, start + batch.num_rows)
                    kept = places if keep is None else places[keep[places]]
                    if len(kept):
                        yield batch.column(0).field("bytes").take(pa.array(kept - start)).to_pylist(), kept
                    start += batch.num_rows
            if start != self.rows:
                raise OSError(f"{start} rows of {self.rows}")
