"""Parquet files: opened and checked, and small tables written, with their provenance in the footer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli import machine
from gencli.cli import aborts
from gencli.errors import GencliError, first_line, require_enough
from gencli.files import pages, provenance, seals
from gencli.files.stream import Input, Output

if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
    with suppress(NotImplementedError):  # not built into every pyarrow
        pa.set_memory_pool(pa.jemalloc_memory_pool())  # keeps 20 MB less than the default, and is faster


_ENCRYPTED, _DECRYPT = "encrypted Parquet", "write it without encryption first"
_SIGNATURE = 28  # bytes behind the footer of a file with encrypted columns
_ROWS, _VALUES = 1 << 20, 1 << 24  # that any file, and any column of a row group, may hold
_A_BYTE = 64  # values, of a column that holds more
_UNASKED, _LARGEST_PAGE = 64 << 20, 1 << 31  # bytes
_BATCH = 1 << 16  # rows
_BUFFER = 1 << 16  # bytes; otherwise a row group's columns are read whole, and no more than 2 GB of them


def is_parquet(source: Input) -> bool:
    """Whether it starts as Parquet does, encrypted or not."""
    return source.starts(b"PAR1") or source.starts(b"PARE")


def open_file(source: Input) -> pq.ParquetFile:
    """Opens one Parquet file.

    Raises:
        GencliError: not Parquet, cut short, corrupt, far more rows or values than bytes, or not the number of rows that
            its provenance records.
    """
    if source.starts(b"PARE"):
        raise GencliError(f"{source.name}: {_ENCRYPTED}", _DECRYPT)
    source.expect("Parquet", b"PAR1", b"PAR1")
    with undamaged(source):
        settings = {"pre_buffer": False, "page_checksum_verification": True, "buffer_size": _BUFFER}
        file = _InParts(source, **settings) if source.part is not None else pq.ParquetFile(source.file, **settings)
        rows = file.metadata.num_rows
        if rows != sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)):
            raise OSError("its row groups do not hold its rows")
        length = int.from_bytes(source.peek(source.size - 8, 4), "little")
        more = length - file.metadata.serialized_size
        if more:  # Arrow aborts the process where it is asked about an encrypted column
            raise OSError("Cannot decrypt its columns" if more == _SIGNATURE else f"{more} bytes behind its footer")
    seal = seals.place_in_footer(source)
    ours = provenance.KEY.encode() in (file.metadata.metadata or {})
    if ours or seal is not None:
        source.fetch()  # a seal is the whole file's
    if source.part is None:
        source.check_whole(lambda: seals.require(source, "Parquet", seal, ours))
    with undamaged(source):
        _refuse_bombs(source, file.metadata)
        if source.part is None:
            pages.require(source, file)
    try:
        promised = _footer(file).get("rows", rows)
    except ValueError as error:
        raise GencliError(f"{source.name}: corrupt metadata: {first_line(error)}", "make the file again") from None
    if promised != rows:
        raise GencliError(f"{source.name}: {rows} rows, but its provenance records {promised}", "make the file again")
    return file


def footer(source: Input) -> pq.ParquetFile:
    """What a file says of itself at its end, of which alone an object is fetched; nothing of it is checked.

    Raises:
        GencliError: not Parquet, cut short, or a corrupt footer.
    """
    source.expect("Parquet", b"PAR1", b"PAR1")
    with undamaged(source):
        return pq.ParquetFile(source.file)


class _InParts(pq.ParquetFile):
    """A file of which parts are fetched: pages are looked at just before they are read."""

    def __init__(self, source: Input, **settings: Any) -> None:
        super().__init__(source.file, **settings)
        self._source, self._seen = source, set[tuple[int, int]]()

    def read(self, columns: list[str] | None = None, *more: Any, **named: Any) -> pa.Table:
        self._look([*range(self.num_row_groups)], columns, whole=True)
        return super().read(columns, *more, **named)

    def iter_batches(
        self, batch_size: int = _BATCH, row_groups: list[int] | None = None, columns: list[str] | None = None,
        *more: Any, **named: Any,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        self._look([*range(self.num_row_groups)] if row_groups is None else row_groups, columns)
        return super().iter_batches(batch_size, row_groups, columns, *more, **named)

    def _look(self, groups: list[int], columns: list[str] | None, whole: bool = False) -> None:
        """Refuses what `pages.require` does, of these columns; fetches them first where the `whole` is read."""
        facts = self.metadata
        names = [facts.schema.column(place).path for place in range(facts.num_columns)]
        wanted = [
            (group, place)
            for place, name in enumerate(names)
            for group in groups
            if columns is None or any(name == each or name.startswith(f"{each}.") for each in columns)
        ]
        new = [each for each in wanted if each not in self._seen]
        self._seen.update(new)
        if self._source.part is not None and whole:
            self._source.part.prefetch(pages.extent(facts.row_group(group).column(place)) for group, place in new)
        if new:
            pages.require(self._source, self, set(new))


def _refuse_bombs(source: Input, facts: pq.FileMetaData) -> None:
    """Refuses a file whose content, by its footer, needs far more memory than the file has bytes; before reading it.

    Runs of equal values take next to nothing: ten kilobytes can hold 10⁹ rows.
    """
    hint = "write it with smaller row groups; or the file was crafted to exhaust memory"
    if facts.num_rows > max(_ROWS, source.size):
        raise GencliError(f"{source.name}: {facts.num_rows:,} rows in {source.size:,} bytes", hint)
    machine.require_memory(8 * facts.num_rows, f"{source.name}: one number per row", "use fewer rows")
    for number in range(facts.num_row_groups):
        group = facts.row_group(number)
        for place in range(facts.num_columns):
            column = group.column(place)
            where = f"{source.name}: column `{column.path_in_schema}`"
            if column.num_values > max(_VALUES, _A_BYTE * column.total_compressed_size):
                stored = f"{column.num_values:,} values in {column.total_compressed_size:,} bytes"
                raise GencliError(f"{where}: {stored}", hint)
            if column.total_uncompressed_size > _UNASKED:
                machine.require_memory(min(column.total_uncompressed_size, _LARGEST_PAGE), where, hint)


@contextmanager
def undamaged(of: str | Input) -> Iterator[None]:
    """Within this context, an error of the Parquet reader says that this file is corrupt, or why else it fails.

    Args:
        of: the file's name, or the file, of which parts may be fetched: where it has changed meanwhile, that is said.
    """
    name, part = (of, None) if isinstance(of, str) else (of.name, of.part)
    try:
        with aborts.reading(name):
            yield
    except pa.ArrowMemoryError as error:
        raise GencliError(
            f"{name}: out of memory: {first_line(error)}",
            "allow more memory (ulimit -v), or write it with smaller row groups; or it is corrupt, with wrong sizes",
        ) from None
    except (pa.ArrowNotImplementedError, pa.ArrowCapacityError) as error:
        if part is not None:
            part.require_unchanged()
        raise GencliError(
            f"{name}: Arrow cannot read it: {first_line(error)}",
            "write it with smaller row groups and without rare types or codecs; or it is corrupt",
        ) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        require_enough(error)
        if "decrypt" in str(error).lower():
            raise GencliError(f"{name}: {_ENCRYPTED}: {first_line(error)}", _DECRYPT) from None
        if isinstance(error, OSError) and error.errno:
            raise GencliError(f"{name}: cannot be read: {error.strerror}", "check the file and the disk") from None
        if part is not None:
            part.require_unchanged()
        raise GencliError(f"{name}: corrupt Parquet: {first_line(error)}", "make the file again") from None


def read(file: pq.ParquetFile, columns: list[str] | None = None) -> pa.Table:
    """All rows, of these columns or of all; within `undamaged`.

    Raises:
        OSError: pages hold other numbers of values than the footer says.
    """
    table = file.read(columns)
    rows = file.metadata.num_rows
    for name, column in zip(table.column_names, table.columns):
        if len(column) != rows:
            raise OSError(f"column `{name}` has {len(column)} values, but its footer says {rows}")
    return table


def column(sources: Sequence[Input], files: Sequence[pq.ParquetFile], name: str) -> list[pa.Array]:
    """The parts of a column of all files of a data set; an error names the file."""
    parts = []
    for source, file in zip(sources, files, strict=True):
        with undamaged(source):
            parts += read(file, [name]).column(0).chunks
    return parts


def batches(source: Input, found: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches that are read from this file, which an error names."""
    while True:
        with undamaged(source):
            batch = next(found, None)
        if batch is None:
            return
        yield batch


