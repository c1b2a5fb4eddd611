"""Comparison with published figures: a CSV of them, and a table with their columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gencli.counts import number
from gencli.errors import GencliError, nearest
from gencli.files import texts
from gencli.files.stream import Input
from gencli.reporting.groups import Table
from gencli.reporting.readers import csv_rows, require_distinct

_FRACTIONS = ("accuracy", "memorized", "recovered", "error", "precision", "recall", "f1")


@dataclass(frozen=True)
class Published:
    """Rows of text by column, and the comment lines of the file, which name the source."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    source: tuple[str, ...]


def read(source: Input) -> Published:
    """Reads a CSV whose comment lines start with `#`.

    Raises:
        GencliError: no CSV, no rows, or rows of another length than the header's.
    """
    try:
        lines = texts.read(source).splitlines(keepends=True)
    except UnicodeDecodeError:
        raise GencliError(f"{source.name}: not CSV (no UTF-8 text)", "give a CSV of published figures") from None
    comments = tuple(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    text = "".join("\n" if line.startswith("#") else line for line in lines)
    cells = [row for _, row in csv_rows(source.name, text) if any(map(str.strip, row))]
    if len(cells) < 2:
        raise GencliError(f"{source.name}: no rows", "give a header, and one row per published figure")
    header = [name.strip() for name in cells[0]]
    require_distinct(source.name, header)
    rows = tuple({name: cell.strip() for name, cell in zip(header, row)} for row in cells[1:])
    return Published(source.name, tuple(header), rows, comments)


def compare(table: Table, published: Published) -> Table:
    """The table with columns `published_SCORE` and `SCORE_difference` (ours less theirs) behind each published score.

    Columns of the CSV that are scores of the table are published values. Its other columns are keys: a row of the table
    is compared with the first published row that agrees in all keys that are not empty, printed as text or as the same
    number; a key that is empty throughout is left out. Published rows without a counterpart come last, with gaps, as
    have ours.

    Raises:
        GencliError: no column is a score, one is neither that nor a setting, or a published value is no number or
            is a percentage where the table has fractions.
    """
    scores = [name for name in table.scores if name in published.columns]
    keys = [name for name in published.columns if name not in scores]
    known = [*table.keys, *dict.fromkeys(name for each in table.facts for name in each if name != "chain")]
    if not scores:
        raise GencliError(f"{published.title}: no column is a score of the table", f"its scores: {_some(table.scores)}")
    for key in keys:
        if key not in known:
            raise GencliError(
                f"{published.title}: the table has no column {key!r}", nearest(key, [*known, *table.scores])
            )
    keys = [key for key in keys if any(row[key] for row in published.rows)]
    values = [{name: _number(published, row, name) for name in scores} for row in published.rows]
    ours = table.rows.to_pylist()
    added = [key for key in keys if key not in table.keys]
    for row, facts in zip(ours, table.facts):
        row |= {key: _printed(facts.get(key)) for key in added}
    found = [
        next((p for p, theirs in enumerate(published.rows) if all(_same(theirs[k], row[k]) for k in keys)), None)
        for row in ours
    ]
    found[: table.counted] = [None] * table.counted
    rows = [row | _beside(row, {} if place is None else values[place], scores) for row, place in zip(ours, found)]
    missing = [place for place in range(len(values)) if place not in found]
    rows += [
        {key: published.rows[place][key] for key in keys} | _beside({}, values[place], scores) for place in missing
    ]
    shown = _place(table, added, scores)
    columns = {name: _column(table.rows, name, [row.get(name) for row in rows]) for name in shown}
    source = [f"published: {line}" for line in published.source]
    return replace(
        table,
        rows=pa.table(columns),
        settings=(*table.settings, *added),
        scores=tuple(name for name in shown if name not in (*table.keys, *added, "runs", "n") and name[-4:] != "_std"),
        documents=(*table.documents, *((),) * len(missing)),
        facts=(*table.facts, *({},) * len(missing)),
        notes=(*table.notes, *source),
    )


def _place(table: Table, added: Sequence[str], scores: Sequence[str]) -> list[str]:
    """The columns' order: keys, then those added, then scores, the published ones and differences behind theirs."""
    shown: list[str] = []
    for name in [*table.keys, *added, *(n for n in table.rows.column_names if n not in table.keys)]:
        shown.append(name)
        score = name.removesuffix("_std")
        last = name != score or f"{name}_std" not in table.rows.column_names
        if score in scores and last:
            shown += [f"published_{score}", f"{score}_difference"]
    return shown


def _beside(row: dict[str, Any], theirs: dict[str, float | None], scores: Sequence[str]) -> dict[str, float | None]:
    beside: dict[str, float | None] = {}
    for name in scores:
        our, their = row.get(name), theirs.get(name)
        beside[f"published_{name}"] = their
        beside[f"{name}_difference"] = None if our is None or their is None else our - their
    return beside


def _column(rows: pa.Table, name: str, values: list[Any]) -> pa.Array:
    if name in rows.column_names:
        kind = rows.schema.field(name).type
    else:
        kind = pa.float64() if name.startswith("published_") or name.endswith("_difference") else pa.string()
    if not pa.types.is_string(kind):
        try:
            return pa.array([_value(each) for each in values], kind)
        except (ValueError, pa.ArrowException):
            kind = pa.string()
    return pa.array([None if each is None else str(each) for each in values], kind)


def _value(value: Any) -> Any:
    return (number(value) if value else None) if isinstance(value, str) else value


def _number(published: Published, row: dict[str, str], name: str) -> float | None:
    text = row[name]
    if not text:
        return None
    try:
        value = number(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise GencliError(f"{published.title}: {name}: {text!r} is not a number", "leave unknown cells empty")
    if value > 1 and name.removesuffix("_on_test").endswith(_FRACTIONS):
        raise GencliError(f"{published.title}: {name}: {text} is above 1", "write 0.8905 for 89.05 %")
    return value


def _same(theirs: str, ours: Any) -> bool:
    if not theirs or theirs == _printed(ours):
        return True
    try:
        return float(theirs) == float(_printed(ours))
    except ValueError:
        return False


def _printed(value: Any) -> str:
    return "" if value is None else str(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
