"""What numbers, rows and columns of text are, and which options of report go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.reporting import readers
from gencli.reporting.settings import Settings


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), ("inf", float("inf")), ("-inf", float("-inf")),
     ("1e999", "1e999"), ("-1e999", "-1e999"), ("x", "x"), ("", ""), ("9" * 30, 10**30 - 1)],
)  # fmt: skip
def test_a_number_of_a_text(text: str, number: Any) -> None:
    found = readers.figure(text)
    assert (found, type(found)) == (number, type(number))


def test_rows_of_csv_have_their_lines_and_empty_ones_are_left_out() -> None:
    text = 'a,b\n\n1,"x\ny"\n\n\n2,z\n'
    assert readers.csv_rows("f", text) == [(1, ["a", "b"]), (3, ["1", "x\ny"]), (7, ["2", "z"])]
    with pytest.raises(GencliError, match=r"^f: line 3: 3 cells, but the header has 2$"):
        readers.csv_rows("f", "a,b\n1,2\n1,2,3\n")
    with pytest.raises(GencliError, match=r"^f: line 2: unexpected end of data$"):
        readers.csv_rows("f", 'a,b\n"1,2')


def test_rows_of_json_are_objects_of_an_array_or_of_lines() -> None:
    assert readers.json_rows("f", ' [{"a": 1}, {"b": 0.5}]') == [{"a": 1}, {"b": 0.5}]
    assert readers.json_rows("f", '{"a": 1}\n\n {"a": 2}\n') == [{"a": 1}, {"a": 2}]
    for text, said in (
        ('{"a": 1}\n\n{"a": \n', "f: line 3: "), ('[{"a": 1}, 5]', "f: row 1: 5 is not an object"),
        ('{"a": 1}\n{"a": 1, "a": 2}\n', "f: row 1: two columns have the same name, 'a'"),
    ):  # fmt: skip
        with pytest.raises(GencliError) as refused:
            readers.json_rows("f", text)
        assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("content", "form"),
    [(b"[1]", "json"), (b'\n {"a": 1}', "jsonl"), (b"a,b\n", "csv"), (b"a\n1,2\n", None), (b"", None),
     (b"\xff\xfe,", None), (b"a,b\n" + b"1,2\n" * 2000 + b"\0", None), (b"a,\0b\n", None)],
)  # fmt: skip
def test_the_form_of_a_text(content: bytes, form: str | None, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert readers.read_text(Input(str(tmp_path / "x")))[0] == form


def test_rows_are_apart_by_the_columns_before_those_of_their_kind() -> None:
    rows = pa.table({"model": ["a", "b", "a"], "run": [0, 0, 1], "label": [None] * 3, "name": ["x"] * 3, "n": [1] * 3,
                     "loss": [0.5] * 3})  # fmt: skip
    assert readers.lead_columns(rows, "result") == ["model", "run"]
    assert readers.parts(rows, "result") == {("a", 0): [0], ("b", 0): [1], ("a", 1): [2]}
    assert readers.lead_columns(rows, "scores") == []
    assert readers.parts(rows, "scores") == {(): [0, 1, 2]}
    behind = rows.select(["label", "name", "n", "loss", "run"])
    assert readers.lead_columns(behind, "result") == []
    numbers = rows.set_column(0, "model", pa.array([1, 2, 3]))
    assert readers.lead_columns(numbers, "result") == ["run"]
    history = pa.table({"model": ["a"], "run": [0], "epoch": [1], "train_loss": [0.5]})
    assert readers.lead_columns(history, "history") == ["run"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"contact_sheet", "metric"}, "--metric and --contact-sheet do not go together"),
        ({"to", "table"}, "--table and --to do not go together"), ({"follow", "plot"}, "--plot and --follow"),
        ({"follow", "output"}, "--output and --follow"), ({"to", "format"}, "--format and --to"),
        ({"follow", "to"}, "--follow and --to do not go together"),
        ({"follow", "metric", "title"}, None), ({"contact_sheet"}, None), ({"to"}, None),
        ({"table", "plot", "format", "output"}, None),
    ],
)  # fmt: skip
def test_what_stands_alone_is_given_without_others(given: set[str], said: str | None) -> None:
    if said is None:
        assert Settings().resolved(given) == Settings()
        return
    with pytest.raises(GencliError) as refused:
        Settings().resolved(given)
    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("settings", "form", "refused"),
    [
        ({"plot": "curves"}, "table", False),
        ({"plot": "curves"}, "html", True),
        ({"plot": "curves"}, "csv", True),
        ({"plot": "curves", "figure": "f.png"}, "csv", False),
        ({"plot": "curves", "figure": "f.png"}, "html", False),
        ({}, "csv", False),
        ({}, "html", False),
        ({"title": "t"}, "csv", True),
        ({"title": "t"}, "jsonl", True),
        ({"title": "t"}, "parquet", True),
        ({"title": "t"}, "md", False),
        ({"title": "t", "figure": "f"}, "csv", False),
        ({"title": ""}, "json", True),
    ],
)
def test_a_format_has_a_place_for_plots_and_titles(settings: dict[str, Any], form: str, refused: bool) -> None:
    if not refused:
        Settings(**settings).require_place(form)
        return
    with pytest.raises(GencliError, match=r"^--(plot|title): "):
        Settings(**settings).require_place(form)
