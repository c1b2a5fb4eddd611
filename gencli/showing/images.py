"""Image tables: statistics per class, or the first rows, and a sheet of their images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from gencli.cli import console
from gencli.counts import by
from gencli.files import tables
from gencli.files.provenance import Source
from gencli.files.tables import ImageTable
from gencli.reporting.sheet import Sheet
from gencli.showing.shown import Shown, plain
from gencli.sources.statistics import Facts, measure

_IMAGES = ("image", "target")


def describe(table: ImageTable, head: int | None, columns: int | None) -> Shown:
    """An image table; with `columns` its sheet is prepared, of so many images a class."""
    if head is not None and columns is None:
        headline, facts, rows = _headline(table), _about(table), _first(table, head)
        more = table.rows - rows.num_rows
        below = f"… {more:,} more rows" if more else ""
        return Shown(table.title, "image table", headline, {}, rows, table.made, _inputs(table), facts, below=below)
    sheet = None if columns is None else Sheet(columns)
    with console.progress("rows", table.rows) as advance:
        found = measure(table, sheet and sheet.see, advance)
    rows = found.table() if head is None else _first(table, head)
    facts = _about(table) | _measured(found)
    bars = "rows" if head is None else None
    drawn = None if sheet is None else lambda made: sheet.png(found, made)
    return Shown(
        table.title, "image table", found.summary(), {}, rows, table.made, _inputs(table), facts, bars, drawn
    )  # fmt: skip


def _inputs(table: ImageTable) -> list[Source]:
    """The files, once they are read: their hashes are computed meanwhile, and waited for."""
    return tables.sources(table, "file")


def _headline(table: ImageTable) -> str:
    about = table.description
    name = f"{about.name} {about.split}".strip() or table.title
    return f"{name}: {table.rows:,} rows, {about.dtype} {by(about.shape)}, {len(about.classes):,} classes"


def _about(table: ImageTable) -> dict[str, Any]:
    about = table.description
    facts = {"name": about.name, "split": about.split, "rows": table.rows, "shape": list(about.shape)}
    return facts | {"dtype": about.dtype, "classes": list(about.classes)}


def _measured(found: Facts) -> dict[str, Any]:
    mean, deviation = (values.tolist() for values in found.by_channel)
    facts = {"least": found.low, "greatest": found.high, "mean": mean, "deviation": deviation}
    return facts | ({} if found.corrupted is None else {"corrupted": int(found.corrupted.sum())})


def _first(table: ImageTable, count: int) -> pa.Table:
    """The first rows without their images, with the names of their classes."""
    keep = np.arange(table.rows) < count
    names = [name for name in table.schema.names if name not in _IMAGES]
    parts = [pa.Table.from_batches([batch]).select(names) for batch in table.batches(keep)]
    rows = plain(pa.concat_tables(parts).replace_schema_metadata(None))
    classes = pa.array([table.description.classes[label] for label in rows["label"].to_pylist()], pa.string())
    return rows.add_column(rows.column_names.index("label") + 1, "name", classes)
