"""The ten largest eigenvalues of a small network's Hessian, in products and in gradients; and the trace's error."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from gencli import models
from gencli.derivatives.lanczos import leading
from gencli.derivatives.operators import Operator
from gencli.derivatives.trace import trace
from gencli.losses.classes import CrossEntropy
from gencli.models.inputs import load
from gencli.sources import open_table
from gencli.stream import Input
from tests.benchmarks.measure import GENCLI, THREADS, Row, in_turns, timed

_SEEDS = 9


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    data, model = str(folder / "digits.parquet"), str(folder / "model.safetensors")
    subprocess.run([GENCLI, "data", "digits", "--limit", "500", "-o", data], check=True)
    subprocess.run([GENCLI, "train", data, "--arch", "mlp-1x128", "-q", "-o", model], check=True)
    rows = load(open_table(data))
    operator = Operator(models.read(Input(model)), rows, CrossEntropy(), batch_size=len(rows))
    found = leading(operator.matvec, operator.size, 10)
    yield Row("spectrum, products for 10 eigenvalues", found.products, 22, 1, "products")

    def ten() -> float:
        start = time.perf_counter()
        leading(operator.matvec, operator.size, 10)
        return time.perf_counter() - start

    seconds, gradient = in_turns([ten, timed(operator.gradient)], 5)
    yield Row("spectrum, 10 eigenvalues / one gradient", seconds, gradient, 45)
    exact = trace(operator.matvec, operator.size, 1000).value
    errors = [
        abs(trace(operator.matvec, operator.size, 98, generator=torch.Generator().manual_seed(seed)).value / exact - 1)
        for seed in range(_SEEDS)
    ]
    yield Row("spectrum, trace, median error at 98 products", 100 * sorted(errors)[_SEEDS // 2], 0.3, 1, "%")
