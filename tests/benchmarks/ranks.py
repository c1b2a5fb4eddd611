"""Two processes that divide the rows against one, a thread each: time of the processor, of the clock, and peak memory.

The processes are started with the variables that torchrun sets; its launcher takes the start of torch besides. Each
reads the files and starts by itself, so that the ratio is above one half; of a machine that is busy with other work the
clock says little.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import GENCLI, Row, environment

ROUNDS = 2
_MADE = """
data synthetic noise --rows 100000 --size 32x32x3 --classes 10 -o large.parquet
data synthetic noise --rows 10000 --size 8x8x1 --classes 10 --split test -o small.parquet
data synthetic noise --rows 2000 --size 8x8x1 --classes 10 -o few.parquet
train few.parquet --arch mlp-1x64 --epochs 1 --runs 20 --subset 0.7 -o runs.safetensors
train few.parquet --arch mlp-1x64 --epochs 1 -o small.safetensors
data synthetic noise --rows 2000 --size 32x32x3 --classes 10 -o some.parquet
train some.parquet --arch mlp-1x64 --epochs 1 -o large.safetensors
"""
_COMMANDS = {
    "eval, 100,000 images of 32x32x3": "eval large.safetensors large.parquet -o out.parquet",
    "hvp, 100,000 images of 32x32x3": "hvp large.safetensors large.parquet --batch-size 2000 --no-verify "
    "--vector random:0 -o out.safetensors",
    "jacobian, 10,000 rows": "jacobian small.safetensors small.parquet --wrt parameters -o out.parquet",
    "spectrum, 20,000 images of 32x32x3": "spectrum large.safetensors large.parquet --limit 20000 --trace "
    "--trace-products 10 --batch-size 2000 -o out.parquet",
    "score, 20 networks, 10,000 rows": "score runs.safetensors few.parquet --test small.parquet --fitted-at 0 "
    "--influence pairs.parquet -o out.parquet",
}  # fmt: skip
_USED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)
"""


def _processes(size: int, command: str, folder: Path) -> tuple[float, float, float]:
    """Seconds of the clock, and of the one that took most: of the processor, and memory in 10⁶ bytes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    words = [sys.executable, "-c", _USED, GENCLI, *command.split(), "-q", "--threads", "1"]
    start = time.perf_counter()
    started = [
        subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, cwd=folder,
            env=environment() | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(size)
    ]  # fmt: skip
    told = [each.communicate()[0].split() for each in started]
    seconds, megabytes = (max(map(float, numbers)) for numbers in zip(*told, strict=True))
    return time.perf_counter() - start, seconds, megabytes


def run(folder: Path) -> Iterator[Row]:
    for line in _MADE.strip().splitlines():
        subprocess.run([GENCLI, *line.split(), "-q"], check=True, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"})
    for name, command in _COMMANDS.items():
        turns = [_processes(size, command, folder) for size in (2, 1) * ROUNDS]
        two, one = ([min(each) for each in zip(*turns[place::2], strict=True)] for place in (0, 1))
        for number, (what, unit) in enumerate([("clock", "s"), ("processor", "s"), ("peak memory", "MB")]):
            yield Row(f"{name}, each of 2 processes / 1, {what}", two[number], one[number], unit=unit)