def read_provenance(file: pq.ParquetFile) -> provenance.Step | None:
    """How the file was made; None for files from elsewhere."""
    return _footer(file).get("step")


def _footer(file: pq.ParquetFile) -> dict[str, Any]:
    return provenance.decode((file.metadata.metadata or {}).get(provenance.KEY.encode(), b"{}"))


def read_numbers(source: Input, hint: str) -> tuple[list[str], NDArray[np.float64]]:
    """The columns' names, and the numbers [rows, columns] of a table of nothing else.

    Raises:
        GencliError: it holds something else; the hint says what to do.
    """
    file = open_file(source)
    for field in file.schema_arrow:
        if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            raise GencliError(f"{source.name}: column `{field.name}` is {field.type}, not numbers", hint)
    with undamaged(source):
        columns = [column.to_numpy() for column in read(file).columns]
    return file.schema_arrow.names, np.array(columns, np.float64).T


class Writer:
    """Writes a sealed Parquet file, its provenance in the footer; pages carry checksums.

    Args:
        settings: of pyarrow's ParquetWriter.
    """

    def __init__(self, output: Output, schema: pa.Schema, **settings: Any) -> None:
        self._sealing = seals.Sealing(output)
        self._writer = pq.ParquetWriter(self._sealing, schema, compression="none", write_page_checksum=True, **settings)

    def write(self, table: pa.Table, group_rows: int | None = None) -> None:
        """Writes rows, in row groups of at most `group_rows` rows."""
        self._writer.write_table(table, row_group_size=group_rows)

    def close(self, made: provenance.Step, rows: int) -> None:
        """Writes the footer of a file that has so many rows."""
        facts = {provenance.KEY: provenance.encode(made, rows=rows), seals.KEY: seals.BLANK}
        self._writer.add_key_value_metadata(facts)
        self._sealing.hold()
        self._writer.close()
        self._sealing.release()

    def abandon(self) -> None:
        """Closes without a footer; the output must be mute."""
        self._writer.close()


def write_rows(output: Output, table: pa.Table, made: provenance.Step) -> None:
    """Writes a small table (results, histories) with its provenance."""
    writer = Writer(output, table.schema)
    writer.write(table)
    writer.close(made, table.num_rows)


def plain(table: pa.Table) -> bytes:
    """A table as a file that records nothing of how it was made."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none")
    return sink.getvalue().to_pybytes()
