"""Rows grouped by the values of a table's columns: which columns can be, what their values are, and in which order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from gencli.errors import GencliError, nearest
from gencli.files.tables import ImageTable

GROUPED = ("corruption", "severity")  # tables that have these columns are grouped by them

Group = tuple[Any, ...]


def columns(by: str | None, table: ImageTable) -> list[str]:
    """The columns that a table's rows are grouped by, of words COLUMN,...; none of `label`, the classes.

    Raises:
        GencliError: no such column, or one whose values are no single ones.
    """
    known = [name for name in table.schema.names if name not in ("image", "target")]
    if by == "label":
        return []
    if by is None:
        return [name for name in GROUPED if name in known]
    names = by.split(",")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise GencliError(f"--by: {name} twice", "name it once")
        if name not in known:
            raise GencliError(f"{table.title}: no column {name!r} to group by", nearest(name, known))
        kind = _stored(table.schema.field(name).type)
        if pa.types.is_nested(kind):
            raise GencliError(
                f"{table.title}: column {name!r} is {kind}: nothing to group by",
                "use a column of numbers, words, dates, or yes and no",
            )
    return names


def _stored(kind: pa.DataType) -> pa.DataType:
    """Of what a column's values are, without dictionaries and extensions."""
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(kind.storage_type)
    return _stored(kind.value_type) if pa.types.is_dictionary(kind) else kind


def values(column: pa.Array) -> list[Any]:
    """What a column says of each row; equal values are equal here, also NaN, one of which is as good as another.

    Dates and times are text, which has all their digits; durations are numbers of their unit.
    """
    if isinstance(column, pa.ExtensionArray):
        return values(column.storage)
    if isinstance(column, pa.DictionaryArray):
        chosen = values(column.dictionary)
        return [None if place is None else chosen[place] for place in column.indices.to_pylist()]
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int64() if pa.types.is_duration(column.type) else pa.string())
    found = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [value if value is None else math.nan if math.isnan(value) else float(value) + 0.0 for value in found]
    return found


def ordered(groups: Sequence[Group], by: Sequence[str]) -> list[Group]:
    """The different groups, by their values, null and NaN last; corruptions in the order of their first rows."""
    found = list(dict.fromkeys(groups))
    return found if "corruption" in by else sorted(found, key=lambda group: [_place(value) for value in group])


def _place(value: Any) -> tuple[bool, bool, Any]:
    missing, unordered = value is None, isinstance(value, float) and math.isnan(value)
    return missing, unordered, 0 if missing or unordered else value


def names(groups: Sequence[Group]) -> list[str]:
    """Different groups in words; texts stand in quotes where two groups would be called the same."""
    plain = [" ".join(map(_word, group)) for group in groups]
    if len({*plain}) == len(plain):
        return plain
    return [" ".join(json.dumps(v, ensure_ascii=False) if isinstance(v, str) else _word(v) for v in g) for g in groups]


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def numbers(groups: Sequence[Group]) -> list[int]:
    """The integers that the groups' values are, or where one is none, or is of several columns, their places."""
    whole = all(len(group) == 1 and type(group[0]) is int and abs(group[0]) < 1 << 63 for group in groups)
    return [group[0] for group in groups] if whole else list(range(len(groups)))
