"""Differences of gradients along a vector, of losses whose derivatives are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gencli.curvature.differences import FEW, SHORT, STEPS, Sweep, _Best, picture, relative, sizes, sweep

W = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
V = torch.tensor([0.3, 0.1, -0.7], dtype=torch.float64)
SCALES = torch.tensor([1.0, 2.0, 0.25], dtype=torch.float64)


def quartic(of: Tensor) -> Any:
    """The loss Σ w⁴ / 24, whose gradient is w³ / 6 and whose Hessian is diag(w²) / 2."""
    return SimpleNamespace(weights=W, scales=of, at=lambda w: ((w**4).sum() / 24, w**3 / 6))


def test_steps_are_halves_of_each_other_from_an_eighth_on() -> None:
    assert pytest.approx([2.0**-k for k in range(3, 27)]) == STEPS
    assert pytest.approx([2.0**-k for k in (8, 12, 16, 20, 23, 26)]) == FEW
    assert pytest.approx([2.0**-k for k in range(15, 27, 2)]) == SHORT


@pytest.mark.parametrize("scales", [1.0, SCALES])
@pytest.mark.parametrize("of", [torch.ones(3).double(), SCALES])
def test_errors_over_the_steps_are_those_of_the_quartic(scales: Any, of: Tensor) -> None:
    """The central quotient over h along u is H u + h² u³ / 6; extrapolations are exact, slopes too."""
    moved = scales * V
    product = scales * (W**2 / 2 * moved)
    told: list[int] = []
    found = sweep(quartic(of), V, product, lambda: told.append(1), STEPS[:10], scales)
    lengths = [step * float((W / of).norm() / (moved / of).norm()) for step in STEPS[:10]]
    left = [h**2 * float((scales * moved**3 / 6).norm() / product.norm()) for h in lengths]
    assert found.steps == STEPS[:10]
    assert len(told) == 10
    assert found.central == pytest.approx(left, rel=1e-5)
    assert math.isnan(found.richardson[0])
    assert max(found.richardson[1:]) < 1e-10
    torch.testing.assert_close(found.product, product, rtol=1e-10, atol=1e-12)
    assert found.error < 1e-9
    assert found.slope == pytest.approx(float((W**3 / 6) @ moved), abs=1e-9)
    assert abs(found.slope - float((W**3 / 6) @ moved)) <= found.slope_error < 1e-6
    bends = [scales * h**2 * W * moved**2 for h in lengths]  # of the gradient, ahead and behind
    assert found.jump == pytest.approx(min(float(bend.norm()) / h for bend, h in zip(bends, lengths)), rel=1e-4)
    losses = [h**2 * float((W**2 / 2) @ moved**2) + h**4 * float((moved**4).sum()) / 12 for h in lengths]
    jumps = [max(loss / h, abs(float(bend @ V))) for loss, bend, h in zip(losses, bends, lengths)]
    assert found.slope_jump == pytest.approx(min(jumps), rel=1e-4)


def test_the_best_estimate_is_the_one_that_its_neighbours_contradict_least() -> None:
    best = _Best()
    for value in (5.0, 2.0, 1.5, 1.6, 4.0):
        best.add(torch.tensor(value), floor=0.25)
    assert best.value == 1.5
    assert best.error == pytest.approx(0.5 + 0.25)
    alone = _Best()
    alone.add(torch.tensor(3.0))
    assert alone.error == math.inf


def test_the_best_step_has_the_least_error_that_is_known() -> None:
    empty = torch.zeros(1)
    found = Sweep((0.5, 0.25, 0.125), [3.0, 1.0, 2.0], [math.nan, 4.0, 3.0], empty, 0, 0, 0, 0, 0)
    assert found.best(found.central) == (0.25, 1.0)
    assert found.best(found.richardson) == (0.125, 3.0)


def sized(values: dict[str, float], gradients: dict[str, float]) -> list[float]:
    operator: Any = SimpleNamespace(
        weights=torch.tensor([each for each in values.values() for _ in "ab"], dtype=torch.float64),
        gradient=lambda: torch.tensor([each for each in gradients.values() for _ in "ab"], dtype=torch.float64),
        unflatten=lambda flat: {name: flat[2 * place : 2 * place + 2] for place, name in enumerate(values)},
        flatten=lambda parts: torch.cat(list(parts.values())),
    )
    return sizes(operator)[::2].tolist()


def test_a_parameters_size_is_its_own_unless_it_is_near_zero() -> None:
    even = dict.fromkeys("abcd", 1.0)
    assert sized({"a": 2, "b": -3, "c": 1e-6, "d": 2}, even) == pytest.approx([2, 3, 2e-3, 2])
    assert sized({"a": 2, "b": 3, "c": 0, "d": 2}, even) == pytest.approx([2, 3, 2, 2])
    steep = even | {"c": 100.0}  # then less of it changes the loss as the others do
    assert sized({"a": 2, "b": 3, "c": 0, "d": 2}, steep) == pytest.approx([2, 3, 0.02, 2])
    assert sized(dict.fromkeys("abcd", 0.0), even) == [1, 1, 1, 1]


def test_the_picture_has_two_curves_a_vector() -> None:
    empty = torch.zeros(1)
    found = Sweep((0.5, 0.25), [3.0, 1.0], [math.nan, 4.0], empty, 0, 0, 0, 0, 0)
    (axis,) = picture({"a$b": found, "c": found}).axes
    assert [np.asarray(line.get_ydata()).tolist()[1] for line in axis.lines] == [1, 4, 1, 4]
    assert [np.asarray(line.get_xdata()).tolist() for line in axis.lines] == [[0.5, 0.25]] * 4
    colors = [line.get_color() for line in axis.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == [r"a\$b: central", r"a\$b: Richardson"]


def test_what_is_relative_to_nothing_is_infinite() -> None:
    one, nothing = torch.ones(4), torch.zeros(4)
    assert [relative(nothing, nothing), relative(one, nothing), relative(nothing, one)] == [0, math.inf, 1]
    assert [relative(one, nothing, 0.5), relative(3 * one, one, 0.5), relative(3 * one, one, 8.0)] == [4, 2, 0.5]
