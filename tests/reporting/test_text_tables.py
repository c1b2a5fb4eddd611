"""Long tables: folded on a terminal, whole elsewhere and as rich prints them, in time that grows with the rows."""

import time
from random import Random

import pyarrow as pa
import pytest

from gencli.reporting import text_tables

_WORDS = "é", "漢字", "abc def ghi jkl mno pqr", "x" * 40, "plain", None, "a\tb", "two  spaces "


def mixed(rows: int, seed: int = 0) -> pa.Table:
    random = Random(seed)
    return pa.table(
        {
            "label": pa.array(range(rows)),
            "name": pa.array([random.choice(_WORDS) for _ in range(rows)]),
            "n_rows": pa.array([random.randrange(10 ** random.randrange(1, 8)) for _ in range(rows)]),
            "value": pa.array([random.choice([None, 0.5, 1e-5, 1e9, float("nan")]) for _ in range(rows)]),
            "ok": pa.array([random.random() < 0.5 for _ in range(rows)]),
        }
    )


@pytest.mark.parametrize(("wrapped", "bars"), [(False, None), (False, "n_rows"), (True, None)])
def test_long_tables_are_what_rich_makes_of_them(
    wrapped: bool, bars: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        rows = mixed(40, seed)
        if wrapped:
            rows = rows.cast(rows.schema.set(1, rows.schema.field("name").with_metadata({"width": "9"})))
        monkeypatch.setattr(text_tables, "_MOST", 1000)
        expected = text_tables.table(rows, "Title", None, bars)
        monkeypatch.setattr(text_tables, "_MOST", 10)
        assert text_tables.table(rows, "Title", None, bars) == expected


def test_a_terminal_shows_the_ends_of_a_long_table_and_says_how_many_more_there_are() -> None:
    rows = pa.table({"label": [*range(21_840), None], "name": [*(f"class-{n}" for n in range(21_840)), "all"]})
    lines = text_tables.table(rows, "Title", 80).splitlines()
    assert len(lines) < 30
    assert lines[-1].startswith("… 21,821 more")
    assert [line.split()[-1] for line in lines if "class-" in line or "all" in line.split()][-2:] == [
        "class-21839",
        "all",
    ]
    assert any(line.split() == ["…", "…"] for line in lines)
    assert text_tables.table(rows, "", None).count("class-") == 21_840
    assert text_tables.table(rows, "", 80, whole=True).count("class-") == 21_840


def test_a_hundred_thousand_rows_take_no_longer_than_a_few_seconds() -> None:
    rows = pa.table({"class": [f"class-{n}" for n in range(100_000)], "rows": range(100_000)})
    start = time.process_time()
    assert len(text_tables.table(rows).splitlines()) > 100_000
    assert time.process_time() - start < 5  # rich took 60


def test_columns_of_one_name_are_each_shown() -> None:
    rows = pa.Table.from_arrays([pa.array(["x" * 50] * 2), *[pa.array([1, 2])] * 3], ["a", "twice", "twice", "twice"])
    text = text_tables.table(rows, "", 60, whole=True)
    assert text.count("twice") == 3
    assert max(map(len, text.splitlines())) <= 60


def test_a_number_and_its_interval_are_one_column_where_a_line_has_no_room_for_three() -> None:
    scores = {f"s{place}": [0.5, None] for place in range(3)}
    ends = {f"{name}_{end}": [0.25 if end == "low" else 0.75, None] for name in scores for end in ("low", "high")}
    rows = pa.table({"score": ["one", "two"], "n": [1200, 1200]} | scores | ends)
    wide, narrow = (text_tables.table(rows, "Title", width, whole=True) for width in (200, 80))
    assert "0.5000" in wide
    assert narrow.splitlines()[:2] == ["Title", "in all rows: n 1,200"]
    assert narrow.count("0.50 (0.25…0.75)") == 3
    assert max(map(len, narrow.splitlines())) <= 80
    close = text_tables.table(
        rows.set_column(rows.column_names.index("s0_low"), "s0_low", [[0.499, None]]), "", 80, whole=True
    )
    assert "0.50 (0.50…0.75)" in close
