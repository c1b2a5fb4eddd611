"""The sharpness at which full-batch gradient descent settles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Drawn, Floats, Instances, Panel, Row, Series

_POINTS, _DEGREE, _EVERY = 20, 4, 50  # steps between two measurements of the sharpness
_LAST = 4  # the part of the measurements that counts, as a divisor
_WITHIN, _RISEN = 0.1, 0.5
_STILL = 0.01  # by which the sharpness of the last part is above the one before, where it has not settled


@dataclass(frozen=True)
class EdgeOfStability(Drawn):
    """Full-batch descent sharpens until the largest eigenvalue is 2/eta.

    \b
    The largest eigenvalue of the loss's Hessian settles, within 10 %, at
      2 / eta                            of gradient descent at rate eta;
      (2 + 2 beta) / eta                 with heavy-ball momentum beta;
      (2 + 2 beta) / (eta (1 + 2 beta))  with Nesterov's,
    from half of that or less at the start (progressive sharpening).

    These are the limits of stability on a quadratic; that training goes up to them and stays there is what experiments
    found, no theorem. f(x) = sum of a_j tanh(w_j x + b_j) is fitted to the Chebyshev polynomial of degree 4 at 20 even
    points of [-1, 1] by half the mean squared error, from Xavier's normal w, at gain 1.9, and a, and b = 0. For each of
    --levels every method runs at the learning rate that has this limit. Every 50 steps all eigenvalues of the explicit
    Hessian are computed, in float64; the settled value is the median over the last quarter. --break ignores momentum
    and claims the limit 2/eta for every method. Reads nothing; writes a table of claims.

    Source: Cohen, Kaur, Li, Kolter, Talwalkar 2021, arXiv:2103.00065, whose code has this network.

    \b
    Example:
      gencli check edge-of-stability --levels 8,10 --plot edge.png --format table
    """

    name = "edge-of-stability"
    family = "optimization"
    instances: Instances = 1
    levels: Annotated[str, typer.Option(metavar="S,S,...", help="Limits of stability at which the methods run.")] = (
        "8,9,10"
    )
    momentum: Annotated[
        float, typer.Option(min=0.2, max=0.6, metavar="BETA", help="Momentum, beta, of two of the methods.")
    ] = 0.5
    width: Annotated[int, typer.Option(min=10, max=500, metavar="N", help="Units of the network.")] = 50
    steps: Annotated[int, typer.Option(min=1000, max=1_000_000, metavar="N", help="Steps of each method.")] = 6000

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?(,\d{1,3}(\.\d{1,3})?){0,9}", self.levels, re.ASCII) or not all(
            6 <= level <= 20 for level in self._levels
        ):
            raise GencliError(
                f"--levels: {self.levels!r} are not sharpnesses from 6, which training reaches from below, to 20",
                "write up to ten of them, such as 8,9,10",
            )
        require_memory(8 * 3 * len(self._levels) * (3 * self.width) ** 2 * 3, f"--width {self.width}")

    @property
    def _levels(self) -> list[float]:
        return [float(level) for level in self.levels.split(",")]

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        beta = self.momentum
        limits = {
            "descent": 2.0,
            f"momentum {beta:g}": 2 + 2 * beta,
            f"Nesterov {beta:g}": (2 + 2 * beta) / (1 + 2 * beta),
        }
        runs = [(method, limit, limit / level) for method, limit in limits.items() for level in self._levels]
        rates, accelerated = np.array([rate for *_, rate in runs]), np.arange(len(runs)) >= len(self._levels)
        momenta, nesterov = beta * accelerated, np.arange(len(runs)) >= 2 * len(self._levels)
        for number, random in self.numbered(draws):
            start = random.standard_normal((3, self.width)) * np.sqrt(2 / (1 + self.width))
            start *= np.array([[1.9], [0.0], [1.0]])  # w, b, a
            with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverges
                found, losses = self._descended(np.stack([start] * len(runs)), rates, momenta, nesterov)
            part = len(found) // _LAST
            before, settled = (np.median(each, axis=0) for each in (found[-2 * part : -part], found[-part:]))
            levels = np.array([limit / rate for _, limit, rate in runs])
            if (rising := (settled < (1 - _WITHIN) * levels) & (settled > (1 + _STILL) * before)).any():
                place = int(rising.argmax())
                method, _, rate = runs[place]
                raise GencliError(
                    f"--steps: after {self.steps:,} steps of {method} at eta={rate:.4g} the sharpness, "
                    f"{settled[place]:.4g} of {levels[place]:.4g}, still rises",
                    f"give more, such as {2 * self.steps:,}",
                )
            for place, (method, limit, rate) in enumerate(runs):
                instance, claimed = f"{number}: {method}, eta={rate:.4g}", 2.0 if broken else limit
                yield Row(instance, "first sharpness · eta", found[0, place] * rate, "<=", _RISEN * claimed)
                left, tolerance = settled[place] * rate, _WITHIN * claimed
                yield Row(instance, "settled sharpness · eta", left, "=", claimed, tolerance)
            if number == 0:
                yield from self._panels(runs, found, losses)

    def _descended(
        self, start: Floats, rates: Floats, momenta: Floats, nesterov: NDArray[np.bool_]
    ) -> tuple[Floats, Floats]:
        """The sharpness and the loss of each run [measurements, runs] at the start and every 50 steps."""
        parameters = start.astype(self.dtype)
        rate, beta = (each.astype(self.dtype)[:, None, None] for each in (rates, momenta))
        velocity, ahead = np.zeros_like(parameters), nesterov[:, None, None]
        found = [_sharpness(parameters)], [_loss(parameters)]
        for step in range(1, self.steps + 1):
            slope = gradient(parameters)
            velocity = beta * velocity + slope
            parameters = parameters - rate * np.where(ahead, slope + beta * velocity, velocity)
            if step % _EVERY == 0:
                found[0].append(_sharpness(parameters))
                found[1].append(_loss(parameters))
        return np.array(found[0]), np.array(found[1])

    def _panels(self, runs: list[tuple[str, float, float]], found: Floats, losses: Floats) -> Iterator[Panel]:
        steps = np.arange(len(found)) * float(_EVERY)
        names = [f"{method}, eta={rate:.4g}" for method, _, rate in runs]
        lines = [Series(name, steps, found[:, place]) for place, name in enumerate(names)]
        ends = steps[[0, -1]]
        lines += [Series(f"limit {level:g}", ends, np.full(2, level), ":") for level in self._levels]
        yield Panel("sharpness", "step", "largest eigenvalue", lines, ("linear", "linear"))
        curves = [Series(name, steps, losses[:, place]) for place, name in enumerate(names)]
        yield Panel("loss", "step", "half the mean squared error", curves, ("linear", "log"))


def _points(like: Floats) -> tuple[Floats, Floats]:
    dtype = np.float32 if like.dtype == np.float32 else np.float64
    x = np.linspace(-1, 1, _POINTS)
    return x.astype(dtype), np.polynomial.chebyshev.Chebyshev.basis(_DEGREE)(x).astype(dtype)


def residuals(parameters: Floats) -> tuple[Floats, Floats]:
    """Those of w, b, a [..., 3, width] at the points [..., points], and tanh(w x + b) [..., points, width]."""
    x, y = _points(parameters)
    w, b, a = (parameters[..., None, place, :] for place in range(3))
    units = np.tanh(w * x[:, None] + b)
    return (units * a).sum(-1) - y, units


def gradient(parameters: Floats) -> Floats:
    """Of half the mean squared error, at parameters [..., 3, width], of their shape."""
    off, units = residuals(parameters)
    x, a = _points(parameters)[0], parameters[..., 2, :]
    weighed, slopes = off[..., None, :] / _POINTS, 1 - units * units
    w, b, c = ((each @ part)[..., 0, :] for each, part in ((weighed * x, slopes), (weighed, slopes), (weighed, units)))
    return np.stack([w * a, b * a, c], -2)


def hessian(parameters: Floats) -> Floats:
    """Of half the mean squared error, at parameters [runs, 3, width]: [runs, 3 · width, 3 · width] float64.

    J' J / n, and each residual times the second derivatives of its f, which couple no two units.
    """
    parameters = parameters.astype(np.float64)
    off, units = residuals(parameters)
    x, a = _points(parameters)[0][:, None], parameters[:, None, 2]
    slopes, runs, width = 1 - units * units, len(parameters), parameters.shape[-1]
    jacobian = np.concatenate([slopes * a * x, slopes * a, units], -1)
    matrix = jacobian.mT @ jacobian / _POINTS
    bent, weighed = -2 * units * slopes * a, off[..., None] / _POINTS
    blocks = matrix.reshape(runs, 3, width, 3, width)
    unit = np.arange(width)
    second = {(0, 0): bent * x * x, (0, 1): bent * x, (1, 1): bent, (0, 2): slopes * x, (1, 2): slopes}
    for (one, other), each in second.items():
        part = (weighed * each).sum(1)
        blocks[:, one, unit, other, unit] += part
        if one != other:
            blocks[:, other, unit, one, unit] += part
    return matrix


def _sharpness(parameters: Floats) -> Floats:
    """[runs] the Hessian's largest eigenvalue; infinite where a run diverged."""
    there = np.abs(parameters).max((1, 2)) < 1e6  # not of NaN
    values = np.linalg.eigvalsh(hessian(np.where(there[:, None, None], parameters, 0)))[:, -1]
    return np.where(there, values, np.inf)


def _loss(parameters: Floats) -> Floats:
    return (residuals(parameters)[0] ** 2).mean(-1) / 2
