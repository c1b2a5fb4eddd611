"""The gradient step as a proximal step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.theory import objectives
from gencli.theory.base import Claim, Dimension, Floats, Row, complex_step, minimize


@dataclass(frozen=True)
class ProxStep(Claim):
    """The proximal step on a function's tangent is the gradient step.

    \b
    argmin over w of  f(w_t) + <grad f(w_t), w - w_t> + lambda/2 |w - w_t|^2
      =  w_t - grad f(w_t) / lambda,
    where it is  f(w_t) - |grad f(w_t)|^2 / (2 lambda).

    f is the logistic loss of random data plus a random quadratic form, which may be nonconvex. The step is computed
    from the formula of the gradient and compared with the minimizer that BFGS finds from values only, of a tangent
    whose slope comes from complex steps. --break takes half the step. Reads nothing; writes a table of claims.

    Source: Beck and Teboulle 2003, Operations Research Letters 31(3), on the step as a proximal one.

    \b
    Example:
      gencli check prox-step --penalty 2 --format table
    """

    name = "prox-step"
    family = "steps"
    packages = ("scipy",)
    dimension: Dimension = 10
    penalty: Annotated[
        float | None,
        typer.Option(
            min=1e-3, max=1e3, metavar="LAMBDA", help="lambda. Default: drawn from 0.1 to 10 for each instance."
        ),
    ] = None

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        for number, random in self.numbered(draws):
            drawn = objectives.draw(random, random.uniform(-2, 2, self.dimension), self.dtype)
            penalty = self.penalty or float(10 ** random.uniform(-1, 1))
            yield from self._rows(f"{number}: lambda={penalty:.4g}", *drawn, penalty, random, broken)

    def _rows(
        self,
        instance: str,
        f: objectives.Objective,
        w: Floats,
        penalty: float,
        random: np.random.Generator,
        broken: bool,
    ) -> Iterator[Row]:
        gradient = f.gradient(w)
        step = -gradient / np.asarray(penalty * (2 if broken else 1), self.dtype)
        exact, at = f.astype("float64"), w.astype("float64")
        tangent, value = complex_step(exact.value, at), float(exact.value(at))

        def proximal(move: Floats) -> float:
            return float(value + tangent @ move + penalty / 2 * move @ move)

        found = minimize(proximal, random.standard_normal(len(w)))
        apart, length = np.linalg.norm(found - step), np.linalg.norm(found)
        yield Row(instance, "|argmin - step| / |argmin - w|", apart / length, "<=", max(1e-6, 100 * self.eps))
        least = float(f.value(w) + gradient @ step / 2)
        room = max(1e-9, 100 * self.eps) * (abs(value) + abs(value - least))
        yield Row(instance, "least value", proximal(found), "=", least, room)
