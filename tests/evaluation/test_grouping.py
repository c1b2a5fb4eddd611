"""Groups are by the values of a column of any type, and each value is one group."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gencli import models
from gencli.errors import GencliError
from gencli.evaluation import grouping
from gencli.evaluation.networks import evaluate
from gencli.models import Model
from gencli.sources import open_table
from tests.evaluation.tables import per_class
from tests.helpers import image_table, save

NAN, BIG = math.nan, 2**63
DAYS = [datetime.date(2021, 1, 2), datetime.date(2020, 12, 31)]
# the values of rows, the type, and the groups' names, and rows, and labels
CASES: dict[str, tuple[list[Any], pa.DataType, list[str], list[int], list[int]]] = {
    "booleans": ([True, False, None, True], pa.bool_(), ["false", "true", "null"], [1, 2, 1], [0, 1, 2]),
    "nan": ([NAN, 0.5, NAN, NAN], pa.float64(), ["0.5", "nan"], [1, 3], [0, 1]),
    "nan and null": ([NAN, None, -1.0, NAN], pa.float32(), ["-1.0", "nan", "null"], [1, 2, 1], [0, 1, 2]),
    "two zeros": ([0.0, -0.0, 1.0, -0.0], pa.float64(), ["0.0", "1.0"], [3, 1], [0, 1]),
    "unsigned": ([BIG + 1, BIG, 3, BIG], pa.uint64(), ["3", str(BIG), str(BIG + 1)], [1, 2, 1], [0, 1, 2]),
    "negative": ([-3, 2, -3, 0], pa.int8(), ["-3", "0", "2"], [2, 1, 1], [-3, 0, 2]),
    "dates": (
        [DAYS[0], DAYS[1], None, DAYS[0]], pa.date32(), ["2020-12-31", "2021-01-02", "null"], [1, 2, 1], [0, 1, 2],
    ),
    "nanoseconds": (
        [2, 1, 1, 1], pa.timestamp("ns"),
        ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000000002"], [3, 1], [0, 1],
    ),
    "times": ([2, 1, 1, 1], pa.time64("ns"), ["00:00:00.000000001", "00:00:00.000000002"], [3, 1], [0, 1]),
    "durations": ([20, 3, 3, 3], pa.duration("ns"), ["3", "20"], [3, 1], [3, 20]),
    "decimals": ([Decimal("10.25"), Decimal("9.50")] * 2, pa.decimal128(5, 2), ["9.50", "10.25"], [2, 2], [0, 1]),
    "words": (["b", "a", "b", "b"], pa.large_string(), ["a", "b"], [1, 3], [0, 1]),
    "dictionaries": (
        ["b", "a", None, "b"], pa.dictionary(pa.int8(), pa.string()), ["a", "b", "null"], [1, 2, 1], [0, 1, 2],
    ),
    "bytes": ([b"b", b"\xff", b"b", b"b"], pa.binary(), ["b", "\\xff"], [3, 1], [0, 1]),
    "nothing": ([None] * 4, pa.null(), ["null"], [4], [0]),
}  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rows with a column a case, and three of lists and the like."""
    folder = tmp_path_factory.mktemp("grouping")
    save(image_table(4), folder / "plain")
    table = pq.read_table(folder / "plain")
    for name, (values, kind, *_) in CASES.items():
        table = table.append_column(name, pa.array(values, kind))
    table = table.append_column("list", pa.array([[1]] * 4))
    table = table.append_column("struct", pa.array([{"a": 1}] * 4))
    table = table.append_column("map", pa.array([[("a", 1)]] * 4, pa.map_(pa.string(), pa.int64())))
    pq.write_table(table, folder / "toy.parquet")
    return folder / "toy.parquet"


