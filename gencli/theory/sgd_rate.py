"""The rate of stochastic gradient descent on convex Lipschitz functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Instances, Panel, Row, Series, slope

_EXAMPLES, _DIMENSION = 40, 5
_CONFIDENCE = 0.999


class Loss(NamedTuple):
    """A convex loss of the margin or residual m, which changes by at most one where m does, and a subgradient."""

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


_LOSSES = {
    "hinge": Loss(lambda m: np.maximum(0, 1 - m), lambda m: -(m < 1).astype(m.dtype)),
    "logistic": Loss(lambda m: np.logaddexp(0, -m), lambda m: (np.tanh(m / 2) - 1) / 2),
    "absolute": Loss(np.abs, np.sign),
}


@dataclass(frozen=True)
class SgdRate(Drawn):
    """SGD's average is within B rho / sqrt(T) of a convex optimum.

    \b
    f convex, |v_t| <= rho, E v_t a subgradient at w_t, |w*| <= B,
    w_1 = 0, w_{t+1} = w_t - eta v_t, eta = B / (rho sqrt(T)):
    E f(mean of w_1 ... w_T)  <=  mean of E f(w_t)      (Jensen)
                              <=  f(w*) + B rho / sqrt(T).

    Hinge, logistic and absolute loss of random examples, with rho the largest |x|, B = |w*|, and w* found by linear
    programming, or by BFGS for the logistic loss. With full subgradients every run must satisfy the bound; with the
    subgradient of one random example per step, the mean over the runs and the upper end of its 99.9 % interval must.

    The worst case f(w) = rho max(w_1, ..., w_T) in T dimensions, with the subgradient of the first largest coordinate,
    attains the bound exactly: its log-log slope over T is -1/2. --break claims B rho / T. Reads nothing; writes a table
    of claims.

    Sources: Shalev-Shwartz and Ben-David 2014, Understanding Machine Learning, theorem 14.8; the worst case after
    Nesterov 2004, Introductory Lectures on Convex Optimization, section 3.2.1.

    \b
    Example:
      gencli check sgd-rate --steps 256 --plot rate.png --format table
    """

    name = "sgd-rate"
    family = "steps"
    packages = ("scipy",)
    instances: Instances = 1
    steps: Annotated[
        int,
        typer.Option(
            min=64, max=100_000, metavar="T", help="Maximum number of steps; 1/4, 1/16 and 1/64 of it are also run."
        ),
    ] = 1024
    runs: Annotated[
        int, typer.Option(min=20, max=10_000, metavar="N", help="Number of stochastic runs to average.")
    ] = 200

    def __post_init__(self) -> None:
        need = self.runs * (self.steps + 4 * _EXAMPLES) * 8
        require_memory(need, f"--steps {self.steps}, --runs {self.runs}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        counts = [self.steps // part for part in (64, 16, 4, 1)]
        power = 1.0 if broken else 0.5
        gaps: dict[str, list[float]] = {}
        for number, random in self.numbered(draws):
            for name, loss in _LOSSES.items():
                problem = _Problem(loss, *_examples(name, random, self.dtype))
                for count in counts:
                    bound = problem.radius * problem.lipschitz / count**power
                    rounding = 100 * self.eps * (abs(problem.least) + bound)
                    instance = f"{number}: {name}, T={count:,}, full"
                    (gap,), (average,) = problem.run(count, None)
                    yield Row(instance, "Jensen: gap of mean, mean gap", gap, "<=", average, rounding)
                    yield Row(instance, "gap of mean, bound", gap, "<=", bound, rounding)
                    instance = f"{number}: {name}, T={count:,}, SGD"
                    found, averages = problem.run(count, random.integers(_EXAMPLES, size=(count, self.runs)))
                    excess = float((found - averages).max())
                    yield Row(instance, "Jensen: largest excess of a run", excess, "<=", 0.0, rounding)
                    yield Row(instance, "expected gap, bound", found.mean(), "<=", bound, rounding)
                    yield Row(instance, "its upper 99.9 % limit, bound", _upper(found), "<=", bound, rounding)
                    if number == 0:
                        unit = problem.radius * problem.lipschitz
                        gaps.setdefault(f"{name}, full", []).append(gap / unit)
                        gaps.setdefault(f"{name}, SGD", []).append(float(found.mean()) / unit)
        worst = gaps["worst case"] = [_worst_case(count, self.dtype) for count in counts]
        for count, gap in zip(counts, worst, strict=True):
            yield Row(f"worst case, T={count:,}", "gap of mean, bound", gap, "=", count**-power, 1e-3 * gap)
        yield Row("worst case", "log-log slope of the gap", slope(np.array(counts), np.array(worst)), "=", -power, 1e-3)
        lines = [Series(name, np.array(counts), np.array(each), "o-") for name, each in gaps.items()]
        lines.append(Series("bound", np.array(counts), np.array(counts) ** -power, ":"))
        yield Panel("distance from the optimum", "steps T", "(f(mean w) − f(w*)) / B rho", lines)


class _Problem:
    """f(w) = mean of loss(⟨x_i, w⟩ − b_i) over examples x [n, d] and offsets b [n], and a minimizer of it.

    `least` is f there, in float64, as all values of f are; the steps are taken in the dtype of x.
    """

    def __init__(self, loss: Loss, x: Floats, b: Floats, best: Floats) -> None:
        self._loss, self._x, self._b = loss, x, b
        self.radius, self.lipschitz = float(np.linalg.norm(best)), float(np.linalg.norm(x, axis=1).max())
        self.least = float(self._value(best[None])[0])

    def _value(self, w: Floats) -> Floats:
        return self._loss.value(w.astype(np.float64) @ self._x.T.astype(np.float64) - self._b).mean(1)

    def run(self, count: int, drawn: NDArray[np.int64] | None) -> tuple[Floats, Floats]:
        """f of the average and the average of f, less f(w*), [runs] each; `drawn` [T, runs] are the steps' examples."""
        rate = np.asarray(self.radius / (self.lipschitz * count**0.5), self._x.dtype)
        w = np.zeros((1 if drawn is None else drawn.shape[1], self._x.shape[1]), self._x.dtype)
        total, values = np.zeros(w.shape), np.zeros(len(w))
        for t in range(count):
            total += w
            values += self._value(w)
            if drawn is None:
                w = w - rate * (self._loss.slope(w @ self._x.T - self._b) @ self._x) / len(self._x)
            else:
                x = self._x[drawn[t]]
                w = w - rate * self._loss.slope((w * x).sum(1) - self._b[drawn[t]])[:, None] * x
        return self._value(total / count) - self.least, values / count - self.least


