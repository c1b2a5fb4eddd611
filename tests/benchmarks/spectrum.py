"""The ten largest eigenvalues of a small network's Hessian, in products and in gradients; and the trace's error."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse.linalg
import torch
from torch import Tensor, nn

from gencli.curvature.extremes import leading
from gencli.curvature.operators import Operator
from gencli.curvature.xtrace import Trace, XTrace
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.inputs import Rows, load
from gencli.sources import open_table
from gencli.training import devices
from tests.benchmarks.hvp import peer
from tests.benchmarks.measure import THREADS, Row, in_turns, timed

_ROWS, _TOP = 500, 10
_SEEDS, _TRACE, _REFERENCE = 20, 98, 1000  # products of an estimate, and of what it is compared with
_CLASSES = tuple("0123456789")


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    devices.choose("cpu")  # as the command does
    mnist = Path(os.environ.get("GENCLI_TEST_DATA", ".")) / "mnist-train.parquet"
    if not mnist.exists():
        print(f"spectrum: no {mnist}; set GENCLI_TEST_DATA to its folder", file=sys.stderr)
        return
    rows = load(open_table(str(mnist))).select(torch.arange(_ROWS))
    model = _trained(rows)
    single, double = (
        Operator(model, rows, CrossEntropy(), dtype=dtype, batch_size=_ROWS) for dtype in (torch.float32, torch.float64)
    )
    exact = leading(double.matvec, double.size, _TOP, tolerance=1e-9, dtype=torch.float64)
    for operator, bar in ((single, 2e-5), (double, 1e-11)):
        kind = str(operator.dtype).removeprefix("torch.")
        found = leading(operator.matvec, operator.size, _TOP, dtype=operator.dtype)
        yield Row(f"spectrum, products for {_TOP} eigenvalues, {kind}", found.products, 22, 1, "products")
        error = ((found.values - exact.values).abs() / exact.values.abs()).max().item()
        yield Row(f"spectrum, {_TOP} eigenvalues, largest relative error, {kind}", error, bar, 1, "")
    calls: list[Callable[[], object]] = [lambda: leading(_fresh(single), single.size, _TOP), single.gradient]
    theirs = _against(model, rows, exact.values)
    seconds, gradient, *peer = in_turns([timed(call) for call in calls + ([theirs] if theirs else [])], 5)
    yield Row(f"spectrum, {_TOP} eigenvalues / one gradient", seconds, gradient, 35)
    for each in peer:
        yield Row(f"spectrum, {_TOP} eigenvalues / curvlinops and eigsh", seconds, each, 0.5)
    yield from _traces(single)


def _trained(rows: Rows) -> Model:
    """9,098 parameters, fitted until all is right: before that more eigenvalues lie near the tenth."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 10),
    )  # fmt: skip
    model = Model("mlp-1x9", (28, 28, 1), _CLASSES, network)
    images, optimizer = model.preprocessing(rows.images), torch.optim.Adam(network.parameters())
    for _ in range(60):
        for part in torch.randperm(_ROWS).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[part]), rows.labels[part]).backward()
            optimizer.step()
    return model


def _fresh(operator: Operator) -> Callable[[Tensor], Tensor]:
    operator.forget()
    return operator.matvec


def _against(model: Model, rows: Rows, expected: Tensor) -> Callable[[], object] | None:
    curvlinops = peer("curvlinops")
    if curvlinops is None:
        return None
    batch, parameters = (model.preprocessing(rows.images), rows.labels), [*model.network.parameters()]
    made = curvlinops.HessianLinearOperator(
        model.network, nn.CrossEntropyLoss(), parameters, [batch], progressbar=False
    )
    linear: Any = made.to_scipy()

    def call() -> Any:
        return scipy.sparse.linalg.eigsh(linear, _TOP, which="LA", tol=1e-4, return_eigenvectors=False)  # type: ignore[arg-type]

    if not np.allclose(np.sort(call())[::-1], expected.numpy(), rtol=1e-3):
        raise AssertionError("curvlinops gives other eigenvalues")
    return call


def _trace(operator: Operator, products: int, seed: int) -> Trace:
    estimator = XTrace(operator.size, products, torch.float32, torch.Generator().manual_seed(seed))
    while not estimator.done:
        estimator.step(operator.matvec)
    return estimator.result()


def _traces(operator: Operator) -> Iterator[Row]:
    exact, errors, missed = _trace(operator, _REFERENCE, 0).value, [], 0
    for seed in range(_SEEDS):
        found = _trace(operator, _TRACE, seed + 1)
        errors.append(abs(found.value / exact - 1))
        missed += abs(found.value - exact) > 2 * found.standard_error
    yield Row(f"spectrum, trace, median error at {_TRACE} products", 100 * statistics.median(errors), 0.3, 1, "%")
    yield Row(f"spectrum, trace, of {_SEEDS} seeds those whose two standard errors miss", missed, _SEEDS / 10, 1, "")
