"""Transition matrices from files: Parquet, CSV, and what numpy's savetxt, pandas and R write."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.counts import is_number
from gencli.errors import GencliError, first_line
from gencli.files import arrow, parquet, texts
from gencli.files.stream import Input

MATRIX = "a transition matrix has one row and one column per class, no negative number, and rows that sum to 1"
_INDEX = "__index_level_0__"  # pandas' name of one that has none

Floats = NDArray[np.float64]
Named = tuple[list[str], list[str], Floats]


def read_matrix(source: Input) -> Named:
    """The names of the columns and of the rows, empty where there are none, and the numbers [rows, columns].

    Raises:
        GencliError: neither Parquet nor text of numbers between commas, semicolons, tabs or blanks.
    """
    return _read_parquet(source) if parquet.is_parquet(source) else _read_text(source)


def require_order(file: str, what: str, found: Sequence[str], classes: Sequence[str]) -> None:
    """Refuses names of rows or columns that are not those of the classes in their order, or 0, 1, 2, …"""
    numbers = list(map(str, range(len(classes))))
    if list(found) in ([], list(classes), numbers):
        return
    right = numbers if all(each.isdecimal() for each in found) else classes
    place = next(place for place, name in enumerate(right) if place >= len(found) or found[place] != name)
    named = repr(found[place]) if place < len(found) else "not at all"
    raise GencliError(
        f"{file}: {what} {place} is named {named}, but class {place} is {classes[place]!r}",
        f"name the {what}s like the classes, in their order, or 0, 1, 2, ...",
    )


def _read_parquet(source: Input) -> Named:
    file = parquet.open_file(source)
    schema = file.schema_arrow
    words = [field.name for field in schema if pa.types.is_string(arrow.plain_type(field.type))]
    labels = _INDEX if _INDEX in schema.names else words[0] if words else None
    if labels is None and len(schema) == file.metadata.num_rows + 1:
        labels = schema.names[0]
    names = [name for name in schema.names if name != labels]
    for name in names:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise GencliError(f"{source.name}: column `{name}` is {kind}, not numbers", MATRIX)
    with parquet.undamaged(source.name):
        table = parquet.read(file)
    rows = [] if labels is None else [_name(each) for each in table[labels].to_pylist()]
    return names, rows, np.array([table[name].to_numpy() for name in names], np.float64).T


def _read_text(source: Input) -> Named:
    try:
        text = io.StringIO(texts.read(source), newline="")
        lines = {number: line.strip() for number, line in enumerate(text, 1)}
        lines = {number: line for number, line in lines.items() if line and not line.startswith("#")}
        last = next(reversed(lines.values()), "")
        mark = next((mark for mark in (";", "\t", ",") if mark in last), " ")
        read = csv.reader(lines.values(), delimiter=mark, skipinitialspace=True)
        cells = dict(zip(lines, ([cell.strip() for cell in row] for row in read), strict=True))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise GencliError(f"{source.name}: neither Parquet nor CSV: {first_line(error)}", MATRIX) from None
    return _named(cells, source.name)


def _named(cells: dict[int, list[str]], file: str) -> Named:
    """Names and numbers of a file's lines by their numbers."""
    rows = list(cells.values())
    width = len(rows[-1]) if rows else 0
    names: list[str] = []
    if len(rows) == width + 1 or (rows and not is_number(rows[0][0])):
        names = rows[0]
        cells = dict(list(cells.items())[1:])
    first = [row[0] for row in cells.values()]
    numbered = [_name(each) for each in first] == list(map(str, range(len(first))))
    labelled = width == len(cells) + 1 and (bool(names) or numbered or not any(map(is_number, first)))
    if labelled and len(names) == width:
        names = names[1:]
    if names and len(names) != width - labelled:
        raise GencliError(f"{file}: {len(names)} names for {width - labelled} columns", MATRIX)
    for number, row in cells.items():
        if len(row) != width:
            raise GencliError(f"{file}: line {number}: {len(row)} numbers, but the last line has {width}", MATRIX)
        for cell in row[labelled:]:
            if not is_number(cell):
                raise GencliError(f"{file}: line {number}: {cell!r} is not a number", MATRIX)
    labels = [_name(each) for each in first] if labelled else []
    return names, labels, np.array([[float(cell) for cell in row[labelled:]] for row in cells.values()], np.float64)


def _name(value: object) -> str:
    """A row's name; whole numbers may be spelled as floats, as savetxt does."""
    text = str(value)
    return str(int(float(text))) if is_number(text) and float(text).is_integer() else text
