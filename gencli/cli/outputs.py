"""What commands write: image tables to files and pipes, result tables in every format, previews to terminals."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import machine
from gencli.cli import console, stdout
from gencli.cli.options import TableFormat
from gencli.counts import by
from gencli.errors import GencliError
from gencli.files import endings, parquet, provenance, stores
from gencli.files.provenance import Step
from gencli.files.stream import Input, Output, is_terminal
from gencli.files.tables import Batches, TableWriter
from gencli.files.together import Together
from gencli.reporting import text_tables
from gencli.reporting.cells import LONGEST, cells, numeric

_PREVIEW_ROWS = 10


def write_images(
    table: Batches, destination: str | None, step: Callable[[], Step], keep: NDArray[np.bool_] | None = None
) -> None:
    """Writes the rows of a table that `keep` marks, with `step()`, called after all rows are read, as provenance."""
    total = table.rows if keep is None else int(keep.sum())
    if is_terminal(destination):
        _preview(table, destination, keep, total)
        return
    with (
        Output(destination, table.inputs) as output,
        TableWriter(output, table.schema, table.description) as writer,
        console.progress("rows", total) as advance,
    ):
        for batch in _ahead(table.batches(keep)):
            writer.write(batch)
            advance(writer.rows)
        writer.close(step())


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, the next one made while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _preview(table: Batches, destination: str | None, keep: NDArray[np.bool_] | None, total: int) -> None:
    """An image table on a terminal: its first rows, with the class names, and what it is."""
    none = pa.RecordBatch.from_pylist([], table.schema)  # a part of a table of fewer rows than parts
    first = next(table.batches(keep), none).slice(0, _PREVIEW_ROWS)
    description = table.description
    what = f"{description.dtype} {by(description.shape)}"
    names = [description.classes[label] for label in first.column("label").to_pylist()]
    rows = pa.Table.from_batches([first])
    for name in {"image", "target"} & set(rows.column_names):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array([what] * first.num_rows))
    dataset = f"{description.name} {description.split}".strip()
    shown = text_tables.table(rows.append_column("name", pa.array(names)), "", stdout.columns())
    more = console.printable(f"{total:,} rows of {dataset}; write them with -o FILE, or to a pipe")
    with Output(destination) as output:
        output.write(f"{shown}{more}\n".encode())


def own_part(shard: str | None, output: str | None) -> tuple[str | None, str | None]:
    """The part of an image table that a process writes, K/N, and where: what the options say.

    Of several processes of torchrun each writes the part of its own number, to a file of its own in the folder that
    `output` names, which is made, or is one of a store.

    Raises:
        GencliError: of several processes `output` names no folder, or one that holds other tables.
    """
    rank, size = machine.process()
    if size == 1:
        return shard, output
    if shard is not None:
        machine.require_alone("--shard divides the rows already")
    if (
        output is None
        or stdout.is_it(output)
        or endings.named(output)
        or (os.path.exists(output) and not os.path.isdir(output))
    ):
        raise GencliError(f"{size} processes of torchrun write a file each", "name a folder for them: -o FOLDER")
    names = [f"part-{each:05d}-of-{size:05d}.parquet" for each in range(size)]
    try:
        if stores.is_address(output):  # where folders need not be made
            held = [each.rpartition("/")[2] for each in stores.within(output.rstrip("/")) or ()]
        else:
            os.makedirs(output, exist_ok=True)
            held = os.listdir(output)
    except OSError as error:
        raise GencliError(f"{output}: cannot be written: {error.strerror}", "name another folder") from None
    if others := [name for name in held if name.endswith(".parquet") and name not in names]:
        raise GencliError(f"{output}: holds {min(others)}, no part of {size}", "name another folder")
    return f"{rank}/{size}", os.path.join(output, names[rank])


def refuse_terminal(destination: str | None, what: Literal["model", "products"]) -> None:
    """Refuses to write tensors to a terminal.

    Raises:
        GencliError: the destination is one.
    """
    if is_terminal(destination):
        also = ", or pipe it into gencli eval -" if what == "model" else ""
        raise GencliError(f"the {what} would be written to the terminal", f"name a file with -o{also}")


class WriteResult(Protocol):
    """Writes the rows with their provenance, which is computed at that time.

    For text only: a title of one or more lines, text below, and the column whose numbers are also shown as bars.
    """

    def __call__(
        self, rows: pa.Table, step: Callable[[], Step], title: str = "", below: str = "", bars: str | None = None
    ) -> None: ...


def open_result(
    places: Together,
    destination: str | None,
    form: TableFormat | None = None,
    inputs: Sequence[Input] = (),
    aside: bool = False,
    kept: bool = False,
) -> WriteResult:
    """Opens a result's destination, or refuses it, before the work; returns a function that writes the rows.

    Without `form` the file's extension decides; without an extension it is text on a terminal and Parquet elsewhere.
    Provenance is in the footer of Parquet alone; where it is to be `kept`, also in the first row of CSV and JSON.
    """
    unasked = form is None and format_of_environment(destination) is None
    form = form or result_format(destination)
    output = places.open(destination, inputs, binary=form == "parquet", aside=aside)

    def write(
        rows: pa.Table, step: Callable[[], Step], title: str = "", below: str = "", bars: str | None = None
    ) -> None:
        if form == "parquet":
            parquet.write_rows(output, rows, step())
            if unasked and stdout.is_it(destination) and not stdout.expects_parquet():
                console.message("the table is written as Parquet; --format table or GENCLI_FORMAT=table writes text")
        else:
            if kept and form in ("csv", "json", "jsonl"):
                told = [provenance.encode(step()).decode()] + [None] * (rows.num_rows - 1)
                rows = rows.append_column(provenance.KEY, pa.array(told, pa.string()))
            output.write((render(rows, form, title, *room(destination), bars) + below).encode())

    return write


def open_figure(
    places: Together, destination: str | None, inputs: Sequence[Input] = ()
) -> Callable[[Callable[[str, str], bytes], Step], None] | None:
    """Opens a figure's file, if there is to be one, or refuses it, before the work; returns a function that draws it.

    That takes the figure as a function of format (png, svg or pdf) and provenance, as in `reporting.curves`, and the
    step that the provenance names.
    """
    form = endings.named(destination)
    if form is None:
        return None
    output = places.open(destination, inputs, binary=True)

    def write(image: Callable[[str, str], bytes], made: Step) -> None:
        output.write(image(form, provenance.encode(made.to(made.output, "matplotlib")).decode()))

    return write


def say(rows: pa.Table | None, title: str, always: bool = False) -> None:
    """A table among the messages, under its title: on a terminal, with --verbose or `always`; else the title alone."""
    if rows is None or not (always or console.in_full()):
        console.message(title)
    else:
        console.message(render(rows, "table", title, console.columns()).rstrip())


def write_text(*tables: tuple[pa.Table, str]) -> None:
    """Writes tables with their titles to standard output, for people."""
    with Output(None) as output:
        for rows, title in tables:
            output.write(render(rows, "table", title, *room(None)).encode())


def room(destination: str | None) -> tuple[int | None, bool]:
    """The characters that a line of text has room for, and whether that is no terminal, which wants tables whole.

    A terminal has its width, another place what COLUMNS says, or any: None, where a row is one line, which grep finds.
    """
    return (stdout.columns(), False) if is_terminal(destination) else (stdout.wanted_columns(), True)


def result_format(destination: str | None, otherwise: TableFormat = "parquet") -> TableFormat:
    """The default format of a destination, `otherwise` where neither it nor the environment says one."""
    if (named := endings.named(destination)) is not None:
        return named  # pyright: ignore[reportReturnType]  # others are refused before
    form = format_of_environment(destination)
    if is_terminal(destination):
        return "table" if form in (None, "parquet") else form
    return form or otherwise


def format_of_environment(destination: str | None) -> TableFormat | None:
    """What GENCLI_FORMAT says of standard output.

    Raises:
        GencliError: it is no format.
    """
    form = os.environ.get("GENCLI_FORMAT") if stdout.is_it(destination) else None
    if form and form not in get_args(TableFormat):
        raise GencliError(f"GENCLI_FORMAT: no format {form!r:.80}", f"known: {', '.join(get_args(TableFormat))}")
    return form or None  # pyright: ignore[reportReturnType]


def render(
    rows: pa.Table, form: TableFormat, title: str = "", width: int | None = None, whole: bool = False,
    bars: str | None = None,
) -> str:  # fmt: skip
    r"""A table as text. JSON is one array of row objects, JSON lines have one a line, CSV one row; with full numbers.

    What is missing is null, and empty in CSV. What is not finite is "NaN", "Infinity" or "-Infinity" in JSON, which has
    no numbers for it, and nan, inf or -inf in CSV; what would steer a terminal is `\uXXXX` in both, where a backslash
    before such a word in CSV is `\u005c`.

    `title`, `width`, `whole` and `bars` are for the format `table`; see `reporting.text_tables`.
    """
    if form == "json":
        return json_text(_objects(rows))
    if form == "jsonl":
        return "".join(console.escaped(_json(row)) + "\n" for row in _objects(rows))
    if form == "csv":
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(map(_escaped, rows.column_names))
        writer.writerows(zip(*(map(_escaped, column.to_pylist()) for column in rows.columns), strict=True))
        return lines.getvalue()
    return _markdown(rows) if form == "md" else text_tables.table(rows, title, width, bars, whole)


def json_text(value: Any) -> str:
    """A value as JSON in lines, as `render` has it."""
    return "\n".join(map(console.escaped, _json(value, indent=1).split("\n"))) + "\n"


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _objects(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows, provenance in the first alone."""
    found = rows.to_pylist()
    for row in found[1:]:
        row.pop(provenance.KEY, None)
    return found


def _escaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return console.escaped(re.sub(r"\\(?=u[0-9a-f]{4})", r"\\u005c", value))


def markdown(text: str) -> str:
    """Text as Markdown shows it: no markup, no links, no cells of its own."""
    text = console.printable(text, LONGEST).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|~$\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


def _markdown(rows: pa.Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    rules = ["---:" if numeric(field) else "---" for field in rows.schema]
    body = (line(map(markdown, row)) for row in cells(rows))
    return line(map(markdown, rows.column_names)) + line(rules) + "".join(body)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(_finite, value))
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
