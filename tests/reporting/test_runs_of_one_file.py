"""A history, or a result, of several runs is as many documents: setups by what is varied, seeds in one row."""

from pathlib import Path

import pyarrow as pa
import pytest

from gencli.cli.outputs import open_result
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.together import Together
from gencli.reporting.documents import read_all
from gencli.reporting.groups import names, setups
from gencli.reporting.runs import runs_table

ARGUMENTS = {"arch": "linear", "seed": 3, "runs": 2, "vary": ["lr=0.1,0.2"], "lr": None, "epochs": 2}
MADE = provenance.step("train", ARGUMENTS, [provenance.source("data", "0" * 64, None, Path("d.parquet"))])


def write(path: Path, rows: pa.Table, made: provenance.Step) -> str:
    with Together() as places:
        open_result(places, str(path))(rows, lambda: made)
    return str(path)


def history(runs: list[int], epochs: list[int], accuracies: list[float]) -> pa.Table:
    lr = [0.1 if run < 2 else 0.2 for run in runs]
    zeros = [0.5] * len(runs)
    return pa.table({"run": runs, "lr": lr, "epoch": epochs, "train_loss": zeros, "train_accuracy": accuracies})


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_a_history_of_several_runs_is_a_run_a_seed(form: str, tmp_path: Path) -> None:
    rows = history([0, 0, 1, 1, 2, 2, 3, 3], [1, 2] * 4, [0.1, 0.5, 0.1, 0.7, 0.1, 0.8, 0.1, 0.8])
    documents = read_all([write(tmp_path / f"h.{form}", rows, MADE)])
    assert [document.number for document in documents] == [0, 1, 2, 3]
    assert [document.rows["epoch"].to_pylist() for document in documents] == [[1, 2]] * 4
    if form != "parquet":  # which has no provenance
        return
    seeds = [document.training.arguments["seed"] for document in documents if document.training]
    assert seeds == [3, 4, 3, 4]
    table = runs_table(documents, 0.99).rows.to_pylist()
    assert [(row["lr"], row["runs"]) for row in table] == [(0.1, 2), (0.2, 2)]
    assert [row["train_accuracy"] for row in table] == pytest.approx([0.6, 0.8])
    assert [row["train_accuracy_std"] for row in table] == pytest.approx([0.02**0.5, 0])


def test_results_of_several_runs_are_those_of_their_seeds(tmp_path: Path) -> None:
    inputs = [
        provenance.source("model", "1" * 64, MADE, None),
        provenance.source("data", "2" * 64, None, Path("t.parquet")),
    ]
    made = provenance.step("eval", {"run": None}, inputs)
    each = {"label": [0, None] * 4, "name": ["a", "all"] * 4, "n": [5, 5] * 4, "accuracy": [0.5, 0.5] * 4}
    rows = pa.table({"run": [0, 0, 1, 1, 2, 2, 3, 3], **each, "loss": [1.0] * 8})
    documents = read_all([write(tmp_path / "e.parquet", rows, made)])
    assert [document.training.arguments["lr"] for document in documents if document.training] == [0.1, 0.1, 0.2, 0.2]
    of_one = provenance.step("eval", {"run": 2}, inputs)
    (document,) = read_all([write(tmp_path / "one.parquet", rows.drop_columns("run").slice(0, 2), of_one)])
    assert document.training is not None
    assert (document.training.arguments["lr"], document.training.arguments["seed"]) == (0.2, 3)


def test_epochs_rise_in_each_run(tmp_path: Path) -> None:
    rows = history([0, 0, 1, 1], [1, 2, 2, 1], [0.1] * 4)
    with pytest.raises(GencliError, match="row 3: column `epoch`: 1 after 2"):
        read_all([write(tmp_path / "h.parquet", rows, MADE)])


def test_runs_of_one_setup_are_called_by_their_file(tmp_path: Path) -> None:
    rows = history([0, 1], [1, 1], [0.1, 0.2]).drop_columns("lr")
    made = provenance.step("train", ARGUMENTS | {"vary": None, "lr": 0.1}, MADE.inputs)
    documents = read_all([write(tmp_path / "h.parquet", rows, made)])
    (name,) = names(setups(documents))
    assert name == "h.parquet (n=2)"
