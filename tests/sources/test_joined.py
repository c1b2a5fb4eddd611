"""Which row of a joined table each identity has, and which columns conditions can be on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.sources.where import Joined, _numbers, columns, of_run, places

IDS = np.array([5, 3, 9, 3])


def joined(rows: dict[str, Any], *more: str) -> Joined:
    table = pa.table(rows)
    return Joined("x.csv", "x", table, [*table.column_names, *more])


def test_each_identity_has_its_row_or_none() -> None:
    for ids in ([3, 5, 7], pa.array([3, 5, 7], pa.uint8()), pa.array([3.0, 5, 7]), pa.chunked_array([[3], [5, 7]])):
        assert places(IDS, joined({"id": ids}), "toy").tolist() == [1, 0, -1, 0]
    assert places(IDS, joined({"id": [9, -5, 3, 10]}), "toy").tolist() == [-1, 2, 0, 2]
    assert places(np.array([2, 4, 8]), joined({"id": [4]}), "toy").tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("rows", "more", "said", "hint"),
    [
        ({"a": [1], "b": [2]}, (), "no column id; its columns are a, b", "join tables that have one row an id"),
        ({"id": [3, None]}, (), "ids that are no whole numbers", "join tables that gencli wrote"),
        ({"id": ["3"]}, (), "ids that are no whole numbers", "join tables that gencli wrote"),
        ({"id": [3.0, 0.5]}, (), "row 1: id 0.5", "ids are 64-bit integers"),
        ({"id": [5, 3, 5, 3, 9]}, (), "id 3 twice; 2 rows repeat an id",
         "join tables that have one row an id: predictions of one model, dynamics of one run"),
        ({"id": [5, 5]}, ("run",), "id 5 twice; 1 rows repeat an id", "choose one of its runs with --run"),
        ({"id": [1, 2]}, (), "none of its ids is in toy", "join tables of the same data set and split"),
        ({"id": pa.array([], pa.int64())}, (), "none of its ids is in toy",
         "join tables of the same data set and split"),
    ],
)  # fmt: skip
def test_tables_without_one_row_an_identity_are_refused(
    rows: dict[str, Any], more: tuple[str, ...], said: str, hint: str
) -> None:
    with pytest.raises(GencliError) as refused:
        places(IDS, joined(rows, *more), "toy")
    assert (refused.value.message, refused.value.hint) == (f"x.csv: {said}", hint)


def test_a_run_is_chosen_by_its_number() -> None:
    rows = pa.table({"run": [0, 1, 1, 2], "x": [1, 2, 3, 4]})
    assert of_run(rows, 1, "x")["x"].to_pylist() == [2, 3]
    for table, run, shown in (
        (rows, 3, "0, 1, 2"), (pa.table({"run": ["1"]}), 1, "1"), (pa.table({"run": [*range(7)]}), 9, "0, 1, 2, 3, 4"),
    ):  # fmt: skip
        with pytest.raises(GencliError, match=f"^--run: x has no run {run}, but {shown}$"):
            of_run(table, run, "x")


def test_conditions_are_on_columns_of_numbers_and_words() -> None:
    fields = {
        "a": pa.int64(), "b": pa.string(), "image": pa.int8(), "target": pa.int8(), "c": pa.binary(), "d": pa.binary(3),
        "e": pa.list_(pa.struct([("x", pa.large_binary())])), "f": pa.list_(pa.float32()), "g": pa.int8(),
        "G": pa.int8(),
    }  # fmt: skip
    assert columns(pa.schema([*fields.items()])) == ["a", "b", "f"]


def test_numbers_of_other_types_are_the_same() -> None:
    for one, other, same in (
        (pa.array([1, 2]), pa.array([1.0, 2]), True), (pa.array([1, None]), pa.array([1.0, None]), True),
        (pa.array([1, 2]), pa.array([1.0, 3]), False), (pa.array([1]), pa.array([1]), False),
        (pa.array([1]), pa.array(["1"]), False), (pa.array([1], pa.int8()), pa.array([1]), True),
    ):  # fmt: skip
        assert _numbers(one, other) == same
