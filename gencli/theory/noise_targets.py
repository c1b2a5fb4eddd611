"""What a network learns from noisy targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Panel, Row, Series, slope

_DEVIATION = 0.5
_ROOM = 3.0  # times the expected distance
_LEAST = 64
_FEWEST = 20  # iterations after which 20 instances are near their minima


@dataclass(frozen=True)
class NoiseTargets(Drawn):
    """Zero-mean noise on targets leaves what a net learns, as n grows.

    \b
    argmin over functions c of E (c(x) - (y + e))^2 = argmin of
    E (c(x) - y)^2 where E(e | x) = 0; and over n examples the two
    minimizers differ by about sigma sqrt(P / n), with P parameters.

    A network with one input and one hidden layer of tanh is fitted by L-BFGS to y = sin(pi x), x uniform on -1 ... 1,
    and from the same start to y + e, where e is exponential minus its mean (skewed), sigma = 0.5. Their distance is the
    root mean square over 201 points, for n, n/4, n/16 and n/64 examples: it must fall at least as fast as n^-0.3 and be
    less than 3 times the expected one, except for the fewest examples, which may leave the network undetermined. (With
    many more iterations the two can end in different minima.) --break leaves the mean in the noise. Reads nothing;
    writes a table of claims.

    Source: Lehtinen et al. 2018, Noise2Noise, arXiv:1803.04189, section 2; the distance is that of linear least
    squares.

    \b
    Example:
      gencli check noise-targets --instances 1 --plot distance.png --format table
    """

    name = "noise-targets"
    family = "targets"
    packages = ("scipy",)
    hidden: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Number of hidden units.")] = 4
    examples: Annotated[
        int, typer.Option(min=64 * _LEAST, max=10_000_000, metavar="N", help="Maximum number of examples n.")
    ] = 64 * _LEAST
    iterations: Annotated[
        int, typer.Option(min=_FEWEST, max=10_000, metavar="N", help="Maximum number of L-BFGS iterations.")
    ] = 100

    def __post_init__(self) -> None:
        need = 20 * self.examples * self.hidden * np.dtype(self.dtype).itemsize
        require_memory(need, f"--examples {self.examples}, --hidden {self.hidden}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        sizes = np.array([self.examples // part for part in (64, 16, 4, 1)])
        parameters = 3 * self.hidden + 1
        expected = _DEVIATION * (parameters / sizes) ** 0.5
        grid = np.linspace(-1, 1, 201).astype(self.dtype)
        every = np.empty((self.instances, len(sizes)))
        for number, random in self.numbered(draws):
            scales = np.repeat([2, 1, self.hidden**-0.5, 0], [self.hidden] * 3 + [1])
            start = scales * random.standard_normal(parameters)
            for place, n in enumerate(sizes):
                x = random.uniform(-1, 1, n).astype(self.dtype)
                noise = _DEVIATION * (random.standard_exponential(n) - (0 if broken else 1))
                clean, noisy = (self._fitted(start, x, np.sin(np.pi * x) + each) for each in (0 * noise, noise))
                apart = _network(clean.astype(self.dtype), grid)[0] - _network(noisy.astype(self.dtype), grid)[0]
                every[number, place] = (apart**2).mean() ** 0.5
                if place:
                    bound = _ROOM * expected[place]
                    instance = f"{number}: n={n:,}"
                    yield Row(instance, "distance, 3 sigma sqrt(P/n)", every[number, place], "<=", bound)
        mean = (every**2).mean(0) ** 0.5
        yield Row("all", "log-log slope of the distance", slope(sizes, mean), "<=", -0.3)
        shown = [Series("noisy against clean targets", sizes, mean, "o-")]
        shown.append(Series("sigma sqrt(P/n)", sizes, expected, ":"))
        yield Panel("distance of what is learned", "examples n", "root mean square", shown)

    def _fitted(self, start: Floats, x: Floats, y: Floats) -> Floats:
        """The parameters [P] of least mean squared error that L-BFGS finds from `start`."""
        from scipy.optimize import minimize

        def loss(w: Floats) -> tuple[float, Floats]:
            values, derivatives = _network(w.astype(self.dtype), x)
            error = values - y.astype(self.dtype)
            return float((error**2).mean()), (2 / len(x) * error @ derivatives).astype(np.float64)

        return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.iterations}).x


def _network(w: Floats, x: Floats) -> tuple[Floats, Floats]:
    """The values [n] at x [n], and their derivatives [n, P].

    w are the input weights, biases and output weights of the hidden units, and a last bias.
    """
    into, bias, out = w[:-1].reshape(3, -1)
    units = np.tanh(x[:, None] * into + bias)
    slopes = (1 - units**2) * out
    return units @ out + w[-1], np.hstack([slopes * x[:, None], slopes, units, np.ones_like(x)[:, None]])
