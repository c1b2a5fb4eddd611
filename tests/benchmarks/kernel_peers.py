"""Others' solutions of kernel interpolation: `python -m tests.benchmarks.kernel_peers NAME TRAIN TEST SCORES SECONDS`.

Each writes the scores of the test rows, [rows, 10]. SECONDS bounds the methods that approach a solution.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.models.inputs import load
from gencli.sources import open_table

SCALE, TOLERANCE = 0.02, 1e-3
_SAMPLE, _EIGENVECTORS = 5000, 400
Matrix = NDArray[Any]


def gaussian(x: Matrix, y: Matrix) -> Matrix:
    """exp(−scale ‖x − y‖²) of rows."""
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.exp(-SCALE * squares)


def by_numpy(x: Matrix, y: Matrix, z: Matrix, _: float) -> Matrix:
    return gaussian(z, x) @ np.linalg.solve(gaussian(x, x), y)


def by_sklearn(x: Matrix, y: Matrix, z: Matrix, _: float) -> Matrix:
    from sklearn.kernel_ridge import KernelRidge

    ridge = KernelRidge(alpha=1e-10, kernel="rbf", gamma=SCALE)  # type: ignore[arg-type]  # it warns at 0
    return ridge.fit(x, y).predict(z)


def by_eigenpro(x: Matrix, y: Matrix, z: Matrix, seconds: float) -> Matrix:
    """EigenPro 2: stochastic gradients with the top eigenvectors of a sample's kernel matrix damped, K in memory.

    Ma, Belkin 2019, "Kernel machines that adapt to GPUs for effective large batch training", arXiv:1806.06144,
    algorithm 1, with the step size of its section 3 for the batch. Ends where the relative residual over an epoch,
    each batch's before its own update, is within the tolerance.
    """
    random, n = np.random.default_rng(0), len(x)
    x, y, z = (part.astype(np.float32) for part in (x, y, z))
    matrix = gaussian(x, x)
    sample = random.choice(n, min(_SAMPLE, n), replace=False)
    values, vectors = np.linalg.eigh(matrix[np.ix_(sample, sample)])
    values, vectors = values[: -_EIGENVECTORS - 1 : -1], vectors[:, : -_EIGENVECTORS - 1 : -1]
    last = values[-1]
    weights = (1 - last / values) / values
    features = matrix[:, sample] @ vectors  # of e_i, times √σ_i
    largest = (1 - (features**2) @ weights).max()
    size = int(np.clip(largest * len(sample) / last, 256, n))  # the critical batch
    step = size / (largest + (size - 1) * last / len(sample))
    alpha = np.zeros_like(y)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        missed, order = 0.0, random.permutation(n)
        for batch in np.array_split(order, max(1, n // size)):
            rest = matrix[batch] @ alpha - y[batch]
            missed += float((rest**2).sum())
            alpha[batch] -= step / len(batch) * rest
            alpha[sample] += step / len(batch) * (vectors * weights) @ (features[batch].T @ rest)
        if missed**0.5 <= TOLERANCE * np.linalg.norm(y):
            break
    print(np.linalg.norm(matrix @ alpha - y) / np.linalg.norm(y))
    return gaussian(z, x) @ alpha


PEERS = {"numpy": by_numpy, "scikit-learn": by_sklearn, "EigenPro 2": by_eigenpro}

if __name__ == "__main__":
    name, train, test, path, seconds = sys.argv[1:]
    rows, others = load(open_table(train)), load(open_table(test))
    x, z = (each.images.flatten(1).double().numpy() / 255 for each in (rows, others))
    np.save(path, PEERS[name](x, np.eye(10)[rows.labels.numpy()], z, float(seconds)))
