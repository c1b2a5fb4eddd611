"""The rate of SGD: steps, averages and limits that a hand can follow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gencli.randomness import Draws
from gencli.theory import sgd_rate
from gencli.theory.base import Panel, Row
from gencli.theory.sgd_rate import SgdRate


def test_losses_and_subgradients_are_as_written() -> None:
    m = np.array([-2.0, 0.0, 1.0, 3.0])
    hinge, logistic, absolute = (sgd_rate._LOSSES[name] for name in ("hinge", "logistic", "absolute"))
    assert hinge.value(m).tolist() == [3, 1, 0, 0]
    assert hinge.slope(m).tolist() == [-1, -1, 0, 0]
    np.testing.assert_allclose(logistic.value(m), [math.log(1 + math.exp(-each)) for each in m], rtol=1e-12)
    np.testing.assert_allclose(logistic.slope(m), [-1 / (1 + math.exp(each)) for each in m], rtol=1e-12)
    assert absolute.value(m).tolist() == [2, 0, 1, 3]
    assert absolute.slope(m).tolist() == [-1, 0, 1, 1]


def test_four_steps_on_two_examples_are_those_by_hand() -> None:
    x, b = np.array([[4.0], [2.0]]), np.array([0.0, 1.0])
    problem = sgd_rate._Problem(sgd_rate._LOSSES["hinge"], x, b, np.array([0.5]))
    assert (problem.radius, problem.lipschitz, problem.least) == (0.5, 4, 0.5)
    found, averages = problem.run(4, None)  # w = 0, 3/16, 6/16, 7/16 by steps of 1/16
    assert (found.tolist(), averages.tolist()) == ([0.25], [0.40625])
    found, averages = problem.run(4, np.array([[0, 1]] * 4))  # w = 0, 1/4, 1/4, 1/4 and 0, 1/8, 2/8, 3/8
    assert (found.tolist(), averages.tolist()) == ([0.4375, 0.4375], [0.4375, 0.5])


def test_the_first_largest_coordinate_falls_and_the_last_stays() -> None:
    assert sgd_rate._worst_case(4, "float64") == 0.5
    assert sgd_rate._worst_case(16, "float32") == 0.25


def test_upper_limit_of_two_values_is_that_of_cauchy() -> None:
    assert sgd_rate._upper(np.array([1.0, 3.0])) == pytest.approx(2 + math.tan(math.pi * 0.4995), rel=1e-9)


@pytest.mark.parametrize("loss", ["hinge", "logistic", "absolute"])
def test_examples_have_flipped_labels_and_a_minimum(loss: str) -> None:
    x, b, best = sgd_rate._examples(loss, np.random.default_rng(3), "float64")
    random = np.random.default_rng(3)
    drawn, true = random.standard_normal((40, 5)), random.standard_normal(5)
    if loss == "absolute":
        np.testing.assert_array_equal(x, drawn)
        np.testing.assert_allclose(b, drawn @ true + random.standard_normal(40), rtol=1e-12)
    else:
        assert (x @ true < 0).tolist() == [True] * 8 + [False] * 32
        np.testing.assert_array_equal(abs(x), abs(drawn))
        assert not b.any()
    value = sgd_rate._LOSSES[loss].value
    least = value(x @ best - b).mean()
    moves = np.random.default_rng(0).standard_normal((200, 5)) * 1e-2
    assert all(value(x @ (best + move) - b).mean() > least for move in moves)


@pytest.mark.parametrize(("broken", "power"), [(False, 0.5), (True, 1.0)])
def test_bounds_fall_with_the_root_of_the_steps(broken: bool, power: float) -> None:
    parts = list(SgdRate(steps=64, runs=20).check(Draws(0, "test"), broken, None))
    rows = [each for each in parts if isinstance(each, Row)]
    (panel,) = (each for each in parts if isinstance(each, Panel))
    assert len(rows) == 3 * 4 * 5 + 4 + 1
    for name in ("hinge", "logistic", "absolute"):
        for kind, quantity in ("full", "gap of mean, bound"), ("SGD", "expected gap, bound"):
            bounds = [
                float(row.right)
                for count in (1, 4, 16, 64)
                for row in rows
                if (row.instance, row.quantity) == (f"0: {name}, T={count}, {kind}", quantity)
            ]
            np.testing.assert_allclose(np.array(bounds) / bounds[0], [count**-power for count in (1, 4, 16, 64)])
    assert [float(row.right) for row in rows[-5:]] == [*(count**-power for count in (1, 4, 16, 64)), -power]
    np.testing.assert_allclose([float(row.left) for row in rows[-5:]], [1, 0.5, 0.25, 0.125, -0.5], rtol=1e-12)
    assert all(row.holds for row in rows) is not broken
    assert [line.y.tolist() for line in panel.series][-1] == [count**-power for count in (1, 4, 16, 64)]
    assert [row.tolerance for row in rows[-5:]] == pytest.approx([1e-3, 5e-4, 2.5e-4, 1.25e-4, 1e-3], rel=1e-9)
    x, _, best = sgd_rate._examples("hinge", next(iter(Draws(0, "test").rows(np.arange(1)))), "float64")
    least = np.maximum(0, 1 - x @ best).mean()
    unit = np.linalg.norm(best) * np.linalg.norm(x, axis=1).max()
    assert [row.tolerance for row in rows[:5]] == pytest.approx([100 * 2.0**-52 * (least + unit)] * 5, rel=1e-9, abs=0)
    assert [row.right for row in rows if row.quantity == "Jensen: largest excess of a run"] == [0] * 12
    (drawn,) = (line.y for line in panel.series if line.label == "hinge, SGD")
    assert drawn[0] == pytest.approx(float(rows[3].left) / unit)
    shown = [line.y for line in panel.series if line.label == "hinge, full"]
    (gap,) = (row for row in rows if row.instance == "0: hinge, T=1, full" and row.quantity == "gap of mean, bound")
    assert shown[0][0] == pytest.approx(float(gap.left) / float(gap.right))


def test_memory_is_asked_for_each_run_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(sgd_rate, "require_memory", lambda *words: asked.append(words))
    SgdRate(steps=100, runs=30)
    assert asked == [(30 * (100 + 160) * 8, "--steps 100, --runs 30")]
