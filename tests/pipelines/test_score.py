"""`gencli score` in real shells: from dynamics, predictions and models to scores, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import norm

from tests.pipelines.shell import Shell

MADE = """set -e
gencli data digits -q | gencli corrupt subsample -n 150 -q | gencli corrupt flip-labels -p 0.2 -q -o noisy.parquet
gencli data digits --split test -q | gencli corrupt subsample -n 40 -q -o test.parquet
gencli train noisy.parquet --arch mlp-1x32 --batch-size 16 --lr 0.1 --epochs 60 --schedule cosine --runs 5 \
  --subset 0.7 -q --dynamics dynamics.parquet -o models.safetensors
gencli train noisy.parquet --arch linear --epochs 2 -q --dynamics other.parquet -o linear.safetensors
gencli train noisy.parquet --arch mlp-1x32 --runs 2 --subset 0.7 --seed 9 --epochs 1 -q -o short.safetensors
gencli eval linear.safetensors noisy.parquet -q --predictions predictions.parquet -o result.parquet
gencli train noisy.parquet --arch linear --epochs 1 --validation-fraction 0.2 -q -o held.safetensors
gencli eval held.safetensors noisy.parquet -q --predictions held.parquet -o r.parquet
gencli eval models.safetensors noisy.parquet -q --predictions each.csv -o r.parquet
gencli eval models.safetensors noisy.parquet -q --predictions apart.parquet -o r.parquet
gencli score dynamics.parquet models.safetensors noisy.parquet --test test.parquet --influence pairs.parquet \
  -q -o scores.parquet
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("score")
    Shell(folder)(MADE).worked()
    return folder


def test_scores_are_those_of_the_predictions_and_of_the_rows_that_each_network_saw(made: Path) -> None:
    rows, dynamics = list(csv.DictReader((made / "each.csv").open())), pq.read_table(made / "dynamics.parquet")
    saw = {(int(run), int(row)) for run, row in zip(dynamics["run"].to_pylist(), dynamics["id"].to_pylist())}
    for row in pq.read_table(made / "scores.parquet").to_pylist():
        own = [other for other in rows if int(other["id"]) == row["id"]]
        right = {seen: [other["prediction"] == other["label"] for other in own
                        if ((int(other["run"]), row["id"]) in saw) == seen] for seen in (True, False)}  # fmt: skip
        chances = {seen: [json.loads(other["probabilities"])[row["label"]] for other in own
                          if ((int(other["run"]), row["id"]) in saw) == seen] for seen in (True, False)}  # fmt: skip
        assert (row["networks_in"], row["networks_out"]) == (len(right[True]), len(right[False]))
        for name, seen in (("self_confidence", True), ("held_out_self_confidence", False)):
            expected = np.mean(chances[seen]) if chances[seen] else None
            assert row[name] == (expected if expected is None else pytest.approx(expected, abs=1e-6))
        if all(right.values()):
            assert row["memorization"] == pytest.approx(np.mean(right[True]) - np.mean(right[False]), abs=1e-12)
        else:
            assert row["memorization"] is None
        mine = [other for other in dynamics.to_pylist() if other["id"] == row["id"]]
        assert row["runs"] == len(mine) == row["networks_in"]
        assert row["aum"] == (pytest.approx(np.mean([other["aum"] for other in mine])) if mine else None)
        learned = [other["learned"] for other in mine]
        known = None not in learned and learned
        assert row["learned"] == (pytest.approx(np.mean(learned)) if known else None)


def test_judged_scores_join_and_are_drawn(made: Path) -> None:
    shell = Shell(made)
    found = json.loads(shell("gencli score --judge scores.parquet --format json").worked().text)
    direct = "gencli score --judge dynamics.parquet models.safetensors noisy.parquet --format json -q"
    assert json.loads(shell(direct).worked().text) == found
    assert {"aum", "memorization", "held_out_self_confidence"} <= {row["score"] for row in found}
    assert next(row["auroc"] for row in found if row["score"] == "held_out_self_confidence") > 0.85
    shell("gencli data where 'memorization > 0.5' noisy.parquet --join scores.parquet -o m.parquet").worked()
    for plot in ("cartography", "learning-order", "memorization"):
        assert "label is wrong" in shell(f"gencli report scores.parquet --plot {plot} --figure {plot}.png && "
                                         f"gencli report scores.parquet --plot {plot}").worked().text  # fmt: skip
    for file in ("scores", "pairs"):
        assert "the same" in shell(f"gencli how {file}.parquet --check").worked().text
    pairs = pq.read_table(made / "pairs.parquet")
    assert pairs.num_rows == 100
    assert np.abs(pairs["influence"].to_numpy()).min() > 0


