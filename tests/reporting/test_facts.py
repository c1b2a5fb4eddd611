"""What documents are of: their training, data, test and seeds; and the figures of one run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gencli.files import provenance
from gencli.files.provenance import Source, Step
from gencli.reporting import runs
from gencli.reporting.documents import DIFFER, by_size, corruptions, data_name, read_all
from tests.reporting.made import data_step, history, measured, read, result, training


@pytest.mark.parametrize(
    ("settings", "partial"),
    [({}, False), ({"subset": None}, False), ({"subset": 1}, False), ({"subset": 1.0}, False), ({"subset": 0.5}, True),
     ({"subset": 7}, True), ({"validation_fraction": 0.0}, False), ({"validation_fraction": 0.1}, True),
     ({"validation_fraction": None}, False), ({"subset": 1, "validation_fraction": 0.5}, True)],
)  # fmt: skip
def test_a_training_that_saw_a_part_of_its_rows_is_partial(
    settings: dict[str, Any], partial: bool, tmp_path: Path
) -> None:
    assert history(tmp_path / "h", training(**settings)).partial == partial


def test_a_result_is_of_a_training_and_its_data(tmp_path: Path) -> None:
    on_train = result(tmp_path / "a", training(), [0.5], "train None")
    on_test = result(tmp_path / "b", training(seed=1), [0.5], "test")
    bare = read(tmp_path / "c", {"id": [0], "label": [0], "prediction": [0]}, provenance.step("eval", {}))
    assert (on_train.on_training, on_test.on_training, bare.on_training) == (True, False, False)
    assert on_train.tested is None
    assert on_test.tested is not None
    assert on_test.tested.sha256 == "test"
    assert (bare.data, bare.trained_on, bare.training, bare.tested) == (None, None, None, None)
    assert bare.run == bare.setup == bare.title
    assert on_train.run != on_test.run
    assert on_train.setup == on_test.setup
    own = history(tmp_path / "h", training())
    assert (own.run, own.setup, own.tested) == (on_train.run, on_train.setup, None)
    tested = replace(training(), inputs=(*training().inputs, provenance.source("eval-data", "t", None, Path("t"))))
    found = history(tmp_path / "t", tested).tested
    assert found is not None
    assert found.sha256 == "t"


def test_a_run_that_was_asked_for_is_the_one_that_a_document_is_of(tmp_path: Path) -> None:
    step = training(runs=2, vary=["lr=0.1,0.2"], lr=None, seed=5)
    made = provenance.step("eval", {"run": 3}, measured(step, "x").inputs)
    found = read(tmp_path / "p", {"id": [0], "label": [0], "prediction": [0]}, made).training
    assert found is not None
    assert (found.arguments["lr"], found.arguments["seed"]) == (0.2, 6)
    whole = replace(made, arguments={"run": None})
    same = read(tmp_path / "w", {"id": [0], "label": [0], "prediction": [0]}, whole).training
    assert same == step


def entry(step: Step | None, name: str = "x.parquet", differ: float | None = None) -> Source:
    return replace(provenance.source("data", "a", step, Path(name)), labels_differ=differ)


def test_an_input_is_called_by_its_data_and_split_or_its_file() -> None:
    digits, named = data_step("train", 0.5), provenance.step("data import", {"name": "own"})
    assert data_name(entry(digits)) == "digits train"
    assert data_name(entry(named)) == "own"
    assert data_name(entry(provenance.step("data digits", {"split": None}))) == "digits"
    assert data_name(entry(None, "folder/x.parquet")) == "x.parquet"
    assert data_name(None) == ""


def test_corruptions_are_the_earliest_first_after_labels_that_others_changed() -> None:
    first = provenance.step("corrupt a", {}, [entry(data_step("train", None), differ=0.25)])
    second = provenance.step("corrupt b", {}, [entry(provenance.step("data where", {}, [entry(first)]), differ=0.5)])
    assert [step.command for step in corruptions(entry(second))] == [DIFFER, "corrupt a", "corrupt b"]
    assert corruptions(entry(first.inputs[0].step, differ=0.125))[0].arguments == {"share": 0.125}
    assert corruptions(entry(data_step("train", None))) == []
    assert corruptions(None) == []


def test_networks_whose_names_differ_in_numbers_are_in_the_order_of_these(tmp_path: Path) -> None:
    archs = ["mlp-1x16", "linear", "mlp-1x8", "cnn-3", "mlp-1x128", "cnn-2"]
    made = [history(tmp_path / f"{place}", training(arch=arch)) for place, arch in enumerate(archs)]
    found = [each.training.arguments["arch"] for each in by_size(made) if each.training]
    assert found == ["mlp-1x8", "linear", "mlp-1x16", "cnn-2", "mlp-1x128", "cnn-3"]
    other = result(tmp_path / "r", training(arch="mlp-1x2"), [0.5])
    assert by_size([made[0], other])[1] == other


@pytest.mark.parametrize(
    ("values", "row"),
    [([0.5, 0.75, 0.75], 1), ([math.nan, 0.25], 1), ([None, None], None), ([], None), (None, None),
     ([math.inf, 0.5], 1), ([0.0], 0), ([-1.0, -2.0], 0)],
)  # fmt: skip
def test_the_best_row_is_the_first_of_the_largest_numbers(values: list[float | None] | None, row: int | None) -> None:
    assert runs.best_row(values) == row


def test_the_figures_of_a_run_are_of_its_history_and_results(tmp_path: Path) -> None:
    step = training(early_stop=3)
    own = history(
        tmp_path / "h", step, train_accuracy=[0.25, 0.5, 0.75, 0.75], validation_accuracy=[0.5, 0.75, 0.25, 0.5],
        test_accuracy=[0.125, 0.25, 0.5, 0.375], train_loss=[1.0, 0.5, math.inf, math.nan],
    )  # fmt: skip
    expected = {
        "diverged": 3, "epochs": 4, "train_accuracy": 0.5, "validation_accuracy": 0.75, "kept_epoch": 2,
        "epochs_to_fit": 3, "test_accuracy": 0.25, "best_epoch": 2, "best_test_accuracy": 0.25, "tested_on": "",
        "gap": 0.25,
    }  # fmt: skip
    assert runs.figures([own], 0.75, False) == [expected]
    best = {"best_epoch_on_test": 3, "best_test_accuracy_on_test": 0.5}
    assert runs.figures([own], 0.75, True) == [expected | best]
    assert runs.figures([own], 0.76, False)[0]["epochs_to_fit"] is None
    more = [
        result(tmp_path / "a", step, [0.625], "train None", norm=[2.0, 3.0]),
        result(tmp_path / "b", step, [1.0], "x"),
    ]
    found = runs.figures([own, *more], 0.75, False, {"x": "another", "": "own"})
    assert [each["tested_on"] for each in found] == ["own", "another"]
    assert [(each["train_accuracy"], each["norm"], each["gap"]) for each in found] == [
        (0.625, 3.0, 0.375), (0.625, 3.0, -0.375),
    ]  # fmt: skip
    partial = training(subset=0.5)
    (row,) = runs.figures([result(tmp_path / "p", partial, [0.625], "train None")], 0.75, False)
    assert row == {"diverged": None, "tested_on": ""}


def test_the_notes_of_runs_tell_of_how_many_a_score_is(tmp_path: Path) -> None:
    first = history(tmp_path / "a", training(seed=0), test_accuracy=[0.5], train_accuracy=[1.0])
    second = history(tmp_path / "b", training(seed=1), train_accuracy=[0.5])
    third = history(tmp_path / "c", training(seed=2), train_accuracy=[0.5])
    names = "test_accuracy", "gap"
    whole = runs.runs_table([first, second, third], 0.99)
    assert whole.notes == tuple(f"{name}: 1 of 3 runs of mlp-1x8, none" for name in names)
    table = runs.runs_table([first, second], 0.99)
    assert table.notes == tuple(f"{name}: 1 of 2 runs of mlp-1x8, none" for name in names)
    assert table.rows.to_pylist() == [
        {"network": "mlp-1x8", "data": "digits", "corruption": "none", "runs": 2, "train_accuracy": 0.75,
         "train_accuracy_std": pytest.approx(0.125**0.5), "test_accuracy": 0.5, "gap": 0.5, "epochs": 1,
         "epochs_std": 0.0, "epochs_to_fit": None},
    ]  # fmt: skip
    assert [each["chain"] for each in table.facts] == [[]]
    assert runs.runs_table([first], 0.99).notes == ()


def test_documents_are_in_the_order_of_their_files(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("b", "a")]
    for name in names:
        history(Path(name), training())
    assert [each.title for each in read_all(names)] == names
