"""CSV and JSON of any columns: each is of the kind of all of its values, or text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.reporting import untyped


def read(folder: Path, text: str) -> tuple[str, pa.Table]:
    path = folder / "given"
    path.write_text(text)
    return untyped.read(Input(str(path)))


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["True", "False", ""], [True, False, None]),
        (["True", "yes"], ["True", "yes"]),
        (["True", "1"], ["True", "1"]),
        (["1", "", "-2"], [1, None, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "two"], ["1", "two"]),
        (["", ""], [None, None]),
        (["[1, 2]", "", "[3]"], [[1, 2], None, [3]]),
        (["[1, 2]", "x"], ["[1, 2]", "x"]),
        (["[[1], [2]]"], [[[1], [2]]]),
        (["[1", "2]"], ["[1", "2]"]),
        (["[x]"], ["[x]"]),
        (["x]", "[y"], ["x]", "[y"]),
        (["[1]", "true"], ["[1]", "true"]),
        (["null", "true"], ["null", "true"]),
        (["[1] "], ["[1] "]),
    ],
)
def test_a_column_of_csv_is_of_one_kind_or_text(cells: list[str], values: list[Any], tmp_path: Path) -> None:
    rows = [f'row,"{cell}"\n' for cell in cells]
    form, table = read(tmp_path, "".join(["name,value\n", *rows]))
    assert form == "csv"
    assert table["value"].to_pylist() == values
    assert list(map(type, table["value"].to_pylist())) == list(map(type, values))


def test_classes_and_layers_are_names_also_where_they_are_digits(tmp_path: Path) -> None:
    _, table = read(tmp_path, "class,layer,index\n0,1,2\n,2,3\n")
    assert table.to_pydict() == {"class": ["0", None], "layer": ["1", "2"], "index": [2, 3]}


def test_a_header_alone_is_columns_without_rows(tmp_path: Path) -> None:
    form, table = read(tmp_path, "a,b\n")
    assert (form, table.to_pydict()) == ("csv", {"a": [], "b": []})


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_rows_of_json_have_the_columns_of_all_of_them(form: str, tmp_path: Path) -> None:
    rows = ['{"a": 1, "b": "x"}', '{"b": "y", "c": [1, 2]}']
    text = f"[{', '.join(rows)}]\n" if form == "json" else "\n".join(rows) + "\n"
    found, table = read(tmp_path, text)
    assert found == form
    assert table.to_pydict() == {"a": [1, None], "b": ["x", "y"], "c": [None, [1, 2]]}


@pytest.mark.parametrize("text", ["<a,b>\n1,2\n", "  |a,b|\n1,2\n", "%a,b\n1,2\n", "# a,b\n1,2\n", "\\a,b\n1,2\n"])
def test_markup_and_programs_are_no_csv(text: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match="Parquet, CSV or JSON"):
        read(tmp_path, text)
    cell = text.split("\n", maxsplit=1)[0].strip()
    _, table = read(tmp_path, f"a,b\n{cell}\n")  # below a line of names it is a cell
    assert table.column_names == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, None], pa.int64(), [1, None]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([1, "Infinity", None], pa.float64(), [1.0, math.inf, None]),
        ([None, "-Infinity"], pa.float64(), [None, -math.inf]),
        (["Infinity", "x"], pa.string(), ["Infinity", "x"]),
        ([1, "x", None], pa.string(), ["1", "x", None]),
        ([True, None], pa.bool_(), [True, None]),
        ([1, True], pa.string(), ["1", "True"]),
        ([1.5, True], pa.string(), ["1.5", "True"]),
        ([False, None, 2.5], pa.string(), ["False", None, "2.5"]),
        (["Infinity", True], pa.string(), ["Infinity", "True"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([[1], None], pa.list_(pa.int64()), [[1], None]),
    ],
)
def test_values_are_an_array_of_one_kind_or_of_their_texts(
    values: list[Any], kind: pa.DataType, found: list[Any]
) -> None:
    array = untyped._array(values)
    assert (array.type, array.to_pylist()) == (kind, found)
