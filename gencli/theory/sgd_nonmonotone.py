"""A stochastic step that raises the objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from gencli.randomness import Draws
from gencli.tables import ImageTable
from gencli.theory.base import Drawn, Instances, Panel, Row, Series

_TERMS = Polynomial([2, -2, 0.5]), Polynomial([0.5, 1, 0.5])  # ½(w − 2)², ½(w + 1)²
_RATES = 1e-3, 1e3


@dataclass(frozen=True)
class SgdNonmonotone(Drawn):
    """A step of SGD may raise the objective, however small its size.

    \b
    f(w) = 1/2 (w - 2)^2 + 1/2 (w + 1)^2,  w_0 = 0, second term drawn:
    w_1 = -eta,  f(w_1) - f(w_0) = eta + eta^2 > 0  for every eta > 0.

    An instance is a step size, drawn from 0.001 to 1000, evenly in its logarithm, at which f is evaluated; that it
    holds for all of them shows in the coefficients of f(-eta) - f(0), none of which is negative. --break steps along
    the gradient of both terms. Reads nothing; writes a table of claims.

    \b
    Example:
      gencli check sgd-nonmonotone --plot rise.png --format table
    """

    name = "sgd-nonmonotone"
    family = "steps"
    instances: Instances = 10

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        f = _TERMS[0] + _TERMS[1]
        slope = (f if broken else _TERMS[1]).deriv()(0.0)
        rise = f(Polynomial([0, -slope])) - f(0.0)
        linear, square = rise.coef[1:]
        yield Row("all eta", "coefficient of eta in f(w_1) - f(w_0)", linear, ">", 0.0)
        yield Row("all eta", "coefficient of eta^2", square, ">=", 0.0)
        rates = np.empty(self.instances)
        for number, random in self.numbered(draws):
            rates[number] = np.exp(random.uniform(*np.log(_RATES)))
            eta = rates[number].astype(self.dtype)
            first, second = _value(-eta * slope), _value(0 * eta)
            instance, rounding = f"{number}: eta={eta:.4g}", 10 * self.eps * float(first)
            yield Row(instance, "f(w_1), f(w_0)", first, ">", second)
            expected = float(eta) * (1 + float(eta))
            yield Row(instance, "f(w_1) - f(w_0), eta + eta^2", first - second, "=", expected, rounding)
        w, eta = np.linspace(-2, 3, 101), np.geomspace(*_RATES, 61)
        steps = np.array([0, -slope])
        path = [Series("f", w, f(w)), Series("step, eta = 1", steps, f(steps), "o-")]
        yield Panel("one step along the second term", "w", "f(w)", path, ("linear", "linear"))
        rising = [Series("eta + eta²", eta, eta + eta**2), Series("instances", rates, np.abs(rise(rates)), "o")]
        yield Panel("rise of the objective", "eta", "f(w_1) − f(w_0)", rising)


def _value(w: np.floating) -> np.floating:
    return (w - 2) ** 2 / 2 + (w + 1) ** 2 / 2
