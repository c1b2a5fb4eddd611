"""What pictures show of the runs of claims: each curve, its name and its style."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gencli.theory import CLAIMS, All, arguments, kinds, packages
from gencli.theory.edge_of_stability import EdgeOfStability
from gencli.theory.label_alignment import LabelAlignment, _Descent, _Kernel, _panels
from gencli.theory.prox_step import ProxStep


def test_residuals_stand_beside_their_predictions_and_deviations_beside_their_bounds() -> None:
    found = np.array([[1.0, -2, 3, -4, 5, 6, 7, 8], [0.5, -1, 1.5, -2, 2.5, 3, 3.5, 4]])
    widths = np.array([4, 16, 64])
    residuals, deviations = _panels(found, 2 * found, widths, np.array([8.0, 4.0, 1.0]), np.array([9.0, 5.0, 2.0]))
    assert (residuals.title, residuals.across, residuals.up) == ("residual along eigenvectors", "steps", "residual")
    assert residuals.scales == ("linear", "log")
    expected = []
    for place in (0, 2, 4, 7):
        column = np.abs(found[:, place]).tolist()
        expected += [(f"along v_{place + 1}", [0, 1], column, "o")]
        expected += [("predicted", [0, 1], [2 * each for each in column], "-")]
    assert [(each.label, each.x.tolist(), each.y.tolist(), each.style) for each in residuals.series] == expected
    assert (deviations.title, deviations.scales) == ("deviation from the prediction", ("log", "log"))
    assert [(each.label, each.x.tolist(), each.y.tolist(), each.style) for each in deviations.series] == [
        ("deviation", [4, 16, 64], [8, 4, 1], "o-"), ("bound", [4, 16, 64], [9, 5, 2], "--"),
        ("1/sqrt(m)", [4, 16, 64], [8, 4, 2], ":"),
    ]  # fmt: skip


def test_the_bound_of_the_deviation_is_its_recursion() -> None:
    """Of rate 1/4: what was left shrinks by 1 - 1/4, and a step adds 0.5 / 4 of the residual before it."""
    claim = LabelAlignment(examples=2, width=256, steps=2)
    kernel = _Kernel(np.eye(2), np.array([4.0, 1.0]), np.eye(2))
    residuals = np.array([[3.0, 4.0], [0.0, 2.0], [9.0, 9.0]])
    bound = claim._bound(_Descent(residuals, 0.5, 0.0), kernel)
    assert bound == pytest.approx([0, 5 / 8, 0.75 * 5 / 8 + 2 / 8])
    for broken, decay in ((False, [0, 0.75]), (True, [0.75, 0])):
        predicted = claim._predicted(np.array([8.0, 16.0]), kernel, broken)
        for step in range(3):
            assert predicted[step] == pytest.approx([8 * decay[0] ** step, 16 * decay[1] ** step])


def test_rows_tell_the_worst_step_and_hoeffdings_bound() -> None:
    claim, x = LabelAlignment(examples=2, width=256, steps=2), np.eye(2)
    descent = _Descent(np.zeros((3, 2)), 0.0, 0.125)
    first, second = claim._rows("i", x, 256, descent, np.array([0.0, 3.0, 2.0]), np.array([0.0, 4.0, 1.0]))
    assert (first.quantity, first.left, first.relation) == ("|H_0 - H|, Hoeffding's bound", 0.125, "<=")
    assert first.right == pytest.approx(2**0.5 * math.sqrt(math.log(8e6) / 512))
    assert (second.quantity, second.left, second.right) == ("deviation after 2 steps, bound", 2.0, 1.0)
    rounding = 100 * np.finfo(float).eps * 2 * 2**0.5
    assert first.tolerance == second.tolerance == pytest.approx(rounding)


def test_the_first_and_the_last_eigenvectors_are_told() -> None:
    found = np.array([[0.0] * 8, [1.0, -2, 3, 4, 5, -6, 7, 8]])
    rows = list(LabelAlignment(examples=8, width=256, steps=5)._along("i", found, -2 * found, 0.5))
    assert [(row.quantity, row.left, row.relation, row.right) for row in rows] == [
        (f"|residual along v_{place}| after 5 steps, predicted", float(place), "=", 2.0 * place)
        for place in (1, 2, 3, 6, 7, 8)
    ]
    assert rows[0].tolerance == pytest.approx(0.5, abs=1e-9)
    few = LabelAlignment(examples=2, width=256)._along("i", found[:, :2], found[:, :2], 0.5)
    assert [row.quantity[:18] for row in few] == ["|residual along v_", "|residual along v_"]


def test_sharpness_and_loss_are_drawn_over_the_steps_with_the_limits() -> None:
    claim = EdgeOfStability(levels="8,10")
    runs = [("descent", 2.0, 0.25), ("momentum 0.5", 3.0, 0.375)]
    found, losses = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([[6.0, 5], [4, 3], [2, 1]])
    sharpness, loss = claim._panels(runs, found, losses)
    names = ["descent, eta=0.25", "momentum 0.5, eta=0.375"]
    assert (sharpness.title, sharpness.scales, loss.title, loss.scales) == (
        "sharpness", ("linear", "linear"), "loss", ("linear", "log"),
    )  # fmt: skip
    steps = [0.0, 50.0, 100.0]
    assert [(each.label, each.x.tolist(), each.y.tolist(), each.style) for each in sharpness.series] == [
        (names[0], steps, [1, 3, 5], "-"), (names[1], steps, [2, 4, 6], "-"),
        ("limit 8", [0, 100], [8, 8], ":"), ("limit 10", [0, 100], [10, 10], ":"),
    ]  # fmt: skip
    assert [(each.label, each.x.tolist(), each.y.tolist()) for each in loss.series] == [
        (names[0], steps, [6, 4, 2]), (names[1], steps, [5, 3, 1]),
    ]  # fmt: skip


def test_all_claims_take_the_options_of_all() -> None:
    every = All(dtype="float32").claims()
    assert [claim.name for claim in every] == list(CLAIMS)
    assert {claim.dtype for claim in every} == {"float32"}
    assert [claim.instances for claim in every] == [claim().instances for claim in CLAIMS.values()]
    assert {claim.instances for claim in All(instances=7).claims()} == {7}
    assert list(kinds()) == [*CLAIMS, "all"]
    assert arguments(All(instances=7)) == {"instances": 7, "dtype": "float64"}
    own = arguments(ProxStep())
    assert "plot" not in own
    assert own["instances"] == ProxStep().instances
    assert packages(ProxStep()) == ["numpy", "pyarrow", *ProxStep.packages]
    assert packages(All())[:2] == ["numpy", "pyarrow"]
    assert len(set(packages(All()))) == len(packages(All()))
    assert "torch" in packages(All())
