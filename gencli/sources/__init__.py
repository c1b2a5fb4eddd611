"""Sources of image tables: generators, downloads, and files, written by gencli or by other tools."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from gencli.errors import GencliError
from gencli.files import parquet, stream
from gencli.files.named import open_inputs
from gencli.files.tables import Description, FileTable, ImageTable
from gencli.sources import sets
from gencli.sources.encoded import Foreign, encoded_table


def open_table(argument: str | None, foreign: Foreign | None = None) -> ImageTable:
    """Opens the image table that a command's argument names (see `read_table`)."""
    return read_table(open_inputs(argument), foreign)


def read_table(inputs: list[stream.Input], foreign: Foreign | None = None, part: bool = False) -> ImageTable:
    """The image table in these files: written by gencli, or by another tool and read as `foreign` says.

    Objects of a folder are fetched once their footers say that they are one data set; with `part` as they are read.

    Raises:
        GencliError: not Parquet, cut short, no image or label column, no rows, two rows with the same id, files that
            are not one data set, or settings that contradict the files.
    """
    foreign = foreign or Foreign()
    if len(inputs) > 1 and inputs[0].part is not None:
        told, _ = sets.of_one_split([sets.Part(each, parquet.footer(each)) for each in inputs], foreign.split)
        sets.require_one_set(told, foreign.label)
    for each in () if part else inputs:
        each.fetch()
    parts, split = sets.of_one_split([sets.Part(each, parquet.open_file(each)) for each in inputs], foreign.split)
    foreign = replace(foreign, split=split)
    if len(parts) > 1 or parts[0].source.whole:
        sets.require_one_set(parts, foreign.label)
    filled = [part for part in sets.in_order(parts) if part.rows]
    if not filled:
        raise GencliError(f"{parts[0].name}: no rows", "an image table needs at least one row")
    inputs, files = [part.source for part in filled], [part.file for part in filled]
    table = _open(inputs, files, filled[0].description, foreign)
    sets.require_own_ids(table, files)
    return table


def _open(
    inputs: list[stream.Input], files: list[pq.ParquetFile], description: Description | None, foreign: Foreign
) -> ImageTable:
    schema = files[0].schema_arrow
    encoded = "image" in schema.names and pa.types.is_struct(schema.field("image").type)
    if description is not None:  # what it says may be said again
        known = {name: None for name in ("name", "split") if getattr(foreign, name) == getattr(description, name)}
        foreign = replace(foreign, **known)
    if description is not None and foreign != (Foreign(decoding=foreign.decoding) if encoded else Foreign()):
        more = "" if encoded else ", --mode, --size, --crop"
        raise GencliError(
            f"{inputs[0].name}: written by gencli, so it describes itself",
            f"omit --name, --split, --image, --label, --keep, --renumber, --class-names, --shape{more}",
        )
    if description is not None and not encoded and "image" in schema.names:
        return FileTable(inputs, files, description)
    return encoded_table(inputs, files, foreign)
