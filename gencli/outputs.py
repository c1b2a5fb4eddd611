"""What commands write: image tables to files and pipes, result tables in every format, previews to terminals."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import console, tables
from gencli.errors import GencliError
from gencli.options import TableFormat
from gencli.provenance import Step
from gencli.stream import Input, Output, is_terminal
from gencli.tables import ImageTable, TableWriter

_ENDINGS: dict[str, TableFormat] = {
    ".parquet": "parquet", ".csv": "csv", ".json": "json", ".md": "md", ".txt": "table"
}  # fmt: skip
_PREVIEW_ROWS = 10


def write_images(
    table: ImageTable, destination: str | None, step: Callable[[], Step], keep: NDArray[np.bool_] | None = None
) -> None:
    """Writes the rows of a table that `keep` marks, with `step()`, asked for when all rows are read, as provenance."""
    total = table.rows if keep is None else int(keep.sum())
    if is_terminal(destination):
        _preview(table, keep, total)
        return
    with (
        Output(destination, table.inputs) as output,
        TableWriter(output, table.schema, table.description) as writer,
        console.progress("rows", total) as advance,
    ):
        for batch in table.batches(keep):
            writer.write(batch)
            advance(writer.rows)
        writer.close(step())


def _preview(table: ImageTable, keep: NDArray[np.bool_] | None, total: int) -> None:
    """An image table on a terminal: its first rows, with the class names, and what it is."""
    first = next(table.batches(keep)).slice(0, _PREVIEW_ROWS)
    what = f"{table.description.dtype} {'×'.join(map(str, table.description.shape))}"
    columns = {
        name: [what] * first.num_rows if name == "image" else first.column(name).to_pylist()
        for name in first.schema.names
    }
    columns["name"] = [table.description.classes[label] for label in columns["label"]]
    dataset = f"{table.description.name} {table.description.split}".strip()
    more = f"{total:,} rows of {dataset}; write them with -o FILE, or into a pipe"
    sys.stdout.write(_text(pa.table(columns), None, more, None))


def write_result(
    rows: pa.Table,
    destination: str | None,
    form: TableFormat | None,
    step: Callable[[], Step],
    inputs: Sequence[Input] = (),
    title: str | None = None,
    below: str = "",
) -> None:
    """Writes a result table: `form`, or by the file's ending, or text on a terminal and Parquet elsewhere.

    `below` follows the table where that is text.
    """
    form = form or result_format(destination)
    if form == "parquet":
        if is_terminal(destination):
            raise GencliError("Parquet would go to the terminal", "name a file with -o, or leave --format out")
        with Output(destination, inputs) as output:
            tables.write_rows(output, rows, step())
        return
    width = shutil.get_terminal_size().columns if is_terminal(destination) else None
    with Output(destination, inputs) as output:
        output.write((render(rows, form, title, width) + below).encode())


def result_format(destination: str | None) -> TableFormat:
    """The format a destination asks for by itself."""
    if destination in (None, "-"):
        return "table" if is_terminal(destination) else "parquet"
    return _ENDINGS.get(Path(str(destination)).suffix, "parquet")


def render(rows: pa.Table, form: TableFormat, title: str | None = None, width: int | None = None) -> str:
    """A table as text. JSON is one array of row objects; JSON and CSV hold full numbers, null and empty for none."""
    if form == "json":
        objects = [{name: _finite(value) for name, value in row.items()} for row in rows.to_pylist()]
        return json.dumps(objects, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if form == "csv":
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(rows.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        return lines.getvalue()
    return _markdown(rows) if form == "md" else _text(rows, title, None, width)


def _cells(rows: pa.Table) -> Iterator[list[str]]:
    return (list(map(_cell, row)) for row in zip(*(column.to_pylist() for column in rows.columns), strict=True))


def _markdown(rows: pa.Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    rules = ["---:" if _numeric(field.type) else "---" for field in rows.schema]
    return line(rows.column_names) + line(rules) + "".join(map(line, _cells(rows)))


def _text(rows: pa.Table, title: str | None, caption: str | None, width: int | None) -> str:
    from rich import box
    from rich.table import Table

    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for field in rows.schema:
        number = _numeric(field.type)
        table.add_column(field.name.replace("_", "\n" if number else " "), justify="right" if number else "left")
    for cells in _cells(rows):
        table.add_row(*cells)
    page = io.StringIO()
    printer = console.rich_console(page, width or 10_000, like=sys.stdout)
    printer.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        small = value != 0 and abs(value) < 1e-3
        return f"{value:.2e}" if small or abs(value) >= 1e6 else f"{value:.4f}"
    if isinstance(value, int):
        return str(value) if abs(value) >= 1 << 40 else f"{value:,}"
    # control characters in names must not reach the terminal
    return "".join(character if character.isprintable() else "�" for character in str(value))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
