"""Tables that a line has no room for, each character of them."""

from __future__ import annotations

import textwrap

import pyarrow as pa
import pytest

from gencli.reporting import text_tables
from gencli.reporting.cells import limit, narrowed, width

WIDE = pa.table({
    "class": ["ant", "bee"], "name": ["x" * 30, "y z"], "one": [1, 2], "two_long_words": ["abc def ghi jkl mno", "q"],
    "three": [0.5, 0.25],
})  # fmt: skip
SCORES = pa.table({
    "name": ["a", "b"], "n": [3, 3], "k": [1, 2], "s": [0.5, 0.25], "s_low": [0.0, 0.0], "s_high": [0.75, None],
})  # fmt: skip
DRAWN: list[tuple[pa.Table, int, str]] = [
    (WIDE, 73, """
     class  name                            one  two long words        three
     ───────────────────────────────────────────────────────────────────────
     ant    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx    1  abc def ghi jkl mno  0.5000
     bee    y z                               2  q                    0.2500
    """),
    (WIDE, 50, """
     class  name                  one
     ────────────────────────────────
     ant    xxxxxxxxxxxxxxxxxxxx    1
            xxxxxxxxxx
     bee    y z                     2


     class  name                  two long words
     ────────────────────────────────────────────────
     ant    xxxxxxxxxxxxxxxxxxxx  abc def ghi jkl mno
            xxxxxxxxxx
     bee    y z                   q


     class  name                   three
     ───────────────────────────────────
     ant    xxxxxxxxxxxxxxxxxxxx  0.5000
            xxxxxxxxxx
     bee    y z                   0.2500
    """),
    (WIDE, 40, """
     class  name          one
     ────────────────────────
     ant    xxxxxxxxxxxx    1
            xxxxxxxxxxxx
            xxxxxx
     bee    y z             2


     class  name          two long words
     ──────────────────────────────────────
     ant    xxxxxxxxxxxx  abc def ghi jkl
            xxxxxxxxxxxx  mno
            xxxxxx
     bee    y z           q


     class  name           three
     ───────────────────────────
     ant    xxxxxxxxxxxx  0.5000
            xxxxxxxxxxxx
            xxxxxx
     bee    y z           0.2500
    """),
    (WIDE.drop_columns("name"), 24, """
                 two long
     class  one  words
     ──────────────────────
     ant      1  abc def
                 ghi jkl
                 mno
     bee      2  q


     class   three
     ─────────────
     ant    0.5000
     bee    0.2500
    """),
    (SCORES, 200, """
                              s       s
     name  n  k       s     low    high
     ──────────────────────────────────
     a     3  1  0.5000  0.0000  0.7500
     b     3  2  0.2500  0.0000
    """),
    (SCORES, 30, """
    in all rows: n 3

     name  k                 s
     ─────────────────────────
     a     1  0.50 (0.00…0.75)
     b     2              0.25
    """),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "room", "drawn"), DRAWN)
def test_a_table_is_printed_so(rows: pa.Table, room: int, drawn: str) -> None:
    text = text_tables.table(rows, "", room, whole=True)
    assert textwrap.dedent(text).strip("\n") == textwrap.dedent(drawn).strip("\n")


@pytest.mark.parametrize(("room", "parts"), [(74, 1), (73, 1), (72, 2), (60, 3)])
def test_a_table_has_all_columns_in_one_part_where_a_line_has_room(room: int, parts: int) -> None:
    """With two characters for each column besides its own."""
    assert text_tables.table(WIDE, "", room, whole=True).count("class") == parts


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ([(0.0, 0.005)], "0.50 (0.00…0.01)"), ([(0.0, 0.0049)], "0.5000 (0.0000…0.0049)"),
        ([(0.25, None)], "0.5000"), ([(None, None)], "0.5000"),
        ([(0.0, 0.001), (0.0, 0.002), (0.0, 0.5)], "0.5000 (0.0000…0.0010)"),
        ([(0.0, 0.001), (0.0, 0.5), (0.0, 0.5)], "0.50 (0.00…0.00)"),
    ],
)  # fmt: skip
def test_an_interval_has_the_decimals_that_show_it(ends: list[tuple[float | None, float | None]], told: str) -> None:
    low, high = zip(*ends)
    rows = pa.table({
        "s": [0.5] * len(ends), "s_low": pa.array(low, pa.float64()), "s_high": pa.array(high, pa.float64()),
    })  # fmt: skip
    joined, common = text_tables._joined(rows)
    assert (joined.column_names, common) == (["s"], "")
    assert joined["s"][0].as_py() == told


