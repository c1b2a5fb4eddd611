"""Image tables made elsewhere: Parquet with encoded images as public hubs publish it, or raw pixels without a word.

Encoded images are a column `image` or `img` of `struct<bytes, path>`; class names come from the `huggingface` metadata.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli import tables
from gencli.errors import GencliError
from gencli.stream import Input
from gencli.tables import Description, FileTable, ImageTable

_MOST_CLASSES = 1_000_000  # without names: a stray label must not fill the memory with numbers
_FORCED = {"gray": "L", "rgb": "RGB"}
_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # the conversions that lose nothing


@dataclass(frozen=True)
class Foreign:
    """How to read a table made elsewhere.

    Attributes:
        name, split: enter the rows' identities; by default from the first file's stem (`cifar10-train` is name
            `cifar10`, split `train`), for standard input from its content's hash.
        label: the label column.
        mode: `gray` or `rgb` converts every image; by default each must come as the first one does.
        shape: height, width, channels of raw pixels that have no description.
    """

    name: str | None = None
    split: str | None = None
    label: str = "label"
    mode: Literal["gray", "rgb"] | None = None
    shape: tuple[int, int, int] | None = None


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
    foreign = _identify(inputs[0], foreign)
    stored = schema.field(column).type
    place = stored.get_field_index("bytes") if pa.types.is_struct(stored) else -1
    if place >= 0 and pa.types.is_binary(stored.field(place).type):
        return EncodedTable(inputs, files, column, foreign)
    return _raw_table(inputs, files, column, foreign)


def _identify(source: Input, foreign: Foreign) -> Foreign:
    """Fills in the name and split that were not given."""
    stem = source.path.stem if source.path else source.sha256[:16]
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", stem)  # shards as hubs name them
    known = re.fullmatch(r"(?:(.+)[-_.])?(train|test|validation|val)", stem)
    name, split = (known[1] or stem, known[2]) if known else (stem, "")
    return replace(
        foreign,
        name=foreign.name if foreign.name is not None else name,
        split=foreign.split if foreign.split is not None else split,
    )


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
    classes = _classes(schema, title, "label", _labels(files, title, "label"))
    return FileTable(inputs, files, Description(foreign.name or "", foreign.split or "", classes, shape, dtype))


def _labels(files: list[pq.ParquetFile], title: str, name: str) -> NDArray[np.int64]:
    with tables.undamaged(title):
        column = pa.chunked_array([chunk for file in files for chunk in file.read(columns=[name]).column(0).chunks])
        if column.null_count:
            raise GencliError(f"{title}: {column.null_count} rows without `{name}`", "leave such rows out first")
        return column.cast(pa.int64()).to_numpy()


def _classes(schema: pa.Schema, title: str, label: str, labels: NDArray[np.int64]) -> tuple[str, ...]:
    """The class names of the `huggingface` metadata, or the numbers up to the largest label."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        names = None
    if isinstance(names, list) and names and all(isinstance(each, str) for each in names):
        classes = tuple(each.encode(errors="replace").decode() for each in names)
    else:
        classes = tuple(map(str, range(max(1, min(int(labels.max()) + 1, _MOST_CLASSES)))))
    tables.check_labels(labels, len(classes), title, label)
    return classes


class EncodedTable:
    """An image table in hub-style Parquet, its images decoded as they are read."""

    made = None

    def __init__(self, inputs: list[Input], files: list[pq.ParquetFile], column: str, foreign: Foreign) -> None:
        self.title = inputs[0].name if len(inputs) == 1 else f"{inputs[0].name} and {len(inputs) - 1} more"
        self.rows = sum(file.metadata.num_rows for file in files)
        self.inputs, self._files, self._column, self._foreign = inputs, files, column, foreign
        self._labels = _labels(files, self.title, foreign.label)
        with tables.undamaged(self.title):
            first = next(files[0].iter_batches(1, columns=[column])).column(0).field("bytes")[0].as_py()
        shape = self._decode(first, 0).shape
        classes = _classes(files[0].schema_arrow, self.title, foreign.label, self._labels)
        self.description = Description(foreign.name or "", foreign.split or "", classes, shape)
        self.schema = self.description.schema()

    def column(self, name: str) -> NDArray[np.int64]:
        return self._labels if name == "label" else self._ids(0, self.rows)

    def _ids(self, start: int, stop: int) -> NDArray[np.int64]:
        return tables.identities(self.description.name, self.description.split, start, stop)

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        start = 0
        with tables.undamaged(self.title):
            for file in self._files:
                for batch in file.iter_batches(self.description.group_rows, columns=[self._column]):
                    places = np.arange(start, start + batch.num_rows)
                    kept = places if keep is None else places[keep[places]]
                    if len(kept):
                        values = batch.column(0).field("bytes").take(pa.array(kept - start)).to_pylist()
                        yield self._batch(values, kept)
                    start += batch.num_rows
            if start != self.rows:
                raise OSError(f"{start} rows of {self.rows}")

    def _batch(self, values: list[bytes | None], places: NDArray[np.int64]) -> pa.RecordBatch:
        images = np.empty((len(values), *self.description.shape), np.uint8)
        for row, (value, place) in enumerate(zip(values, places)):  # in threads this takes up to twice as long
            image = self._decode(value, place)
            if image.shape != self.description.shape:
                raise self._differs(place, image.shape)
            images[row] = image
        columns = [
            tables.integers(self._ids(0, 1) | places),
            tables.pack(images),
            tables.integers(self._labels[places]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _decode(self, value: bytes | None, row: int) -> NDArray[np.uint8]:
        from PIL import Image

        if value is None:
            raise GencliError(f"{self.title}: row {row}: the image has no bytes", "only embedded images can be read")
        try:
            with Image.open(io.BytesIO(value)) as image:
                mode = _FORCED[self._foreign.mode] if self._foreign.mode else _MODES.get(image.mode)
                if mode is None:
                    raise GencliError(
                        f"{self.title}: row {row}: an image of mode {image.mode}, neither gray nor RGB of 8 bits",
                        "--mode rgb or --mode gray of `gencli data parquet` converts every image",
                    )
                pixels = np.asarray(image if image.mode == mode else image.convert(mode))
        except GencliError:
            raise
        except Exception as error:  # decoders raise anything at damaged bytes
            why = tables.first_line(error)
            raise GencliError(f"{self.title}: row {row}: not an image: {why}", "leave such rows out first") from None
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def _differs(self, row: int, shape: tuple[int, ...]) -> GencliError:
        return GencliError(
            f"{self.title}: row {row}: an image of {'×'.join(map(str, shape))}, "
            f"row 0 is {'×'.join(map(str, self.description.shape))}",
            "all images of a table have one size; --mode rgb or gray of `gencli data parquet` converts colours",
        )


def parse_shape(text: str | None, where: str = "--shape") -> tuple[int, int, int] | None:
    """`32x32x3` as height, width, channels."""
    if text is None:
        return None
    numbers = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", text, re.ASCII)
    height, width, channels = map(int, numbers.groups()) if numbers else (0, 0, 0)
    if not tables.is_shape((height, width, channels)):
        raise GencliError(f"{where}: {text!r} is no shape", "write HEIGHTxWIDTHxCHANNELS, such as 32x32x3")
    return height, width, channels
