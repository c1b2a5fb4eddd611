"""Kernel interpolation of MNIST in time and memory, against others' solutions of the same equations.

The direct solver and numpy's in float64 run at half of the rows and at all, in turns, so that growth shows too: the
memory as bytes for each of the n² numbers of K, beside what the solver counts beforehand; the time as a power of n, the
start-up included. The iterations run at more rows, against EigenPro's method and scikit-learn.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from gencli import models
from gencli.files.stream import Input
from gencli.fitting import cholesky
from gencli.models.inputs import load
from gencli.sources import open_table
from tests.benchmarks.kernel_peers import SCALE
from tests.benchmarks.measure import GENCLI, Row, peak_megabytes

_ROWS, _MANY, _TESTS = 10_000, 20_000, 10_000
_DIFFER = _TESTS // 1000  # test rows that may be classified otherwise
_PATIENCE = 4  # times our time, after which EigenPro's method is stopped


def run(folder: Path, rows: int = _ROWS, many: int = _MANY) -> Iterator[Row]:
    if "GENCLI_TEST_DATA" not in os.environ:
        print("kernel: GENCLI_TEST_DATA names no folder with mnist-train.parquet", file=sys.stderr)
        return
    mnist, sizes = Path(os.environ["GENCLI_TEST_DATA"]).resolve(), (rows // 2, rows)
    test, model, scores = folder / "test.parquet", folder / "model.safetensors", folder / "scores.npy"
    _subsample(mnist / "mnist-test.parquet", _TESTS, test)
    ours, peer = [], []
    for size in sizes:
        train = folder / f"{size}.parquet"
        _subsample(mnist / "mnist-train.parquet", size, train)
        ours.append(_ours(train, model, "cholesky"))
        peer.append(_peer("numpy", train, test, scores))
    item = f"fit kernel, {rows:,} rows"
    yield Row(f"{item} / numpy's solve in float64", ours[-1][0] / 60, peer[-1][0] / 60, 1.0, "min")
    yield Row(f"{item} / numpy's solve in float64, peak memory", ours[-1][1], peer[-1][1], 0.5, "MB")
    numbers = sizes[1] ** 2 - sizes[0] ** 2
    mine, theirs = (1e6 * (times[1][1] - times[0][1]) / numbers for times in (ours, peer))
    counted = (cholesky.memory(sizes[1], 4) - cholesky.memory(sizes[0], 4)) / numbers
    yield Row("fit kernel / numpy, memory for each number of K", mine, theirs, 0.5, "B")
    yield Row("fit kernel, memory for each number of K / what is counted", mine, counted, 1.25, "B")
    for name, times in (("fit kernel", ours), ("numpy's solve", peer)):
        yield Row(f"{name}, time as a power of n", math.log2(times[1][0] / times[0][0]), unit="")
    differ = _different(model, test, scores)
    yield Row(f"fit kernel, rows of {_TESTS:,} that numpy classifies otherwise", differ, _DIFFER, 1.0, "rows")
    train = folder / f"{many}.parquet"
    _subsample(mnist / "mnist-train.parquet", many, train)
    iterated = _ours(train, model, "cg")
    for name in ("scikit-learn", "EigenPro 2"):
        other = _peer(name, train, test, scores, _PATIENCE * iterated[0])
        item = f"fit kernel --solver cg, {many:,} rows"
        yield Row(f"{item} / {name}", iterated[0], other[0], 1.0)
        yield Row(f"{item} / {name}, peak memory", iterated[1], other[1], 1.0, "MB")
        differ = _different(model, test, scores)
        bar = _DIFFER if name == "scikit-learn" else None  # EigenPro's may have been stopped
        yield Row(f"{item}, of {_TESTS:,} that {name} classifies otherwise", differ, bar, bar and 1.0, "rows")


def _ours(train: Path, model: Path, solver: str) -> tuple[float, float]:
    options = ["--kernel", f"gaussian:{SCALE}", "--solver", solver]
    return _measured([GENCLI, "fit", "kernel", *options, str(train), "-o", str(model)])


def _peer(name: str, train: Path, test: Path, scores: Path, patience: float = 0) -> tuple[float, float]:
    module = [sys.executable, "-m", "tests.benchmarks.kernel_peers", name]
    return _measured([*module, str(train), str(test), str(scores), str(patience)])


def _different(model: Path, test: Path, scores: Path) -> int:
    """Test rows that the model and the scores classify otherwise."""
    with torch.no_grad():
        read, images = models.read(Input(str(model))), load(open_table(str(test))).images
        network = read.network
        named = np.concatenate([network(read.preprocessing(part)).argmax(1).numpy() for part in images.split(250)])
    return int((named != np.load(scores).argmax(1)).sum())


def _subsample(source: Path, rows: int, path: Path) -> None:
    subprocess.run([GENCLI, "corrupt", "subsample", "-q", "-n", str(rows), str(source), "-o", str(path)], check=True)


def _measured(command: Sequence[str]) -> tuple[float, float]:
    """Seconds, and the peak memory in 10⁶ bytes, of one run."""
    start = time.perf_counter()
    memory = peak_megabytes(command)
    return time.perf_counter() - start, memory
