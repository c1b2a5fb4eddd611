"""What `report` reads, by kind: each has its columns declared once, and all values are checked before any is used."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gencli import console, parquet
from gencli.errors import GencliError, first_line
from gencli.stream import Input

Kind = Literal["history", "result", "benchmark", "predictions", "images", "density", "confusion"]
Where = Callable[[int], str]

_EXACT = 1 << 53  # up to where float64 has every whole number
_LARGEST = sys.float_info.max
_HINT = "correct it, or make the file again"
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # as `outputs.render` writes them to JSON
_LEAD = ("model", "data")


@dataclass(frozen=True)
class Column:
    """What a column may hold.

    Attributes:
        words: a value in words; from `low` to `high` where it is a number, or each of a list of numbers.
        gaps: whether it may be missing.
        nan: whether it may be NaN.
    """

    type: Literal["whole", "number", "text", "list"]
    words: str
    low: float = -math.inf
    high: float = math.inf
    gaps: bool = False
    nan: bool = False

    @property
    def arrow(self) -> pa.DataType:
        kinds = {"whole": pa.int64(), "number": pa.float64(), "text": pa.string(), "list": pa.list_(pa.float64())}
        return kinds[self.type]

    def holds(self, value: object) -> bool:
        """Whether it may hold a value that JSON has, or Arrow gives."""
        if value is None:
            return self.gaps
        if self.type == "text":
            return isinstance(value, str) and (
                value.isascii() or not any("\ud800" <= each < "\ue000" for each in value)
            )
        if self.type == "list":
            return isinstance(value, list) and len(value) > 0 and all(map(self._bounds, value))
        return self._bounds(value) and (self.type == "number" or int(value) == value)  # type: ignore[call-overload]

    def _bounds(self, value: object) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        known = self.low <= value <= self.high and (isinstance(value, float) or abs(value) <= _LARGEST)
        return bool(known or (self.nan and value != value))  # noqa: PLR0124

    def fits(self, column: pa.ChunkedArray) -> bool:
        """Whether all of a column is, at a glance, of the type and as it may be."""
        if self.type == "list":
            return self._lists_fit(column)
        if column.type != self.arrow or (column.null_count and not (self.gaps and self.type == "number")):
            return False
        if self.type == "text":
            return True
        values = column.to_numpy()
        within = (values >= self.low) & (values <= self.high)
        return bool((within | np.isnan(values)).all() if self.nan else (~within).sum() == column.null_count)

    def _lists_fit(self, column: pa.ChunkedArray) -> bool:
        kind = column.type
        if not (pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)) or column.null_count:
            return False
        lists = column.combine_chunks()
        values = lists.flatten().to_numpy(zero_copy_only=False)
        return bool(np.diff(lists.offsets.to_numpy()).all() and ((values >= self.low) & (values <= self.high)).all())


_COUNT = Column("whole", "a whole number of 0 or more", 0, _EXACT)
_KNOWN = Column("whole", "a whole number of 0 or more", 0, _EXACT, gaps=True)
_SHARE = Column("number", "a number from 0 to 1", 0, 1, gaps=True, nan=True)
_NUMBER = Column("number", "a number", gaps=True, nan=True)
_POSITIVE = Column("number", "a number of 0 or more", 0, _LARGEST, gaps=True)
_TEXT = Column("text", "text")


@dataclass(frozen=True)
class Form:
    """A kind of document: the columns that make it one, all that it may have by name or pattern, and others'."""

    needs: tuple[str, ...]
    columns: dict[str, Column]
    others: Column = _NUMBER

    def column(self, name: str, lead: bool) -> Column:
        """Of that name; `lead`: it stands before those that make the kind."""
        if lead and name in _LEAD:
            return _TEXT
        found = (column for pattern, column in self.columns.items() if fnmatch.fnmatchcase(name, pattern))
        return next(found, self.others)


