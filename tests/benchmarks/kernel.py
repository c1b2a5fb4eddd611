"""Kernel interpolation of MNIST in time and memory, against numpy's float64 solution of the same equations.

Both run at half of the rows and at all, in turns, so that growth shows too: the memory as bytes for each of the n²
numbers of K, beside what the solver counts beforehand; the time as a power of n, the start-up included.
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
from tests.benchmarks.measure import GENCLI, Row, peak_megabytes

_ROWS, _TESTS, _SCALE = 10_000, 1000, 0.02
_NUMPY = f"""
import sys
import numpy as np
from gencli.models.inputs import load
from gencli.sources import open_table

train, test = (load(open_table(name)) for name in sys.argv[1:3])
x, z = (rows.images.flatten(1).double().numpy() / 255 for rows in (train, test))
kernel = lambda x, y: np.exp(-{_SCALE} * ((x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T))
alpha = np.linalg.solve(kernel(x, x), np.eye(10)[train.labels.numpy()])
np.save(sys.argv[3], kernel(z, x) @ alpha)
"""


def run(folder: Path, rows: int = _ROWS) -> Iterator[Row]:
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
        ours.append(
            _measured([GENCLI, "fit", "kernel", "--kernel", f"gaussian:{_SCALE}", str(train), "-o", str(model)])
        )
        peer.append(_measured([sys.executable, "-c", _NUMPY, str(train), str(test), str(scores)]))
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
    with torch.no_grad():
        read, images = models.read(Input(str(model))), load(open_table(str(test))).images
        named = read.network(read.preprocessing(images)).argmax(1).numpy()
    differ = int((named != np.load(scores).argmax(1)).sum())
    yield Row(f"fit kernel, rows of {_TESTS:,} that numpy classifies otherwise", differ, unit="rows")


def _subsample(source: Path, rows: int, path: Path) -> None:
    subprocess.run([GENCLI, "corrupt", "subsample", "-q", "-n", str(rows), str(source), "-o", str(path)], check=True)


def _measured(command: Sequence[str]) -> tuple[float, float]:
    """Seconds, and the peak memory in 10⁶ bytes, of one run."""
    start = time.perf_counter()
    memory = peak_megabytes(command)
    return time.perf_counter() - start, memory
