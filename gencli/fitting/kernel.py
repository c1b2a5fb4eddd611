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
from gencli.fitting.rows import distinct, one_hot
from gencli.models.inputs import Rows
from gencli.models.learners import KERNELS, PLAIN_PIXELS, Kernel, pixels
from gencli.training.validation import split

Spec = tuple[str, float | None]
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


def word(spec: Spec) -> str:
    """A kernel as written on the command line, such as gaussian:0.02."""
    name, scale = spec
    return name if scale is None else f"{name}:{scale:g}" if float(f"{scale:g}") == scale else f"{name}:{scale!r}"


def choose(rows: Rows, classes: int, title: str, specs: list[Spec], settings: Settings, progress: Progress) -> Fitted:
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
    tries = specs if held else []
    ends = np.cumsum([0, *(_work(train) for _ in tries), _work(rows)])
    ends = ends / ends[-1]

    def one(rows: Rows, spec: Spec, start: float, stop: float) -> Fitted:
        return fit(rows, classes, title, spec, settings, lambda done: progress(start + (stop - start) * done))

    for spec, start, stop in zip(tries, ends, ends[1:]):
        accuracy = _accuracy(one(train, spec, start, stop), held or rows, classes)
        accuracies[word(spec)] = accuracy
        progress(stop, f"{word(spec)}: validation accuracy {accuracy:.4f}")
    best = max(tries or specs, key=lambda spec: accuracies.get(word(spec), 0))
    fitted = one(rows, best, ends[-2], 1)
    found = {"chosen": word(best), "validation_accuracy": accuracies} | fitted.found
    return Fitted(fitted.tensors, fitted.facts, found)


def fit(
    rows: Rows, classes: int, title: str, spec: Spec, settings: Settings, progress: Callable[[float], None]
) -> Fitted:
    """Solves (K + ridge I) α = one-hot labels, K_ij = k(x_i, x_j), over the distinct images if ridge is 0.

    Raises:
        GencliError: no ridge, and an image with two labels or a kernel without full rank; or K is too near to a
            singular matrix for the arithmetic.
    """
    ridge, dtype = settings.ridge, settings.dtype
    if not ridge:
        rows = distinct(rows, title, "no function fits both: remove one, or use --ridge 0.001, which averages")
    (name, scale), (n, d) = spec, (len(rows), rows.images[0].numel())
    if name == "linear" and n > d and not ridge:
        raise GencliError(
            f"--kernel linear: {n:,} distinct images of {d:,} pixels: K has rank at most {d:,}",
            "use --ridge 0.001, or gencli fit least-squares",
        )
    x, targets = pixels(rows.images).to(getattr(torch, dtype)), one_hot(rows, classes).astype(dtype)

    def block(part: slice, others: slice) -> NDArray[Any]:
        return KERNELS[name](x[part], x[others], scale).numpy()

    wrong, hint = f"--kernel {word(spec)}: {n:,} rows: K is", "use --ridge 0.001"
    hint += ", or a narrower kernel, a larger number" if name == "gaussian" else ""
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
    facts = {"kernel": name, "scale": scale, "rows": n, "images": images, "dtype": dtype}
    return Fitted({"images": rows.images, "alpha": torch.from_numpy(alpha)}, facts, found)


def _work(rows: Rows) -> float:
    n = len(rows)
    return n * n * rows.images[0].numel() / 2 + n**3 / 6


@torch.no_grad()
def _accuracy(fitted: Fitted, rows: Rows, classes: int) -> float:
    height, width, channels = rows.images.shape[1:]
    with torch.device("meta"):
        learner = Kernel((height, width, channels), classes, **fitted.facts)
    learner.load_state_dict(fitted.tensors, assign=True)
    batches = zip(rows.images.split(_AT_ONCE), rows.labels.split(_AT_ONCE), strict=True)
    right = sum(int((learner(PLAIN_PIXELS(images)).argmax(1) == labels).sum()) for images, labels in batches)
    return right / len(rows)