_SCORES = dict.fromkeys(["*accuracy", "accuracy_*", "memorized", "recovered"], _SHARE) | {"*_std": _NUMBER}
FORMS: dict[Kind, Form] = {  # the first that fits
    "history": Form(("epoch", "train_loss"), {"epoch": _COUNT, "step": _KNOWN, **_SCORES}),
    "result": Form(
        ("label", "name", "n", "loss"),
        {
            "label": Column("whole", "a whole number of 64 bits", -(1 << 63), (1 << 63) - 1, gaps=True),
            **dict.fromkeys(["name", *_LEAD], _TEXT),
            "n": _COUNT,
            **dict.fromkeys(["corrupted", "not_finite", "runs"], _KNOWN),
            "*_std": _NUMBER,
            **_SCORES,
            **dict.fromkeys(["top_*", "precision", "recall", "f1", "calibration_error", "corruption_error"], _SHARE),
        },
    ),
    "benchmark": Form(
        ("item", "ours", "peer", "unit", "ratio", "bar", "met"),
        dict.fromkeys(["item", "unit"], _TEXT)
        | {"met": Column("text", "text", gaps=True)}
        | dict.fromkeys(["ours", "peer", "ratio", "bar"], _POSITIVE),
    ),
    "predictions": Form(
        ("id", "label", "prediction"),
        {
            "id": Column("whole", "a whole number of 64 bits", -(1 << 63), (1 << 63) - 1),
            "label": _COUNT,
            **dict.fromkeys(["label_true", "prediction"], _KNOWN),
            "probabilities": Column("list", "a list of numbers from 0 to 1", 0, 1 + 1e-6, gaps=True),  # rounded
            **dict.fromkeys(_LEAD, _TEXT),
        },
    ),
    "images": Form(("id", "image", "label"), {"label": _COUNT}),
    "density": Form(
        ("eigenvalue", "density"),
        {"eigenvalue": Column("number", "a finite number", -_LARGEST, _LARGEST), "density": _POSITIVE},
    ),
    "confusion": Form(("label", "name"), {"label": _COUNT, "name": _TEXT}, _COUNT),
}


