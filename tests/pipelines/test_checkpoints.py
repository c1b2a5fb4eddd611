"""A run that is stopped anywhere and resumed gives the same bytes as one that was not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.hostile.faults import server
from tests.pipelines.shell import Shell, finish, wait_for

TRAIN = (
    "train digits.parquet --arch convnet-vanilla --epochs 6 --dropout 0.2 --augment crop,flip --ema 0.99 --threads 1 "
    "--optimizer adamw --schedule cosine --validation-fraction 0.1 --early-stop 4 --eval-data digits.parquet -q "
)


def history(path: Path) -> list[dict[str, object]]:
    rows = pq.read_table(path).to_pylist()
    return [
        {name: value for name, value in row.items() if name not in ("seconds", "images_per_second")} for row in rows
    ]


def test_twenty_kills_at_random_moments_change_no_byte(sh: Shell) -> None:
    sh("cp $D/digits.parquet .").worked()
    forks = subprocess.Popen(
        [sys.executable, server.__file__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert forks.stdin is not None
    assert forks.stdout is not None

    def run(words: str, **asked: Any) -> dict[str, Any]:
        asked |= {"arguments": (TRAIN + words).split(), "folder": str(sh.folder), "patience": 600}
        print(json.dumps(asked), file=forks.stdin, flush=True)
        return json.loads(forks.stdout.readline())  # type: ignore[union-attr]

    whole = run("-o whole --history whole.parquet")
    assert whole["status"] == 0
    moments, kills, status = random.Random(0), 0, 1
    while kills < 20 or status != 0:
        kill = {"signal": signal.SIGKILL, "after": moments.uniform(0, whole["seconds"] / 4)} if kills < 20 else {}
        status = run("-o cut --history cut.parquet --checkpoint saved --checkpoint-every 3 --resume", **kill)["status"]
        assert status in (0, 128 + signal.SIGKILL)
        kills += status != 0
        if status == 0 and kills < 20:
            (sh.folder / "saved").unlink()
    forks.stdin.close()
    assert forks.wait() == 0
    assert (sh.folder / "cut").read_bytes() == (sh.folder / "whole").read_bytes()
    assert history(sh.folder / "cut.parquet") == history(sh.folder / "whole.parquet")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_run_and_ends_it(sh: Shell, number: signal.Signals) -> None:
    command = "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 30 --checkpoint saved --resume -o out"
    assert sh(command.replace("saved", "other").replace("-o out", "-o whole")).status == 0
    process = sh.start(f"exec {command} --checkpoint-every 1")
    wait_for(sh.folder, "saved", process)
    process.send_signal(number)
    done = finish(process)
    assert done.status == 128 + number
    assert "--resume continues from there" in done.err
    assert sh.files() == {"saved", "other", "whole"}
    resumed = sh(command)
    assert resumed.status == 0
    assert "saved: resumed after step" in resumed.err
    assert (sh.folder / "out").read_bytes() == (sh.folder / "whole").read_bytes()


def test_a_checkpoint_of_another_run_is_refused_and_stays(sh: Shell) -> None:
    command = "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 --checkpoint saved --resume -o out"
    assert "saved: no such file, starting over" in sh(command).err
    kept = (sh.folder / "saved").read_bytes()
    refused = sh(f"{command} --lr 0.1 --epochs 3")
    assert refused.status == 2
    assert "saved: a checkpoint of another run: --lr was 0.05, is 0.1; --epochs was 2, is 3" in refused.err
    other = sh(f"gencli corrupt random-labels -p 0.5 -q $D/digits.parquet | {command.replace('$D/digits.parquet', '')}")
    assert "data: another file" in other.err
    model = sh("gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 --checkpoint out --resume -o new")
    assert "out: tensors, but no checkpoint" in model.err
    (sh.folder / "saved").write_bytes(kept[:-100])
    assert "saved: cut short" in sh(command).err
    (sh.folder / "saved").write_bytes(kept)
    assert "resumed after step" in sh(command).err


def test_a_checkpoint_is_not_lost_for_a_forgotten_resume(sh: Shell) -> None:
    train = "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 -q -o out --checkpoint saved"
    spectrum = "gencli spectrum $D/model.safetensors $D/digits.parquet --top 1 -q -o out --checkpoint saved"
    for command, at in ((train, "step 6"), (spectrum, "product 1")):
        (sh.folder / "saved").unlink(missing_ok=True)
        sh(command).worked()
        kept = (sh.folder / "saved").read_bytes()
        sh(command).refused(f"already holds a checkpoint at {at}", "--resume continues", "--overwrite starts over")
        never = command.replace("$D/digits.parquet", "")
        sh(f"mkfifo never; exec 3<>never; {never} <&3; status=$?; rm never; exit $status").refused(
            "saved: already holds a checkpoint"
        )
        assert (sh.folder / "saved").read_bytes() == kept
        sh(f"{command} --resume").worked()
        sh(f"{command} --overwrite --resume").refused("do not go together")
        sh(f"{command} --overwrite --seed 1").worked()
        assert (sh.folder / "saved").read_bytes() != kept
    sh(train.replace("-o out", "-o other")).refused("saved: tensors, but no checkpoint of training")


def test_what_is_no_checkpoint_is_never_overwritten(sh: Shell) -> None:
    sh(
        "cp $D/digits.parquet table; cp $D/model.safetensors model; touch empty; mkdir folder; echo text > text"
    ).worked()
    train = "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 1 -q -o out --checkpoint"
    for words in ("", "--resume", "--overwrite"):
        sh(f"{train} table {words}").refused("table: a table, not safetensors")
        sh(f"{train} model {words}").refused("model: tensors, but no checkpoint")
        sh(f"{train} text {words}").refused("text: not safetensors")
        sh(f"{train} folder {words}").refused("folder: a folder")
    sh("cmp table $D/digits.parquet && cmp model $D/model.safetensors && test ! -e out").worked()
    sh(f"{train} empty").refused("empty: empty, not a checkpoint")
    sh(f"{train} empty --overwrite && test -s empty").worked()


def test_options_of_a_checkpoint_need_one(sh: Shell) -> None:
    for words in ("--resume", "--overwrite", "--checkpoint-every 5min"):
        done = sh(f"gencli train $D/digits.parquet --arch mlp-1x16 {words} -o out")
        assert done.status == 2
        assert f"{words.split()[0]} needs a checkpoint" in done.err
    wrong = sh("gencli train $D/digits.parquet --arch mlp-1x16 --checkpoint saved --checkpoint-every soon -o out")
    assert "--checkpoint-every: 'soon'" in wrong.err
    assert sh.files() == set()
