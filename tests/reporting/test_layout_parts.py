"""Tables that are fitted to a width: which columns move, join, turn and wrap, at the very character."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from gencli.reporting import layout
from gencli.reporting.groups import Table

RUNS = Table(
    "runs",
    pa.table({
        "network": ["a", "a"], "data": ["digits", "digits"], "lr": [0.1, 0.25], "wd": [1e-4, None], "seed": [3, 3],
        "crop": ["", ""], "accuracy": [0.5, None], "accuracy_std": [0.125, None], "loss_std": [1.0, 2.0],
    }),
    ("lr", "wd", "seed", "crop"), ("accuracy", "loss_std"),
)  # fmt: skip


def test_settings_are_short_and_deviations_stand_with_their_means() -> None:
    shown = layout.shown(RUNS)
    assert shown.to_pydict() == {
        "network": ["a", "a"], "data": ["digits", "digits"], "lr": ["0.1", "0.25"], "wd": ["0.0001", ""],
        "seed": ["3", "3"], "crop": ["", ""], "accuracy": ["0.5000 ± 0.1250", ""], "loss_std": ["1.0000", "2.0000"],
    }  # fmt: skip
    numbers = [field.name for field in shown.schema if field.metadata]
    assert numbers == ["lr", "wd", "seed", "accuracy", "loss_std"]
    counted = Table("long-tail", pa.table({"loss": ["n", "ce"], "a": [30.0, 0.5], "b": [None, 0.25]}), ("loss",),
                    ("a", "b"), counted=True)  # fmt: skip
    assert layout.shown(counted).to_pydict() == {"loss": ["n", "ce"], "a": ["30", "0.5000"], "b": ["", "0.2500"]}


def test_a_table_gives_up_columns_only_where_a_line_has_no_room() -> None:
    whole = layout.measured(layout.shown(RUNS))
    assert whole == sum(each + 2 for each in (7, 6, 4, 6, 4, 4, 15, 6))
    for most in (None, whole + 1, whole):
        rows, common = layout.fitted(RUNS, most)
        assert (rows, common) == (layout.shown(RUNS), "")
    rows, common = layout.fitted(RUNS, whole - 1)
    assert (rows.column_names, common) == (["lr", "wd", "accuracy", "loss_std"], "a, digits, seed=3")
    few = layout.measured(rows)
    assert layout.fitted(RUNS, few)[0].equals(rows)
    joined, common = layout.fitted(RUNS, few - 1)
    assert (joined.column_names, common) == (["settings", "accuracy", "loss_std"], "a, digits, seed=3")
    assert joined["settings"].to_pylist() == ["lr=0.1, wd=0.0001", "lr=0.25"]
    one = replace(RUNS, rows=RUNS.rows.slice(0, 1))
    rows, common = layout.fitted(one, 40)
    assert (rows.column_names[:2], common) == (["network", "data"], "")
    classes = Table("classes", pa.table({"label": [0, 0], "name": ["x" * 50] * 2, "accuracy": [0.5, 0.25]}))
    assert layout.fitted(classes, 20)[1] == ""


def test_the_row_of_counts_has_no_settings() -> None:
    rows = pa.table({"loss": ["n in training", "ce"], "lr": ["", "0.1"], "a": [30.0, 0.5]})
    joined, common = layout.fitted(Table("t", rows, ("loss", "lr"), ("a",), counted=True), 25)
    assert (joined["settings"].to_pylist(), common) == (["n in training", "loss=ce, lr=0.1"], "")


def tail(name: str, **more: Any) -> Table:
    scores = tuple(f"class{place}" for place in range(9))
    rows = {"loss": ["ce", "focal"], "runs": [2, None]} | {score: [0.5, 0.25] for score in scores}
    return Table(name, pa.table(rows | more), ("loss",), scores)


def test_a_long_tail_is_turned_where_that_is_narrower() -> None:
    turned, common = layout.fitted(tail("long-tail"), 60)
    assert common == ""
    assert turned.column_names == ["", "ce (n=2)", "focal"]
    assert turned[""].to_pylist() == [f"class{place}" for place in range(9)]
    assert turned["focal"].to_pylist() == ["0.2500"] * 9
    assert layout.fitted(tail("runs"), 60)[0].num_rows == 2
    assert layout.fitted(tail("corruptions"), 60)[0].num_rows == 9
    assert layout.fitted(tail("long-tail"), 200)[0].num_rows == 2
    two = Table("long-tail", pa.table({"loss": ["ce", "focal"], "a": [0.5, 0.25]}), ("loss",), ("a",))
    assert layout.fitted(two, 14)[0].num_rows == 2


def test_heads_of_a_turned_table_are_told_apart() -> None:
    rows = pa.table({"loss": ["ce", "ce", ""], "a": ["1", "2", "3"]})
    assert layout._turned(rows, ("a",)).column_names == ["", "ce 1", "ce 2", "value"]
    assert layout._turned(rows.drop_columns("loss"), ("a",)).column_names == ["", "value 1", "value 2", "value 3"]
    one = layout._turned(pa.table({"loss": ["ce with longer words"], "a": ["0.5"]}), ("a",))
    assert one.schema.field("ce with longer words").metadata == {b"number": b"1", b"width": b"14"}
    long = layout._turned(pa.table({"loss": ["averyveryverylongword"], "a": ["0.5"]}), ("a",))
    assert long.schema.field(1).metadata[b"width"] == b"21"


@pytest.mark.parametrize(
    ("most", "widths"),
    [(100, [None, None]), (54, [None, None]), (53, [29, None]), (39, [15, None]), (38, [14, None]), (37, [14, 19]),
     (32, [14, 14]), (10, [14, 14])],
)  # fmt: skip
def test_the_widest_words_are_wrapped_first_to_fourteen_characters_at_least(
    most: int, widths: list[int | None]
) -> None:
    rows = pa.table({"a": ["x y " * 7 + "zz"], "b": ["u v w x y z u v w xy"]})
    assert [len(rows[name][0].as_py()) for name in rows.column_names] == [30, 20]
    found = layout._wrapped(rows, most)
    assert [int((field.metadata or {}).get(b"width", 0)) or None for field in found.schema] == widths
    numbers = rows.cast(pa.schema([field.with_metadata({"number": "1"}) for field in rows.schema]))
    assert layout._wrapped(numbers, most).schema.equals(numbers.schema, check_metadata=True)


def test_a_word_is_not_broken_by_wrapping() -> None:
    rows = pa.table({"a": ["x " * 10 + "w" * 20], "a_very_long_heading_here": ["y z " * 8]})
    found = layout._wrapped(rows, 10)
    assert [field.metadata[b"width"] for field in found.schema] == [b"20", b"24"]


def test_latex_has_a_line_a_row_and_notes_as_comments() -> None:
    table = Table("runs", pa.table({"net_work": ["a", "b"], "x": [0.5, None]}), notes=("first", "second"))
    body = [r"\begin{tabular}{lr}", r"\toprule", r"net work & x \\", r"\midrule", r"a & 0.5000 \\", r"b &  \\",
            r"\bottomrule", r"\end{tabular}"]  # fmt: skip
    lead, notes = [r"% needs \usepackage{booktabs}"], ["% first", "% second"]
    assert layout.latex(table) == "\n".join([*lead, *body, *notes]) + "\n"
    caption = [r"\begin{table}", r"\centering", r"\caption{T}"]
    assert layout.latex(table, "T") == "\n".join([*lead, *caption, *body, r"\end{table}", *notes]) + "\n"
    assert layout.below(table) == "first\nsecond\n"