def from_parquet(source: Input, file: pq.ParquetFile) -> tuple[Kind, pa.Table]:
    """The kind and the rows of a table; of an image table the labels alone.

    Raises:
        GencliError: it is of no kind, has no rows, or a value that its column may not hold.
    """
    with parquet.undamaged(source.name):
        names = file.schema_arrow.names
    form, kind = _form(source, names, file.metadata.num_rows)
    with parquet.undamaged(source.name):
        rows = file.read(["label"] if kind == "images" else None).replace_schema_metadata(None)
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
    source.file.seek(0)
    try:
        text = source.file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if text.lstrip()[:1] == "[":
        return _from_json(source, text)
    if "\0" not in text and "," in text.partition("\n")[0]:
        return _from_csv(source, text)
    source.expect("Parquet", b"PAR1", b"PAR1")
    raise AssertionError("which does not start so")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object."""


def _from_json(source: Input, text: str) -> tuple[Kind, pa.Table]:
    try:
        found = json.loads(text, parse_int=_figure, parse_float=_figure, object_pairs_hook=_Pairs)
    except ValueError as error:
        raise GencliError(f"{source.name}: {console.quoted(first_line(error))}", "give a whole file") from None
    except RecursionError:
        raise GencliError(f"{source.name}: nested too deep", "give a file that gencli wrote") from None
    for row, each in enumerate(found):
        if not isinstance(each, _Pairs):
            raise GencliError(f"{source.name}: row {row}: {console.quoted(each)} is not an object", _HINT)
        require_distinct(f"{source.name}: row {row}", [name for name, _ in each])
    objects = [dict(each) for each in found]
    names = list(dict.fromkeys(name for each in objects for name in each))
    form, kind = _form(source, names, len(objects))
    columns: dict[str, Any] = {}
    for name in names:
        values = [each.get(name) for each in objects]
        if form.column(name, _leads(form, names, name)).type == "number":
            values = [_NAMED.get(value, value) if isinstance(value, str) else value for value in values]
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
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for row in reader:
            rows += [(before + 1, row)] if row else []
            before = reader.line_num
    except csv.Error as error:
        raise GencliError(f"{name}: line {reader.line_num}: {error}", "give a whole CSV") from None
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise GencliError(
                f"{name}: line {line}: {len(row)} cells, where the header has {len(rows[0][1])}",
                "quote cells that hold a comma",
            )
    return rows


def _parsed(cell: str, expected: Column) -> Any:
    if expected.type == "text":
        return console.unescaped(cell) if cell or not expected.gaps else None
    if not cell:
        return None
    if expected.type != "list":
        return _figure(cell)
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _figure(text: str) -> int | float | str:
    """The number that a text is; the text itself where it is none, or one beyond float64."""
    if "_" in text:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return text
    return text if math.isinf(value) and any(map(str.isdigit, text)) else value


def _form(source: Input, names: Sequence[str], rows: int) -> tuple[Form, Kind]:
    require_distinct(source.name, names)
    kind: Kind | None = next((kind for kind, form in FORMS.items() if set(form.needs) <= set(names)), None)
    if kind is None:
        shown = ", ".join(console.printable(name, 80) for name in names[:100])
        raise GencliError(
            f"{source.name}: neither a history nor a result; its columns are {shown[:200]}",
            "give what `gencli train --history`, `gencli eval` or `gencli spectrum --density` wrote",
        )
    if rows == 0:
        raise GencliError(f"{source.name}: a {kind} without rows", "make it again")
    return FORMS[kind], kind


def require_distinct(where: str, names: Sequence[str]) -> None:
    """Refuses columns of one name.

    Raises:
        GencliError: there are.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise GencliError(f"{where}: two columns have one name, {console.quoted(name)}", "make it again")
        seen.add(name)


def _leads(form: Form, names: Sequence[str], name: str) -> bool:
    return names.index(name) < min(map(names.index, form.needs)) if name in _LEAD else False


def _table(source: Input, kind: Kind, columns: dict[str, Any], where: Where) -> pa.Table:
    """The columns, those that are lists of values checked and made arrays."""
    names, form = list(columns), FORMS[kind]
    made = {}
    for name, column in columns.items():
        if isinstance(column, pa.ChunkedArray):
            made[name] = column
            continue
        expected = form.column(name, _leads(form, names, name))
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


def parts(rows: pa.Table, kind: Kind) -> dict[tuple[str, ...], list[int]]:
    """The places of the rows of each model and data set that the first columns name; one without a name otherwise."""
    lead = lead_columns(rows, kind)
    found: dict[tuple[str, ...], list[int]] = {}
    for place, names in enumerate(zip(*(rows[name].to_pylist() for name in lead))):
        found.setdefault(names, []).append(place)
    return found or {(): list(range(rows.num_rows))}


def lead_columns(rows: pa.Table, kind: Kind) -> list[str]:
    """Those that name a model and a data set."""
    if kind not in ("result", "predictions", "confusion"):
        return []
    return [name for name in _LEAD if name in rows.column_names and pa.types.is_string(rows[name].type)]


def _check_order(source: Input, kind: Kind, rows: pa.Table, where: Where) -> None:
    """Refuses rows whose order is not what is relied on: the last epoch last, the overall row last, classes in line."""
    if kind == "history":
        epochs = rows["epoch"].to_pylist()
        for row, (before, epoch) in enumerate(pairwise(epochs), 1):
            if epoch <= before:
                raise _wrong(source, where(row), "epoch", f"{epoch} after {before}")
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
            raise _wrong(source, where(row), "label", f"{labels[row]} a second time")
        if (labels[row] is None) != (row == places[-1]):
            raise _wrong(source, where(row), "label", "only the last row is of all classes, and has no label")
        seen.add(labels[row])
