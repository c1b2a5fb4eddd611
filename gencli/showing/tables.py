"""Tables: their kind, and their rows, or what each column holds where the rows are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gencli.cli import console
from gencli.files import arrow, parquet, provenance
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.reporting import readers, untyped
from gencli.showing.kinds import KINDS, Facts, distinct, is_number
from gencli.showing.shown import Shown, plain

_MANY, _WIDE = 40, 100  # rows and columns; of more each column is described instead
_BATCH, _FEW = 1 << 14, 64


def describe_parquet(source: Input, file: pq.ParquetFile, head: int | None, note: str = "") -> Shown:
    """A Parquet file that is no image table; `note` says why not, where that was tried."""
    made, count = parquet.read_provenance(file), file.metadata.num_rows
    with parquet.undamaged(source.name):
        schema = file.schema_arrow
        for _ in file.iter_batches(_FEW) if note else ():
            pass  # a damaged file is refused, and not taken for another kind of table
        name, facts = _kind(schema, count, made, lambda names: parquet.read(file, names))
        wanted = _wanted(schema, count, head)
        rows = _columns(schema, _numbers(file)) if wanted is None else _first(file, schema, wanted)
    if note:
        facts["not an image table"] = note
    found = _shown(source, name or "Parquet table", schema, count, facts, rows, made, wanted)
    return replace(found, unmade=f"no provenance: {file.metadata.created_by or 'another tool'} wrote it")


def describe_text(source: Input, head: int | None) -> Shown:
    """A CSV or JSON file."""
    form, table = untyped.read(source, "Parquet, safetensors, CSV, JSON or a figure of gencli")
    made, table = readers.made_of(source, table)
    name, facts = _kind(table.schema, table.num_rows, made, table.select)
    wanted = _wanted(table.schema, table.num_rows, head)
    if wanted is None:
        rows = _columns(table.schema, table.select(_measured(table.schema)).to_batches())
    else:
        rows = plain(table.slice(0, wanted))
    told = "JSON lines" if form == "jsonl" else form.upper()
    title = f"{name}, as {told}" if name else f"{told} table"
    found = _shown(source, title, table.schema, table.num_rows, facts, rows, made, wanted)
    return replace(found, unmade="no provenance: CSV and JSON hold none, but for histories")


def _wanted(schema: pa.Schema, count: int, head: int | None) -> int | None:
    """How many rows are shown; None where what the columns hold is."""
    return count if head is None and count <= _MANY and len(schema.names) <= _WIDE else head


def _kind(
    schema: pa.Schema, count: int, made: Step | None, read: Callable[[list[str]], pa.Table]
) -> tuple[str | None, Facts]:
    """The name of a table's kind, and the facts of it."""
    for kind in KINDS:
        if kind.fits(schema, count):
            flat = [name for name in distinct(schema) if not pa.types.is_nested(schema.field(name).type)]
            return kind.name, kind.facts(read(flat)) if count else {}
    return (f"table of gencli {made.command}" if made else None), {}


def _shown(
    source: Input,
    name: str,
    schema: pa.Schema,
    count: int,
    facts: Facts,
    rows: pa.Table,
    made: Step | None,
    wanted: int | None,
) -> Shown:
    columns = len(schema.names)
    size = f"{count:,} row{'s' * (count != 1)}, {columns:,} column{'s' * (columns != 1)}"
    left = count - rows.num_rows if wanted is not None else 0
    below = f"… {left:,} more rows" if left > 0 and columns else ""
    if wanted is None:
        below = "what each column holds; --head N shows rows"
    entry = provenance.source("file", source.sha256, made, source.path)
    sizes = {"rows": count, "columns": schema.names}
    return Shown(source.name, name, f"{name}: {size}", facts, rows, made, [entry], sizes, below=below)


def _first(file: pq.ParquetFile, schema: pa.Schema, wanted: int) -> pa.Table:
    """The first rows, as `shown.plain` has them; few at a time, as each may be large until then."""
    parts: list[pa.Table] = []
    missing = min(wanted, file.metadata.num_rows)
    for batch in file.iter_batches(_FEW) if missing else ():
        part = pa.Table.from_batches([batch.slice(0, missing)])
        part.validate(full=True)
        columns = [
            pa.chunked_array(map(arrow.plain, each.chunks), arrow.plain_type(each.type)) for each in part.columns
        ]
        parts.append(plain(pa.Table.from_arrays(columns, names=part.column_names)))
        missing -= part.num_rows
        if not missing:
            break
    if missing:
        raise OSError(f"{missing} rows fewer than its footer says")
    return pa.concat_tables(parts) if parts else plain(schema.empty_table())


def _measured(schema: pa.Schema) -> list[str]:
    """The columns of numbers and of truths, but for those of one name."""
    kinds = {name: schema.field(name).type for name in distinct(schema)}
    return [
        name for name, kind in kinds.items() if pa.types.is_boolean(kind) or (is_number(kind) and kind != pa.null())
    ]


def _numbers(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The columns that are measured, in batches."""
    names, done = _measured(file.schema_arrow), 0
    if not names:
        return
    with console.progress("rows", file.metadata.num_rows) as advance:
        for batch in file.iter_batches(_BATCH, columns=names):
            yield batch
            done += batch.num_rows
            advance(done)
    if done != file.metadata.num_rows:
        raise OSError(f"{done} rows of {file.metadata.num_rows}")


@dataclass
class _Column:
    missing: int = 0
    least: float = np.inf
    greatest: float = -np.inf
    sums: list[float] = field(default_factory=list)
    count: int = 0

    @property
    def exact(self) -> bool:
        """Whether float64 has every whole number in its range, as it has not of ids; 2^53 may be a rounded one."""
        return max(-self.least, self.greatest) < 1 << 53

    def add(self, column: pa.Array) -> None:
        self.missing += column.null_count
        values = np.asarray(
            (column.drop_null() if column.null_count else column).to_numpy(zero_copy_only=False), np.float64
        )
        if len(values):
            with np.errstate(invalid="ignore", over="ignore"):
                self.least, self.greatest = (
                    np.minimum(self.least, values.min()),
                    np.maximum(self.greatest, values.max()),
                )
                self.sums.append(float(values.sum()))
            self.count += len(values)


def _columns(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """A row per column: its name and type, and of numbers how many are missing, the least, their mean, the greatest.

    These are null for whole numbers that float64 would round.
    """
    found = {name: _Column() for name in _measured(schema)}
    for batch in batches:
        for name, column in found.items():
            column.add(batch.column(batch.schema.get_field_index(name)))
    every = [found.get(name) for name in schema.names]
    wholes = [pa.types.is_integer(each.type) for each in schema]
    known = [each if each and each.count and (each.exact or not whole) else None for each, whole in zip(every, wholes)]
    return pa.table(
        {
            "column": pa.array(schema.names, pa.string()),
            "type": pa.array([str(arrow.plain_type(each.type)) for each in schema]),
            "missing": pa.array([each and each.missing for each in every], pa.int64()),
            "least": pa.array([each and float(each.least) for each in known], pa.float64()),
            "mean": pa.array([each and sum(each.sums) / each.count for each in known], pa.float64()),
            "greatest": pa.array([each and float(each.greatest) for each in known], pa.float64()),
        }
    )
