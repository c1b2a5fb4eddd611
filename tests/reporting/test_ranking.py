"""What a ranking of measures is made of: runs that were measured and tested alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import ranking
from gencli.reporting.documents import Document
from tests.reporting.made import data_step, history, measured, read, result, training

RATES = 0.1, 0.2, 0.3, 0.4, 0.5, 0.6


def trained(path: Path, step: provenance.Step, test: str, accuracy: float) -> Document:
    """A history with a test after its last epoch, on the table of this hash."""
    given = provenance.source("eval-data", test, data_step("test", None), None)
    whole = provenance.step("train", dict(step.arguments), [*step.inputs, given])
    return history(path, whole, train_accuracy=[1.0], test_accuracy=[accuracy], train_loss=[0.05])


def measures(path: Path, step: provenance.Step, values: dict[str, float], rows: str = "train None") -> Document:
    """Measures on the table of this hash."""
    kinds = pa.schema({name: pa.string() for name in ("measure", "layer")} | {"value": pa.float64()}
                      | {name: pa.string() for name in ("source", "note")})  # fmt: skip
    table = [{"measure": name, "value": value} for name, value in values.items()]
    return read(path, pa.Table.from_pylist(table, schema=kinds), measured(step, rows, "train"))


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., list[Document]]:
    def made(more: Callable[[float], dict[str, Any]] = lambda lr: {}, test: Sequence[str] = ("same",),
             rows: str = "train None") -> list[Document]:  # fmt: skip
        found = []
        for place, lr in enumerate(RATES):
            step = training(**{"lr": lr} | more(lr))
            found.append(trained(tmp_path / f"h{place}.parquet", step, test[place % len(test)], 0.9 - lr / 2))
            found.append(measures(tmp_path / f"m{place}.parquet", step, {"weight_norm": lr, "flat": 1.0}, rows))
        return found

    return made


def test_a_measure_that_is_the_gap_predicts_it_and_a_constant_says_nothing(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    found = {row["measure"]: row for row in ranking.table(runs()).rows.to_pylist()}
    assert found["weight_norm"]["tau"] == 1
    assert found["weight_norm"]["says"] == "predicts"
    assert (found["flat"]["tau"], found["flat"]["says"]) == (None, "the same for all runs")
    twice = ranking.table([*runs(), *runs()])  # the same files again
    assert {row["measure"]: row for row in twice.rows.to_pylist()} == found
    short = [*runs(), measures(tmp_path / "more.parquet", training(lr=0.1), {"rare": 1.0})]
    assert {row["measure"]: row["says"] for row in ranking.table(short).rows.to_pylist()}["rare"] == "too few runs: 1"


def test_what_is_said_is_of_the_runs_that_are_ranked(runs: Callable[..., list[Document]], tmp_path: Path) -> None:
    """Not of a run without measures; and a measure that some runs lack is said to be of fewer."""
    other = history(tmp_path / "other.parquet", training(lr=9.0), train_accuracy=[1.0], train_loss=[7.0])
    fewer = [measures(tmp_path / f"f{place}.parquet", training(lr=lr), {"rare": 1 / lr}) for place, lr in
             enumerate(RATES[:5])]  # fmt: skip
    notes = ranking.table([*runs(), other, *fewer]).notes
    assert "training losses of 0.05 to 0.05" in notes[0]
    assert "1 exist for some of the runs only (column runs), and their tau is of those: rare" in notes


def test_seeds_of_start_and_order_are_no_hyper_parameters(runs: Callable[..., list[Document]]) -> None:
    found = ranking.collect(runs(lambda lr: {"lr": 0.1, "seed_init": int(10 * lr), "seed_order": int(20 * lr)}))
    assert found.settings == [{}] * len(RATES)
    assert len(set(found.seeds)) == len(RATES)


def test_measures_are_of_the_training_rows_and_each_of_one_value(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    with pytest.raises(GencliError, match=r"m0.parquet: measured on digits train, not on the rows of its training"):
        ranking.collect(runs(rows="other"))
    with pytest.raises(GencliError, match=r"digits train of which it saw a part .--subset"):
        ranking.collect(runs(lambda lr: {"subset": 0.7}))
    again = measures(tmp_path / "again.parquet", training(lr=0.1), {"weight_norm": 0.11})
    with pytest.raises(GencliError, match=r"again.parquet: weight_norm was measured twice, as 0.1 and 0.11"):
        ranking.collect([*runs(), again])
    step = training(lr=0.1)
    model = provenance.source("model", "m", step, None)
    for command, fits in (("corrupt subsample", True), ("data where", True), ("corrupt flip-labels", False)):
        part = provenance.step(command, {}, [provenance.source("data", "train None", data_step("train", None), None)])
        made = provenance.step("eval", {}, [model, provenance.source("data", "part", part, None)])
        kinds = {
            "measure": pa.string(),
            "layer": pa.string(),
            "value": pa.float64(),
            "source": pa.string(),
            "note": pa.string(),
        }
        table = pa.Table.from_pylist([{"measure": "other", "value": 1.0}], schema=pa.schema(kinds))
        sampled = [*runs(), read(tmp_path / f"{fits}.parquet", table, made)]
        if fits:
            assert "other" in ranking.collect(sampled).measures
        else:
            with pytest.raises(GencliError, match=r"not on the rows of its training"):
                ranking.collect(sampled)


def test_all_runs_are_tested_on_one_table_whatever_it_is_called(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    with pytest.raises(GencliError, match=r"h4.parquet, .*h5.parquet: tested on different tables"):
        ranking.collect(runs(test=["here", "there"]))
    beside = result(tmp_path / "beside.parquet", training(lr=0.1), [0.1, 0.2], "larger")
    with pytest.raises(GencliError, match=r"h5.parquet, .*beside.parquet: tested on different tables"):
        ranking.collect([*runs(test=["smaller"]), beside])


def test_runs_that_did_not_come_down_are_left_out_by_history_or_result(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    stopping = {"until_train_loss": 0.04}
    with pytest.raises(GencliError, match=r"0 of 6 runs have .*, 6 did not come down to --until-train-loss"):
        ranking.collect(runs(lambda lr: stopping))
    assert len(ranking.collect(runs(lambda lr: stopping if lr == 0.6 else {})).gaps) == 5

    def results(loss: float) -> list[Document]:
        found = [each for each in runs(lambda lr: stopping) if each.kind == "measures"]
        for place, lr in enumerate(RATES):
            step = training(**stopping | {"lr": lr})
            found.append(result(tmp_path / f"t{place}.parquet", step, [0.9 - lr, 0.9 - lr]))
            train = result(tmp_path / f"r{place}.parquet", step, [1.0, 1.0], "train None", loss=[loss] * 3)
            found.append(train)
        return found

    assert len(ranking.collect(results(0.04000001)).gaps) == 6
    with pytest.raises(GencliError, match="6 did not come down"):
        ranking.collect(results(0.041))


def test_a_ranking_does_not_depend_on_the_order_of_files(runs: Callable[..., list[Document]]) -> None:
    given = runs()
    assert ranking.table(given[::-1]).rows.equals(ranking.table(given).rows)
