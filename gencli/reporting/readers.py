"""Reading the files of `report`: all values are checked, as `forms` declares them, before any is used."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gencli.cli import console
from gencli.counts import plainly
from gencli.errors import GencliError, first_line
from gencli.files import parquet, texts
from gencli.files.provenance import KEY, Step, decode
from gencli.files.stream import Input
from gencli.reporting.forms import FORMS, LEAD, RUN, Column, Form, Kind

Where = Callable[[int], str]

_HINT = "correct it, or make the file again"
OTHERS = {  # kinds of tables that gencli writes beside those of `FORMS`, by their columns
    "ranking of measures": ("measure", "runs", "says"),
    "judgement of scores": ("score", "wrong_is", "auroc"),
    "bound of an error rate": ("kind", "bound", "empirical_error", "delta"),
    "verification of a certificate": ("part", "claimed", "found", "holds"),
    "claims": ("claim", "instance", "left", "right", "slack", "holds"),
    "eigenvalues": ("quantity", "index", "value", "residual"),
    "losses along eigenvectors": ("index", "distance", "loss", "quadratic"),
    "norms of a network's Jacobian": ("id", "norm", "rank"),
    "Jacobian of formulas": ("method", "output", "output_value", "difference"),
    "statistics of an image table": ("label", "name", "rows", "share", "pixel_mean"),
}
NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # as `outputs.render` writes them to JSON


def from_parquet(source: Input, file: pq.ParquetFile) -> tuple[Kind, pa.Table]:
    """The kind and the rows of a table; for an image table only the labels.

    Raises:
        GencliError: it is of an unknown kind, has no rows, or has a value that its column does not allow.
    """
    with parquet.undamaged(source.name):
        names = file.schema_arrow.names
    form, kind = _form(source, names, file.metadata.num_rows)
    with parquet.undamaged(source.name):
        rows = parquet.read(file, ["label"] if kind == "images" else None).replace_schema_metadata(None)
        rows.validate(full=True)
        columns = {}
        for field, column in zip(rows.schema, rows.columns):
            expected = form.column(field.name, _leads(form, names, field.name))
            columns[field.name] = column if expected.fits(column) else column.to_pylist()
    return kind, _table(source, kind, columns, lambda row: f"row {row}")


def from_text(source: Input) -> tuple[Kind, pa.Table]:
    """The kind and the rows of CSV or JSON, as `from_parquet` has them; what `outputs.render` wrote is the same again.

    Raises:
        GencliError: it is neither, or as `from_parquet` raises it.
    """
    if source.starts(b"{", 8):  # a model, which may be large
        source.expect("Parquet", b"PAR1", b"PAR1")
    form, text = read_text(source)
    if form is None:
        source.expect("Parquet", b"PAR1", b"PAR1")
    return _from_csv(source, text) if form == "csv" else _from_json(source, text)


def made_of(source: Input, rows: pa.Table) -> tuple[Step | None, pa.Table]:
    """How a table of text was made, where its first row has that, and the table without it.

    Raises:
        GencliError: that is no provenance.
    """
    if KEY not in rows.column_names:
        return None, rows
    text = rows[KEY][0].as_py() if rows.num_rows else None
    try:
        made = None if text is None else decode(text).get("step")
    except ValueError as error:
        raise GencliError(f"{source.name}: corrupt provenance: {first_line(error)}", _HINT) from None
    return made, rows.drop_columns([KEY])


def read_text(source: Input) -> tuple[Literal["json", "jsonl", "csv"] | None, str]:
    """The text of a file and what it is, by its first line; None where it is neither."""
    try:
        text = "" if b"\0" in source.peek(0, 1 << 12) else texts.read(source)  # which may be large
    except UnicodeDecodeError:
        text = ""
    if (first := text.lstrip()[:1]) in ("[", "{") and first:
        return "json" if first == "[" else "jsonl", text
    return ("csv" if "\0" not in text and "," in text.partition("\n")[0] else None), text


class _Twice(list[str]):
    """The names of a JSON object that has one of them twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Twice(name for name, _ in pairs)


def json_rows(name: str, text: str) -> list[dict[str, Any]]:
    """The objects of a JSON array, or of lines of JSON.

    Raises:
        GencliError: it is no JSON, or holds something else.
    """
    if text.lstrip()[:1] == "[":
        found = _loaded(name, text)
    else:
        lines = enumerate(text.split("\n"), 1)
        found = [_loaded(f"{name}: line {number}", line) for number, line in lines if line.strip()]
    for row, each in enumerate(found):
        if isinstance(each, _Twice):
            require_distinct(f"{name}: row {row}", each)
        if not isinstance(each, dict):
            raise GencliError(f"{name}: row {row}: {console.quoted(each)} is not an object", _HINT)
    return found


