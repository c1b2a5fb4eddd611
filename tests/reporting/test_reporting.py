"""Tables and figures of runs, from histories and results as files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import parquet, provenance
from gencli.files.stream import Input, Output
from gencli.reporting import classes, curves, documents, figures, runs, terminal
from gencli.reporting.panels import Lines


def data_step(split: str, p: float | None) -> provenance.Step:
    made = provenance.step("data digits", {"split": split})
    if p is None:
        return made
    return provenance.step("corrupt random-labels", {"p": p, "seed": 0}, [provenance.source("data", "a", made, None)])


def training(p: float | None = None, **arguments: Any) -> provenance.Step:
    entry = provenance.source("data", f"train {p}", data_step("train", p), None)
    return provenance.step("train", {"arch": "mlp-1x8", "lr": 0.1, "seed": 0} | arguments, [entry])


def write(path: Path, rows: pa.Table, made: provenance.Step) -> documents.Document:
    with Output(str(path)) as output:
        parquet.write_rows(output, rows, made)
    return documents.read(Input(str(path)))


def history(path: Path, step: provenance.Step, train: list[float], test: float | None = None) -> documents.Document:
    if test is not None:
        tested = provenance.source("eval-data", "t", data_step("test", None), None)
        step = replace(step, inputs=(*step.inputs, tested))
    rows = {
        "epoch": range(1, len(train) + 1),
        "train_loss": [1.0] * len(train),
        "train_accuracy": train,
        "test_accuracy": pa.array([test] * len(train), pa.float64()),
    }
    return write(path, pa.table({name: pa.array(values) for name, values in rows.items()}), step)


def result(path: Path, step: provenance.Step, sha256: str, accuracy: float, split: str = "test") -> documents.Document:
    rows = {"label": [0, None], "name": ["a", "all"], "n": [5, 5], "accuracy": [accuracy] * 2, "loss": [1.0, 1.0]}
    inputs = [
        provenance.source("model", "m", step, None),
        provenance.source("data", sha256, data_step(split, None), None),
    ]
    return write(path, pa.table(rows), provenance.step("eval", {}, inputs))


def test_a_history_is_a_row_with_its_last_accuracies_and_the_epoch_it_fitted(tmp_path: Path):
    read = history(tmp_path / "h.parquet", training(0.5), [0.2, 0.995, 0.97], 0.6)
    assert runs.runs_table([read], 0.99).rows.to_pylist() == [
        {
            "network": "mlp-1x8",
            "data": "digits",
            "corruption": "random-labels p=0.5",
            "train_accuracy": 0.97,
            "test_accuracy": 0.6,
            "gap": pytest.approx(0.37),
            "epochs": 3,
            "epochs_to_fit": 2,
        }
    ]
    assert runs.runs_table([read], 1.0).rows["epochs_to_fit"].to_pylist() == [None]


def test_a_run_that_stopped_early_is_the_epoch_that_it_kept(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "epoch": [1, 2, 3], "train_loss": [1.0] * 3, "train_accuracy": [0.5, 0.6, 0.7],
            "validation_accuracy": [0.3, 0.5, 0.4], "test_accuracy": [0.31, 0.51, 0.41],
        }
    )  # fmt: skip
    (row,) = runs.runs_table([write(tmp_path / "h", rows, training(early_stop=1))], 0.99).rows.to_pylist()
    assert (row["train_accuracy"], row["validation_accuracy"], row["test_accuracy"]) == (0.6, 0.5, 0.51)
    (row,) = runs.runs_table([write(tmp_path / "h", rows, training())], 0.99).rows.to_pylist()
    assert (row["train_accuracy"], row["validation_accuracy"], row["test_accuracy"]) == (0.7, 0.4, 0.41)


def test_image_to_image_runs_show_their_psnr(tmp_path: Path) -> None:
    rows = pa.table({"epoch": [1, 2], "train_loss": [1.0] * 2, "train_psnr": [20.0, 30.0], "test_psnr": [21.0, 29.0]})
    (row,) = runs.runs_table([write(tmp_path / "h", rows, training())], 0.99).rows.to_pylist()
    assert (row["train_psnr"], row["test_psnr"]) == (30, 29)
    assert "train_accuracy" not in row
    panels = figures.curves([write(tmp_path / "h", rows, training())], figures.Options())
    assert [panel.title for panel in panels] == ["train loss", "train psnr", "test psnr"]


def test_results_of_a_run_join_its_history(tmp_path: Path):
    step = training(0.5)
    read = [
        history(tmp_path / "h.parquet", step, [0.5]),
        result(tmp_path / "test.parquet", step, "other", 0.4),
        result(tmp_path / "train.parquet", step, "train 0.5", 0.9, "train"),
    ]
    (row,) = runs.runs_table(read, 0.99).rows.to_pylist()
    assert (row["train_accuracy"], row["test_accuracy"], row["epochs"]) == (0.9, 0.4, 1)


def test_results_alone_make_rows_without_epochs(tmp_path: Path):
    (row,) = runs.runs_table([result(tmp_path / "r.parquet", training(), "other", 0.4)], 0.99).rows.to_pylist()
    assert (row["corruption"], row["test_accuracy"], row["train_accuracy"], row["epochs"]) == ("none", 0.4, None, None)


def test_settings_in_which_runs_differ_get_a_column(tmp_path: Path):
    read = [history(tmp_path / f"{lr}.parquet", training(lr=lr), [0.5]) for lr in (0.1, 0.2)]
    table = runs.runs_table(read, 0.99).rows
    assert table["lr"].to_pylist() == [0.1, 0.2]
    assert "seed" not in table.column_names


def test_epochs_are_those_that_were_run(tmp_path: Path):
    asked = [history(tmp_path / f"{epochs}.parquet", training(epochs=epochs), [0.5, 0.6]) for epochs in (2, 9)]
    table = runs.runs_table(asked, 0.99).rows
    assert table["epochs"].to_pylist() == [2, 2]
    assert table.column_names[3:] == ["train_accuracy", "test_accuracy", "gap", "epochs", "epochs_to_fit"]


def test_a_run_tested_on_two_tables_has_two_rows(tmp_path: Path):
    step = training()
    read = [
        result(tmp_path / "a.parquet", step, "x", 0.4, "test"),
        result(tmp_path / "b.parquet", step, "y", 0.3, "validation"),
    ]
    table = runs.runs_table(read, 0.99).rows
    assert table["tested_on"].to_pylist() == ["digits test", "digits validation"]
    assert table["test_accuracy"].to_pylist() == [0.4, 0.3]


def test_one_result_is_shown_as_it_is_and_several_say_what_tells_them_apart(tmp_path: Path):
    one = result(tmp_path / "a.parquet", training(0.0), "x", 0.4)
    two = result(tmp_path / "b.parquet", training(1.0), "x", 0.1)
    assert classes.classes_table([one]).rows.column_names == ["label", "name", "n", "accuracy", "loss"]
    both = classes.classes_table([one, two]).rows
    assert both["corruption"].to_pylist() == ["random-labels p=0"] * 2 + ["random-labels p=1"] * 2
    same = classes.classes_table([one, one]).rows
    assert same.column_names == ["label", "name", "n", "accuracy", "loss"]


def test_files_whose_provenance_was_lost_go_by_their_names(tmp_path: Path):
    path = tmp_path / "bare.parquet"
    rows = history(tmp_path / "h.parquet", training(), [0.5]).rows
    import pyarrow.parquet as pq

    pq.write_table(rows.replace_schema_metadata(None), path)
    (row,) = runs.runs_table([documents.read(Input(str(path)))], 0.99).rows.to_pylist()
    assert (row["network"], row["train_accuracy"]) == (path.name, 0.5)


def test_what_is_neither_a_history_nor_a_result_is_refused(tmp_path: Path):
    with pytest.raises(GencliError, match="neither a history nor a result; its columns are x"):
        write(tmp_path / "x.parquet", pa.table({"x": [1]}), training())
    with pytest.raises(GencliError, match="a history without rows"):
        write(tmp_path / "h.parquet", pa.table({n: [] for n in ("epoch", "train_loss", "train_accuracy")}), training())


def test_curves_are_told_apart_without_colour(tmp_path: Path):
    read = [history(tmp_path / f"{p}.parquet", training(p), [p / 2, p], 0.5) for p in (0.25, 0.75)]
    panels = figures.curves(read, figures.Options())
    assert [panel.title for panel in panels] == ["train loss", "train accuracy", "test accuracy"]
    assert isinstance(panels[1], Lines)
    curve = panels[1].curves[1]
    assert (curve.name, list(curve.x), list(curve.y)) == ("random-labels p=0.75", [1, 2], [0.375, 0.75])
    drawn = terminal.text(panels, 80)
    assert "\x1b" not in drawn
    assert "  o random-labels p=0.25\n  x random-labels p=0.75\n" in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    assert drawn.count("o") > 10


def test_a_metric_that_no_history_has_is_refused_with_the_nearest(tmp_path: Path):
    read = history(tmp_path / "h.parquet", training(), [0.5])
    with pytest.raises(GencliError) as caught:
        figures.curves([read], figures.Options(["train_acuracy"]))
    assert caught.value.hint == "did you mean train_accuracy?"
    made = figures.curves([read], figures.Options(["train_accuracy"]))
    assert [panel.title for panel in made] == ["train accuracy"]


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_is_the_same_bytes_every_time_and_says_how_it_was_made(tmp_path: Path, form: str, start: bytes):
    read = [history(tmp_path / "h.parquet", training(), [0.2, 0.9])]
    panels = figures.curves(read, figures.Options(["train_accuracy"]))
    made = curves.image(panels, form, "how it was made")
    assert made.startswith(start)
    assert b"how it was made" in made
    assert made == curves.image(panels, form, "how it was made")
    assert made != curves.image(panels, form, "otherwise")


def test_runs_as_json_are_row_objects(tmp_path: Path):
    from gencli.cli.outputs import render

    table = runs.runs_table([history(tmp_path / "h.parquet", training(), [0.5, float("nan")])], 0.99).rows
    (row,) = json.loads(render(table, "json"))
    assert row["train_accuracy"] == "NaN"
    assert row["epochs"] == 2


@pytest.mark.parametrize(("fitted_at", "epoch"), [(0.5, 1), (0.9, 2), (0.91, 3), (1.0, 3), (1.1, None)])
def test_a_run_has_fitted_in_the_first_epoch_that_reaches_the_accuracy(
    tmp_path: Path, fitted_at: float, epoch: int | None
) -> None:
    run = history(tmp_path / "h", training(0.5), [0.5, 0.9, 1.0], 0.6)
    assert runs.runs_table([run], fitted_at).rows["epochs_to_fit"].to_pylist() == [epoch]
