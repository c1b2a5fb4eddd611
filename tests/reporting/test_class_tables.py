"""The tables of classes, of a long tail, and of corruptions; and published figures beside ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.reporting import against, classes, runs
from gencli.reporting.documents import Document, read_all
from tests.helpers import image_table
from tests.helpers import save as save_images
from tests.reporting.made import data_step, history, measured, read, result, training


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
    assert table.documents[0] == (seen,)
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


def test_a_long_tail_is_a_table_of_all_classes_and_parts(tmp_path: Path) -> None:
    n = [50, 5, 40, 30, 3, 1]
    seen = result(tmp_path / "seen", training(loss="ce"), [1.0] * 6, "train None", n=n)
    table = classes.long_tail_table([*losses(tmp_path)[1:], seen], [])
    kinds = [f"{name}{end}" for name in (*"abcdef", "head", "middle", "tail", "all") for end in ("", "_std")]
    alike = {"a_std", "c_std", "d_std", "e_std", "f_std", "head_std", "tail_std"}
    assert table.rows.column_names == ["loss", "runs", *kinds]
    _, ce, focal = table.rows.to_pylist()
    assert ce == {"loss": "ce", "runs": 1, **dict.fromkeys(kinds), "a": 0.9, "b": 0.6, "c": 0.2, "d": 0.1, "e": 0.0,
                  "f": 0.3, "head": pytest.approx(0.55), "middle": pytest.approx(0.35), "tail": pytest.approx(0.15),
                  "all": pytest.approx(0.35)}  # fmt: skip
    assert {name: focal[name] for name in alike} == dict.fromkeys(alike, pytest.approx(0))
    assert (focal["b"], focal["b_std"]) == (pytest.approx(0.75), pytest.approx(0.1 / 2**0.5))
    assert table.notes == ("head and tail: 2 classes each, the most and the least frequent; middle: the others",)
    assert (table.settings, table.counted, table.scores) == (("loss",), True, tuple(kinds[::2]))
    assert [len(each) for each in table.documents] == [1, 1, 2]
    assert [each.get("loss") for each in table.facts] == [None, "ce", "cb-focal"]


def test_classes_that_some_runs_lack_are_of_the_others(tmp_path: Path) -> None:
    one = result(tmp_path / "one", training(seed=0), [0.5, 0.25])
    two = result(tmp_path / "two", training(seed=1), [0.75])
    table = classes.long_tail_table([one, two], [])
    (row,) = table.rows.to_pylist()
    assert row["runs"] == 2
    assert (row["a"], row["b"]) == (0.625, 0.25)
    assert table.counted is False
    assert (row["head"], row["tail"]) == (None, None)
    one, two = (result(tmp_path / f"n{seed}", training(seed=seed), [0.5], n=[9 + seed]) for seed in (0, 1))
    (first, last) = classes.classes_table([one, two]).rows.to_pylist()
    assert (first["n"], last["n"], first["label"], last["label"]) == (None, None, 0, None)
    assert classes.classes_table([one, two]).notes == ("n: runs differ in it, where none is given",)


def test_of_a_table_with_a_long_tail_the_order_of_labels_is_that_of_n(tmp_path: Path) -> None:
    def of(command: str) -> Document:
        data = provenance.source("data", "t", provenance.step(command, {}, []), None)
        step = provenance.step("train", {"arch": "mlp-1x8", "loss": "ce"}, [data])
        return result(tmp_path / command, step, [0.5, 0.25, 0.125])

    for command, known in (("corrupt long-tail", True), ("corrupt step-imbalance", True), ("corrupt noise", False)):
        table = classes.long_tail_table([of(command)], [])
        (row,) = table.rows.to_pylist()
        parts = (0.5, 0.25, 0.125) if known else (None, None, None)
        assert (row["head"], row["middle"], row["tail"]) == parts
        assert table.notes == (
            "head and tail: 1 classes each, the most and the least frequent; middle: the others" if known
            else "head, middle, tail: n of the training table is unknown; also give that table",
        )  # fmt: skip
    (row, *_) = classes.long_tail_table([of("corrupt long-tail"), of("corrupt noise")], []).rows.to_pylist()
    assert row["head"] is None


@pytest.mark.parametrize(
    ("names", "headings"),
    [
        (["a", "b"], ["a", "b"]), (["head", "b"], ["0 head", "1 b"]), (["a", "a"], ["0 a", "1 a"]),
        (["runs", "b"], ["0 runs", "1 b"]), (["loss", "b"], ["0 loss", "1 b"]),
    ],
)  # fmt: skip
def test_classes_that_are_called_as_another_column_have_their_numbers(
    names: list[str], headings: list[str], tmp_path: Path
) -> None:
    table = classes.long_tail_table([result(tmp_path / "r", training(), [0.5, 0.25], names=names)], [])
    assert table.rows.column_names == ["loss", *headings, "head", "middle", "tail", "all"]


def test_results_on_training_tables_that_differ_are_refused_and_alike_are_one(tmp_path: Path) -> None:
    test = result(tmp_path / "t", training(), [0.5, 0.25])
    seen = [result(tmp_path / f"s{n}", training(), [1.0, 1.0], "train None", n=[n, 5]) for n in (10, 10, 11)]
    first, _ = classes.long_tail_table([test, *seen[:2]], []).rows.to_pylist()
    assert (first["loss"], first["a"], first["b"], first["all"]) == ("n in training", 10, 5, 15)
    with pytest.raises(GencliError, match=r"s11: n differs from .*s10"):
        classes.long_tail_table([test, *seen], [])


def test_only_a_test_on_clean_data_gives_the_clean_error(tmp_path: Path) -> None:
    one = training(lr=0.1)
    common = corrupted(tmp_path / "a", one, [0.1, 0.3, 0.2, 0.4, 0.25])
    noisy = provenance.source("data", "noisy", data_step("test", 0.5), None)
    inputs = [provenance.source("model", "m", one, None), noisy]
    rows = {"label": pa.array([0, None]), "name": ["a", "all"], "n": [1, 1], "loss": [1.0] * 2, "accuracy": [0.5] * 2}
    others = [
        result(tmp_path / "train", one, [1.0], "train None"), read(tmp_path / "noisy", rows,
                                                                  provenance.step("eval", {}, inputs)),
        result(tmp_path / "other", training(lr=0.3), [0.5]),
    ]  # fmt: skip
    table = classes.corruptions_table([common, *others])
    assert table.rows.to_pylist() == [
        {"mean_corruption_error": 0.25, "gaussian-noise": pytest.approx(0.2), "fog": pytest.approx(0.3)}
    ]
    assert table.scores == ("mean_corruption_error", "gaussian-noise", "fog")
    table = classes.corruptions_table([common, result(tmp_path / "clean", one, [0.75]), *others])
    assert table.rows.column_names == ["clean_error", "mean_corruption_error", "gaussian-noise", "fog"]
    assert table.rows["clean_error"].to_pylist() == [0.25]


def test_kinds_of_corruptions_are_without_their_severity(tmp_path: Path) -> None:
    names = ["fog 1", "fog 3", "snow", "motion blur", " 2", "all"]
    rows = {
        "label": pa.array([*range(5), None]), "name": names, "n": [5] * 6, "loss": [1.0] * 6, "accuracy": [0.5] * 6,
        "corruption_error": [0.125, 0.375, 0.5, 0.625, 0.75, 0.875],
    }  # fmt: skip
    table = classes.corruptions_table([read(tmp_path / "r", rows, measured(training(), "corrupted"))])
    assert table.rows.to_pylist() == [
        {"mean_corruption_error": 0.875, "fog": 0.25, "snow": 0.5, "motion blur": 0.625, " 2": 0.75}
    ]


def test_labels_and_names_are_no_metrics(tmp_path: Path) -> None:
    given = [result(tmp_path / "r", training(), [0.5], n=[3])]
    for metric in ("label", "name", "recal"):
        with pytest.raises(GencliError, match=f"^--metric: no result has '{metric}'$"):
            classes.require(given, metric)
    classes.require(given, "n")


def test_where_one_row_is_of_several_runs_all_say_of_how_many_and_a_score_of_one_result_is_a_column(
    tmp_path: Path,
) -> None:
    more = result(tmp_path / "more", training(loss="focal"), [0.5], precision=[0.75, None])
    table = classes.classes_table([*losses(tmp_path)[:2], more])
    assert table.rows.column_names == [
        "loss_function", "label", "name", "n", "runs", "accuracy", "accuracy_std", "loss", "loss_std", "precision",
    ]  # fmt: skip
    assert table.rows["runs"].to_pylist() == [2] * 7 + [1] * 2
    assert table.rows["precision"].to_pylist() == [None] * 7 + [0.75, None]
    assert table.notes == ()


def without_loss(**arguments: object) -> Step:
    """A step of train that tells no loss function."""
    made = training()
    return provenance.step("train", {"arch": "mlp-1x8", "seed": 0} | arguments, made.inputs)


def test_rows_of_a_long_tail_are_called_by_their_loss_where_all_have_one_and_else_by_what_is_apart(
    tmp_path: Path,
) -> None:
    one = result(tmp_path / "one.parquet", without_loss(lr=0.1), [0.5, 0.75])
    other = result(tmp_path / "other.parquet", training(lr=0.2), [0.5, 0.25])
    (alone,) = classes.long_tail_table([one], []).rows.to_pylist()
    assert alone["result"] == "one.parquet"
    rows = classes.long_tail_table([one, other], []).rows
    assert "result" not in rows.column_names
    assert [row["lr"] for row in rows.to_pylist()] == ["0.1", "0.2"]
    assert [row["loss"] for row in classes.long_tail_table([other], []).rows.to_pylist()] == ["ce"]