def _loaded(where: str, text: str) -> Any:
    try:
        return json.loads(text, parse_int=figure, parse_float=_float, object_pairs_hook=_object)
    except ValueError as error:
        raise GencliError(f"{where}: {console.quoted(first_line(error))}", "give a complete file") from None
    except RecursionError:
        raise GencliError(f"{where}: nested too deep", "give a file that gencli wrote") from None


def _from_json(source: Input, text: str) -> tuple[Kind, pa.Table]:
    found = json_rows(source.name, text)
    names = list(dict.fromkeys(name for each in found for name in each))
    form, kind = _form(source, names, len(found))
    columns: dict[str, Any] = {}
    for name in names:
        values = [each.get(name) for each in found]
        if form.column(name, _leads(form, names, name)).type == "number":
            values = [NAMED.get(value, value) if isinstance(value, str) else value for value in values]
        columns[name] = values
    return kind, _table(source, kind, columns, lambda row: f"row {row}")


def _from_csv(source: Input, text: str) -> tuple[Kind, pa.Table]:
    (_, names), *lines = csv_rows(source.name, text)
    names = list(map(console.unescaped, names))
    form, kind = _form(source, names, len(lines))
    columns: dict[str, Any] = {}
    for name, cells in zip(names, zip(*(row for _, row in lines))):
        expected = form.column(name, _leads(form, names, name))
        columns[name] = [_parsed(cell, expected) for cell in cells]
    return kind, _table(source, kind, columns, lambda row: f"line {lines[row][0]}")


