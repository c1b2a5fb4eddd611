"""The table of runs: which columns it has where only some runs have a value, and what a run's files say of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from gencli.reporting.runs import figures, runs_table
from tests.reporting.made import history, read, result, training


def test_a_column_is_there_where_one_setup_has_a_value(tmp_path: Path) -> None:
    diverged = history(tmp_path / "a.parquet", training(lr=0.1), train_loss=[1.0, math.nan])
    tested = history(tmp_path / "b.parquet", training(lr=0.2), train_loss=[1.0], test_accuracy=[0.5])
    table = runs_table([diverged, tested], 0.99).rows
    first, second = table.to_pylist()
    assert (first["test_accuracy"], second["test_accuracy"]) == (None, 0.5)
    assert (bool(first["diverged"]), bool(second["diverged"])) == (True, False)
    alone = runs_table([tested], 0.99).rows
    assert "diverged" not in alone.column_names


def test_of_images_that_are_regressed_on_accuracies_are_left_out(tmp_path: Path) -> None:
    first = read(tmp_path / "a.parquet", {"epoch": [1], "train_loss": [1.0]}, training(lr=0.1))
    second = read(tmp_path / "b.parquet", {"epoch": [1], "train_loss": [1.0], "train_psnr": [20.0]}, training(lr=0.2))
    for documents, values in (([second], [20.0]), ([first, second], [None, 20.0])):
        rows = runs_table(documents, 0.99).rows
        assert {"train_accuracy", "test_accuracy", "gap"}.isdisjoint(rows.column_names)
        assert rows["train_psnr"].to_pylist() == values
    plain = runs_table([first], 0.99).rows.column_names
    assert {"train_accuracy", "test_accuracy", "gap"} <= {*plain}
    assert "train_psnr" not in plain


def test_a_test_after_some_epochs_alone_tells_the_last(tmp_path: Path) -> None:
    accuracies: Any = [None, 0.75]
    (found,) = figures([history(tmp_path / "h.parquet", training(), test_accuracy=accuracies)], 0.99, False)
    assert (found["test_accuracy"], found["gap"]) == (0.75, 0.5 - 0.75)


def test_only_results_tell_the_accuracy_of_a_test(tmp_path: Path) -> None:
    document = result(tmp_path / "r.parquet", training(), [0.5, 0.75])
    (found,) = figures([document], 0.99, False)
    assert found["test_accuracy"] == 0.625
    (found,) = figures([replace(document, kind="scores")], 0.99, False)
    assert "test_accuracy" not in found
