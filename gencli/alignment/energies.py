"""How labels lie along the eigenvectors of a kernel matrix, and how fast gradient descent fits them because of that.

Gradient descent with step size η on 1/2 Σ (f(x_i) − y_i)² in the kernel's space, from f = 0, leaves the residual
(I − ηK)^k y after k steps: along eigenvector v_i it shrinks by 1 − ηλ_i a step (Arora, Du, Hu, Li, Wang 2019,
arXiv:1901.08584). All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.machine import free_memory, size

Floats = NDArray[np.float64]

COPIES = 4  # matrices as large as K in memory at once: K, its eigenvectors, and LAPACK's two
LOSS = 0.01  # share of the loss that is left, as a goal
_LARGEST = 1 << 60  # steps
_PER_DECADE = 10  # steps of the curve
_INSIDE = 1e-9  # energy outside the range of K that rounding accounts for


def require_room(n: int, outputs: int, beside: int = 0) -> None:
    """Refuses a kernel matrix of n · outputs rows that memory does not hold, with the number of rows that it does.

    Args:
        beside: bytes for each of the n rows.

    Raises:
        GencliError: it does not fit.
    """
    one, free = 8 * COPIES * outputs**2, free_memory()
    need = one * n * n + beside * n
    if need > free:
        fits = math.floor((math.sqrt(beside**2 + 4 * one * free) - beside) / (2 * one))
        many = f"{n:,} rows" + (f" of {outputs} outputs" if outputs > 1 else "")
        more = ", or --outputs mean" if outputs > 1 else ""
        raise GencliError(
            f"{many}: the kernel's eigenvectors need {size(need)} of memory, but only {size(free)} are free",
            f"use --limit {fits}{more}" if fits else "free memory",
        )


def targets(labels: NDArray[np.int64], classes: int, kind: str, title: str) -> tuple[Floats, Floats]:
    """Labels [n] as numbers [n, classes]: one-hot, −1 and 1 (signs), or one-hot less its mean (centered).

    Returns:
        the targets, and [classes] what is added to predictions before the largest is chosen.

    Raises:
        GencliError: all labels are one class, which any constant fits.
    """
    found = np.unique(labels)
    if len(found) < 2:
        raise GencliError(
            f"{title}: all {len(labels):,} rows are of class {found[0]}" if len(found) else f"{title}: no rows",
            "give rows of two classes or more",
        )
    one_hot = (labels[:, None] == np.arange(classes)).astype(np.float64)
    if kind == "centered":
        return one_hot - one_hot.mean(0), one_hot.mean(0)
    return (2 * one_hot - 1 if kind == "signs" else one_hot), np.zeros(classes)


@dataclass(frozen=True)
class Alignment:
    """A kernel matrix's eigenvectors, and the targets along them.

    Attributes:
        values: [N] eigenvalues, descending; `vectors` [N, N] in columns.
        parts: [N, classes] the targets of each class along the eigenvectors.
        energies: [N] of all targets.
        rank: eigenvalues above N units of rounding of the largest; the others count as 0.
        shared: whether one kernel serves all classes, N = n; otherwise N = n · classes.
        n, classes: rows and classes; those of `names` that have rows in `present`.
    """

    values: Floats
    vectors: Floats
    parts: Floats
    energies: Floats
    rank: int
    shared: bool
    names: Sequence[str]
    labels: NDArray[np.int64]
    offset: Floats

    @classmethod
    def of(
        cls, matrix: Floats, labels: NDArray[np.int64], names: Sequence[str], kind: str, title: str, eps: float
    ) -> Alignment:
        """Of a kernel matrix [n, n], or [n · classes, n · classes] with all classes of a row beside each other.

        Args:
            kind: of `targets`.
            eps: the rounding of the matrix's numbers, relative to the largest eigenvalue.

        Raises:
            GencliError: see `targets`; the matrix has no positive eigenvalue or numbers that are not finite.
        """
        y, offset = targets(labels, len(names), kind, title)
        if not np.isfinite(matrix).all():
            raise GencliError(f"{title}: the kernel is not finite", "use images or a model of smaller numbers")
        values, vectors = np.linalg.eigh(matrix)
        values, vectors = values[::-1], vectors[:, ::-1]
        if not values[0] > 0:
            raise GencliError(f"{title}: the kernel is 0 between all rows", "use another kernel")
        shared = len(matrix) == len(labels)
        if shared:
            parts = vectors.T @ y
            energies = (parts**2).sum(1)
        else:
            rows = vectors.reshape(len(labels), len(names), -1)  # a class's targets alone, those of the others 0
            parts = np.stack([rows[:, c].T @ y[:, c] for c in range(len(names))], 1)
            energies = parts.sum(1) ** 2
        rank = int((values > len(values) * eps * values[0]).sum())
        return cls(values, vectors, parts, energies, rank, shared, names, labels, offset)

    @cached_property
    def groups(self) -> list[tuple[str | None, Floats]]:
        """The energies [N] of all targets, named None, and of each class that has rows."""
        present = np.bincount(self.labels, minlength=len(self.names)) > 0
        return [
            (None, self.energies),
            *((name, self.parts[:, c] ** 2) for c, name in enumerate(self.names) if present[c]),
        ]

    @property
    def outside(self) -> float:
        """The share of the energy outside the range of K, which no step reduces."""
        return float(self.energies[self.rank :].sum() / self.energies.sum())

    def complexity(self, energies: Floats) -> float:
        """√(2 yᵀK⁻¹y / n), infinite where y is not in the range of K."""
        if energies[self.rank :].sum() > _INSIDE * energies.sum():
            return math.inf
        return math.sqrt(2 * float((energies[: self.rank] / self.values[: self.rank]).sum()) / len(self.labels))

    def step_size(self, asked: float | None) -> float:
        """The one that is asked for, or 1/λ_1.

        Raises:
            GencliError: gradient descent would diverge.
        """
        if asked is not None and asked * self.values[0] >= 2:
            most = f"{2 / self.values[0]:.6g}"
            raise GencliError(f"--step-size: {asked:g}: gradient descent diverges from {most} on", "give a smaller one")
        return 1 / float(self.values[0]) if asked is None else asked

    def left(self, step_size: float, steps: float) -> Floats:
        """[N] the share of the residual along each eigenvector after these steps, with its sign."""
        rates = step_size * np.where(np.arange(len(self.values)) < self.rank, self.values, 0)
        if not steps:
            return np.ones(len(rates))
        with np.errstate(divide="ignore", under="ignore"):
            shares = np.exp(steps * np.where(rates < 1, np.log1p(-np.minimum(rates, 1)), np.log(np.abs(1 - rates))))
        return np.where(rates > 1, shares * (1 - 2 * (steps % 2)), shares)

    def loss(self, energies: Floats, step_size: float, steps: float) -> float:
        """The share of the loss that is left."""
        return float((self.left(step_size, steps) ** 2 * energies).sum() / energies.sum())

    def accuracy(self, step_size: float, steps: float) -> float:
        """The share of the rows whose label has the largest output."""
        gone = 1 - self.left(step_size, steps)
        if self.shared:
            outputs = self.vectors @ (gone[:, None] * self.parts)
        else:
            outputs = (self.vectors @ (gone * self.parts.sum(1))).reshape(len(self.labels), -1)
        return float(((outputs + self.offset).argmax(1) == self.labels).mean())

    def first(self, step_size: float, reached: str, goal: float) -> float:
        """The first step at which the loss is at most, or the accuracy at least, `goal`; infinite where none is.

        The accuracy may fall again: it counts if it is reached in the end too, and then the first of the curve's steps
        at which it is, refined by bisection.
        """
        if reached == "loss":

            def there(steps: float) -> bool:
                return self.loss(self.energies, step_size, steps) <= goal

        else:

            def there(steps: float) -> bool:
                return self.accuracy(step_size, steps) >= goal

        if not there(_LARGEST):
            return math.inf
        below = above = -1.0
        for step in _grid():
            below, above = above, step
            if there(step):
                break
        while above - below > max(1, 1e-6 * above):
            middle = math.floor((below + above) / 2)
            below, above = (below, middle) if there(middle) else (middle, above)
        return above

    def table(self, top: int, bottom: int, step_size: float, fitted_at: float) -> pa.Table:
        """The result: quantity, class, index, value; the quantities are in the help of `gencli spectrum`."""
        n = len(self.values)
        indices = [*range(1, min(top, n) + 1), *range(-min(bottom, n), 0)]
        rows = [("eigenvalue", None, i, self.values[i - 1 if i > 0 else i]) for i in indices]
        rows += [("rank", None, None, self.rank), ("energy outside the range", None, None, self.outside)]
        rows += [("complexity", name, None, self.complexity(energies)) for name, energies in self.groups]
        fit = self.first(step_size, "accuracy", fitted_at)
        fall = self.first(step_size, "loss", LOSS)
        rows += [("step size", None, None, step_size), ("steps to fit", None, None, fit)]
        rows += [("time to fit", None, None, step_size * fit)]
        rows += [(f"steps to loss {LOSS}", None, None, fall), (f"time to loss {LOSS}", None, None, step_size * fall)]
        names = {"quantity": pa.string(), "class": pa.string(), "index": pa.int64(), "value": pa.float64()}
        return pa.table([pa.array(column, kind) for column, kind in zip(zip(*rows), names.values())], [*names])

    def energy_table(self) -> pa.Table:
        """Class (null: all), index, eigenvalue, energy (share of the class's) and cumulative (to this index)."""
        n, groups = len(self.values), self.groups
        shares = [energies / energies.sum() for _, energies in groups]
        return pa.table({
            "class": pa.array([name for name, _ in groups for _ in range(n)], pa.string()),
            "index": np.tile(np.arange(1, n + 1), len(groups)),
            "eigenvalue": np.tile(self.values, len(groups)),
            "energy": np.concatenate(shares),
            "cumulative": np.concatenate([np.minimum(each.cumsum(), 1) for each in shares]),
        })  # fmt: skip

    def descent_table(self, step_size: float) -> pa.Table:
        """Class (null: all), step, time (step · step size), loss (share that is left) and train_accuracy (of all)."""
        last = self.first(step_size, "loss", LOSS / 10)
        steps = list(_grid(1e6 if math.isinf(last) else max(last, 1)))
        columns: dict[str, list[object]] = {name: [] for name in ("class", "step", "time", "loss", "train_accuracy")}
        for name, energies in self.groups:
            for step in steps:
                accuracy = self.accuracy(step_size, step) if name is None else None
                row = name, step, step * step_size, self.loss(energies, step_size, step), accuracy
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
        kinds = pa.string(), pa.float64(), pa.float64(), pa.float64(), pa.float64()
        return pa.table([pa.array(column, kind) for column, kind in zip(columns.values(), kinds)], [*columns])


def _grid(last: float = _LARGEST) -> Iterator[float]:
    """0, 1, 2, … and later 10 steps a decade, whole numbers, up to the first that is no smaller than `last`."""
    step, place = 0.0, 0
    while step < last:
        yield step
        place += 1
        step = max(step + 1, float(round(10 ** (place / _PER_DECADE))))
    yield step