@pytest.mark.parametrize("column", CASES)
def test_a_value_is_a_group(column: str, file: Path) -> None:
    _, _, names, rows, labels = CASES[column]
    table = open_table(str(file))
    torch.manual_seed(0)
    network = models.build("linear", (2, 2, 1), 3).eval()
    model = Model("linear", (2, 2, 1), table.description.classes, network)
    by = grouping.columns(column, table)
    found = evaluate([model], table, torch.device("cpu"), False, lambda done: None, by)[0]
    result = per_class(found, model.classes).to_pydict()
    assert result["name"] == [*names, "all"]
    assert result["n"] == [*rows, 4]
    assert result["label"] == [*labels, None]


@pytest.mark.parametrize("column", ["list", "struct", "map"])
def test_columns_of_no_single_values_are_refused(column: str, file: Path) -> None:
    with pytest.raises(GencliError, match=f"toy.parquet: column '{column}' is {column}<"):
        grouping.columns(f"id,{column}", open_table(str(file)))


def test_values_of_several_batches_and_columns_are_the_same_groups() -> None:
    nan = [grouping.values(pa.array([value])) for value in (NAN, float(np.float32("nan")))]
    groups = [(*nan[0], True), (*nan[1], True), (1.0, None), (*nan[0], False)]
    ordered = grouping.ordered(groups, ["a", "b"])
    assert grouping.names(ordered) == ["1.0 null", "nan false", "nan true"]
    assert grouping.numbers(ordered) == [0, 1, 2]


def test_different_groups_have_different_names() -> None:
    assert grouping.names([("a b", "c"), ("a", "b c")]) == ['"a b" "c"', '"a" "b c"']
    assert grouping.names([("null",), (None,)]) == ['"null"', "null"]
    assert grouping.names([("null",), ("a b",)]) == ["null", "a b"]


def test_zeros_of_both_signs_are_one_group() -> None:
    found = grouping.values(pa.array([-0.0, 0.0, 1.5, None], pa.float32()))
    assert list(map(repr, found)) == ["0.0", "0.0", "1.5", "None"]


def test_corruptions_are_grouped_unless_columns_are_named(tmp_path: Path) -> None:
    save(image_table(4), tmp_path / "plain")
    table = pq.read_table(tmp_path / "plain")
    for name in ("severity", "corruption", "fold"):
        table = table.append_column(name, pa.array([1] * 4))
    pq.write_table(table, tmp_path / "toy.parquet")
    plain, toy = open_table(str(tmp_path / "plain")), open_table(str(tmp_path / "toy.parquet"))
    assert grouping.columns(None, plain) == grouping.columns("label", plain) == grouping.columns("label", toy) == []
    assert grouping.columns(None, toy) == ["corruption", "severity"]
    assert grouping.columns("fold,label,id", toy) == ["fold", "label", "id"]
    for by, said in (
        ("fold,id,fold", "--by: fold twice"), ("image", "no column 'image' to group by"), ("folds", "no column 'folds'")
    ):  # fmt: skip
        with pytest.raises(GencliError, match=said):
            grouping.columns(by, toy)


@pytest.mark.parametrize(
    ("groups", "numbers"),
    [
        ([(3,), (-7,)], [3, -7]),
        ([(BIG - 1,), (1 - BIG,)], [BIG - 1, 1 - BIG]),
        ([(BIG,), (1,)], [0, 1]),
        ([(3,), (4.0,)], [0, 1]),
        ([(True,), (False,)], [0, 1]),
        ([(3, 4), (5, 6)], [0, 1]),
    ],
)
def test_integers_number_their_groups(groups: list[tuple[Any, ...]], numbers: list[int]) -> None:
    assert grouping.numbers(groups) == numbers


def test_values_that_are_missing_come_last_and_texts_of_one_name_are_quoted() -> None:
    groups = [(None,), (NAN,), (0.0,), (-1.0,), (5.0,)]
    assert [group[0] for group in grouping.ordered(groups, ["a"])[:3]] == [-1.0, 0.0, 5.0]
    assert grouping.names(grouping.ordered(groups, ["a"])[3:]) == ["nan", "null"]
    assert grouping.ordered([("b",), ("a",), ("b",)], ["corruption"]) == [("b",), ("a",)]
    assert grouping.names([("ä", True), ("ä", "true")]) == ['"ä" true', '"ä" "true"']