def _examples(loss: str, random: np.random.Generator, dtype: str) -> tuple[Floats, Floats, Floats]:
    """x [n, d], b [n] of `dtype`, w* [d]: labels that a plane gives, a fifth of them flipped, are part of x.

    For the absolute loss b are normal targets.
    """
    from scipy.optimize import linprog, minimize

    x = random.standard_normal((_EXAMPLES, _DIMENSION))
    true = random.standard_normal(_DIMENSION)
    labels = np.sign(x @ true) * np.where(np.arange(_EXAMPLES) < _EXAMPLES // 5, -1, 1)
    absolute = loss == "absolute"
    x = (x if absolute else x * labels[:, None]).astype(dtype)
    b = (x @ true + random.standard_normal(_EXAMPLES) if absolute else np.zeros(_EXAMPLES)).astype(dtype)
    if loss == "logistic":
        return x, b, minimize(lambda w: np.logaddexp(0, -(x @ w)).mean(), np.zeros(_DIMENSION), tol=1e-10).x
    above = np.eye(_EXAMPLES)  # minimizes the sum of s ≥ loss over (w, s)
    rows = np.vstack([np.hstack([-x, -above]), np.hstack([x, -above])]) if absolute else np.hstack([-x, -above])
    limits = np.hstack([-b, b]) if absolute else -np.ones(_EXAMPLES)
    costs = np.repeat([0.0, 1.0], [_DIMENSION, _EXAMPLES])
    bounds = [(None, None)] * _DIMENSION + [(0, None)] * _EXAMPLES
    return x, b, linprog(costs, rows, limits, bounds=bounds).x[:_DIMENSION]


def _worst_case(count: int, dtype: str) -> float:
    """f(mean of w_t) − f(w*) of max(w_1, …, w_T), ρ = B = 1, whose w* is −1/√T everywhere."""
    w, total = np.zeros(count, dtype), np.zeros(count)
    rate = np.asarray(count**-0.5, dtype)
    for _ in range(count):
        total += w
        w[np.argmax(w)] -= rate
    return float((total / count).max() + count**-0.5)


def _upper(values: Floats) -> float:
    """The upper end of the interval that holds their expectation, by Student's t."""
    from scipy.stats import t

    width = t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() + width)