def csv_rows(name: str, text: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV that are not empty, each with its line, the first being the header; all of its length.

    Raises:
        GencliError: it is no CSV, or a row has another length.
    """
    limit = csv.field_size_limit(sys.maxsize)  # of the whole process
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for row in reader:
            rows += [(before + 1, row)] if row else []
            before = reader.line_num
    except csv.Error as error:
        raise GencliError(f"{name}: line {reader.line_num}: {error}", "give a complete CSV") from None
    finally:
        csv.field_size_limit(limit)
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise GencliError(
                f"{name}: line {line}: {len(row)} cells, but the header has {len(rows[0][1])}",
                "quote cells that contain a comma",
            )
    return rows


def _parsed(cell: str, expected: Column) -> Any:
    if expected.type == "text":
        return console.unescaped(cell) if cell or not expected.gaps else None
    if not cell:
        return None
    if expected.type != "list":
        return figure(cell)
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def figure(text: str) -> int | float | str:
    """The number that a text is; the text itself where it is none, or one beyond float64."""
    try:
        return int(plainly(text))
    except ValueError:
        pass
    try:
        return _float(plainly(text))
    except ValueError:
        return text


def _float(text: str) -> float | str:
    value = float(text)
    return text if math.isinf(value) and any(map(str.isdigit, text)) else value


def _form(source: Input, names: Sequence[str], rows: int) -> tuple[Form, Kind]:
    require_distinct(source.name, names)
    kind: Kind | None = next((kind for kind, form in FORMS.items() if set(form.needs) <= set(names)), None)
    if kind is None and {"place", "ids"} <= set(names):
        raise GencliError(f"{source.name}: a part of a result, by --shard", "gencli sum puts parts together")
    other = next((name for name, needs in OTHERS.items() if set(needs) <= set(names)), None)
    if other and kind in (None, "confusion"):
        what = f"{source.name}: {other}, which report has no table or figure of"
        raise GencliError(what, f"gencli show {_place(source)} shows it")
    if kind is None:
        shown = ", ".join(console.printable(name, 80) for name in names[:100])
        raise GencliError(
            f"{source.name}: neither a history nor a result; its columns are {shown[:200]}",
            f"give what train --history, eval, score or spectrum wrote; gencli show {_place(source)} shows others",
        )
    if rows == 0:
        raise GencliError(f"{source.name}: a {kind} without rows", "make it again")
    return FORMS[kind], kind


def _place(source: Input) -> str:
    return "FILE" if source.path is None else shlex.quote(source.name)


def require_distinct(where: str, names: Sequence[str]) -> None:
    """Refuses columns with the same name.

    Raises:
        GencliError: two columns have the same name.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise GencliError(f"{where}: two columns have the same name, {console.quoted(name)}", "make it again")
        seen.add(name)


def _leads(form: Form, names: Sequence[str], name: str) -> bool:
    return names.index(name) < min(map(names.index, form.needs)) if name in (*LEAD, RUN) else False


def _table(source: Input, kind: Kind, columns: dict[str, Any], where: Where) -> pa.Table:
    """The columns, those that are lists of values checked and made arrays."""
    names, form = list(columns), FORMS[kind]
    made = {}
    for name, column in columns.items():
        if isinstance(column, pa.ChunkedArray):
            made[name] = column
            continue
        expected = form.column(name, _leads(form, names, name))
        if expected.plain(column):
            with contextlib.suppress(pa.ArrowException, OverflowError, UnicodeEncodeError):
                made[name] = pa.chunked_array([pa.array(column, expected.arrow)])
                if expected.fits(made[name]):
                    continue
        for row, value in enumerate(column):
            if not expected.holds(value):
                found = "no value" if value is None else f"{console.quoted(value)} is not {expected.words}"
                raise _wrong(source, where(row), name, found)
        made[name] = pa.array([_converted(value, expected) for value in column], expected.arrow)
    rows = pa.table(made)
    _check_order(source, kind, rows, where)
    return rows


def _converted(value: Any, expected: Column) -> Any:
    if value is None or expected.type == "text":
        return value
    return list(map(float, value)) if expected.type == "list" else (int if expected.type == "whole" else float)(value)


def _wrong(source: Input, where: str, name: str, what: str) -> GencliError:
    return GencliError(f"{source.name}: {where}: column `{console.printable(name, 80)}`: {what}", _HINT)


def parts(rows: pa.Table, kind: Kind) -> dict[tuple[str | int, ...], list[int]]:
    """The places of the rows of each model, data set and run that the first columns name; else one without a name."""
    lead = lead_columns(rows, kind)
    found: dict[tuple[str | int, ...], list[int]] = {}
    for place, names in enumerate(zip(*(rows[name].to_pylist() for name in lead))):
        found.setdefault(names, []).append(place)
    return found or {(): list(range(rows.num_rows))}


def lead_columns(rows: pa.Table, kind: Kind) -> list[str]:
    """The first columns, which name a model, a data set, and a run."""
    if kind not in ("history", "result", "predictions", "confusion", "measures"):
        return []
    names, form = rows.column_names, FORMS[kind]
    found = [name for name in LEAD if name in names and pa.types.is_string(rows[name].type) and kind != "history"]
    return found + ([RUN] if RUN in names and _leads(form, names, RUN) else [])


def _check_order(source: Input, kind: Kind, rows: pa.Table, where: Where) -> None:
    """Refuses rows whose order is not what is relied on: the last epoch last, the overall row last, classes in line."""
    if kind == "history":
        epochs = rows["epoch"].to_pylist()
        for before, row in (pair for places in parts(rows, kind).values() for pair in pairwise(places)):
            if epochs[row] <= epochs[before]:
                raise _wrong(source, where(row), "epoch", f"{epochs[row]} after {epochs[before]}")
    if kind not in ("result", "confusion"):
        return
    labels = rows["label"].to_pylist()
    for places in parts(rows, kind).values():
        if kind == "result":
            _check_classes(source, labels, places, where)
            continue
        for expected, row in enumerate(places):
            if labels[row] != expected:
                raise _wrong(source, where(row), "label", f"{labels[row]}, where {expected} comes next")
        names = [rows["name"][row].as_py() for row in places]
        headings = [name for name in rows.column_names if name not in ("label", "name", *lead_columns(rows, kind))]
        headings = headings[:-1] if headings[-1:] == ["not_finite"] else headings
        if len(headings) == len(names) and headings not in (names, list(map(str, range(len(names))))):
            raise GencliError(f"{source.name}: its columns are not its classes, in their order", "make it again")


def _check_classes(source: Input, labels: Sequence[int | None], places: Sequence[int], where: Where) -> None:
    seen: set[int | None] = set()
    for row in places:
        if labels[row] in seen:
            raise _wrong(source, where(row), "label", f"{labels[row]} occurs twice")
        if (labels[row] is None) != (row == places[-1]):
            raise _wrong(source, where(row), "label", "only the last row, for all classes, has no label")
        seen.add(labels[row])
