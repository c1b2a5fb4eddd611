"""Block conjugate gradients against numpy's solution in float64: residuals, restarts and what is saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gencli.errors import GencliError
from gencli.files.held import Held
from gencli.fitting.conjugate import Solver
from gencli.fitting.gram import Gram, Products
from gencli.fitting.preconditioner import Preconditioner, factor
from tests.fitting.test_gram import points, values, whole

N = 120


def solver(tolerance: float, dtype: str = "float64", ridge: float = 0.0, seed: int = 0) -> Solver:
    x = points(N, dtype)
    matrix = Gram(Products(x), values)
    precondition = Preconditioner(factor(matrix, 30, np.random.default_rng(0), lambda done: None), ridge)
    targets = np.eye(3)[np.random.default_rng(seed).integers(0, 3, N)]
    return Solver(matrix, precondition, targets, ridge, tolerance)


def ran(one: Solver, most: int = 1000) -> Solver:
    for _ in one.run(most):
        pass
    return one


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
def test_it_solves_as_numpy_does_to_the_tolerance(dtype: str, tolerance: float, ridge: float):
    found = ran(solver(tolerance, dtype, ridge))
    matrix = whole(points(N, dtype))
    y = np.eye(3)[np.random.default_rng(0).integers(0, 3, N)]
    rest = matrix @ found.alpha + ridge * found.alpha - y
    assert found.reached
    assert found.residual <= tolerance
    assert np.linalg.norm(rest) / np.linalg.norm(y) == pytest.approx(found.residual, rel=0.05)
    np.testing.assert_allclose(
        found.scores, matrix @ found.alpha, atol=10 * np.finfo(dtype).eps * np.abs(found.alpha).sum()
    )
    exact = np.linalg.solve(matrix + ridge * np.eye(N), y)
    bound = tolerance * np.linalg.norm(y) / (np.linalg.eigvalsh(matrix)[0] + ridge)
    assert np.linalg.norm(found.alpha - exact) < bound
    assert found.alpha.dtype == dtype


def test_a_block_takes_fewer_products_than_its_columns_one_by_one():
    one = solver(1e-6)
    alone = [ran(Solver(one._gram, one._precondition, one._targets[:, [k]], 0.0, 1e-6)).products for k in range(3)]
    assert ran(one).products < min(alone)


def test_rounding_that_keeps_the_tolerance_out_of_reach_ends_it_with_the_true_residual():
    found = ran(solver(1e-12, "float32"))
    assert not found.reached
    y = np.eye(3)[np.random.default_rng(0).integers(0, 3, N)]
    matrix = whole(points(N, "float32"))
    assert 1e-9 < found.residual < 1e-3
    assert np.linalg.norm(matrix @ found.alpha - y) / np.linalg.norm(y) < 1e-3
    few = ran(solver(1e-9), most=4)
    assert not few.reached
    assert few.products == 4  # the last is that of the residual


def test_a_matrix_that_is_not_positive_ends_it():
    one = solver(1e-3)
    bad = Gram(one._gram.products, lambda products, left, right: values(products, left, right).neg_())
    found = ran(Solver(bad, lambda right: right, one._targets, 0.0, 1e-3))
    assert not found.reached
    assert found.residual == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_taken_at_any_product_ends_with_the_same_bytes(dtype: str):
    """In the middle, and when all that is missing is the residual; in float32 after restarts."""
    tolerance = 1e-7 if dtype == "float32" else 1e-6
    states = []
    first = solver(tolerance, dtype)
    for _ in first.run(1000):
        if not first.over:
            states.append({name: tensor.clone() for name, tensor in first.state().items()})
    assert len(states) > 10
    for state in [states[5], states[-1]]:
        again = solver(tolerance, dtype)
        held = Held("saved", state, {})
        again.take(held, 1000)
        held.close("")
        ran(again)
        assert (again.alpha == first.alpha).all()
        assert (again.scores == first.scores).all()
        assert (again.products, again.residual, again.reached) == (first.products, first.residual, first.reached)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("rest", torch.zeros(N, 2, dtype=torch.float64)),
        ("basis", torch.full((N, 3), torch.nan, dtype=torch.float64)),
        ("numbers", torch.tensor([0.1, 3.5, 0], dtype=torch.float64)),
        ("numbers", torch.tensor([0.1, 3, 2], dtype=torch.float64)),
        ("numbers", torch.tensor([0.1, 2000, 0], dtype=torch.float64)),
    ],
)
def test_a_state_that_cannot_be_is_refused(name: str, changed: torch.Tensor):
    with pytest.raises(GencliError, match=f"saved: {name}: "):
        solver(1e-3).take(Held("saved", solver(1e-3).state() | {name: changed}, {}), 1000)
