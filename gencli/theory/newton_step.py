"""Newton's step as the stationary point of the second-order expansion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.theory import objectives
from gencli.theory.base import Claim, Dimension, Floats, Row, complex_step, minimize

_FAR = 1000.0


@dataclass(frozen=True)
class NewtonStep(Claim):
    """The minimizer of a convex quadratic expansion is Newton's step.

    \b
    m(w) = f(w_t) + <g, w - w_t> + 1/2 <w - w_t, H (w - w_t)>,
      g = grad f(w_t), H the Hessian of f at w_t;
    H positive definite:  argmin m = w_t - H^-1 g.

    If H is not positive definite, m has no minimum, and w_t - H^-1 g is the only point where its gradient is zero: the
    maximum if H is negative definite; a saddle if H has eigenvalues of both signs, from which m falls without bound
    along the eigenvector of lambda_min < 0, by |lambda_min| t^2 / 2. (A singular H has no inverse; m then has no such
    point, or many.)

    The step is computed from formulas for g and H and compared with the point that BFGS finds from values of m, whose g
    and H come from complex steps. --break adds the identity to H. Reads nothing; writes a table of claims.

    Source: Nocedal and Wright 2006, Numerical Optimization, section 2.2.

    \b
    Example:
      gencli check newton-step --dimension 20 --format table
    """

    name = "newton-step"
    family = "steps"
    packages = ("scipy",)
    dimension: Dimension = 10

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        for number, random in self.numbered(draws):
            for kind in ("convex", "concave", "saddle"):
                if kind != "saddle" or self.dimension > 1:
                    yield from self._rows(f"{number}: {kind}", kind, random, broken)

    def _rows(self, instance: str, kind: str, random: np.random.Generator, broken: bool) -> Iterator[Row]:
        signs = {"convex": 1, "concave": -1, "saddle": (-1) ** np.arange(self.dimension)}[kind]
        f, w = objectives.draw(random, signs * random.uniform(1, 3, self.dimension), self.dtype)
        hessian = f.hessian(w)
        if broken:
            hessian = hessian + np.eye(len(w), dtype=self.dtype)
        step = -np.linalg.solve(hessian, f.gradient(w)).astype(np.float64)
        exact, at = f.astype("float64"), w.astype("float64")
        g, h = complex_step(exact.value, at), complex_step(exact.gradient, at)
        eigenvalues, along = np.linalg.eigh(h)
        tolerance = max(1e-6, 100 * self.eps)

        def expansion(move: Floats) -> float:
            return float(g @ move + move @ h @ move / 2)

        at_step = float(np.linalg.norm(g + h @ step) / np.linalg.norm(g))
        yield Row(instance, "|grad m at the step| / |g|", at_step, "<=", tolerance)
        if kind == "saddle":
            fall, rise = (expansion(step + _FAR * along[:, place]) - expansion(step) for place in (0, -1))
            yield Row(instance, "rise of m along the highest eigenvector", rise, ">", 0.0)
            expected = float(eigenvalues[0]) * _FAR**2 / 2
            yield Row(instance, "m along the lowest, lambda_min t^2/2", fall, "=", expected, tolerance * _FAR**2)
            yield Row(instance, "m along the lowest", fall, "<", 0.0)
            return
        sign, name, which = (1, "argmin", "smallest") if kind == "convex" else (-1, "argmax", "largest")
        found = minimize(lambda move: sign * expansion(move), random.standard_normal(len(w)))
        apart = float(np.linalg.norm(found - step) / np.linalg.norm(found))
        yield Row(instance, f"|{name} m - step| / |{name} m - w|", apart, "<=", tolerance)
        extreme = float(eigenvalues[0 if sign > 0 else -1])
        yield Row(instance, f"{which} eigenvalue of H", extreme, ">" if sign > 0 else "<", 0.0)
