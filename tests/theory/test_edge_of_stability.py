"""The network of the claim has the derivatives that complex steps say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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


def test_levels_from_6_to_20_are_taken_and_no_others() -> None:
    assert EdgeOfStability(levels="6,20,19.999")._levels == [6, 20, 19.999]
    for levels in ("5.999", "8,5", "20.001", "8,20.5", "8,", "8;9", "-8", "8,8,8,8,8,8,8,8,8,8,8"):
        with pytest.raises(GencliError, match=f"^--levels: '{levels}' are not sharpnesses from 6, .* to 20$"):
            EdgeOfStability(levels=levels)


def test_descent_is_by_the_rules_of_momentum_and_nesterov() -> None:
    """Sutskever, Martens, Dahl, Hinton 2013 as torch.optim.SGD has them; measured every 50 steps."""
    start = 0.5 * np.random.default_rng(1).standard_normal((3, 12))
    claim = EdgeOfStability(steps=1000)
    object.__setattr__(claim, "steps", 101)
    momenta, nesterov = np.array([0.0, 0.5, 0.3]), np.array([False, False, True])
    sharpness, losses = claim._descended(np.stack([start] * 3), np.array([0.2, 0.1, 0.15]), momenta, nesterov)
    assert sharpness.shape == losses.shape == (3, 3)
    for place, (rate, beta, ahead) in enumerate(zip((0.2, 0.1, 0.15), momenta, nesterov, strict=True)):
        w = torch.tensor(start, requires_grad=True)
        optimizer = torch.optim.SGD([w], rate, float(beta), nesterov=bool(ahead))
        for step in range(101):
            x = torch.linspace(-1, 1, 20, dtype=torch.float64)
            found = (w[2] * torch.tanh(w[0] * x[:, None] + w[1])).sum(1)
            loss = ((found - (8 * x**4 - 8 * x**2 + 1)) ** 2).mean() / 2
            if step % 50 == 0:
                assert losses[step // 50, place] == pytest.approx(loss.item(), rel=1e-9)
                largest = np.linalg.eigvalsh(hessian(w.detach().numpy()[None]))[0, -1]
                assert sharpness[step // 50, place] == pytest.approx(largest, rel=1e-9)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
