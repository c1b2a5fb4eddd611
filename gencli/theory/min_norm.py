"""Where stochastic gradient descent on an underdetermined least-squares problem ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.errors import GencliError
from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Panel, Row, Series

_LINES = "|w − X⁺y|", "|Xw − y|", "distance from the span"


@dataclass(frozen=True)
class MinNorm(Drawn):
    """SGD from 0 on too few equations ends at the min-norm solution.

    \b
    f(w) = 1/2 |Xw - y|^2, X of n rows and d > n columns, w_0 = 0,
    w_{t+1} = w_t - eta (<x_i, w_t> - y_i) x_i:
    w_t is always a combination of the rows of X; so if it solves
    Xw = y it is X+ y, the solution of least norm, X+ the pseudo-inverse.

    Until then |w_t - X+ y| <= |X w_t - y| / s, where s is the smallest singular value of X. X and y are normal, the
    examples come in a new random order in every epoch until the equations hold, and eta = 1 / max |x_i|^2. X+ is
    computed from singular values, the span by a QR decomposition; another solution, of larger norm, uses only the first
    n columns. --break starts at a random w_0. Reads nothing; writes a table of claims.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530, section 5.

    \b
    Example:
      gencli check min-norm --examples 10 --plot path.png --format table
    """

    name = "min-norm"
    family = "interpolation"
    examples: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Number of equations, n.")] = 20
    dimension: Annotated[int, typer.Option(min=2, max=1_000_000, metavar="D", help="Number of unknowns, d.")] = 100
    passes: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Maximum number of epochs.")] = 10_000

    def __post_init__(self) -> None:
        if self.examples >= self.dimension:
            raise GencliError(
                f"--examples {self.examples}: not fewer than the --dimension {self.dimension}",
                "the problem must be underdetermined",
            )
        require_memory(6 * 8 * self.examples * self.dimension, f"--examples {self.examples}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        for number, random in self.numbered(draws):
            x = random.standard_normal((self.examples, self.dimension)).astype(self.dtype)
            y = random.standard_normal(self.examples).astype(self.dtype)
            start = random.standard_normal(self.dimension) if broken else np.zeros(self.dimension)
            exact = x.astype(np.float64)
            least, basis = np.linalg.pinv(exact) @ y, np.linalg.qr(exact.T)[0]
            path = np.array(
                [
                    [np.linalg.norm(each) for each in (w, w - least, exact @ w - y, w - basis @ (basis.T @ w))]
                    for w in self._descend(x, y, start.astype(self.dtype), random)
                ]
            )
            if (left := path[-1, 2] / np.linalg.norm(y)) > self._converged:
                raise GencliError(
                    f"--passes: after {self.passes:,} |Xw - y| / |y| is {left:.2g}, not {self._converged:.2g}",
                    "give more: the claim is about where the passes lead",
                )
            yield from self._rows(str(number), exact, y, float(np.linalg.norm(least)), path[-1])
            if number == 0:
                lines = zip(_LINES, path.T[1:], ("-", "-", "--"), strict=True)
                series = [Series(label, np.arange(len(path)), each, style) for label, each, style in lines]
                yield Panel("SGD on fewer equations than unknowns", "passes", "distance", series, ("linear", "log"))

    def _descend(self, x: Floats, y: Floats, w: Floats, random: np.random.Generator) -> Iterator[Floats]:
        """[d] the parameters before the first pass and after each, until the equations hold."""
        rate = 1 / (x * x).sum(1).max()
        yield w
        for _ in range(self.passes):
            for place in random.permutation(len(x)):
                w = w - rate * (x[place] @ w - y[place]) * x[place]
            yield w
            if np.linalg.norm(x @ w - y) <= 10 * self.eps * np.linalg.norm(y):
                break

    @property
    def _converged(self) -> float:
        return max(1e-6, self._rounding)

    @property
    def _rounding(self) -> float:
        return 100 * self.eps * self.examples**0.5

    def _rows(self, instance: str, x: Floats, y: Floats, least: float, end: Floats) -> Iterator[Row]:
        length, apart, residual, outside = end
        rounding = self._rounding
        yield Row(instance, "|w - its part in the span| / |w|", outside / length, "<=", rounding)
        yield Row(instance, "|Xw - y| / |y|", residual / np.linalg.norm(y), "<=", self._converged)
        smallest = np.linalg.svd(x, compute_uv=False)[-1]
        yield Row(instance, "|w - X+ y|, |Xw - y| / s", apart, "<=", residual / smallest, rounding * least)
        other = np.linalg.norm(np.linalg.solve(x[:, : len(x)], y))
        yield Row(instance, "|w|, |another solution|", length, "<", other)
