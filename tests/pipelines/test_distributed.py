"""Several processes under torchrun train the network that one process trains.

Where torchrun itself is not what is tested, a shell starts the processes with the variables that it sets.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from tests.pipelines.shell import PATIENCE, Done, Shell

RUN = "torchrun --standalone --nproc-per-node 2 --log-dir logs -m gencli train"
TWO = """two() {
  for rank in 0 1; do RANK=$rank LOCAL_RANK=$rank gencli train "$@" & processes+=($!); done
  for each in ${processes[@]}; do wait $each || status=$?; done
  return ${status:-0}
}
export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1
"""
CLOCK = ["seconds", "images_per_second"]
FILES = "one.parquet", "two.parquet"
TRAIN = "rows.parquet --arch mlp-1x32 --batch-size 64 --augment crop:1 --threads 1"


@pytest.fixture
def rows(sh: Shell) -> Shell:
    """Two row groups in rows.parquet."""
    sh("gencli data repeat $D/digits.parquet --times 4 -q -o rows.parquet").worked()
    return sh


@pytest.fixture
def both(rows: Shell) -> Shell:
    """`two` in place of `gencli train` starts two processes of one group; standard input goes to both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rows.extra["MASTER_PORT"] = str(free.getsockname()[1])
    return rows


def tensors(path: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in load_file(path).values()])


def test_two_processes_take_the_steps_of_one(both: Shell) -> None:
    rest = f"{TRAIN} --epochs 1 --validation-fraction 0.1 --eval-data rows.parquet"
    both(f"gencli train {rest} -o one --history one.parquet").worked()
    done = both(f"{RUN} {rest} -o two --history two.parquet --checkpoint saved --checkpoint-every 20").worked()
    assert done.err.count("epoch 1:") == 1
    one, two = tensors(both.folder / "one"), tensors(both.folder / "two")
    assert (one - two).abs().max() < 1e-5 * one.abs().max()
    histories = [pq.read_table(both.folder / name).drop_columns(CLOCK).to_pylist() for name in FILES]
    assert histories[0][0].keys() == histories[1][0].keys()
    for expected, found in zip(*histories, strict=True):
        assert found == {name: pytest.approx(value, rel=1e-4) for name, value in expected.items()}
    again = both(f"{TWO} two {rest} -o again --checkpoint saved --resume").worked()
    assert "resumed after step" in again.err
    assert torch.equal(tensors(both.folder / "again"), two)


def test_batch_norm_moments_and_weights_of_all_processes_are_those_of_one(both: Shell) -> None:
    rest = f"{TRAIN} --epochs 1 --batch-norm --whiten dataset --loss ldam --deferred-reweighting 0"
    both(f"gencli train {rest} -o one").worked()
    both(f"{TWO} two {rest} --sync-batch-norm -o two").worked()
    one, two = tensors(both.folder / "one"), tensors(both.folder / "two")
    assert (one - two).abs().max() < 1e-5 * one.abs().max()
    rest = f"{TRAIN} --epochs 1 --batch-norm --loss gce --init one --init-except head --freeze '1*'"
    both(f"gencli train {rest} -o other --history one.parquet").worked()
    both(f"{TWO} two {rest} --sync-batch-norm -o tuned --history two.parquet").worked()
    one, two = tensors(both.folder / "other"), tensors(both.folder / "tuned")
    assert (one - two).abs().max() < 1e-5 * one.abs().max()
    one, two = (pq.read_table(both.folder / name).drop_columns(CLOCK).to_pylist()[0] for name in FILES)
    assert two == {name: value and pytest.approx(value, rel=1e-4) for name, value in one.items()}
    both(f"{TWO} two {TRAIN} --epochs 1000000 --max-time 0.02 -o stopped").worked()  # clocks differ


def test_processes_divide_networks_and_the_first_writes_them_all(both: Shell) -> None:
    rest = (
        "$D/digits.parquet --arch mlp-1x8 --batch-size 64 --epochs 2 --vary lr=0.05,1e30,0.1 --subset 0.7 --threads 1"
    )
    both(f"gencli train {rest} -o one --dynamics one.parquet").worked()
    done = both(f"{TWO} two {rest} -o two --dynamics two.parquet").worked()
    assert "3 networks, divided among 2 processes" in done.err
    assert "1 of 3 runs, the first run 1: the loss became nan" in done.err
    one, two = (load_file(both.folder / name) for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-5, atol=1e-6, equal_nan=True)
    tables = [pq.read_table(both.folder / name) for name in FILES]
    assert tables[0].select(["run", "id"]).equals(tables[1].select(["run", "id"]))
    refused(
        both(f"{TWO} two {rest} -o three --checkpoint saved"), "--checkpoint: 2 processes, each at a step of its own"
    )


def refused(done: Done, words: str) -> None:
    assert done.status != 0
    assert words in done.err
    assert "Traceback (most recent call last):\n  File" not in done.err.partition("gencli train")[0]


def test_what_processes_cannot_share_is_refused(both: Shell) -> None:
    refused(both(f"{TWO} two --arch mlp-1x8 -o out < rows.parquet"), "standard input: 2 processes cannot share it")
    none = both(f"{TWO} two {TRAIN} --sync-batch-norm -o out")
    refused(none, "--sync-batch-norm: the network has no batch norm")
    both("gencli data digits --limit 1 -q -o one.parquet").worked()
    refused(both(f"{TWO} two one.parquet --arch mlp-1x8 -o out"), "one.parquet: 2 processes for 1 row")
    assert not (both.folder / "out").exists()


def test_processes_share_a_table_of_one_row_group(both: Shell) -> None:
    words = "$D/digits.parquet --arch mlp-1x8 --full-batch --epochs 3 --eval-data $D/digits.parquet -q"
    both(f"{TWO} two {words} --history two.parquet -o two.safetensors").worked()
    both(f"gencli train {words} --history one.parquet -o one.safetensors").worked()
    one, two = (pq.read_table(both.folder / f"{name}.parquet").to_pylist()[-1] for name in ("one", "two"))
    for name in ("train_loss", "test_loss", "test_accuracy"):
        assert two[name] == pytest.approx(one[name], rel=1e-6), name


def test_a_process_that_dies_ends_the_run_and_resumes(rows: Shell) -> None:
    run = RUN.replace("-m gencli", "--no-python gencli")  # two of `warm`
    command = f"{run} {TRAIN} --epochs 100000 -q -o out --checkpoint saved --checkpoint-every 50"
    process = rows.start(f"exec {command}")
    end = time.monotonic() + PATIENCE
    while not (rows.folder / "saved").exists() and time.monotonic() < end:
        time.sleep(0.1)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], check=True, capture_output=True, text=True)
    os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "the others do not answer" in err.decode() or "SIGKILL" in err.decode()
    assert not (rows.folder / "out").exists()
    assert (rows.folder / "saved").exists()
