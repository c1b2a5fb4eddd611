"""Image tables for other tools: Parquet as public hubs publish it, and folders of images."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import arrow, partial
from gencli.files.tables import ImageTable
from gencli.sources.classes import require_distinct
from gencli.sources.processes import in_processes

_ITSELF = "other tools can read the table itself"


class Exported:
    """An image table with its images as PNG files, `struct<bytes, path>`, and a `huggingface` description.

    Identities, true labels and gencli's own description stay, so that gencli reads it as the same table.
    """

    def __init__(self, table: ImageTable) -> None:
        self._table = table
        self.rows, self.inputs, self.description = table.rows, table.inputs, table.description
        _require_png(table)
        require_distinct(
            self.description.classes,
            table.title,
            "hubs identify classes by name; other tools can read the table itself",
        )
        encoded = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        # nullable, though no value is missing: datasets ignores the description of a column that is declared otherwise
        schema = pa.schema(
            [pa.field(each.name, encoded if each.name == "image" else each.type) for each in table.schema]
        )
        features = {field.name: self._feature(field) for field in schema}
        hub = json.dumps({"info": {"features": features}}, ensure_ascii=False)
        self.schema = schema.with_metadata({**(table.schema.metadata or {}), "huggingface": hub})

    def _feature(self, field: pa.Field) -> dict[str, Any]:
        if field.name == "image":
            return {"_type": "Image"}
        if field.name in ("label", "label_true"):
            return {"names": list(self.description.classes), "_type": "ClassLabel"}
        return {"dtype": str(field.type), "_type": "Value"}

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch, files in encoded(self._table, keep):
            paths = [f"{row:08d}.png" for row in range(start, start + len(files))]
            image = pa.StructArray.from_arrays([pa.array(files, pa.binary()), pa.array(paths)], ["bytes", "path"])
            columns = [image if name == "image" else batch.column(name) for name in self.schema.names]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
            start += len(files)


def encoded(table: ImageTable, keep: NDArray[np.bool_] | None = None) -> Iterator[tuple[pa.RecordBatch, list[bytes]]]:
    """The table's batches, each with its images as PNG files."""
    waiting: deque[pa.RecordBatch] = deque()

    def parts() -> Iterator[NDArray[np.uint8]]:
        for batch in table.batches(keep):
            waiting.append(batch)
            yield arrow.unpack(batch, table.description)

    for files in in_processes("encode", parts()):
        yield waiting.popleft(), files


def write_folder(table: ImageTable, destination: str, keep: NDArray[np.bool_] | None = None) -> Iterator[int]:
    """Writes PNG files DESTINATION/CLASS/ROW.png; the folder appears complete or not at all. Yields rows done.

    Raises:
        GencliError: it already exists or cannot be created, or a class's name cannot name a folder.
    """
    _require_png(table)
    place, names = Path(destination), table.description.classes
    require_distinct(names, table.title, f"folders are named after their classes; {_ITSELF}")
    for name in names:
        if name.startswith(".") or not name or "/" in name or "\0" in name:
            raise GencliError(f"{table.title}: class {name!r} cannot name a folder", "export to Parquet: --encode png")
    if os.path.lexists(place):
        raise GencliError(f"{destination}: already exists", "name a folder that does not exist yet")
    try:
        temporary, lock = partial.create(place, folder=True)
    except OSError as error:
        raise GencliError(f"{destination}: {error.strerror}", "name a folder that can be created") from None
    try:
        start, made = 0, set[int]()
        for batch, files in encoded(table, keep):
            for row, (label, file) in enumerate(zip(batch.column("label").to_pylist(), files, strict=True), start):
                folder = temporary / names[label]
                if label not in made:
                    folder.mkdir()  # is there where the disk takes Cat for cat
                    made.add(label)
                (folder / f"{row:08d}.png").write_bytes(file)
            start += len(files)
            yield start
        os.rename(temporary, place)
    except OSError as error:
        raise GencliError(f"{destination}: {error.strerror}", "nothing was kept; free some space") from None
    finally:
        partial.remove(temporary)
        os.close(lock)


def _require_png(table: ImageTable) -> None:
    if "target" in table.schema.names:
        raise GencliError(f"{table.title}: has targets, which an export would lose", _ITSELF)
    shape, dtype = table.description.shape, table.description.dtype
    if dtype != "uint8" or shape[2] not in (1, 3):
        raise GencliError(
            f"{table.title}: {dtype} images of {shape[2]} channels",
            f"PNG holds 8-bit gray and RGB; {_ITSELF}",
        )
