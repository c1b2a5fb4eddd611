"""The same command on the same input gives the same bytes, whatever the place and the way.

Whatever the number of threads, too, where nothing but integers is computed: torch's sums differ in their last bits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.files import provenance
from tests.pipelines.shell import Shell

pytestmark = pytest.mark.cold

TRAIN = "gencli train --arch mlp-1x16 --epochs 1"


def _footer(file: Path | pa.BufferReader) -> dict[str, Any]:
    return json.loads(pq.ParquetFile(file).metadata.metadata[b"gencli.provenance"])


def test_data_twice(sh: Shell, data: Path) -> None:
    sh("gencli data digits --limit 300 --threads 1 -q -o another-name").worked()
    assert (sh.folder / "another-name").read_bytes() == (data / "digits.parquet").read_bytes()


def test_corruption_twice(sh: Shell, data: Path) -> None:
    sh("mkdir d; cp $D/digits.parquet d/other; gencli corrupt random-labels d/other -p .5 --threads 1 -o out").worked()
    assert (sh.folder / "out").read_bytes() == (data / "corrupted.parquet").read_bytes()


def test_one_pipe_and_many_files(sh: Shell, data: Path) -> None:
    """The whole chain through pipes gives the model, the result and the predictions that files give."""
    piped = sh(
        f"""
        gencli data digits --limit 300 | gencli corrupt random-labels -p 0.5 -q |
            {TRAIN} -q | tee piped.safetensors |
            gencli eval - $D/test.parquet --predictions piped.parquet --format parquet
        """
    ).worked()
    filed = sh(
        """
        cp $D/model.safetensors other-name; cp $D/test.parquet other-data
        gencli eval other-name other-data --predictions filed.parquet -q -o result.parquet
        """
    ).worked()
    assert not piped.err
    assert not filed.out
    assert (sh.folder / "piped.safetensors").read_bytes() == (data / "model.safetensors").read_bytes()
    assert (sh.folder / "piped.parquet").read_bytes() == (sh.folder / "filed.parquet").read_bytes()
    assert (sh.folder / "result.parquet").read_bytes() == piped.out
    made = _footer(pa.BufferReader(piped.out))
    assert made["rows"] == 11
    steps = [(step.command, depth) for step, depth in provenance.walk(provenance.decode(json.dumps(made))["step"])]
    assert steps == [("data digits", 0), ("corrupt random-labels", 0), ("train", 0), ("data digits", 1), ("eval", 0)]


def test_histories_differ_in_nothing_but_the_clock(sh: Shell, data: Path) -> None:
    sh(f"{TRAIN} $D/corrupted.parquet -q -o model --history history").worked()
    first, second = pq.read_table(data / "history.parquet"), pq.read_table(sh.folder / "history")
    clocks = ["seconds", "images_per_second"]
    assert first.drop_columns(clocks).equals(second.drop_columns(clocks))
    assert _footer(data / "history.parquet") == _footer(sh.folder / "history")
    assert (sh.folder / "model").read_bytes() == (data / "model.safetensors").read_bytes()


def test_what_is_recorded(data: Path) -> None:
    made = _footer(data / "corrupted.parquet")
    step = made["step"]
    assert made["rows"] == 300
    assert step["command"] == "corrupt random-labels"
    assert step["arguments"] == {"p": 0.5, "exact": False, "seed": 0, "shard": None}
    assert set(step["versions"]) == {"gencli", "numpy", "pyarrow"}
    (source,) = step["inputs"]
    assert source["role"] == "data"
    assert source["step"] == _footer(data / "digits.parquet")["step"]
    assert source["step"]["arguments"]["limit"] == 300


def test_a_corruption_applied_twice_draws_afresh(sh: Shell) -> None:
    twice = sh("gencli corrupt random-labels -p 1 -q $D/digits.parquet | gencli corrupt random-labels -p 1 -q").worked()
    once = sh("gencli corrupt random-labels -p 1 -q $D/digits.parquet").worked()
    labels = [pq.read_table(pa.BufferReader(done.out)).column("label").to_pylist() for done in (once, twice)]
    assert labels[0] != labels[1]


def test_a_foreign_input_keeps_its_name_and_no_folder(sh: Shell, data: Path) -> None:
    table = pq.read_table(data / "digits.parquet").replace_schema_metadata()
    (sh.folder / "d").mkdir()
    pq.write_table(table, sh.folder / "d" / "mine-test.parquet")
    sh("gencli data parquet d/mine-test.parquet --shape 8x8x1 -o out").worked()
    step = _footer(sh.folder / "out")["step"]
    assert [(source["role"], source["name"]) for source in step["inputs"]] == [("data", "mine-test.parquet")]
    assert (step["arguments"]["name"], step["arguments"]["split"]) == ("mine", "test")
    assert str(sh.folder) not in json.dumps(step)


def test_gaussian_pixels_with_random_labels_are_memorized_and_teach_nothing(tmp_path: Path) -> None:
    """Train and test share a seed and nothing else: what was learned by heart is worth nothing on other rows."""
    result = Shell(tmp_path)(
        """
        set -e
        damage() {
          gencli corrupt gaussian-pixels --statistics digits.parquet -q | gencli corrupt random-labels -p 1 -q
        }
        gencli data digits -o digits.parquet
        damage < digits.parquet > train.parquet
        gencli data digits --split test | damage > test.parquet
        gencli train train.parquet --arch mlp-1x512 --epochs 60 --until-train-accuracy 0.995 -q -o model.safetensors
        gencli eval model.safetensors train.parquet --format json
        gencli eval model.safetensors test.parquet --format json
        """
    ).worked()
    train, test = (json.loads(f"{part}]")[-1] for part in result.text.split("]\n") if part)
    assert train["accuracy"] >= 0.99
    assert abs(test["accuracy"] - 0.1) < 5 * (0.09 / test["n"]) ** 0.5
