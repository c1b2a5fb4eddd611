"""A smooth function that the steps of optimization are taken on: logistic loss of random data and a quadratic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gencli.theory.base import Floats


@dataclass(frozen=True)
class Objective:
    """f(w) = mean log(1 + exp(−Xw)) + ½ wᵀAw, of X [n, d] and symmetric A [d, d], in the dtype of these.

    Analytic, so that it can be differentiated by complex steps.
    """

    features: Floats
    quadratic: Floats

    def astype(self, dtype: str) -> Objective:
        """The same function, computed in another precision."""
        return Objective(self.features.astype(dtype), self.quadratic.astype(dtype))

    def value(self, w: Floats) -> Floats:
        """f(w) [] at w [d]."""
        return np.log1p(np.exp(-self.features @ w)).mean() + w @ self.quadratic @ w / 2

    def gradient(self, w: Floats) -> Floats:
        """∇f(w) [d] at w [d]."""
        slopes = -1 / (1 + np.exp(self.features @ w))
        return slopes @ self.features / len(self.features) + self.quadratic @ w

    def hessian(self, w: Floats) -> Floats:
        """The Hessian of f [d, d] at w [d]."""
        chance = 1 / (1 + np.exp(self.features @ w))
        weights = (chance * (1 - chance))[:, None] / len(self.features)
        return self.features.T @ (weights * self.features) + self.quadratic


def draw(random: np.random.Generator, eigenvalues: Floats, dtype: str) -> tuple[Objective, Floats]:
    """A function whose A has these eigenvalues [d], and a point w [d], all of `dtype`.

    The logistic part adds less than 0.75 to the Hessian's eigenvalues; w is normal of length about 1.
    """
    dimension = len(eigenvalues)
    basis = np.linalg.qr(random.standard_normal((dimension, dimension)))[0]
    features = random.standard_normal((4 * dimension, dimension))
    features *= np.sqrt(3 * len(features)) / np.linalg.norm(features, 2)  # its largest Hessian is 3/4
    objective = Objective(features, basis * eigenvalues @ basis.T).astype(dtype)
    return objective, (random.standard_normal(dimension) / np.sqrt(dimension)).astype(dtype)
