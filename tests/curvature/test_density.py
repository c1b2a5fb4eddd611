"""The spectral density, against the eigenvalues of explicit matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gencli.curvature.density import Density, Quadrature
from gencli.curvature.lanczos import Matvec

VALUES = torch.cat([torch.linspace(-1, 1, 900) ** 3, torch.linspace(3, 8, 100)]).double()


def density(
    matvec: Matvec, size: int, probes: int = 5, steps: int = 50, dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
) -> Density:  # fmt: skip
    estimator = Quadrature(size, probes, steps, dtype, generator or torch.Generator().manual_seed(0))
    while not estimator.done:
        estimator.step(matvec)
    return estimator.result()


def matvec(v: Tensor) -> Tensor:
    return VALUES.to(v) * v


def test_the_curve_is_that_of_the_eigenvalues() -> None:
    found = density(matvec, 1000, 20, 60, torch.float64)
    grid, curve, error = found.curve(500, 0.02)
    every = torch.cat(found.nodes)
    sigma = 0.02 * (every.max() - every.min())
    exact = torch.exp(-(((grid[:, None] - VALUES) / sigma) ** 2) / 2).mean(1) / (sigma * (2 * torch.pi) ** 0.5)
    assert error is not None
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1, abs=1e-3)
    assert torch.trapezoid((curve - exact).abs(), grid) < 0.1
    assert ((curve - exact).abs() <= 3 * error + 0.01 * exact.max()).double().mean() > 0.95


def test_moments_are_those_of_the_start() -> None:
    """The rule is exact for polynomials up to twice its steps."""
    found = density(matvec, 1000, 1, 10, torch.float64, torch.Generator().manual_seed(4))
    start = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    start /= start.norm()
    for power in range(19):
        expected = (start.square() * VALUES**power).sum().item()
        assert ((found.nodes[0] ** power) @ found.weights[0]).item() == pytest.approx(expected, rel=1e-9)


def test_a_small_space_is_seen_whole() -> None:
    values = torch.tensor([1.0, 1.0, 2.0, 5.0]).double()
    found = density(lambda v: values * v, 4, 3, 50, torch.float64)
    assert found.products == 9
    for nodes, weights in zip(found.nodes, found.weights, strict=True):
        assert nodes.tolist() == pytest.approx([1, 2, 5])
        assert weights.sum().item() == pytest.approx(1)


def test_one_probe_has_no_error_and_one_eigenvalue_a_curve() -> None:
    grid, curve, error = density(lambda v: 2 * v, 10, 1).curve(101)
    assert error is None
    assert grid[curve.argmax()].item() == pytest.approx(2)
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1, abs=1e-2)
    grid, curve, _ = density(torch.zeros_like, 10, 1).curve(101)
    assert (grid[0].item(), grid[-1].item()) == pytest.approx((-0.04, 0.04))  # as wide as if the largest were 1
    assert curve[50].item() == pytest.approx(1 / (0.01 * (2 * torch.pi) ** 0.5))


@pytest.mark.parametrize("width", [1.0, 0.01, 2e-3, 1e-4, 1e-8, 1e-12])
def test_the_curve_integrates_to_1_whatever_its_width(width: float) -> None:
    """On its own grid, by trapezoids, each probe's mass beside its nodes."""
    found = density(matvec, 1000, 3, 20, torch.float64)
    grid, curve, error = found.curve(width=width)
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1, abs=2e-4)
    assert len(grid) <= 1000 + 37 * 60
    assert bool((grid.diff() > 0).all())
    assert error is not None
    assert error.isfinite().all()
    heaviest = max(range(20), key=lambda place: float(found.weights[0][place]))
    node, weight, sigma = found.nodes[0][heaviest], found.weights[0][heaviest], width * (max_of(found) - min_of(found))
    if width < 1e-4:
        near = (grid - node).abs() <= 9 * sigma
        assert torch.trapezoid(curve[near], grid[near]).item() == pytest.approx(float(weight) / 3, rel=1e-3)


def test_a_grid_that_is_fine_enough_is_even_and_reaches_beyond_the_nodes() -> None:
    """By 4 standard deviations; more than half of one from point to point is too coarse."""
    found = Density([torch.tensor([0.0, 10.0]).double()], [torch.tensor([0.5, 0.5]).double()], 2)
    fine, *_ = found.curve(round(10.8 / 0.049), width=0.01)
    assert len(fine) == round(10.8 / 0.049)
    assert (fine[0].item(), fine[-1].item()) == pytest.approx((-0.4, 10.4))
    coarse, *_ = found.curve(round(10.8 / 0.051), width=0.01)
    assert len(coarse) == round(10.8 / 0.051) + 2 * 37 - 2  # the even ones' ends are among the others
    assert (coarse[0].item(), coarse[-1].item()) == pytest.approx((-0.9, 10.9))


def max_of(found: Density) -> float:
    return float(torch.cat(found.nodes).max())


def min_of(found: Density) -> float:
    return float(torch.cat(found.nodes).min())


def test_probes_that_differ_by_rounding_alone_are_one_peak() -> None:
    nodes = [torch.tensor([2.0 + place * 4e-16], dtype=torch.float64) for place in range(3)]
    grid, curve, _ = Density(nodes, [torch.ones(1, dtype=torch.float64)] * 3, 3).curve()
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1, abs=2e-4)
    assert grid[curve.argmax()].item() == pytest.approx(2, abs=1e-3)


def test_means_and_errors_are_those_of_the_probes() -> None:
    found = density(matvec, 1000, 4, 20, torch.float64)
    grid, curve, error = found.curve(101, 0.05)
    every = torch.cat(found.nodes)
    sigma = 0.05 * (every.max() - every.min())
    curves = torch.stack([
        torch.exp(-(((grid[:, None] - nodes) / sigma) ** 2) / 2) @ weights / (sigma * (2 * torch.pi) ** 0.5)
        for nodes, weights in zip(found.nodes, found.weights, strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(curve, curves.mean(0), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(error, curves.std(0) / 2, rtol=1e-10, atol=1e-14)


def test_an_estimate_that_is_saved_goes_on_to_the_same_bits() -> None:
    def estimator() -> Quadrature:
        return Quadrature(1000, 3, 8, torch.float32, torch.Generator().manual_seed(0))

    whole, cut = estimator(), estimator()
    while not whole.done:
        whole.step(matvec)
        cut.step(matvec)
        state = {name: tensor.clone() for name, tensor in cut.state().items()}
        cut = estimator()
        cut.load(state)
    assert cut.done
    for one, other in zip(whole.result().nodes, cut.result().nodes, strict=True):
        assert torch.equal(one, other)
