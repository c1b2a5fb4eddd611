"""What `gencli show` says of a file, and how it is laid out as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gencli.cli import console
from gencli.files import provenance
from gencli.files.provenance import Source, Step
from gencli.reporting import text_tables

_NAMES, _LONGEST = 20, 1000  # of a list, and characters of a fact, in text


@dataclass(frozen=True)
class Shown:
    """A file.

    Attributes:
        title: its name in messages.
        kind: what it is.
        headline: the same with its sizes, in one or more lines.
        facts: what else is known, values of JSON by name; text leaves out None.
        rows: a table of its parts.
        made: its provenance.
        inputs: its files as inputs of a step.
        unread: facts that text does not repeat, as the headline says them.
        bars: the column of `rows` whose numbers are shown as bars too.
        picture: draws it as a PNG with this text as its provenance; None for what has no picture.
        below: a line under the table.
        unmade: a line in place of a provenance that it lacks.
    """

    title: str
    kind: str
    headline: str
    facts: dict[str, Any]
    rows: pa.Table
    made: Step | None
    inputs: Sequence[Source]
    unread: dict[str, Any] = field(default_factory=dict)
    bars: str | None = None
    picture: Callable[[str], bytes] | None = None
    below: str = ""
    unmade: str = "no provenance: gencli did not write it, or another tool did afterwards"

    def text(self, width: int | None, whole: bool = False) -> str:
        """For people; lines are not broken for a place without a `width`. See `text_tables.table`."""
        facts = {console.printable(name, 40): _words(value) for name, value in self.facts.items() if value is not None}
        room = max(map(len, facts), default=0)
        lines = [line for each in self.headline.splitlines() for line in _broken(console.printable(each), width, "  ")]
        for name, value in facts.items():
            lines += _broken(f"{name:{room}}  {console.printable(value, _LONGEST)}", width, " " * (room + 2))
        shown = "".join(f"{line}\n" for line in lines)
        if self.rows.num_columns:
            shown += text_tables.table(_readable(self.rows), "", width, self.bars, whole)
        else:
            shown += "\n"
        shown += "".join(f"{line}\n\n" for line in [self.below] if line)
        made = list(provenance.lines(self.made)) or [console.printable(self.unmade)]
        return shown + "".join(f"{line}\n" for each in made for line in _broken(each, width, "    "))

    def json(self) -> dict[str, Any]:
        """All of it as one object."""
        return {
            "file": self.title,
            "kind": self.kind,
            "headline": self.headline.partition("\n")[0],
            "facts": self.unread | self.facts,
            "rows": plain(self.rows).to_pylist(),
            "provenance": list(provenance.lines(self.made)),
        }


def _broken(line: str, width: int | None, indent: str) -> list[str]:
    if width is None or len(line) <= width:
        return [line]
    lead = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line, width, subsequent_indent=lead + indent[: width // 2], break_on_hyphens=False, drop_whitespace=True
    )


def _words(value: Any) -> str:
    """A fact as text; of settings those that are neither off nor without a value."""
    if isinstance(value, dict):
        set_ = {name: each for name, each in value.items() if each is not False and each not in (None, [], {})}
        return ", ".join(f"{name} {_words(each)}" for name, each in set_.items())
    if isinstance(value, list | tuple):
        more = f", … {len(value) - _NAMES:,} more" if len(value) > _NAMES else ""
        return ", ".join(map(_words, value[:_NAMES])) + more
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(rows: pa.Table) -> pa.Table:
    """The rows with values that every format can hold: bytes by their number, what is rare as text."""
    for place, name in enumerate(rows.column_names):
        kind = rows.schema.field(place).type
        if not _is_plain(kind):
            rows = rows.set_column(place, name, _plain(rows.column(place), kind))
    return rows


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    if _is_list(kind):
        return _is_plain(kind.value_type)
    number = types.is_integer(kind) or types.is_float32(kind) or types.is_float64(kind)
    return number or types.is_boolean(kind) or types.is_string(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    types = pa.types
    if types.is_float16(kind) or types.is_null(kind):  # a column without values is of numbers more often than not
        return column.cast(pa.float32())
    if types.is_temporal(kind) or types.is_decimal(kind):
        return column.cast(pa.string())
    try:
        texts = [None if each is None else _described(each) for each in column.to_pylist()]
    except (ValueError, OverflowError, TypeError, pa.ArrowException):  # dates in them that Python does not have
        texts = [str(kind)] * len(column)
    return pa.chunked_array([pa.array(texts, pa.string())])


def _described(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_described(each)}" for name, each in value.items())
    return console.printable(str(value), 300)


def _readable(rows: pa.Table) -> pa.Table:
    """The rows with lists of numbers as a few words."""
    rows = plain(rows)
    for place, name in enumerate(rows.column_names):
        if _is_list(rows.schema.field(place).type):
            texts = [None if each is None else " ".join(_listed(each)) for each in rows.column(place).to_pylist()]
            rows = rows.set_column(place, name, pa.array(texts, pa.string()))
    return rows


def _listed(values: list[Any]) -> Iterator[str]:
    for value in values[:_NAMES]:
        yield f"{value:.4g}" if isinstance(value, float) else str(value)
    if len(values) > _NAMES:
        yield f"… {len(values) - _NAMES:,} more"
