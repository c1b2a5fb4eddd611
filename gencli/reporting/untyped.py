"""CSV and JSON of any columns, typed by their values; `reporting.readers` knows the columns that it reads."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.reporting import readers

_NAMING = "class", "layer"  # columns of names, which may be digits
_TRUTH = {"True": True, "False": False}


def read(source: Input, what: str = "Parquet, CSV or JSON") -> tuple[str, pa.Table]:
    """What a text file is, `csv`, `json` or `jsonl`, and its rows; `what` says what else it could be.

    Raises:
        GencliError: it is neither, or not whole.
    """
    form, text = readers.read_text(source)
    if form is None or (form == "csv" and not _is_csv(text)):
        source.expect(what, b"PAR1")
    if form in ("json", "jsonl"):
        found = readers.json_rows(source.name, text)
        columns = {
            name: [each.get(name) for each in found] for name in dict.fromkeys(n for each in found for n in each)
        }
    else:
        (_, names), *lines = readers.csv_rows(source.name, text)
        names = list(map(console.unescaped, names))
        readers.require_distinct(source.name, names)
        columns = dict(zip(names, map(list, zip(*(row for _, row in lines))) if lines else [[] for _ in names]))
        columns = {name: _texts(cells) if name in _NAMING else _parsed(cells) for name, cells in columns.items()}
    try:
        return form or "", pa.table({name: _array(values) for name, values in columns.items()})
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise GencliError(
            f"{source.name}: {console.quoted(str(error))}", "correct it, or make the file again"
        ) from None


def _is_csv(text: str) -> bool:
    """Whether its first line can be names of columns: no markup, program or prose."""
    return text.partition("\n")[0].lstrip()[:1] not in ("<", "{", "|", "%", "#", "\\")


def _texts(cells: list[str]) -> list[str | None]:
    return [console.unescaped(cell) if cell else None for cell in cells]


def _parsed(cells: list[str]) -> list[Any]:
    """The values of a column of CSV: all of one kind, numbers, truths or lists, or as they stand."""
    filled = [cell for cell in cells if cell]
    if filled and all(cell in _TRUTH for cell in filled):
        return [_TRUTH.get(cell) for cell in cells]
    numbers = [readers.figure(cell) if cell else None for cell in cells]
    if not any(isinstance(number, str) for number in numbers):
        return numbers
    if filled and all(cell[0] == "[" and cell[-1] == "]" for cell in filled):
        try:
            return [json.loads(cell) if cell else None for cell in cells]
        except (ValueError, RecursionError):
            pass
    return list(map(console.unescaped, cells))


def _array(values: list[Any]) -> pa.Array:
    """An Arrow array of the values; of their texts where they are of several kinds."""
    others = [
        value
        for value in values
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float))
    ]
    if others and all(isinstance(value, str) and value in readers.NAMED for value in others):
        values = [readers.NAMED[value] if isinstance(value, str) else value for value in values]
    try:
        return pa.array(values, pa.bool_() if any(isinstance(value, bool) for value in values) else None)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
