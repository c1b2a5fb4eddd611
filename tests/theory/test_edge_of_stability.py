"""The network of the claim has the derivatives that complex steps say."""

from __future__ import annotations

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.randomness import Draws
from gencli.theory.base import complex_step
from gencli.theory.edge_of_stability import EdgeOfStability, gradient, hessian, residuals


def test_gradient_and_hessian_are_those_of_complex_steps() -> None:
    parameters = np.random.default_rng(0).standard_normal((2, 3, 7))
    for each, slope, matrix in zip(parameters, gradient(parameters), hessian(parameters), strict=True):

        def loss(w: np.ndarray) -> complex:
            return (residuals(w.reshape(3, 7))[0] ** 2).mean() / 2

        np.testing.assert_allclose(slope.ravel(), complex_step(loss, each.ravel()), atol=1e-14)
        exact = complex_step(lambda w: gradient(w.reshape(3, 7)).ravel(), each.ravel())
        np.testing.assert_allclose(matrix, exact, atol=1e-14)


def test_steps_too_few_to_settle_are_refused_and_no_counterexample() -> None:
    for steps, level in ((1000, "8"), (1500, "10")):
        with pytest.raises(GencliError, match=f"after {steps:,} steps of descent .* still rises"):
            list(EdgeOfStability(steps=steps, levels=level).check(Draws(0, "edge-of-stability", 0), False, None))
