"""A run as its user sees it from outside: rows while it runs, more epochs afterwards, other weights to start from."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipelines.replays import replay_all
from tests.pipelines.shell import Shell, finish, wait_for


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_killed_run_leaves_its_rows_under_a_name_that_says_so(sh: Shell, ending: str) -> None:
    run = sh.start(f"exec gencli train $D/digits.parquet --arch mlp-1x16 --epochs 100000 --history h.{ending} -o m -q")
    wait_for(sh.folder, f"h.unfinished.{ending}", run, 300)
    followed = sh.start(f"gencli report --follow h.{ending}")
    explained = finish(followed)
    assert explained.status == 2
    assert "no terminal" in explained.err
    os.killpg(run.pid, signal.SIGKILL)
    finish(run)
    name = sh.folder / f"h.unfinished.{ending}"
    with name.open() as lines:
        rows = [*csv.DictReader(lines)] if ending == "csv" else pq.read_table(name).to_pylist()
    assert [int(row["epoch"]) for row in rows] == [*range(1, len(rows) + 1)]
    assert "has not come to its end" in sh(f"gencli report h.unfinished.{ending}").worked().err
    assert f"h.{ending}" not in sh.files()
    ended = sh.on_terminal(f"gencli report --follow h.{ending}", COLUMNS="80")
    assert ended.status == 1
    assert "did not come to its end" in ended.err
    assert max(map(len, ended.text.replace("\x1b[K", "").replace("\x1b[J", "").split("\n"))) <= 80


def test_a_finished_history_is_drawn_once(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 --history h.csv -o m -q").worked()
    assert sh.files() == {"h.csv", "m"}
    drawn = sh.on_terminal("gencli report --follow h.csv", NO_COLOR="1").worked()
    assert "train accuracy" in drawn.text
    assert "[3" not in drawn.text
    sh("gencli report --follow h.csv h.csv").refused("one history")
    sh("gencli report --follow h.csv --table runs").refused("--table and --follow")


def test_more_epochs_are_the_run_that_had_as_many(sh: Shell) -> None:
    train = "gencli train $D/digits.parquet --arch mlp-1x16 -q"
    sh(f"{train} --epochs 4 -o whole; {train} --epochs 2 --checkpoint c -o two").worked()
    sh(f"{train} --epochs 4 --checkpoint c --resume -o more && cmp whole more").worked()
    sh(f"{train} --epochs 3 --checkpoint c --resume -o less").refused("--epochs was 4, is 3")
    sh(f"{train} --epochs 2 --schedule cosine --checkpoint d -o cosine").worked()
    sh(f"{train} --epochs 4 --schedule cosine --checkpoint d --resume -o x").refused("was 2, is 4", "cosine depends")
    sh(f"{train} --epochs 2 --runs 2 --checkpoint e -o runs").worked()
    sh(f"{train} --epochs 4 --runs 2 --checkpoint e --resume -o x").refused("runs of --runs")


def test_what_starts_from_another_model_is_made_again(
    sh: Shell, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = "gencli train $D/digits.parquet --epochs 1 -q"
    sh(f"{train} --arch mlp-1x16 --runs 2 -o runs.safetensors").worked()
    done = sh(
        f"{train.replace(' -q', '')} --arch mlp-1x16 --init runs.safetensors --init-run 1 --init-except head "
        "--freeze '*,!head' --seed-order 3 -o tuned.safetensors"
    ).worked()
    assert "2 tensors from there; at random: 3.weight, 3.bias" in done.err
    sh(f"{train} --arch mlp-1x16 --runs 2 --init runs.safetensors -o each.safetensors").worked()
    shown = sh("gencli show tuned.safetensors --format json").worked().text
    assert '"random"' in shown
    sh("gencli eval tuned.safetensors $D/digits.parquet --measures").refused("started from another file")
    sh("gencli bound compression tuned.safetensors $D/digits.parquet").refused("started from another file")
    refused = {
        "--init-except head": "no file to start from",
        "--init runs.safetensors": "choose one",
        "--init runs.safetensors --init-run 5": "2 networks, 0 to 1",
        "--init tuned.safetensors --init-run 0": "one network",
        "--init $D/digits.parquet": "not safetensors",
        "--freeze nothing": "no tensor is named 'nothing'",
    }
    for words, why in refused.items():
        hinted = sh(f"{train} --arch mlp-1x16 {words} -o x")
        assert hinted.status == 2, hinted
        assert why in hinted.err + hinted.text, hinted
    assert Path(sh.folder / "x").exists() is False
    replay_all(sh.folder, tmp_path_factory.mktemp("replays"), monkeypatch)


def test_models_by_epoch_are_those_of_runs_that_stopped_there(sh: Shell) -> None:
    train = "gencli train $D/digits.parquet --arch mlp-1x16 --schedule cosine --ema 0.9 --freeze head --epochs 4 -q"
    sh(f"{train} --save-every 2 -o m.safetensors && {train} --stop-epoch 2 -o two").worked()
    sh("cmp m.epoch0002.safetensors two && cmp m.epoch0004.safetensors m.safetensors").worked()
    assert "--stop-epoch 2" in sh("gencli how m.epoch0002.safetensors").worked().text
    sh(f"{train} --runs 2 --save-every 2 -o x").refused("not all at one epoch")
    sh(f"{train} --stop-epoch 5 -o x").refused("5 of 4 epochs")
    sh(f"{train} --save-every 5 -o x").refused("5 of 4 epochs")
    sh(f"{train} --save-every 2 --init m.epoch0002.safetensors -o m.safetensors").refused("the output is the input")
