"""Documents from strangers: whatever stands in them, `report` makes a report or refuses it in two lines."""

from __future__ import annotations

import contextlib
import copy
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gencli import app, outputs, parquet, provenance
from gencli.reporting import documents
from gencli.stream import Output
from tests.reporting.made import measured, training

Columns = dict[str, list[Any]]

VALID: dict[str, Columns] = {
    "history": {
        "epoch": [1, 2, 3], "step": [4, 8, 12], "train_loss": [2.0, 1.0, math.nan], "train_accuracy": [0.5, 1.0, 0.5],
        "validation_accuracy": [0.5, 0.75, None], "test_accuracy": [None, 0.5, 0.25],
    },
    "result": {
        "label": [0, 1, None], "name": ["a", "b", "all"], "n": [5, 5, 10], "accuracy": [0.5, 1.0, 0.75],
        "loss": [1.0, None, 2.0], "corrupted": [1, 0, 1], "memorized": [0.5, None, 0.5],
    },
    "grouped": {
        "label": [0, 1, None], "name": ["fog 1", "fog 2", "all"], "n": [5, 5, 10], "accuracy": [0.5, 1.0, 0.75],
        "loss": [1.0, 1.0, 2.0], "corruption_error": [0.5, 0.0, 0.25],
    },
    "several": {
        "model": ["m", "m", "o", "o"], "label": [0, None, 0, None], "name": ["a", "all", "a", "all"], "n": [1] * 4,
        "loss": [1.0] * 4, "accuracy": [0.5] * 4,
    },
    "benchmark": {
        "item": ["copy", "epoch"], "ours": [1.0, 2.0], "peer": [None, 2.0], "unit": ["s", "s"], "ratio": [None, 1.0],
        "bar": [None, 1.5], "met": [None, "yes"],
    },
    "predictions": {
        "id": [7, 8, 1 << 60], "label": [0, 1, 1], "prediction": [0, 1, 0], "loss": [0.5, 1.0, 2.0],
        "probabilities": [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]],
    },
    "density": {"eigenvalue": [-1.0, 0.0, 2.0], "density": [0.0, 0.5, 0.25], "standard_error": [None, 0.1, 0.2]},
    "confusion": {"label": [0, 1], "name": ["a", "b"], "a": [3, 1], "b": [0, 4]},
    "images": {"id": [0, 1], "image": ["x", "y"], "label": [0, 1]},
    "against": {"network": ["mlp-1x8", ""], "test_accuracy": ["0.5", "0.25"]},
}  # fmt: skip
TWISTED = "\x1b[2J\x9b\u202e|<script>`\\u001b\n\r,\"'"
HOSTILE = [
    None, math.nan, math.inf, -math.inf, -1, 0, 2, 1 << 53, (1 << 53) + 1, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**400,
    1.8e19, 1e308, -1e308, 5e-324, 1.5, "", "text", "NaN", "1_000", "1e999", "=1+1", TWISTED, "n" * 100_000, "\ud800",
    True, {}, {"a": 1}, [], [None], [0.5, "a"], [[1]], [2.0],
]  # fmt: skip
TYPES = [
    pa.uint64(), pa.int8(), pa.float16(), pa.float32(), pa.decimal128(30, 3), pa.bool_(), pa.binary(), pa.date32(),
    pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.float32()),
    pa.large_list(pa.float64()), pa.struct({"a": pa.int64()}), pa.null(), pa.timestamp("ns"), pa.string(), pa.float64(),
]  # fmt: skip
OPTIONS = [
    [], *(["--format", form] for form in ("csv", "json", "md", "latex", "parquet")),
    *(["--table", each] for each in ("runs", "classes", "long-tail", "corruptions")),
    *(["--plot", each] for each in ("curves", "overfit-time", "test-error", "regularizers", "classes", "confusion",
      "reliability", "density")),
    ["--best-on-test", "--table", "runs"], ["--metric", "loss", "--plot", "classes"],
]  # fmt: skip


def _json(columns: Columns) -> str:
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    return json.dumps(rows, default=str)


def _csv(columns: Columns) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([list(columns), *zip(*columns.values())])
    return text.getvalue()


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    for made in (lambda: pa.array(values, kind), lambda: pa.array(values).cast(kind)):
        with contextlib.suppress(pa.ArrowException, OverflowError, ValueError, TypeError):
            return made()
    return pa.array([str(value).encode(errors="replace").decode() for value in values])


@st.composite
def documents_of(draw: st.DrawFn, kind: str) -> tuple[str, bytes]:
    """A file's ending and bytes: a valid document of the kind, mutated."""
    columns = copy.deepcopy(VALID[kind])
    names = list(columns)
    types: dict[str, pa.DataType] = {}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(names))
        rows = len(columns[name])
        change = draw(st.sampled_from(["cell", "cell", "cell", "column", "type", "name", "drop", "row", "gone"]))
        if change == "cell" and rows:
            columns[name][draw(st.integers(0, rows - 1))] = draw(st.sampled_from(HOSTILE))
        elif change == "column":
            columns[name] = [draw(st.sampled_from(HOSTILE))] * rows
        elif change == "type":
            types[name] = draw(st.sampled_from(TYPES))
        elif change == "name":
            new = draw(st.sampled_from(["", "model", "data", TWISTED, "n" * 5000, "loss", "not_finite"]))
            columns = {new if each == name else each: values for each, values in columns.items()}
        elif change == "drop" and len(columns) > 1:
            del columns[name]
        elif change == "row" and rows:
            columns = {each: [*values, values[0]] for each, values in columns.items()}
        elif change == "gone":
            columns = {each: values[: rows - 1] for each, values in columns.items()}
        names = list(columns)
    form = "csv" if kind == "against" else draw(st.sampled_from(["parquet", "parquet", "csv", "json"]))
    if form == "parquet":
        return form, _parquet(draw, columns, types)
    data = (_json if form == "json" else _csv)(columns).encode(errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=3)) + data[place + draw(st.integers(0, 3)) :]
    return form, data


def _parquet(draw: st.DrawFn, columns: Columns, types: dict[str, pa.DataType]) -> bytes:
    names = list(columns) + draw(st.sampled_from([[], [], [], list(columns)[:1]]))
    table = pa.Table.from_arrays([_array(columns[name], types.get(name)) for name in names], names)
    sink = io.BytesIO()
    made = draw(st.sampled_from([None, *STEPS]))
    if made is None:
        pq.write_table(table.cast(table.schema), sink)
        return sink.getvalue()
    parquet.write_rows(sink, table, made)  # pyright: ignore[reportArgumentType]
    return sink.getvalue()
