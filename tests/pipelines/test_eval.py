"""`gencli eval` at the shell: several models and tables, its files, its measures, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from gencli.files import tensors
from gencli.files.stream import Output
from tests.pipelines.shell import Shell, many

EVAL = "gencli eval $D/model.safetensors"


def test_several_models_and_tables_share_one_table(sh: Shell) -> None:
    done = sh(
        f"""
        set -e
        gencli train $D/digits.parquet --arch linear --epochs 1 -q -o other.safetensors
        cat $D/test.parquet | {EVAL} other.safetensors $D/corrupted.parquet - --top 3 --intervals \\
            --confusion confusion.csv --predictions rows.parquet -o all.json
        gencli eval other.safetensors $D/test.parquet --top 3 --intervals --format json
        """
    ).worked()
    rows, alone = json.loads((sh.folder / "all.json").read_text()), json.loads(done.text)
    pairs = [(m, d) for m in ("model.safetensors", "other.safetensors") for d in ("corrupted.parquet", "-")]
    assert [(row["model"], row["data"]) for row in rows] == [pair for pair in pairs for _ in range(11)]
    assert [{key: row[key] for key in alone[0]} for row in rows[-11:]] == alone
    assert alone[-1]["accuracy_low"] < alone[-1]["accuracy"] < alone[-1]["accuracy_high"]
    counts = (sh.folder / "confusion.csv").read_text().splitlines()
    assert counts[0] == "model,data,label,name,0,1,2,3,4,5,6,7,8,9"
    assert len(counts) == 41
    predictions = pq.read_table(sh.folder / "rows.parquet")
    assert predictions.column_names[:4] == ["model", "data", "id", "label"]
    assert predictions.num_rows == 800


def test_common_corruptions_have_a_row_each(sh: Shell) -> None:
    done = sh(
        f"""
        gencli corrupt common --all $D/test.parquet -q > all.parquet
        {EVAL} all.parquet --format json; {EVAL} all.parquet --by label --format json
        """
    ).worked()
    rows, by_label = (json.loads(f"{part}]") for part in done.text.split("]\n") if part)
    assert [row["name"] for row in rows][:2] == ["gaussian-noise 1", "gaussian-noise 2"]
    assert len(rows) == 19 * 5 + 1
    error = sum(row["corruption_error"] for row in rows[:75]) / 75
    assert rows[-1]["corruption_error"] == pytest.approx(error)
    assert "corruption_error" not in by_label[0]


def test_measures_with_and_without_data(sh: Shell) -> None:
    done = sh(
        f"""
        set -e
        {EVAL} --measures --format json
        cat $D/model.safetensors | gencli eval - $D/corrupted.parquet --measures --format json
        gencli train $D/test.parquet --arch linear --epochs 1 --runs 2 -q -o two
        gencli eval two --measures -o runs.parquet
        """
    ).worked()
    runs = pq.read_table(sh.folder / "runs.parquet").to_pylist()
    assert [each["run"] for each in runs if each["measure"] == "path_norm"] == [0, 1]
    without, on = (
        {(r["measure"], r["layer"]): r["value"] for r in json.loads(f"{p}]")} for p in done.text.split("]\n")[:2]
    )
    assert without.items() <= on.items()
    assert on.keys() - without.keys() >= {
        (name, None) for name in ("vc_gap_bound", "margin", "margin_normalized_complexity", "sharpness",
                                  "sharpness_standard_error", "worst_sharpness")
    }  # fmt: skip
    assert 0 < without["distance_from_initialization", None] < without["frobenius_norm", "1"]
    assert on["vc_gap_bound", None] > 1


def test_an_image_to_image_network_has_psnr_and_ssim(sh: Shell) -> None:
    script = """
        set -e
        gencli data parquet $D/large.parquet --limit 12 | gencli corrupt gaussian-noise --sigma 25 --on both -q > noisy
        gencli train noisy --arch unet-small --epochs 1 -q -o model
        gencli eval model noisy --format json
        """
    (row,) = [each for each in json.loads(sh(script).worked().text) if each["label"] is None]
    assert list(row) == ["label", "name", "n", "psnr", "ssim", "loss"]
    assert 0 < row["ssim"] < 1
    small = """
        set -e
        gencli corrupt gaussian-noise --sigma 25 --on both -q $D/test.parquet > small
        gencli train small --arch unet-small --epochs 1 -q -o tiny
        gencli eval tiny small --format csv
        """
    done = sh(small).worked()
    assert done.text.startswith("label,name,n,psnr,loss\n")
    assert "no ssim, its window of 11×11 is larger than the images" in done.err
    refused = many(sh.folder, [["eval", "tiny", "small", word, "-o", "out"] for word in ("--intervals", "--measures")])
    refused[0].refused("tiny: unet-small makes images, to which --intervals does not apply")
    refused[1].refused("measures on data need classes")


def test_what_is_refused(sh: Shell, data: str) -> None:
    model, test = f"{data}/model.safetensors", f"{data}/test.parquet"
    cases = {
        "--top: 11 of 10 classes": ["eval", model, test, "--top", "11", "--top", "3"],
        "no column 'labl' to group by": ["eval", model, test, "--by", "labl"],
        "--by: id twice": ["eval", model, test, "--by", "id,id"],
        "--confusion and --measures": ["eval", model, "--measures", "--confusion", "c.csv"],
        "--measures: 2 models, 1 table": ["eval", model, test, model, "--measures"],
        "--seed: nothing is drawn": ["eval", model, test, "--seed", "1"],
        "standard input": ["eval", "-", "-"],
        "no such file": ["eval", model, test, "missing"],
    }
    for words, done in zip(cases, many(sh.folder, [[*case, "-o", "out"] for case in cases.values()])):
        done.refused(words)
    assert not (sh.folder / "out").exists()


def test_a_file_chooses_no_code_to_run(sh: Shell, data: Path) -> None:
    (sh.folder / "side.py").write_text("raise SystemExit('imported')")
    path = data / "model.safetensors"
    with safe_open(path, "pt") as opened:
        facts = json.loads(opened.metadata()["gencli"])
    facts["step"]["arguments"]["arch"] = "side:factory"
    with Output(str(sh.folder / "evil")) as output:
        tensors.write(output, load_file(path), {name: facts[name] for name in facts if name != "seal"})
    done = sh("PYTHONPATH=. gencli eval evil --measures --format csv")
    assert "imported" not in done.err


@pytest.mark.parametrize(("options", "same"), [("", True), ("--label-smoothing 0.2", False), ("--loss square", False)])
def test_cross_entropy_stands_beside_the_loss_of_the_training(sh: Shell, options: str, same: bool) -> None:
    train = f"gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 -q {options}"
    sh(f"{train} --history h.csv -o m; gencli eval m $D/digits.parquet -o r.csv --predictions p.parquet").worked()
    (row,) = [row for row in csv.DictReader((sh.folder / "r.csv").open()) if row["name"] == "all"]
    rows = pq.read_table(sh.folder / "p.parquet").to_pylist()
    expected = np.mean([-np.log(each["probabilities"][each["label"]]) for each in rows])
    assert float(row["cross_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert (row["cross_entropy"] == row["loss"]) == same
    *_, last = csv.DictReader((sh.folder / "h.csv").open())
    assert float(row["loss"]) == pytest.approx(float(last["train_loss"]), rel=1e-6)


def test_what_is_trained_by_sigmoids_has_no_cross_entropy(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch mlp-1x16 --epochs 1 -q --loss cb-sigmoid -o m").worked()
    header = sh("gencli eval m $D/digits.parquet --format csv").worked().text.partition("\n")[0].split(",")
    assert "loss" in header
    assert "cross_entropy" not in header
