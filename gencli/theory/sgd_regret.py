"""The regret bound of gradient descent, and its slack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Claim, Dimension, Floats, Row

_SEARCHED = 8, 3  # steps and coordinates of the search for a counterexample
_STARTS = 5
_REACH = 10.0


@dataclass(frozen=True)
class SgdRegret(Claim):
    """Regret of steps eta v_t is at most |w*|^2/2eta + eta/2 sum |v_t|^2.

    \b
    w_1 = 0,  w_{t+1} = w_t - eta v_t,  t = 1 ... T, any v_t, any w*:
    sum <w_t - w*, v_t>  <=  |w*|^2 / (2 eta) + eta/2 sum |v_t|^2.

    It is an identity minus a square: each step gives <w_t - w*, v_t> = (|w_t - w*|^2 - |w_{t+1} - w*|^2) / (2 eta) +
    eta/2 |v_t|^2, the sum telescopes, and the remainder is exactly |w_{T+1} - w*|^2 / (2 eta). So the bound is attained
    if the steps end at w*; and no proof may drop eta/2 |v_t|^2, or any <w_t - w*, v_t>, whose sign is unknown.

    The v_t are normal draws, Cauchy draws, which have no mean, subgradients of hinge losses at w_t, and the vectors
    with which an L-BFGS search makes the slack smallest. --break omits eta/2 sum |v_t|^2. Reads nothing; writes a table
    of claims.

    Source: Shalev-Shwartz and Ben-David 2014, Understanding Machine Learning, lemma 14.1.

    \b
    Example:
      gencli check sgd-regret --steps 1000 --rate 0.1 --format table
    """

    name = "sgd-regret"
    family = "steps"
    packages = ("scipy",)
    dimension: Dimension = 10
    steps: Annotated[int, typer.Option(min=1, max=10_000_000, metavar="T", help="Number of steps.")] = 100
    rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1e6, metavar="ETA", help="eta. Default: drawn from 0.001 to 10 for each instance."),
    ] = None

    def __post_init__(self) -> None:
        require_memory(4 * self.steps * self.dimension * np.dtype(self.dtype).itemsize, f"--steps {self.steps}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        for number, random in self.numbered(draws):
            rate = self.rate or float(10 ** random.uniform(-3, 1))
            target = random.standard_normal(self.dimension).astype(self.dtype)
            for kind, vector in self._vectors(random).items():
                w, v = self._walk(vector, rate)
                left, right = _sides(w[:-1], v, target, rate, broken)
                instance = f"{number}: {kind} v, eta={rate:.4g}"
                unit = np.abs(w[:-1] * v).sum(dtype=np.float64) + np.abs(target * v).sum(dtype=np.float64) + right
                room = 10 * self.eps * np.sqrt(self.steps) * float(unit)
                yield Row(instance, "regret, bound", left, "<=", right, room)
                end = (w[-1].astype(np.float64) - target) @ (w[-1] - target) / (2 * rate)
                yield Row(instance, "bound - regret, |w_T+1 - w*|^2/2eta", right - left, "=", end, room)
            least = _search(random, rate, broken)
            yield Row(f"{number}: searched v, eta={rate:.4g}", "least slack / (|w*|^2/2eta)", least, ">=", 0.0, 1e-9)

    def _vectors(self, random: np.random.Generator) -> dict[str, Callable[[Floats], Floats]]:
        examples = random.standard_normal((20, self.dimension)).astype(self.dtype)

        def hinge(w: Floats) -> Floats:
            example = examples[random.integers(len(examples))]
            return -example if example @ w < 1 else np.zeros_like(w)

        return {
            "normal": lambda w: random.standard_normal(self.dimension).astype(self.dtype),
            "Cauchy": lambda w: random.standard_cauchy(self.dimension).astype(self.dtype),
            "hinge": hinge,
        }

    def _walk(self, vector: Callable[[Floats], Floats], rate: float) -> tuple[Floats, Floats]:
        w = np.zeros((self.steps + 1, self.dimension), self.dtype)
        v = np.empty((self.steps, self.dimension), self.dtype)
        eta = np.asarray(rate, self.dtype)
        for t in range(self.steps):
            v[t] = vector(w[t])
            w[t + 1] = w[t] - eta * v[t]
        return w, v


def _sides(w: Floats, v: Floats, target: Floats, rate: float, broken: bool) -> tuple[float, float]:
    left = float(((w - target) * v).sum())
    squares = 0.0 if broken else float((v * v).sum())
    return left, float(target @ target) / (2 * rate) + rate / 2 * squares


def _search(random: np.random.Generator, rate: float, broken: bool) -> float:
    """The least slack found over all v of a few steps, |w*| being one, in units of |w*|²/2η; v in units of 1/η."""
    from scipy.optimize import minimize

    steps, dimension = _SEARCHED
    target = random.standard_normal(dimension)
    target /= np.linalg.norm(target)

    def slack(flat: Floats) -> float:
        v = flat.reshape(steps, dimension) / rate
        w = -rate * (np.cumsum(v, 0) - v)
        left, right = _sides(w, v, target, rate, broken)
        return (right - left) * 2 * rate

    starts = random.standard_normal((_STARTS, steps * dimension))
    bounds = [(-_REACH, _REACH)] * (steps * dimension)
    return min(float(minimize(slack, start, method="L-BFGS-B", bounds=bounds).fun) for start in starts)
