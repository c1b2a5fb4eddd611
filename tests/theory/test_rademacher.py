"""Rademacher complexity: norms, bounds and steps that a hand can follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gencli.theory import rademacher
from gencli.theory.rademacher import Rademacher


def test_bound_is_the_product_of_norms_and_factor() -> None:
    factor = math.sqrt(4 * math.log(2)) + 1
    assert rademacher._depth_factor(2) == pytest.approx(factor, rel=1e-12)
    assert rademacher._bound(np.array([2.0, 3.0]), 25.0, 10) == pytest.approx(6 * factor * 5 / 10, rel=1e-12)


def test_only_chains_of_dense_layers_and_relu_have_a_depth() -> None:
    dense = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    assert rademacher._depth(nn.Sequential(*dense)) == 2
    assert rademacher._depth(nn.Sequential(*dense, nn.Tanh())) == 0
    assert rademacher._depth(nn.ModuleList(dense)) == 0
    assert rademacher._depth(nn.Linear(2, 1)) == 0


def test_norms_count_biases_and_the_one_that_is_passed_on() -> None:
    first, last = nn.Linear(2, 1), nn.Linear(1, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[2.0, 3.0]]))
        first.bias.fill_(6)
        last.weight.fill_(3)
        last.bias.fill_(4)
    found = rademacher._norms(nn.Sequential(first, nn.ReLU(), last))
    np.testing.assert_allclose(found, [math.sqrt(4 + 9 + 36 + 1), 5], rtol=1e-12)


def test_layers_above_the_limit_shrink_and_others_stay() -> None:
    large, small = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    large.weight.data = torch.tensor([[3.0, 4.0]])
    small.weight.data = torch.tensor([[0.75, 1.0]])
    rademacher._project(nn.Sequential(large, small), 2.5)
    assert large.weight.tolist() == [[1.5, 2.0]]
    assert small.weight.tolist() == [[0.75, 1.0]]


def test_a_climb_has_the_length_asked_for_down_the_gradient() -> None:
    moved, still, zero = (nn.Linear(2, 1, bias=False) for _ in range(3))
    for layer in moved, still, zero:
        layer.weight.data = torch.tensor([[1.0, 1.0]])
    moved.weight.grad = torch.tensor([[3.0, 4.0]])
    zero.weight.grad = torch.zeros(1, 2)
    rademacher._climb(nn.Sequential(moved, still, zero), 2.5)
    assert moved.weight.tolist() == [[-0.5, -1.0]]
    assert still.weight.tolist() == zero.weight.tolist() == [[1.0, 1.0]]


def test_means_are_of_the_last_step_and_lines_of_every_step() -> None:
    paths = [(nn.Identity(), np.array([0.0, 1.0, 2.0])), (nn.Identity(), np.array([2.0, 5.0, 8.0]))]
    assert rademacher._mean(paths) == 5
    line = rademacher._line("two", paths)
    assert (line.label, line.x.tolist(), line.y.tolist()) == ("two", [0, 1, 2], [1, 3, 5])


@pytest.mark.parametrize(("bound", "words"), [(1.0, ""), (1.5, " (vacuous)")])
def test_a_bound_above_one_is_vacuous_and_sampling_is_mcdiarmids(bound: float, words: str) -> None:
    row = Rademacher(draws=4)._row("x", 0.25, bound, 2)
    assert (row.instance, row.left, row.relation, row.right) == ("x", 0.25, "<=", bound)
    assert row.quantity == "estimate, norm-based bound" + words
    sampling = bound / (math.sqrt(4 * math.log(2)) + 1) * math.sqrt(2 * math.log(1000) / 4)
    assert row.tolerance == pytest.approx(sampling, rel=1e-12)


def test_a_linear_function_climbs_to_its_supremum_within_its_norm() -> None:
    images = torch.tensor([[[3.0, 0.0]], [[0.0, 4.0]]], dtype=torch.float64)[:, None]
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    network, path = Rademacher(steps=200)._train("linear", images, signs, 0, 2.0)
    weight, bias = network.parameters()
    assert len(path) == 201
    assert path[-1] == pytest.approx(2 * 5 / 2, rel=1e-3)
    np.testing.assert_allclose(weight.detach().numpy(), [[1.2, -1.6]], atol=0.05)
    assert bias.tolist() == [0]
    assert not bias.requires_grad
