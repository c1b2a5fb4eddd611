"""SQL conditions by themselves: the names they use, what they give, and how they are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.sources import conditions
from gencli.sources.conditions import Condition, parse

DATA = pa.table({"id": [0, 1, 2], "loss": [0.5, None, 2.0]})


def test_a_condition_calls_tables_by_the_first_of_several_names() -> None:
    condition = Condition("", (("loss",), ("Scores", "aum")), frozenset())
    assert [condition.calls(table) for table in ("sCORES", "aum", "loss")] == [True, False, False]
    assert not Condition("", (("scores",),), frozenset()).calls("scores")
    assert not Condition("", (), frozenset()).calls("scores")


def test_a_condition_may_name_columns_anywhere() -> None:
    condition = Condition("", (("loss",), ("scores", "Aum")), frozenset())
    assert [condition.names_column(column) for column in ("LOSS", "aum", "scores", "x")] == [True, True, True, False]


def test_a_condition_knows_its_columns_and_what_else_it_calls_rows() -> None:
    found = parse("loss > 1 and Scores.aum < 2")
    assert (found.names, found.others) == ((("loss",), ("Scores", "aum")), frozenset())
    assert parse("exists (select 1 from data as Other where Other.id = 1)").others == {"other"}
    assert parse("list_filter([1, 2], X -> X > id) = [2]").others == {"x"}
    assert parse("list_reduce([1, 2], (X, y) -> X + y) = id").others == {"x", "y"}


def test_values_are_those_of_the_rows_and_nulls_are_told() -> None:
    keep, null = parse("loss > 1").values(DATA)
    assert (keep.tolist(), null.tolist()) == ([False, False, True], [False, True, False])
    keep, null = parse("id < 2").values(DATA)
    assert (keep.tolist(), null.tolist()) == ([True, True, False], [False] * 3)
    assert (keep.dtype, null.dtype) == (np.bool_, np.bool_)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-id < 0", "'-id < 0' starts with -"), ("", "'' is no expression"), (" ", "' ' is no expression"),
        ("id = 1 where true", 'syntax error at or near "where"'),
        ("random() < 1", "random() is unknown, or not the same on every"),
        ("user() = 'x'", "user() is unknown"),
        ("id in (select 1 from range(3))", "a table function: reads something else"),
        ("id in (select 1 from other.data)", "'other.data': reads something else than the rows"),
        ("id in (select 1 from x)", "'x': reads something else than the rows"),
        ("id in (select id from data tablesample 9%)", "a sample is not the same on every run"),
        ("id = ?", "PARAMETER is not part of a condition"),
        ("sum(random()) over () > 1", "random() is unknown"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_said(text: str, says: str) -> None:
    with pytest.raises(GencliError) as refused:
        parse(text)
    assert refused.value.message.startswith(f"EXPR: {says}")
    assert refused.value.hint


@pytest.mark.parametrize("text", ["id in (select row_number() over (order by id) from data)", "id::DECIMAL(9, 2) = 1"])
def test_ranks_and_types_with_numbers_are_conditions(text: str) -> None:
    assert parse(text).values(DATA)[0].tolist() == [False, True, "row" in text]


def test_values_that_are_neither_true_nor_false_are_refused() -> None:
    with pytest.raises(GencliError, match=r"^EXPR: 'id' is BIGINT, not true or false$"):
        parse("id").values(DATA)
    with pytest.raises(GencliError, match=r"^EXPR: Could not convert string 'cat'"):
        parse("id = 'cat'").values(DATA)


@pytest.mark.parametrize(("free", "allowed"), [(0, "64.0 MiB"), (100 << 20, "100.0 MiB")])
def test_it_may_take_the_memory_that_is_free(free: int, allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.machine, "free_memory", lambda: free)
    with conditions._connected("1") as connection:
        [found] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    assert found == (allowed,)
