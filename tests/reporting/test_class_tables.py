"""The tables of classes, of a long tail, and of corruptions; and published figures beside ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.reporting import against, classes, runs
from gencli.reporting.documents import Document, read_all
from tests.helpers import image_table
from tests.helpers import save as save_images
from tests.reporting.made import history, measured, read, result, training


def published(path: Path, text: str) -> against.Published:
    path.write_text(text)
    return against.read(Input(str(path)))


def losses(folder: Path) -> list[Document]:
    return [
        result(folder / f"{loss}{seed}", training(seed=seed, loss=loss), [0.9, base + seed / 10, 0.2, 0.1, 0.0, 0.3])
        for loss, base in (("ce", 0.5), ("cb-focal", 0.7))
        for seed in (0, 1)
    ]


def test_classes_of_several_seeds_are_means_with_the_number_of_runs(tmp_path: Path) -> None:
    table = classes.classes_table(losses(tmp_path)).rows.to_pylist()
    (row,) = [row for row in table if row["loss_function"] == "ce" and row["name"] == "b"]
    assert len(table) == 14
    assert (row["runs"], row["accuracy"], row["loss"]) == (2, pytest.approx(0.55), 1.0)
    assert row["accuracy_std"] == pytest.approx(0.1 / 2**0.5)


def test_a_score_that_no_result_has_is_no_column(tmp_path: Path) -> None:
    nothing = pa.array([None, None], pa.float64())
    table = classes.classes_table([result(tmp_path / "a.parquet", training(), [0.5], margin=nothing)])
    assert "margin" not in table.rows.column_names
    assert "accuracy" in table.rows.column_names


def test_a_long_tail_has_a_row_a_loss_and_the_means_of_head_middle_and_tail(tmp_path: Path) -> None:
    n = [50, 5, 40, 30, 3, 1]  # head: a, c; middle: d, b; tail: e, f
    seen = result(tmp_path / "seen", training(loss="ce"), [1.0] * 6, "train None", n=n)
    table = classes.long_tail_table([*losses(tmp_path), seen], [])
    first, ce, focal = table.rows.to_pylist()
    assert first["loss"] == "n in training"
    assert [first[name] for name in "abcdef"] == n
    assert (first["all"], first["head"]) == (129, None)
    assert (ce["loss"], focal["loss"], ce["runs"]) == ("ce", "cb-focal", 2)
    assert ce["head"] == pytest.approx((0.9 + 0.2) / 2)
    assert focal["middle"] == pytest.approx((0.1 + 0.75) / 2)
    assert focal["tail"] == pytest.approx((0.0 + 0.3) / 2)


def test_an_image_table_gives_n(tmp_path: Path) -> None:
    images = image_table(40)
    save_images(images, tmp_path / "train.parquet")
    given = read_all([str(tmp_path / "train.parquet")])
    one = result(tmp_path / "r", training(), [0.5, 0.2, 0.1], names=[f"class {label}" for label in range(3)])
    table = classes.long_tail_table([one], given)
    counts = np.bincount(images.column("label")).tolist()
    assert [table.rows[f"class {label}"][0].as_py() for label in range(3)] == counts
    assert any("taken for the training table" in note for note in table.notes)


def test_of_two_tables_that_no_network_was_trained_on_neither_gives_n(tmp_path: Path) -> None:
    for rows in (40, 50):
        save_images(image_table(rows), tmp_path / f"{rows}.parquet")
    given = read_all([str(tmp_path / "40.parquet"), str(tmp_path / "50.parquet")])
    table = classes.long_tail_table(losses(tmp_path), given)
    assert table.rows["head"].to_pylist() == [None, None]
    assert "50.parquet differ, and the networks were trained on neither" in table.notes[0]


def test_without_n_there_is_no_head_and_it_says_so(tmp_path: Path) -> None:
    table = classes.long_tail_table(losses(tmp_path), [])
    assert table.rows["head"].to_pylist() == [None, None]
    assert any("also give that table" in note for note in table.notes)


def test_a_metric_that_no_result_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GencliError, match="no result has 'f2'"):
        classes.long_tail_table(losses(tmp_path), [], "f2")


def corrupted(path: Path, step: Step, errors: list[float]) -> Document:
    names = ["gaussian-noise 1", "gaussian-noise 2", "fog 1", "fog 2", "all"]
    rows = {
        "label": pa.array([0, 1, 2, 3, None]), "name": names, "n": [5] * 4 + [20], "loss": [1.0] * 5,
        "accuracy": [1 - error for error in errors], "corruption_error": errors,
    }  # fmt: skip
    return read(path, rows, measured(step, "corrupted"))


def test_corruptions_are_means_over_severities_beside_the_clean_error(tmp_path: Path) -> None:
    one, two = training(lr=0.1), training(lr=0.2)
    table = classes.corruptions_table([
        corrupted(tmp_path / "a", one, [0.1, 0.3, 0.2, 0.4, 0.25]), result(tmp_path / "b", one, [0.9, 0.7]),
        corrupted(tmp_path / "c", two, [0.2, 0.2, 0.2, 0.2, 0.2]),
    ])  # fmt: skip
    first, second = table.rows.to_pylist()
    assert first["gaussian-noise"] == pytest.approx(0.2)
    assert first["fog"] == pytest.approx(0.3)
    assert first["clean_error"] == pytest.approx(0.2)
    assert (first["mean_corruption_error"], second["clean_error"]) == (0.25, None)
    with pytest.raises(GencliError, match="no column corruption_error"):
        classes.corruptions_table([result(tmp_path / "d", one, [0.5])])


def test_published_figures_stand_beside_ours_with_the_difference(tmp_path: Path) -> None:
    read = [history(tmp_path / str(p), training(p, weight_decay=0.1), test_accuracy=[0.5]) for p in (0.0, 1.0)]
    theirs = published(
        tmp_path / "p.csv",
        "# Zhang et al. 2017\nnetwork,corruption,weight_decay,loss,test_accuracy\n"
        "mlp-1x8,random-labels p=1,0.10,,0.4\nmlp-1x8,,,,0.7\ninception,,0.1,,0.9\n",
    )
    table = against.compare(runs.runs_table(read, 0.99), theirs)
    zero, one, missing = table.rows.to_pylist()
    assert (zero["test_accuracy"], zero["published_test_accuracy"]) == (0.5, 0.7)
    assert zero["test_accuracy_difference"] == pytest.approx(-0.2)
    assert one["published_test_accuracy"] == 0.4
    assert one["weight_decay"] == "0.1"
    assert "loss" not in one  # says nothing
    assert (missing["network"], missing["published_test_accuracy"]) == ("inception", 0.9)
    assert (missing["test_accuracy"], missing["test_accuracy_difference"]) == (None, None)
    assert table.notes == ("published: Zhang et al. 2017",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network,test_acuracy\na,0.5\n", "no column is a score"),
        ("netwrk,test_accuracy\na,0.5\n", "no column 'netwrk'"),
        ("network,test_accuracy\na,89.05\n", "89.05 is above 1"),
        ("network,test_accuracy\na,high\n", "'high' is not a number"),
        ("network,test_accuracy\na,0_9\n", "'0_9' is not a number"),
        ("network,test_accuracy\na\n", "line 2: 1 cells, but the header has 2"),
        ("network,test_accuracy\n", "no rows"),
    ],
)
def test_bad_published_figures_are_refused(text: str, words: str, tmp_path: Path) -> None:
    table = runs.runs_table([history(tmp_path / "h", training(), test_accuracy=[0.5])], 0.99)
    with pytest.raises(GencliError) as caught:
        against.compare(table, published(tmp_path / "p.csv", text))
    assert words in caught.value.message


def test_the_row_of_counts_is_compared_with_nothing(tmp_path: Path) -> None:
    seen = result(tmp_path / "seen", training(loss="ce"), [1.0] * 6, "train None", n=[6, 5, 4, 3, 2, 1])
    table = classes.long_tail_table([*losses(tmp_path), seen], [])
    rows = against.compare(table, published(tmp_path / "p.csv", "loss,all\n,0.3\n")).rows.to_pylist()
    assert [row["published_all"] for row in rows] == [None, 0.3, 0.3]