def test_counts_are_told_above_where_all_of_several_rows_have_the_same() -> None:
    joined, common = text_tables._joined(SCORES)
    assert (joined.column_names, common) == (["name", "k", "s"], "in all rows: n 3")
    one, common = text_tables._joined(SCORES.slice(0, 1))
    assert (one.column_names, common) == (["name", "n", "k", "s"], "")
    plain, common = text_tables._joined(SCORES.drop_columns(["s_low"]))
    assert (plain.column_names, common) == (["name", "n", "k", "s", "s_high"], "")
    whole = pa.table({"n": [1200, 1200], "m": [2, 2], "k": [5, 5], "k_low": [1, 1], "k_high": [9, 9]})
    joined, common = text_tables._joined(whole)
    assert (joined.to_pydict(), common) == ({"k": ["5.00 (1.00…9.00)"] * 2}, "in all rows: n 1,200, m 2")


@pytest.mark.parametrize(("count", "lines"), [(200, 204), (201, 26)])
def test_a_terminal_shows_two_hundred_rows_and_of_more_the_ends(count: int, lines: int) -> None:
    text = text_tables.table(pa.table({"i": [*range(count)]}), "", 80)
    assert text.count("\n") == lines
    if count > 200:
        shown = [int(line) for line in text.splitlines() if line.strip().isdigit()]
        assert shown == [*range(10), *range(191, 201)]
        assert text.splitlines()[-1] == "… 181 more; a file holds every row, also as text"
        assert text_tables.table(pa.table({"i": [*range(count)]}), "", None).count("\n") > 201


def test_a_title_of_several_lines_stands_above_without_its_empty_ones() -> None:
    lines = text_tables.table(pa.table({"i": [1]}), "T\n\nU", None).splitlines()
    assert lines[:3] == ["T", "U", ""]
    assert [line.strip() for line in lines[3:]] == ["i", "─", "1", ""]


def test_numbers_have_bars_of_the_largest_and_names_are_short() -> None:
    rows = pa.table({"name": ["ant", "a very long name of a class"], "n": [750, 1500]})
    lines = text_tables.table(rows, "", 40, bars="n", whole=True).splitlines()
    assert [line.rstrip() for line in lines if line] == [
        " name            n", " " + "─" * 38, " ant           750  █████████▌", " a very lo…  1,500  " + "█" * 19,
    ]  # fmt: skip
    wide = text_tables.table(rows, "", 100, bars="n", whole=True)
    assert "a very long name of a cl…  1,500  " + "█" * 32 + "\n" in wide
    none = text_tables.table(pa.table({"name": ["a"], "n": [0]}), "", 40, bars="n", whole=True)
    assert "█" not in none


def test_the_width_of_a_column_is_of_its_longest_word_or_its_limit() -> None:
    rows = pa.table({"a_long_heading": [1, 1_000_000], "words_of": ["abc", "鱼鱼鱼鱼鱼"], "n": pa.array([5, None])})
    assert [width(rows, place) for place in range(3)] == [9, 10, 1]
    assert width(rows.rename_columns(["much_longer_headings", "words_of_many", "n"]), 0) == 9
    assert width(rows.rename_columns(["much_longer_headings", "words_of_many", "n"]), 1) == 13
    for room, found in ((9, 9), (10, 10), (11, 10)):
        fields = [rows.schema.field(0), narrowed(rows.schema.field(1), room), rows.schema.field(2)]
        assert limit(fields[1]) == room
        assert width(rows.cast(pa.schema(fields)), 1) == found
    assert limit(rows.schema.field(0)) is None
