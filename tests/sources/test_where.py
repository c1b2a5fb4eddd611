"""Rows by SQL conditions: which are kept, what is joined, and what a condition cannot do."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.files.tables import ImageTable
from gencli.sources import conditions, where
from gencli.sources.where import Joined, Kept
from tests.helpers import image_table, save_corrupted


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    return save_corrupted(image_table(60), RandomLabels(p=0.5), tmp_path / "toy.parquet")


def kept(table: ImageTable, text: str, **joins: pa.Table) -> Kept:
    joined = [Joined(f"{name}.parquet", name, rows, rows.column_names) for name, rows in joins.items()]
    return where.evaluate(table, conditions.parse(text), joined)


def test_a_run_of_several_is_chosen(table: ImageTable) -> None:
    ids = table.column("id")
    rows = pa.table({"run": [0] * 60 + [3] * 60, "id": [*ids, *ids], "aum": [0.0] * 60 + [*map(float, range(60))]})
    with pytest.raises(GencliError) as caught:
        kept(table, "aum > 49", dynamics=rows)
    assert "--run" in caught.value.hint
    assert kept(table, "aum > 49", dynamics=where.of_run(rows, 3, "")).keep.sum() == 10
    with pytest.raises(GencliError, match="--run: dynamics has no run 1, but 0, 3"):
        where.of_run(rows, 1, "dynamics")


def scores(table: ImageTable, **columns: object) -> pa.Table:
    """A column `aum`, and others, of the rows in another order."""
    ids = table.column("id")[::-1]
    return pa.table({"id": ids, "aum": np.arange(len(ids)) - 10.0} | columns)


def test_conditions_are_those_of_numpy(table: ImageTable) -> None:
    label, true, ids = (table.column(name) for name in ("label", "label_true", "id"))
    aum = np.arange(60)[::-1] - 10.0
    for text, right in {
        "label <> label_true": label != true,
        "LABEL = 1 OR Label_True = 2": (label == 1) | (true == 2),
        "label <> label_true and aum < 0": (label != true) & (aum < 0),
        "scores.aum < 0 -- the last": aum < 0,
        'data.label = 1 and "scores"."aum" >= 3': (label == 1) & (aum >= 3),
        "label in (0, 2) and not id % 2 = 0": (label != 1) & (ids % 2 == 1),
        "case when label = 1 then aum > 0 else false end": (label == 1) & (aum > 0),
        "label::varchar like '%2' or label between 1 and 1": label > 0,
        "aum < (select quantile_disc(aum, 0.25) from data)": aum < np.sort(aum)[14],
        "id in (select id from data qualify row_number() over (order by aum) <= 5)": aum < -5,
        "(select count(*) from data as other where other.aum < data.aum) < 4": aum < -6,
        "exists (select 1)": aum == aum,
    }.items():
        found = kept(table, text, scores=scores(table))
        assert np.array_equal(found.keep, right), text
        assert (found.null, found.unmatched) == (0, {}), text


def test_nulls_nans_and_rows_without_a_partner_are_not_kept_and_counted(table: ImageTable) -> None:
    rows = scores(table).slice(0, 40)
    values = [None, float("nan"), *rows["aum"].to_pylist()[2:]]
    found = kept(table, "aum > -100", scores=rows.set_column(1, "aum", pa.array(values)))
    assert found.keep.sum() == 38
    assert found.null == 22
    assert found.unmatched == {"scores.parquet": 20}
    assert kept(table, "aum is null", scores=rows).keep.sum() == 20
    half = pa.array(values, pa.float16())
    assert np.array_equal(kept(table, "aum > -100", scores=rows.set_column(1, "aum", half)).keep, found.keep)
    assert kept(table, "scores.id is null", scores=rows).keep.sum() == 20


def test_a_column_of_two_tables_is_one_where_its_values_agree(table: ImageTable) -> None:
    same = scores(table, label=pa.array(table.column("label")[::-1], pa.int32())).slice(0, 50)
    assert np.array_equal(kept(table, "label = 1", scores=same).keep, table.column("label") == 1)
    other = scores(table, label=table.column("label_true")[::-1])
    with pytest.raises(GencliError, match=r"column label is ambiguous: .*toy.parquet and scores.parquet") as refused:
        kept(table, "label = 1", scores=other)
    assert refused.value.hint == "write data.label or scores.label"
    both = kept(table, "data.label = 1 and scores.label <> 1", scores=other)
    assert np.array_equal(both.keep, (table.column("label") == 1) & (table.column("label_true") != 1))
    with pytest.raises(GencliError, match=r"column aum is ambiguous: scores.parquet and more.parquet"):
        kept(table, "aum > 0", scores=same, more=scores(table, aum=np.zeros(60)))
    assert kept(table, "more.aum = 0 and scores.aum > 0", scores=same, more=scores(table, aum=np.zeros(60))).keep.any()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"label": [1]}, "scores.parquet: no column id; its columns are label"),
        ({"id": [7, 8, 7, 7], "aum": [1.0] * 4}, "scores.parquet: id 7 twice; 2 rows repeat an id"),
        ({"id": [7, 8], "aum": [1.0] * 2}, "scores.parquet: none of its ids is in .*toy.parquet"),
        ({"id": pa.array([], pa.int64()), "aum": pa.array([], pa.float64())}, "none of its ids"),
        ({"id": [7, None], "aum": [1.0] * 2}, "scores.parquet: ids that are no whole numbers"),
        ({"id": ["7"], "aum": [1.0]}, "scores.parquet: ids that are no whole numbers"),
        ({"id": [7, 3.5e18], "aum": [1.0] * 2}, "scores.parquet: row 1: id 3.5e"),
    ],
)
def test_tables_that_cannot_be_joined(table: ImageTable, rows: dict[str, object], words: str) -> None:
    with pytest.raises(GencliError, match=words):
        kept(table, "label = 1", scores=pa.table(rows))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aum < 0", "no column 'aum'"),
        ('label = "cat"', "no column 'cat'"),
        ("image is not null", "no column 'image'"),
        ("current_date > '2020-01-01'", "no column 'current_date'"),
        ("scores.loss > 0", "no column 'scores.loss'"),
        ("label", "is BIGINT, not true or false"),
        ("label, id", "not true or false"),
        ("count(*) > 3", "WHERE clause cannot contain aggregates"),
        ("row_number() over () < 3", "WHERE clause cannot contain window functions"),
        ("label = 'cat'", "Could not convert string 'cat' to INT64"),
    ],
)
def test_conditions_that_are_none_on_these_rows(table: ImageTable, text: str, words: str) -> None:
    with pytest.raises(GencliError, match=f"EXPR: .*{words}") as refused:
        kept(table, text, scores=scores(table).drop_columns("aum"))
    if "no column" in words:
        assert "toy.parquet has id, label, label_true; scores.parquet has id" in refused.value.hint


REFUSED = [
    "", "  ", "\0", "label =", "label = 1;", "label = 1; select 1", "label = 1) from data --", "label = 1 /*",
    "true) from data; select (true", "label = 1) from data where (label = 2", "label = ?", "label = $1",
    "columns(*) > 0", "label = 1) or (label = 2",
    "label in (select label from read_csv('/etc/passwd'))", "label in (select 1 from '/etc/passwd')",
    "label in (from 'x.parquet' select label)", "read_csv('/etc/passwd') is null", "read_text('/etc/passwd') is null",
    "exists (select 1 from glob('/*'))", "exists (select 1 from duckdb_settings())", "exists (from pragma_version())",
    "exists (select 1 from information_schema.tables)", "exists (select 1 from sqlite_master)",
    "exists (select 1 from other.data)", "ATTACH 'x.db'", "COPY (select 1) TO 'x.csv'", "PRAGMA database_list",
    "INSTALL httpfs", "LOAD httpfs", "SET threads = 4", "EXPORT DATABASE 'x'", "CALL pragma_version()",
    "random() < 0.5", "uuid() is null", "now() is null", "current_setting('threads') = '1'", "version() = 'v'",
    "getvariable('x') is null", "nextval('x') = 1", "user() = 'root'",
    "label in (select label from data tablesample 9%)",
    "label in (select label from data using sample 9%)", "1" + " + 1" * 5000 + " = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_reads_more_than_rows_or_changes_from_run_to_run_is_refused(text: str) -> None:
    with pytest.raises(GencliError, match="EXPR: "):
        conditions.parse(text).values(pa.table({"id": [1], "label": [1]}))


@pytest.mark.parametrize(
    "statement",
    ["FROM read_csv('/etc/passwd')", "FROM '/etc/passwd'", "ATTACH '/tmp/x.db'", "COPY (SELECT 1) TO '/tmp/x.csv'",
     "INSTALL httpfs", "FROM glob('/*')", "SET threads = 4", "SET enable_external_access = true", "FROM rows"],
)  # fmt: skip
def test_files_and_settings_are_out_of_reach_of_what_would_pass_for_a_condition(statement: str) -> None:
    rows = pa.table({"id": [1]})
    assert rows.num_rows == 1  # which DuckDB would find by its name
    with pytest.raises(GencliError), conditions._connected("1 = 1") as connection:
        connection.execute(statement).fetchall()


def test_every_function_that_changes_is_refused() -> None:
    """DuckDB's own list of those that are not the same for the same arguments."""
    volatile = "SELECT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
    known = duckdb.connect().execute(volatile).fetchall()
    names = {name for (name,) in known}
    assert {"random", "gen_random_uuid"} <= names
    for name in names:
        with pytest.raises(GencliError, match="EXPR: "):
            conditions.parse(f'"{name}"() is null')
