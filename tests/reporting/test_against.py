"""Published figures beside those of a table: columns, keys and values, each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.reporting import against
from gencli.reporting.against import Published
from gencli.reporting.groups import Table

OURS = Table(
    "runs",
    pa.table({
        "network": ["a", "b", "a"], "lr": [0.1, 0.1, 0.25], "runs": [2, 1, 1], "test_accuracy": [0.5, 0.25, None],
        "test_accuracy_std": [0.125, None, None], "epochs": [10, 20, 30],
    }),
    ("lr",), ("test_accuracy", "epochs"), ((), (), ()), ({"seed": 3}, {"seed": 4}, {"seed": 3}), ("a note",),
)  # fmt: skip


def published(*rows: dict[str, str]) -> Published:
    return Published("p.csv", tuple(rows[0]), rows, ("A paper",))


def test_published_scores_stand_behind_ours_and_rows_of_theirs_alone_come_last() -> None:
    found = against.compare(OURS, published(
        {"network": "b", "lr": "0.10", "test_accuracy": "0.5"}, {"network": "", "lr": "0.25", "test_accuracy": "1"},
        {"network": "c", "lr": "", "test_accuracy": "0.75"},
    ))  # fmt: skip
    assert found.rows.equals(pa.table({
        "network": ["a", "b", "a", "c"], "lr": [0.1, 0.1, 0.25, None], "runs": [2, 1, 1, None],
        "test_accuracy": [0.5, 0.25, None, None], "test_accuracy_std": [0.125, None, None, None],
        "published_test_accuracy": [None, 0.5, 1.0, 0.75], "test_accuracy_difference": [None, -0.25, None, None],
        "epochs": [10, 20, 30, None],
    }))  # fmt: skip
    assert found.scores == ("test_accuracy", "published_test_accuracy", "test_accuracy_difference", "epochs")
    assert (len(found.documents), found.facts[-1], found.settings) == (4, {}, ("lr",))
    assert found.notes == ("a note", "published: A paper")


def test_settings_that_the_table_does_not_show_are_added_and_empty_ones_left_out() -> None:
    found = against.compare(OURS, published({"seed": "3", "network": "", "epochs": "12.5"}))
    assert found.rows.column_names == [
        "network", "lr", "seed", "runs", "test_accuracy", "test_accuracy_std", "epochs", "published_epochs",
        "epochs_difference",
    ]  # fmt: skip
    assert found.rows["seed"].to_pylist() == ["3", "4", "3"]
    assert found.rows["published_epochs"].to_pylist() == [12.5, None, 12.5]
    assert found.rows["epochs_difference"].to_pylist() == [-2.5, None, 17.5]
    assert found.settings == ("lr", "seed")
    words = against.compare(OURS, published({"lr": "fast", "epochs": "1"}, {"lr": "0.25", "epochs": "1"}))
    assert words.rows["lr"].to_pylist() == ["0.1", "0.1", "0.25", "fast"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"test_accuracy": "1.0"}, None), ({"test_accuracy": "1.01"}, "test_accuracy: 1.01 is above 1"),
        ({"epochs": "200"}, None), ({"epochs": "inf"}, "epochs: 'inf' is not a number"),
        ({"epochs": "nan"}, "epochs: 'nan' is not a number"), ({"epochs": "1", "lrr": "1"}, "no column 'lrr'"),
        ({"network": "a"}, "no column is a score of the table"),
    ],
)  # fmt: skip
def test_what_is_published_is_of_the_table_and_in_fractions(row: dict[str, str], said: str | None) -> None:
    if said is None:
        assert against.compare(OURS, published(row)).rows.num_rows == 3
        return
    with pytest.raises(GencliError, match=r"p\.csv: ") as refused:
        against.compare(OURS, published(row))
    assert said in refused.value.message


def test_of_scores_on_the_test_fractions_are_asked_for_too_and_few_scores_are_named() -> None:
    scores = tuple(f"s{place}" for place in range(13))
    for count, end in ((12, "s11"), (13, "s11, ...")):
        table = Table("t", pa.table({name: [0.5] for name in scores[:count]}), (), scores[:count])
        with pytest.raises(GencliError) as refused:
            against.compare(table, published({"network": "a"}))
        assert refused.value.hint == f"its scores: {', '.join(scores[:11])}, {end}"
    best = Table("t", pa.table({"best_test_accuracy_on_test": [0.5]}), (), ("best_test_accuracy_on_test",))
    with pytest.raises(GencliError, match="above 1"):
        against.compare(best, published({"best_test_accuracy_on_test": "2"}))


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [("", 3, True), ("0.10", 0.1, True), ("1e-1", 0.1, True), ("0.2", 0.1, False), ("x", "x", True), ("x", "y", False),
     ("x", 1, False), ("1", None, False), ("1", "x", False), ("None", None, False)],
)  # fmt: skip
def test_a_key_agrees_as_text_or_as_a_number(theirs: str, ours: Any, same: bool) -> None:
    assert against._same(theirs, ours) == same


def test_a_file_has_its_source_in_comments_and_rows_without_blanks(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("# A paper \n network , epochs\n\n a , 3 \n#page 4\n,\nb,\n")
    found = against.read(Input(str(tmp_path / "p.csv")))
    assert found.columns == ("network", "epochs")
    assert found.rows == ({"network": "a", "epochs": "3"}, {"network": "b", "epochs": ""})
    assert found.source == ("A paper", "page 4")
    (tmp_path / "o.csv").write_text("network,epochs\na,3\n")
    assert against.read(Input(str(tmp_path / "o.csv"))).rows == ({"network": "a", "epochs": "3"},)
    (tmp_path / "h.csv").write_text("network,epochs\n")
    with pytest.raises(GencliError, match=r"h\.csv: no rows"):
        against.read(Input(str(tmp_path / "h.csv")))
