"""The cells of a table as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from gencli.cli import console

LONGEST = 300  # characters of a cell or a heading
_COUNTS, _EXACT = 10, 1 << 40  # whole numbers of this size are written as such, also as floats


def cell(value: Any) -> str:
    """A value of a table as one line of text; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) >= _COUNTS:
        value = int(value) if abs(value) < _EXACT else value
    if isinstance(value, float):
        small = value != 0 and abs(value) < 1e-3
        return f"{value:.2e}" if small or abs(value) >= 1e6 else f"{value:.4f}"
    if isinstance(value, int):
        return str(value) if abs(value) >= _EXACT else f"{value:,}"
    return console.printable(str(value), LONGEST)


def spread(word: str, deviation: float | None) -> str:
    """A cell with its deviation, in as many decimals; in those that it needs where it would be 0 in these."""
    if deviation is None:
        return word
    if "." not in word:  # a whole number
        return f"{word} ± {deviation:.1f}"
    of_word = f"{deviation:.4f}"
    return f"{word} ± {cell(deviation) if 'e' in word or (deviation and not float(of_word)) else of_word}"


def cells(rows: pa.Table) -> Iterator[list[str]]:
    """The cells of each row."""
    return (list(map(cell, row)) for row in zip(*(column.to_pylist() for column in rows.columns), strict=True))


def numeric(field: pa.Field) -> bool:
    """Whether a column holds numbers, as such or as text (see `layout.shown`), or nothing, as of numbers in CSV."""
    kind, marked = field.type, b"number" in (field.metadata or {})
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind) or marked


def narrowed(field: pa.Field, width: int) -> pa.Field:
    """The field of a column that is wrapped to a width in characters."""
    return field.with_metadata({**(field.metadata or {}), b"width": str(width).encode()})


def limit(field: pa.Field) -> int | None:
    """The width that a column is wrapped to, if it is; see `narrowed`."""
    return int((field.metadata or {}).get(b"width", 0)) or None


def width(rows: pa.Table, column: str | int) -> int:
    """Characters that a column takes on a terminal; the heading of one of numbers is broken at underscores."""
    from rich.cells import cell_len

    field = rows.schema.field(column)
    heading = console.printable(field.name, LONGEST)
    lines = heading.split("_") if numeric(field) else [heading]
    whole = max(map(cell_len, [*lines, *map(cell, rows[column].to_pylist())]))
    return min(whole, limit(field) or whole)
