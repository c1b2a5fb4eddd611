"""Along which directions of the labels gradient descent on a wide network is fast."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Panel, Part, Row, Series, slope

_WIDTHS = (64, 16, 4, 1)  # the largest divided by these
_CHANCE = 1e-6  # that Hoeffding's bound fails
_SLOWEST = -0.1  # slope of the deviation over the width: -0.51 +- 0.09 of 200 instances
_SHOWN = 3  # eigenvectors at either end


class _Kernel(NamedTuple):
    """H [n, n] of infinite width, with its eigenvalues [n], descending, and eigenvectors [n, n] in columns."""

    matrix: NDArray[np.float64]
    values: NDArray[np.float64]
    vectors: NDArray[np.float64]


class _Descent(NamedTuple):
    """Residuals [steps + 1, n], and how far the kernels of the steps are from the infinite one in the spectral norm.

    `start`: of the kernel before the first step, in the Frobenius norm.
    """

    residuals: NDArray[np.float64]
    apart: float
    start: float


@dataclass(frozen=True)
class LabelAlignment(Drawn):
    """A wide ReLU network learns labels along large eigenvalues first.

    \b
    f(x) = sum over r of a_r max(<w_r, x>, 0) / sqrt(m), a_r = -1 or 1,
    w_r normal and trained by steps eta of gradient descent on
    1/2 sum over i of (f(x_i) - y_i)^2, |x_i| = 1;
    H_ij = <x_i, x_j> (pi - arccos <x_i, x_j>) / 2 pi = V diag(lambda) V^T:
    after k steps <v_i, y - f> is (1 - eta lambda_i)^k times what it was.

    That is exact for m to infinity. For finite m each step is residual <- (I - eta H_k) residual, H_k the mean over
    neurons of their slopes between the step's two ends; so with E = max |H_k - H| the deviation after k steps is at
    most eta E sum over j < k of (1 - eta lambda_n)^(k-1-j) |residual_j|, and it shrinks like 1/sqrt(m). Before the
    first step |H_0 - H| is below Hoeffding's bound, with probability 1 - 1e-6. x_i are uniform on the sphere, y_i are
    signs, eta = 1/lambda_1, and m is --width / 64, / 16, / 4 and --width. --break takes the eigenvalues in reverse
    order. Reads nothing; writes a table of claims.

    Source: Arora, Du, Hu, Li, Wang 2019, arXiv:1901.08584, theorem 4.1; H_k as in Du, Zhai, Poczos, Singh 2019,
    arXiv:1810.02054.

    \b
    Example:
      gencli check label-alignment --width 1024 --plot decay.png --format table
    """

    name = "label-alignment"
    family = "interpolation"
    examples: Annotated[int, typer.Option(min=2, max=2000, metavar="N", help="Number of examples, n.")] = 20
    dimension: Annotated[int, typer.Option(min=2, max=10_000, metavar="D", help="Number of inputs, d.")] = 10
    width: Annotated[int, typer.Option(min=256, max=1 << 24, metavar="M", help="Largest number of neurons, m.")] = 16384
    steps: Annotated[int, typer.Option(min=1, max=100_000, metavar="K", help="Steps of gradient descent, k.")] = 30

    def __post_init__(self) -> None:
        numbers = (
            self.width * (2 * self.dimension + 6 * self.examples) + (5 * self.examples + self.steps) * self.examples
        )
        require_memory(8 * numbers, f"--width {self.width}, --examples {self.examples}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel | Part]:
        for number, random in self.numbered(draws):
            x = random.standard_normal((self.examples, self.dimension))
            x /= np.linalg.norm(x, axis=1)[:, None]
            y = random.choice([-1.0, 1.0], self.examples)
            yield from self._instance(number, x, y, random, broken)

    def _instance(
        self, number: int, x: Floats, y: Floats, random: np.random.Generator, broken: bool
    ) -> Iterator[Row | Panel | Part]:
        kernel = _kernel(x)
        widths, found, predicted, bounds = [self.width // part for part in _WIDTHS], [], [], []
        ends = (number + np.cumsum([0, *widths]) / sum(widths)) / self.instances  # of the work, in proportion to m
        for place, width in enumerate(widths):
            descent = yield from self._descend(x, y, width, kernel, random, ends[place : place + 2])
            found.append(descent.residuals @ kernel.vectors)
            predicted.append(self._predicted(descent.residuals[0], kernel, broken))
            bounds.append(self._bound(descent, kernel))
            deviation = np.linalg.norm(found[-1] - predicted[-1], axis=1)
            yield from self._rows(f"{number}: m={width}", x, width, descent, deviation, bounds[-1])
        yield from self._along(f"{number}: m={widths[-1]}", found[-1], predicted[-1], bounds[-1][-1])
        largest = np.array([np.linalg.norm(f - p, axis=1).max() for f, p in zip(found, predicted, strict=True)])
        falls = slope(np.array(widths), largest)
        yield Row(f"{number}: m={widths[0]} to {widths[-1]}", "slope of log deviation", falls, "<=", _SLOWEST)
        if number == 0:
            yield from _panels(found[-1], predicted[-1], np.array(widths), largest, np.array([b.max() for b in bounds]))

    def _descend(
        self, x: Floats, y: Floats, width: int, kernel: _Kernel, random: np.random.Generator, share: Floats
    ) -> Generator[Part, None, _Descent]:
        """Gradient descent in `dtype`; what is compared is computed in float64.

        Args:
            share: [2] of the claim's work, before and after.
        """
        rate, root = 1 / kernel.values[0], math.sqrt(width)
        w = random.standard_normal((width, self.dimension)).astype(self.dtype)
        a = random.choice([-1, 1], width).astype(self.dtype)
        inner, inputs = x @ x.T, x.astype(self.dtype)
        z = w @ inputs.T
        start = np.linalg.norm(_finite(z > 0, z > 0, inner) - kernel.matrix)
        residuals, apart = [y - a @ z.clip(0) / root], 0.0
        for step in range(1, self.steps + 1):
            open_ = z > 0
            w += (open_ * (rate / root * residuals[-1]).astype(self.dtype)) @ inputs * a[:, None]
            moved = w @ inputs.T
            slopes = _slopes(z.astype(np.float64), moved.astype(np.float64))
            apart = max(apart, float(np.linalg.norm(_finite(slopes, open_, inner) - kernel.matrix, 2)))
            z = moved
            residuals.append(y - a @ z.clip(0) / root)
            yield Part(float(share[0] + (share[1] - share[0]) * step / self.steps))
        return _Descent(np.array(residuals, np.float64), apart, float(start))

    def _predicted(self, start: Floats, kernel: _Kernel, broken: bool) -> NDArray[np.float64]:
        """[steps + 1, n]: residuals along the eigenvectors."""
        values = kernel.values[::-1] if broken else kernel.values
        decay = 1 - values / kernel.values[0]
        return decay ** np.arange(self.steps + 1)[:, None] * (start @ kernel.vectors)

    def _bound(self, descent: _Descent, kernel: _Kernel) -> NDArray[np.float64]:
        """[steps + 1] of the deviation after each step."""
        rate = 1 / kernel.values[0]
        shrink, bound = 1 - rate * kernel.values[-1], [0.0]
        for residual in np.linalg.norm(descent.residuals[:-1], axis=1):
            bound.append(shrink * bound[-1] + rate * descent.apart * residual)
        return np.array(bound)

    def _rows(
        self, instance: str, x: Floats, width: int, descent: _Descent, deviation: Floats, bound: Floats
    ) -> Iterator[Row]:
        n, inner = self.examples, np.linalg.norm(x @ x.T)  # each term of H_ij is 0 or <x_i, x_j>
        hoeffding = inner * math.sqrt(math.log(2 * n * n / _CHANCE) / (2 * width))
        yield Row(instance, "|H_0 - H|, Hoeffding's bound", descent.start, "<=", hoeffding, self._rounding)
        worst = 1 + int(np.argmax(deviation[1:] / bound[1:]))
        words = f"deviation after {worst} steps, bound"
        yield Row(instance, words, deviation[worst], "<=", bound[worst], self._rounding)

    @property
    def _rounding(self) -> float:
        return 100 * self.eps * self.examples * math.sqrt(self.steps)

    def _along(self, instance: str, found: Floats, predicted: Floats, bound: float) -> Iterator[Row]:
        """The residual along the first and the last eigenvectors after the last step."""
        n = self.examples
        for place in sorted({*range(min(_SHOWN, n)), *range(max(0, n - _SHOWN), n)}):
            words = f"|residual along v_{place + 1}| after {self.steps} steps, predicted"
            left, right = abs(found[-1, place]), abs(predicted[-1, place])
            yield Row(instance, words, left, "=", right, bound + self._rounding)


def _kernel(x: Floats) -> _Kernel:
    inner = (x @ x.T).clip(-1, 1)
    np.fill_diagonal(inner, 1)
    matrix = inner * (math.pi - np.arccos(inner)) / (2 * math.pi)
    values, vectors = np.linalg.eigh(matrix)
    return _Kernel(matrix, values[::-1], vectors[:, ::-1])


def _finite(slopes: Floats, open_: Floats, inner: Floats) -> NDArray[np.float64]:
    """⟨x_i, x_j⟩ times the mean over neurons of slope_i · open_j: [m, n] twice and [n, n] to [n, n]."""
    return inner * (slopes.T.astype(np.float64) @ open_.astype(np.float64)) / len(open_)


def _slopes(before: Floats, after: Floats) -> NDArray[np.float64]:
    """[m, n]: of max(z, 0) between the two; 0 or 1 where the sign stays."""
    flipped = (before > 0) != (after > 0)
    slopes = (after > 0).astype(np.float64)
    slopes[flipped] = (after.clip(0) - before.clip(0))[flipped] / (after - before)[flipped]
    return slopes


def _panels(found: Floats, predicted: Floats, widths: Floats, deviations: Floats, bounds: Floats) -> Iterator[Panel]:
    steps, n = np.arange(len(found)), found.shape[1]
    series = []
    for place in sorted({0, n // 4, n // 2, n - 1}):
        series.append(Series(f"along v_{place + 1}", steps, np.abs(found[:, place]), "o"))
        series.append(Series("predicted", steps, np.abs(predicted[:, place]), "-"))
    yield Panel("residual along eigenvectors", "steps", "residual", series, ("linear", "log"))
    series = [Series("deviation", widths, deviations, "o-"), Series("bound", widths, bounds, "--")]
    series.append(Series("1/sqrt(m)", widths, deviations[0] * (widths[0] / widths) ** 0.5, ":"))
    yield Panel("deviation from the prediction", "width m", "largest deviation", series)
