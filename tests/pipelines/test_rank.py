"""`gencli rank` and the measures that it reads, in real shells: values against scipy's, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau

from tests.pipelines.shell import Shell

MADE = """set -e
gencli data digits --sample 60 -q -o rows.parquet
gencli data digits --split test --sample 100 -q -o test.parquet
for arch in mlp-1x8 mlp-1x16; do
  gencli train rows.parquet --arch $arch --batch-size 20 --vary lr=0.05,0.2 --runs 2 --epochs 200 \
    --until-train-loss 0.1 --eval-data test.parquet --history $arch.parquet -q -o $arch.safetensors
  gencli eval $arch.safetensors rows.parquet --measures --history $arch.parquet -q -o measures-$arch.parquet
done
gencli eval mlp-1x8.safetensors rows.parquet test.parquet -q -o result.parquet
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rank")
    Shell(folder)(MADE).worked()
    return folder


def test_measures_of_several_runs_are_those_of_each_by_itself(made: Path) -> None:
    shell = Shell(made)
    alone = "gencli eval mlp-1x8.safetensors rows.parquet --measures --history mlp-1x8.parquet --run 2 --format json -q"
    whole = pq.read_table(made / "measures-mlp-1x8.parquet").to_pylist()
    expected = [row for row in whole if row.pop("run") == 2]
    assert json.loads(shell(alone).worked().text) == expected
    values = {row["measure"]: row["value"] for row in expected}
    history = [row for row in pq.read_table(made / "mlp-1x8.parquet").to_pylist() if row["run"] == 2]
    assert values["steps_to_loss"] == next(row["step"] for row in history if row["train_loss"] <= 0.1)
    assert history[-1]["train_loss"] <= 0.1 < min(row["train_loss"] for row in history[:-1])


def test_a_ranking_is_scipys_from_histories_and_from_results(made: Path) -> None:
    shell, files = Shell(made), "measures-*.parquet mlp-1x8.parquet mlp-1x16.parquet"
    done = shell(f"gencli rank {files} --format json").worked()
    rows = {row["measure"]: row for row in json.loads(done.text)}
    assert next(iter(rows)) != "random"
    assert "8 runs, which differ in width, lr" in done.err
    assert "point the wrong way" in done.err
    gaps, values = [], []
    for arch in ("mlp-1x16", "mlp-1x8"):
        ends: dict[int, float] = {}
        for row in pq.read_table(made / f"{arch}.parquet").to_pylist():
            ends[row["run"]] = row["train_accuracy"] - row["test_accuracy"]
        gaps += [ends[run] for run in range(4)]
        table = pq.read_table(made / f"measures-{arch}.parquet").to_pylist()
        values += [row["value"] for row in table if row["measure"] == "weight_norm"]
    assert rows["weight_norm"]["tau"] == pytest.approx(kendalltau(values, gaps)[0])
    assert rows["weight_norm"]["tau_low"] <= rows["weight_norm"]["tau"] <= rows["weight_norm"]["tau_high"]
    assert {"psi_width", "psi_lr", "cmi", "sign_error_worst"} <= rows["weight_norm"].keys()
    taus = [row["tau"] for row in rows.values() if row["tau"] is not None]
    assert taus == sorted(taus, reverse=True)
    mixed = shell("gencli rank measures-*.parquet result.parquet mlp-1x16.parquet --format json -q").worked()
    assert {row["measure"]: row["tau"] for row in json.loads(mixed.text)} == pytest.approx(
        {name: row["tau"] for name, row in rows.items()}
    )
    shell(f"gencli report {files} --plot rank --figure rank.svg --table rank --format csv -o rank.csv").worked()
    assert (made / "rank.csv").read_text().startswith("measure,runs,says,tau,")
    assert "weight_norm, tau" in (made / "rank.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "rank measures-mlp-1x8.parquet mlp-1x8.parquet",
            "4 of 4 runs have measures, train and test accuracy; fewer than 5 say nothing",
        ),
        ("rank measures-mlp-1x8.parquet mlp-1x16.parquet", "0 of 8 runs"),
        ("rank mlp-1x8.parquet mlp-1x16.parquet", "history, but no measures"),
        ("rank measures-mlp-1x8.parquet rows.parquet", "0 of 4 runs"),
        ("eval mlp-1x8.safetensors rows.parquet --measures --history mlp-1x16.parquet", "not the history of"),
        ("eval mlp-1x8.safetensors rows.parquet --measures --history result.parquet", "a result, not a history"),
        ("eval mlp-1x8.safetensors --measures --history mlp-1x8.parquet", "--history: no table"),
        ("eval mlp-1x8.safetensors rows.parquet --history mlp-1x8.parquet", "--history: no measures"),
        ("eval mlp-1x8.safetensors rows.parquet --measures --reached 1", "--reached: there is no history"),
        ("report measures-mlp-1x8.parquet --plot rank", "fewer than five runs"),
    ],
)
def test_what_is_refused(made: Path, arguments: str, words: str) -> None:
    Shell(made)(f"gencli {arguments} -q").refused(*words.split("; "))


def test_text_has_lost_which_runs_it_is_of(made: Path) -> None:
    script = "gencli eval mlp-1x8.safetensors rows.parquet --measures -q -o m.csv; gencli rank m.csv mlp-1x8.parquet -q"
    Shell(made)(script).refused("m.csv", "has lost how it was made")


def test_all_measures_are_listed(made: Path) -> None:
    listed = Shell(made)("gencli eval --list-measures").worked().text
    assert "pac_bayes_magnitude_origin" in listed
    assert "arXiv:1912.02178" in listed
