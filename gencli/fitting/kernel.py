"""Kernel interpolation and ridge regression, and the choice of a kernel by rows held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.fitting import cholesky
from gencli.fitting.base import Fitted, Progress
from gencli.fitting.rows import distinct, one_hot, require_points
from gencli.kernels import Kernel
from gencli.models import learners
from gencli.models.inputs import Rows
from gencli.models.learners import PLAIN_PIXELS, pixels
from gencli.training.validation import split

_RESIDUAL = 1e-3
_AT_ONCE = 250


class Settings(Protocol):
    """The options other than the kernels, see `gencli.fitting.kinds.Kernel`."""

    @property
    def ridge(self) -> float: ...
    @property
    def validation_fraction(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def dtype(self) -> str: ...


def choose(
    rows: Rows, classes: int, title: str, kernels: list[Kernel], settings: Settings, progress: Progress
) -> Fitted:
    """Fits to all rows the kernel that is most accurate on held-out rows, the first of several equals.

    A single kernel is only evaluated on them; without a validation fraction it is fitted at once.

    Raises:
        GencliError: see `fit`.
    """
    fraction, held = settings.validation_fraction, None
    accuracies: dict[str, float] = {}
    train = rows
    if fraction:
        train, held = split(rows, fraction, settings.seed)
    tries = kernels if held else []
    ends = np.cumsum([0, *(_work(train) for _ in tries), _work(rows)])
    ends = ends / ends[-1]

    def one(rows: Rows, kernel: Kernel, start: float, stop: float) -> Fitted:
        return fit(rows, classes, title, kernel, settings, lambda done: progress(start + (stop - start) * done))

    for kernel, start, stop in zip(tries, ends, ends[1:]):
        accuracy = _accuracy(one(train, kernel, start, stop), held or rows, classes)
        accuracies[kernel.word] = accuracy
        progress(stop, f"{kernel.word}: validation accuracy {accuracy:.4f}")
    best = max(tries or kernels, key=lambda kernel: accuracies.get(kernel.word, 0))
    fitted = one(rows, best, ends[-2], 1)
    found = {"chosen": best.word, "validation_accuracy": accuracies} | fitted.found
    return Fitted(fitted.tensors, fitted.facts, found)


def fit(
    rows: Rows, classes: int, title: str, kernel: Kernel, settings: Settings, progress: Callable[[float], None]
) -> Fitted:
    """Solves (K + ridge I) α = one-hot labels, K_ij = k(x_i, x_j), over the distinct images if ridge is 0.

    Raises:
        GencliError: no ridge, and an image with two labels, one that the kernel maps to 0 or a kernel without full
            rank; or K is too near to a singular matrix for the arithmetic.
    """
    ridge, dtype = settings.ridge, settings.dtype
    if not ridge:
        rows = distinct(rows, title, "no function fits both: remove one, or use --ridge 0.001, which averages")
    height, width, channels = rows.images.shape[1:]
    shape, n = (height, width, channels), len(rows)
    d = kernel.dimension(shape)
    if kernel.linear and n > d and not ridge:
        raise GencliError(
            f"--kernel {kernel.word}: {n:,} distinct images of {d:,} "
            f"{'pixels' if kernel.word == 'linear' else 'features'}: K has rank at most {d:,}",
            "use --ridge 0.001, or gencli fit least-squares",
        )
    x = kernel.points(pixels(rows.images).to(getattr(torch, dtype)), shape)
    if not ridge and kernel.zero:
        require_points(rows, x, title, kernel.word)
    targets = one_hot(rows, classes).astype(dtype)

    def block(part: slice, others: slice) -> NDArray[Any]:
        return kernel.matrix(x[part], x[others]).numpy()

    wrong, hint = f"--kernel {kernel.word}: {n:,} rows: K is", "use --ridge 0.001"
    hint += ", or a narrower kernel, a larger number" if kernel.name in ("gaussian", "laplace") else ""
    hint += ", or --dtype float64" if dtype == "float32" else ""
    try:
        alpha, scores = cholesky.solve(block, targets, ridge, d, progress)
    except cholesky.NotPositive as error:
        raise GencliError(f"{wrong} not positive definite in {dtype}, from row {error} on", hint) from None
    residual = float(np.linalg.norm(targets - scores - ridge * alpha) / np.linalg.norm(targets))
    if not residual <= _RESIDUAL:
        raise GencliError(f"{wrong} too near to singular for {dtype}: relative residual {residual:.1e}", hint)
    found = {
        "rows": n,
        "relative_residual": residual,
        "train_accuracy": float((scores.argmax(1) == rows.labels.numpy()).mean()),
    }
    images = str(rows.images.dtype).removeprefix("torch.")
    facts = kernel.facts() | {"rows": n, "images": images, "dtype": dtype}
    return Fitted({"images": rows.images, "alpha": torch.from_numpy(alpha)}, facts, found)


def _work(rows: Rows) -> float:
    n = len(rows)
    return n * n * rows.images[0].numel() / 2 + n**3 / 6


@torch.no_grad()
def _accuracy(fitted: Fitted, rows: Rows, classes: int) -> float:
    height, width, channels = rows.images.shape[1:]
    with torch.device("meta"):
        learner = learners.Kernel((height, width, channels), classes, **fitted.facts)
    learner.load_state_dict(fitted.tensors, assign=True)
    batches = zip(rows.images.split(_AT_ONCE), rows.labels.split(_AT_ONCE), strict=True)
    right = sum(int((learner(PLAIN_PIXELS(images)).argmax(1) == labels).sum()) for images, labels in batches)
    return right / len(rows)
