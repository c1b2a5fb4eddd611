"""What minimizes expected losses, and what noise on the targets does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Panel, Row, Series, slope

_QUANTILES = 100_000
_SIZES = 17, 65, 257, 1025  # odd, so that the median is one of the values
_DEVIATIONS = 6  # of sampling, that are forgiven


@dataclass(frozen=True)
class MedianMean(Drawn):
    """The median minimizes expected L1 loss, the mean expected L2 loss.

    \b
    argmin over z of E|z - y| = median of y;  of E(z - y)^2 = mean of y.
    E e = 0:  argmin E(z - (y + e))^2 = y, but
              argmin E|z - (y + e)| = y + median of e.
    Variance of the minimizers over n values: falls as 1/n.

    The minimizers are found from values of the loss only. The noise is normal, uniform, Laplace or exponential, each
    with mean 0 (expectations over 100,000 quantiles); the exponential noise is skewed and moves the L1 minimizer to ln
    2 - 1. The variances over its samples are known exactly: 1/n for the mean, sum over j = (n+1)/2 ... n of 1/j^2 for
    the median. --break exchanges the two losses. Reads nothing; writes a table of claims.

    Source: Lehtinen et al. 2018, Noise2Noise, arXiv:1803.04189, section 2.

    \b
    Example:
      gencli check median-mean --runs 500 --plot variance.png --format table
    """

    name = "median-mean"
    family = "targets"
    packages = ("scipy",)
    examples: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="Number of values to minimize over.")
    ] = 101
    runs: Annotated[int, typer.Option(min=100, max=1_000_000, metavar="N", help="Number of samples per variance.")] = (
        2000
    )

    def __post_init__(self) -> None:
        item = np.dtype(self.dtype).itemsize
        require_memory(4 * self.runs * _SIZES[-1] * item, f"--runs {self.runs}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        absolute, squared = (_squared, _absolute) if broken else (_absolute, _squared)
        for number, random in self.numbered(draws):
            y = np.exp(random.standard_normal(self.examples)).astype(self.dtype)
            scale, instance = float(np.ptp(y)) or 1.0, f"{number}: {self.examples:,} values"
            found, middle = _argmin(absolute, y), float(np.median(y))
            low, high = np.sort(y)[[(len(y) - 1) // 2, len(y) // 2]].tolist()
            tolerance = max(1e-6, 10 * self.eps**0.5) * scale
            yield Row(instance, "argmin of L1, median", found, "=", middle, tolerance + (high - low) / 2)
            found, mean = _argmin(squared, y), float(y.mean(dtype=np.float64))
            yield Row(instance, "argmin of L2, mean", found, "=", mean, tolerance)
        yield from self._noise(absolute, squared)
        yield from self._variances(draws, broken)

    def _noise(self, absolute: Loss, squared: Loss) -> Iterator[Row]:
        from scipy import stats

        noises = {
            "normal": stats.norm(), "uniform": stats.uniform(-1, 2), "Laplace": stats.laplace(),
            "exponential": stats.expon(-1),
        }  # fmt: skip
        for name, noise in noises.items():
            values = noise.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES).astype(self.dtype)
            moved = _argmin(absolute, values)
            yield Row(f"{name} noise", "argmin of L2, y", _argmin(squared, values), "=", 0.0, 1e-3)
            yield Row(f"{name} noise", "argmin of L1, y + median", moved, "=", float(noise.median()), 1e-3)
            if name == "exponential":
                yield Row(f"{name} noise", "how far L1 moves", abs(moved), ">", 0.1)

    def _variances(self, draws: Draws, broken: bool) -> Iterator[Row | Panel]:
        exact = {
            "mean": [1 / n for n in _SIZES],
            "median": [float((1 / np.arange((n + 1) // 2, n + 1) ** 2.0).sum()) for n in _SIZES],
        }
        sizes, error = np.array(_SIZES), _DEVIATIONS * (3 / self.runs) ** 0.5
        shown: list[Series] = []
        for number, random in self.numbered(draws):
            found: dict[str, list[float]] = {"mean": [], "median": []}
            for n in _SIZES:
                samples = random.standard_exponential((self.runs, n), np.dtype(self.dtype).type) - 1
                found["mean"].append(float(samples.mean(1, dtype=np.float64).var()))
                found["median"].append(float(np.median(samples, 1).astype(np.float64).var()))
            for name, expected in exact.items():
                values = found["median" if (name == "mean") == broken else "mean"]
                for n, value, right in zip(_SIZES, values, expected, strict=True):
                    yield Row(f"{number}: n={n:,}", f"variance of the {name}", value, "=", right, error * right)
                fall = slope(sizes, np.array(values))
                yield Row(str(number), f"log-log slope, {name}", fall, "=", -1.0, error / 3 + 0.02)
                if number == 0:
                    shown += [
                        Series(name, sizes, np.array(values), "o"),
                        Series(f"{name}, exact", sizes, np.array(expected)),
                    ]
        yield _losses()
        yield Panel("variance of the minimizers, exponential noise", "values n", "variance", shown)


def _losses() -> Panel:
    z, least = np.linspace(-1, 1, 201), np.log(2) - 1
    curves = [
        Series("L1: E|z − e|", z, z + 2 * np.exp(-1 - z)),
        Series("its minimizer, ln 2 − 1", np.array([least]), np.array([np.log(2)]), "o"),
        Series("L2: E(z − e)²", z, z**2 + 1),
        Series("its minimizer, 0", np.zeros(1), np.ones(1), "o"),
    ]
    return Panel("expected losses, exponential noise e of mean 0", "z", "loss", curves, ("linear", "linear"))


Loss = Callable[[Floats, float], float]


def _absolute(y: Floats, z: float) -> float:
    return float(np.abs(y - y.dtype.type(z)).mean(dtype=np.float64))


def _squared(y: Floats, z: float) -> float:
    return float(((y - y.dtype.type(z)) ** 2).mean(dtype=np.float64))


def _argmin(loss: Loss, y: Floats) -> float:
    from scipy.optimize import minimize_scalar

    low, high = float(y.min()), float(y.max())
    fine = {"xatol": 1e-10 * (high - low)}
    found: Any = minimize_scalar(lambda z: loss(y, z), bounds=(low, high), method="bounded", options=fine)
    return float(found.x)