def test_how_many_pairs_are_beyond_chance_is_said(made: Path) -> None:
    scores, pairs = pq.read_table(made / "scores.parquet"), pq.read_table(made / "pairs.parquet")
    memorized = {id for id, value in zip(*(scores[name].to_pylist() for name in ("id", "memorization")))
                 if value is not None and value >= 0.25}  # fmt: skip
    least = norm.isf(0.05 / (40 * len(memorized)))
    beyond = sum(each["id"] in memorized and each["influence"] > least * each["influence_se"]
                 for each in pairs.to_pylist())  # fmt: skip
    again = "gencli score models.safetensors noisy.parquet --test test.parquet --influence p.parquet -o s.parquet"
    said = f"{beyond or 'none'} of the 100 pairs beyond chance: more than {least:.1f} standard errors, as there are "
    assert f"{said}{40 * len(memorized):,} pairs" in Shell(made)(again).worked().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("short.safetensors noisy.parquet", "run 0: accuracy"),
        ("short.safetensors models.safetensors noisy.parquet --fitted-at 1", "memorization means nothing"),
        ("models.safetensors", "without the rows that it saw"),
        ("models.safetensors test.parquet", "of other rows than"),
        ("models.safetensors linear.safetensors noisy.parquet", "mlp-1x32"),
        ("noisy.parquet", "without models"),
        ("dynamics.parquet other.parquet", "runs of linear, not of mlp-1x32"),
        ("dynamics.parquet dynamics.parquet", "the same file"),
        ("linear.safetensors noisy.parquet --test test.parquet --influence p.csv", "seen by some networks"),
        ("models.safetensors noisy.parquet --test noisy.parquet --influence p.csv", "are in noisy.parquet too"),
        ("dynamics.parquet --test test.parquet --influence p.csv", "no models"),
        ("dynamics.parquet --test test.parquet", "there is no --influence"),
        ("dynamics.parquet --pairs 3", "there is no --influence"),
        ("dynamics.parquet --seed 3", "there is no --judge"),
        ("dynamics.parquet --arch own:make", "--arch: there are no models"),
        ("dynamics.parquet --fitted-at 0.5", "--fitted-at: there are no models"),
        ("scores.parquet", "scores already"),
        ("--judge scores.parquet dynamics.parquet", "beside other files"),
        ("result.parquet", "says nothing of single rows"),
        ("dynamics.parquet -o dynamics.parquet", "dynamics.parquet"),
        ("missing.parquet", "no such file"),
        ("apart.parquet", "networks that left rows out"),
        ("held.parquet", "networks that left rows out"),
        ("linear.safetensors noisy.parquet predictions.parquet", "predictions of linear.safetensors"),
    ],
)
def test_what_does_not_go_together_is_refused(made: Path, arguments: str, words: str) -> None:
    Shell(made)(f"gencli score -q {arguments}").refused(words)


@pytest.mark.parametrize(("table", "part"), [("noisy", True), ("test", False)])
@pytest.mark.parametrize("model", ["held", "models"])
def test_an_evaluation_on_rows_that_a_network_did_not_see_says_so(
    model: str, table: str, part: bool, made: Path
) -> None:
    said = f"{model}.safetensors: trained on a part of {table}.parquet; the figures are of all of its rows\n"
    assert (said in Shell(made)(f"gencli eval {model}.safetensors {table}.parquet -o r.csv").worked().err) == part


def spoiled(made: Path, column: str, row: int, value: object) -> None:
    rows = pq.read_table(made / "dynamics.parquet").replace_schema_metadata(None)
    values = rows[column].to_pylist()
    values[row] = value
    place = rows.schema.get_field_index(column)
    pq.write_table(rows.set_column(place, column, pa.array(values)), made / "hostile.parquet")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("aum", float("nan"), "nan is not a finite number"),
        ("aum", float("inf"), "inf is not a finite number"),
        ("confidence", 1.5, "1.5 is not a number from 0 to 1"),
        ("learned", 0, "0 is not a whole number from 1"),
        ("forgotten", -1, "-1 is not a whole number"),
        ("label", None, "no value"),
        ("label", 8, "in another file"),
        ("id", 7, "is not in"),
        ("run", None, "no value"),
    ],
)
def test_a_hostile_value_is_refused_by_file_row_and_column(made: Path, column: str, value: object, words: str) -> None:
    rows = pq.read_table(made / "dynamics.parquet")
    row = rows["label"].to_pylist().index(3)
    spoiled(made, column, row, value)
    command = "gencli score models.safetensors noisy.parquet hostile.parquet -q"
    Shell(made)(command).refused("hostile.parquet", f"row {row}", f"`{column}`", words)


def test_an_id_twice_in_a_run_is_refused(made: Path) -> None:
    rows = pq.read_table(made / "dynamics.parquet")
    spoiled(made, "id", 1, rows["id"][0].as_py())
    Shell(made)("gencli score hostile.parquet").refused("row 1: column `id`", "twice")
