"""Headlines, facts and rows of tensors and tables, each word of them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gencli import showing
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Output
from gencli.files.tensors import write
from gencli.showing.shown import Shown, plain
from gencli.showing.tensors import natural


def saved(path: Path, known: dict[str, Any], **tensors: torch.Tensor) -> Shown:
    with Output(str(path / "t.safetensors")) as output:
        write(output, tensors or {"a": torch.ones(2, 3)}, known)
    return showing.describe(str(path / "t.safetensors"))


@pytest.mark.parametrize(
    ("known", "headline", "facts"),
    [
        ({}, "model m: 1 tensor", {}),
        ({"parameters": "12", "shape": "x", "classes": 3}, "model m: 1 tensor", {"classes": 3}),
        ({"runs": [], "parameters": 12}, "model m: 12 parameters, 1 tensor", {}),
        ({"runs": [{"seed": 0, "class_rows": [1], "x": None}]}, "1 runs of model m: 1 tensor",
         {"each run": ["seed 0"]}),
        ({"class_rows": [7]}, "model m: 1 tensor", {"trained on": "7 rows, 7 to 7 per class"}),
        ({"class_rows": []}, "model m: 1 tensor", {}), ({"class_rows": 7}, "model m: 1 tensor", {}),
        ({"class_rows": [7, "8"]}, "model m: 1 tensor", {}), ({"class_rows": [True, 2]}, "model m: 1 tensor", {}),
        ({"class_rows": [3, 1000, 1]}, "model m: 1 tensor", {"trained on": "1,004 rows, 1 to 1,000 per class"}),
        (
            {"training": {"arch": "m", "train_accuracy": 0.5, "accuracy_of": "x", "lr": 0.1}}, "model m: 1 tensor",
            {"accuracy": {"train_accuracy": 0.5}, "training": {"accuracy_of": "x", "lr": 0.1}},
        ),
        ({"training": [1]}, "model m: 1 tensor", {}),
        ({"epoch": 3, "options": {}, "other": 5}, "model m: 1 tensor", {"after epoch": 3, "other": 5}),
        ({"options": {"a": 1}, "preprocessing": {"crop": 2}}, "model m: 1 tensor",
         {"preprocessing": {"crop": 2}, "options": {"a": 1}}),
    ],
)  # fmt: skip
def test_what_a_model_says_of_itself(
    known: dict[str, Any], headline: str, facts: dict[str, Any], tmp_path: Path
) -> None:
    found = saved(tmp_path, {"architecture": "m", **known})
    assert (found.kind, found.headline) == ("model", headline)
    of_text = {name: value for name, value in found.facts.items() if value not in (None, {}) and name != "seal"}
    assert of_text == facts


STATE = {"rate": 0.5, "history": [{"epoch": 1}, {"epoch": 2}], "idle": [1]}


@pytest.mark.parametrize(
    ("known", "kind", "at", "facts"),
    [
        ({"certificate": {"kind": "coding", "a": 0, "b": None}}, "certificate (coding)", "", {"a": 0}),
        ({"operator": "hessian", "verified": "yes", "x": 1}, "products of the hessian with vectors", "",
         {"verified": "yes"}),
        ({"wrt": "input", "of": "logits"}, "Jacobian of logits by input", "", {}),
        ({"checkpoint": 2, "at": "epoch 2", "state": STATE}, "checkpoint of training", " at epoch 2",
         {"rate": 0.5, "epochs": 2, "last epoch": {"epoch": 2}}),
        ({"spectrum": 2, "at": "1", "state": {"history": [], "a": 1}}, "checkpoint of a spectrum", " at 1", {"a": 1}),
        ({"fit": 2, "at": "1", "state": {"history": {"a": 1}, "b": 1}}, "checkpoint of a fit", " at 1", {"b": 1}),
        ({"fit": 2, "at": "1", "state": [1]}, "checkpoint of a fit", " at 1", {}),
    ],
)  # fmt: skip
def test_what_other_tensors_say_of_themselves(
    known: dict[str, Any], kind: str, at: str, facts: dict[str, Any], tmp_path: Path
) -> None:
    found = saved(tmp_path, known, a=torch.ones(1000), b=torch.tensor(2.0))
    assert (found.kind, found.headline) == (kind, f"{kind}{at}: 2 tensors, 1,001 values")
    assert found.facts == facts


@pytest.mark.parametrize(
    ("command", "arguments", "kind"),
    [
        ("spectrum", {}, "eigenvectors of a network's curvature"), ("hvp", {}, "tensors of gencli hvp"),
        ("hvp", {"shard": "0/2"}, "part 0/2 of tensors of gencli hvp"),
    ],
)  # fmt: skip
def test_tensors_are_of_the_command_that_made_them(
    command: str, arguments: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    assert saved(tmp_path, {"step": provenance.step(command, arguments)}).kind == kind


def test_a_tensor_is_a_row_with_its_norm_and_ends(tmp_path: Path) -> None:
    found = saved(tmp_path, {}, b10=torch.tensor([3.0, -4.0]), b9=torch.tensor(2.0), c=torch.zeros(0))
    assert found.rows.to_pylist() == [
        {"tensor": "b9", "shape": "scalar", "dtype": "float32", "norm": 2.0, "least": 2.0, "greatest": 2.0},
        {"tensor": "b10", "shape": "2", "dtype": "float32", "norm": 5.0, "least": -4.0, "greatest": 3.0},
        {"tensor": "c", "shape": "0", "dtype": "float32", "norm": None, "least": None, "greatest": None},
    ]
    assert found.unread["tensors"] == 3
    rows = saved(tmp_path, {}, a=torch.tensor([1.0, math.inf, math.nan]), b=torch.ones(2)).rows.to_pylist()
    assert [row["not_finite"] for row in rows] == [2, 0]
    headed = showing.describe(str(tmp_path / "t.safetensors"), head=1).rows
    assert headed["values"].to_pylist() == [[1.0], [1.0]]


def test_numbers_in_names_are_sorted_by_their_size() -> None:
    names = ["b10", "b9", "a", "9", "10.x", "b", "b9.2", "b9.10"]
    assert sorted(names, key=natural) == ["9", "10.x", "a", "b", "b9", "b9.2", "b9.10", "b10"]


def shown(facts: dict[str, Any], rows: pa.Table | None = None, **more: Any) -> Shown:
    return Shown("t", "kind", "a headline", facts, pa.table({}) if rows is None else rows, None, [], **more)


UNMADE = "no provenance: gencli did not write it, or another tool did afterwards"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"), (False, "no"), (0.123456789, "0.123457"), (1234567, "1,234,567"), ("text", "text"),
        ([*range(20)], ", ".join(map(str, range(20)))), ([*range(21)], ", ".join(map(str, range(20))) + ", … 1 more"),
        ([0] * 1021, ", ".join(["0"] * 20) + ", … 1,001 more"), ((1, 2), "1, 2"),
        ({"a": 1, "b": None, "c": False, "d": [], "e": {}, "f": True, "g": 0, "h": [2, 3]}, "a 1, f yes, g 0, h 2, 3"),
    ],
)  # fmt: skip
def test_a_fact_in_words(value: Any, words: str) -> None:
    assert shown({"fact": value}).text(None) == f"a headline\nfact  {words}\n\n{UNMADE}\n"


def test_facts_stand_below_each_other_and_are_broken_where_they_are_long() -> None:
    found = shown({"a": "one two three four", "none": None, "longer": 5}, unmade="made by another tool", below="below")
    assert found.text(20).splitlines() == [
        "a headline", "a       one two", "        three four", "longer  5", "", "below", "", "made by another tool",
    ]  # fmt: skip
    assert found.text(26).splitlines()[1] == "a       one two three four"
    assert found.text(25).splitlines()[1:3] == ["a       one two three", "        four"]
    assert found.json()["facts"] == {"a": "one two three four", "none": None, "longer": 5}


def test_rows_stand_below_the_facts_with_lists_in_few_words() -> None:
    rows = pa.table({"x": [[0.123456, 2.0], None], "n": [[*range(21)], []]})
    lines = shown({}, rows).text(None, whole=True).splitlines()
    assert lines[0] == "a headline"
    assert lines[4].split() == ["0.1235", "2", *map(str, range(20)), "…", "1", "more"]


def test_values_that_few_formats_hold_are_made_plain() -> None:
    day = datetime.date(2020, 1, 2)
    rows = pa.table({
        "b": [b"x" * 1234, None], "d": [day, None], "m": [Decimal("1.50"), None], "s": [{"a": 1, "b": b"xy"}, None],
        "h": pa.array([0.5, None], pa.float16()), "n": pa.nulls(2), "w": ["a", None], "t": [True, None],
        "l": [[1.5], None], "k": [[b"x"], None],
    })  # fmt: skip
    assert plain(rows).to_pydict() == {
        "b": ["1,234 bytes", None], "d": ["2020-01-02", None], "m": ["1.50", None], "s": ["a: 1, b: 2 bytes", None],
        "h": [0.5, None], "n": [None, None], "w": ["a", None], "t": [True, None], "l": [[1.5], None],
        "k": ["[b'x']", None],
    }  # fmt: skip
    assert plain(rows).schema.field("n").type == pa.float32()


def csv(path: Path, rows: int, columns: int = 1) -> str:
    names = [f"c{place}" for place in range(columns)]
    lines = [",".join(names), *(",".join([str(row)] * columns) for row in range(rows))]
    (path / "t.csv").write_text("\n".join(lines) + "\n")
    return str(path / "t.csv")


@pytest.mark.parametrize(
    ("rows", "columns", "head", "size", "shown_rows", "below"),
    [
        (1, 1, None, "1 row, 1 column", 1, ""), (40, 2, None, "40 rows, 2 columns", 40, ""),
        (41, 2, None, "41 rows, 2 columns", 2, "what each column holds; --head N shows rows"),
        (2, 100, None, "2 rows, 100 columns", 2, ""),
        (2, 101, None, "2 rows, 101 columns", 101, "what each column holds; --head N shows rows"),
        (41, 1, 40, "41 rows, 1 column", 40, "… 1 more rows"), (41, 2, 41, "41 rows, 2 columns", 41, ""),
        (3, 2, 0, "3 rows, 2 columns", 0, "… 3 more rows"),
    ],
)  # fmt: skip
def test_few_rows_are_shown_and_of_many_what_the_columns_hold(
    rows: int, columns: int, head: int | None, size: str, shown_rows: int, below: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({f"c{place}": [*range(rows)] for place in range(columns)}), tmp_path / "t.parquet")
    from_parquet = showing.describe(str(tmp_path / "t.parquet"), head)
    every = [from_parquet]
    assert from_parquet.headline == f"Parquet table: {size}"
    if columns > 1:  # text of one column is no table
        every.append(showing.describe(csv(tmp_path, rows, columns), head))
        assert (every[1].kind, every[1].headline) == ("CSV table", f"CSV table: {size}")
    for found in every:
        assert (found.rows.num_rows, found.below) == (shown_rows, below)
        assert found.unread == {"rows": rows, "columns": [f"c{place}" for place in range(columns)]}


def test_what_the_columns_of_many_rows_hold(tmp_path: Path) -> None:
    count, most = 50, 1 << 53
    rows = pa.table({
        "whole": [*range(count)], "gaps": [None, 0.5] * 25, "yes": [True, False, False, False, None] * 10,
        "nothing": pa.array([None] * count, pa.float64()), "word": ["x"] * count,
        "fits": [most - 1, 1 - most] * 25, "beyond": [most + 1, 0] * 25, "below": [-most - 1, 0] * 25,
        "large": [float(most * 4), 0.0] * 25,
    })  # fmt: skip
    pq.write_table(rows, tmp_path / "t.parquet", row_group_size=7)
    described = showing.describe(str(tmp_path / "t.parquet")).rows.to_pylist()
    found = {row.pop("column"): tuple(row.values()) for row in described}
    assert found == {
        "whole": ("int64", 0, 0.0, 24.5, 49.0), "gaps": ("double", 25, 0.5, 0.5, 0.5),
        "yes": ("bool", 10, 0.0, 0.25, 1.0), "nothing": ("double", 50, None, None, None),
        "word": ("string", None, None, None, None), "fits": ("int64", 0, 1 - most, 0.0, most - 1),
        "beyond": ("int64", 0, None, None, None), "below": ("int64", 0, None, None, None),
        "large": ("double", 0, 0.0, most * 2.0, most * 4.0),
    }  # fmt: skip


def test_tables_of_several_files_are_one_of_one_kind() -> None:
    one, two = shown({}, pa.table({"a": [1]})), shown({}, pa.table({"a": [2, 3], "b": ["x", "y"]}))
    assert showing.joined([one], ["x"]).to_pydict() == {"a": [1]}
    assert showing.joined([one, two], ["x", "y"]).to_pydict() == {
        "file": ["x", "y", "y"], "a": [1, 2, 3], "b": [None, "x", "y"],
    }  # fmt: skip
    with pytest.raises(GencliError, match="their columns differ"):
        showing.joined([one, shown({}, pa.table({"a": ["x"]}))], ["x", "y"])
    with pytest.raises(GencliError, match=r"^t: a kind has no table$"):
        showing.joined([one, shown({})], ["x", "y"])
    assert showing.text([one], None) == one.text(None)
    assert showing.text([one, two], None, True) == f"# t\n{one.text(None, True)}\n# t\n{two.text(None, True)}"
