"""Rows say what they compare; numerical helpers against closed forms."""

import math
import operator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from gencli import theory
from gencli.errors import GencliError
from gencli.randomness import Draws
from gencli.theory import networks, objectives
from gencli.theory.base import Part, Relation, Row, complex_step, minimize, slope
from gencli.theory.label_alignment import LabelAlignment, _slopes

RELATIONS = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}
NUMBERS = st.integers(-3, 3) | st.floats(-1e6, 1e6, width=32)


@given(st.sampled_from(list(RELATIONS)), NUMBERS, NUMBERS)
def test_a_row_holds_where_its_relation_does(relation: Relation, left: float, right: float):
    row = Row("one", "number", left, relation, right)
    assert row.holds == RELATIONS[relation](left, right)
    assert abs(row.slack) == abs(right - left)


@given(st.sampled_from(["<=", "=", ">="]), st.floats(-1, 1), st.floats(0.001, 1))
def test_a_tolerance_is_what_may_be_missing(relation: Relation, left: float, tolerance: float):
    beyond = {"<=": 1, "=": 1, ">=": -1}[relation] * tolerance
    assert Row("one", "number", left + 0.99 * beyond, relation, left, tolerance).holds
    assert not Row("one", "number", left + 1.01 * beyond, relation, left, tolerance).holds


@pytest.mark.parametrize("relation", RELATIONS)
def test_what_is_no_number_holds_nowhere(relation: Relation):
    assert not Row("one", "number", math.nan, relation, 1.0, 1.0).holds
    assert not Row("one", "number", 1.0, relation, math.nan, 1.0).holds


def test_a_claim_that_takes_long_says_so_once_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch):
    seconds = iter([0.0, 0.5, 2.0, 4.0, 100.0])
    monkeypatch.setattr(theory.time, "monotonic", lambda: next(seconds))
    said: list[tuple[str, bool]] = []
    row = Row("first", "number", 1.0, "=", 1.0)
    found = [Part(0.001), Part(0.02), Part(0.04), row, Part(1.0)]
    assert list(theory._timed("claim", found, lambda note, line: said.append((note, line)))) == [row]
    assert said == [
        ("claim: 0% done, about 8.3 min left", False),  # too soon to tell
        ("claim: 2% done, about 1.6 min left", True),
        ("claim: 4% done, about 1.6 min left", False),
        ("claim, after first", False),
        ("claim: 100% done, about 0.0 min left", False),
    ]


def test_a_wide_network_says_how_far_its_descent_is():
    claim = LabelAlignment(instances=2, width=256, steps=5, examples=4)
    found = [each for each in claim.check(Draws(0, "check"), False, None) if isinstance(each, Part)]
    shares = np.concatenate(
        [start + width * np.arange(1, 6) / 5 for start, width in ((0, 4), (4, 16), (20, 64), (84, 256))]
    )
    assert [each.done for each in found] == pytest.approx([*(shares / 680), *(0.5 + shares / 680)])


def test_slopes_between_two_points_are_those_of_the_chord_also_from_and_to_0():
    values = np.array([-2.0, -1.0, 0.0, 1.0, 3.0])
    before, after = np.meshgrid(values, values)
    apart = before != after
    expected = (after.clip(0) - before.clip(0))[apart] / (after - before)[apart]
    np.testing.assert_allclose(_slopes(before, after)[apart], expected, rtol=1e-15)


def test_complex_steps_are_exact_derivatives():
    w = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(complex_step(lambda w: (np.sin(w) * w).sum(), w), np.cos(w) * w + np.sin(w), rtol=1e-15)
    np.testing.assert_allclose(complex_step(lambda w: w**3, w), np.diag(3 * w**2), rtol=1e-15, atol=1e-30)


def test_the_objective_has_the_derivatives_and_eigenvalues_that_it_says():
    eigenvalues = np.array([-2.0, -1, 1, 2])
    f, w = objectives.draw(np.random.default_rng(0), eigenvalues, "float64")
    np.testing.assert_allclose(np.linalg.eigvalsh(f.quadratic), eigenvalues, rtol=1e-12)
    features, quadratic, at = (torch.from_numpy(each) for each in (f.features, f.quadratic, w))

    def value(w: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-features @ w).mean() + w @ quadratic @ w / 2

    np.testing.assert_allclose(f.value(w), value(at), rtol=1e-14)
    np.testing.assert_allclose(f.gradient(w), torch.func.grad(value)(at), rtol=1e-13)
    np.testing.assert_allclose(f.hessian(w), torch.autograd.functional.hessian(value, at), rtol=1e-12, atol=1e-14)  # pyright: ignore[reportArgumentType]
    logistic = np.linalg.eigvalsh(f.hessian(0 * w) - f.quadratic)
    assert logistic.max() == pytest.approx(0.75)
    assert logistic.min() > 0


def test_minimize_finds_the_minimum_from_values():
    target = np.array([1.0, -2.0, 3.0])
    found = minimize(lambda w: float(((w - target) ** 2).sum() + expit(w[0])), np.zeros(3))
    np.testing.assert_allclose(found[1:], target[1:], atol=1e-7)
    assert 2 * (found[0] - 1) + expit(found[0]) * expit(-found[0]) == pytest.approx(0, abs=1e-7)


def test_a_slope_is_the_power():
    x = np.geomspace(1, 100, 7)
    assert slope(x, 3 * x**-0.5) == pytest.approx(-0.5)


def test_the_loss_of_a_network_has_the_hessian_of_autograd():
    f = networks.random_loss([3, 4, 2], 5, np.random.default_rng(0), "float64", bias=True)
    assert len(f.w) == 3 * 4 + 4 + 4 * 2 + 2
    expected = torch.autograd.functional.hessian(f.at, f.w)
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(networks.hessian(*f), expected, rtol=1e-12, atol=1e-15)
    v = torch.from_numpy(np.random.default_rng(1).standard_normal(len(f.w)))
    torch.testing.assert_close(networks.hvp(*f, v), expected @ v, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("text", ["", "5", "5-", "a-b", "0-5", "5-1", "5--5", "5-5.0", "٥-5", "9999999999-2"])
def test_what_are_no_layers_is_refused(text: str):
    with pytest.raises(GencliError, match=r"--layers: .* are not layers"):
        networks.parse_layers(text)


def test_weights_are_counted_by_layer():
    assert networks.count(networks.parse_layers("50-50-50-10")) == 5500
