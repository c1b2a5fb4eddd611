"""Label alignment: its kernel, descent and bounds by hand and by their definitions."""

import math

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.theory.label_alignment import LabelAlignment, _Descent, _finite, _Kernel, _kernel, _panels, _slopes

TURNED = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, math.sqrt(0.75)], [-1.0, 0.0]])


def test_the_kernel_of_angles_worked_out_by_hand() -> None:
    kernel = _kernel(TURNED)
    # <x, x'> (pi - angle) / 2 pi: the same input 1/2, at 90 degrees 0, at 60 and 30 by their cosines, opposite 0
    expected = [
        [1 / 2, 0, 1 / 2 * (2 / 3) / 2, 0],
        [0, 1 / 2, math.sqrt(0.75) * (5 / 6) / 2, 0],
        [1 / 6, math.sqrt(0.75) * 5 / 12, 1 / 2, -1 / 2 * (1 / 3) / 2],
        [0, 0, -1 / 12, 1 / 2],
    ]
    np.testing.assert_allclose(kernel.matrix, expected, atol=1e-9)
    assert list(kernel.values) == sorted(kernel.values, reverse=True)
    np.testing.assert_allclose(kernel.matrix @ kernel.vectors, kernel.vectors * kernel.values, atol=1e-12)


def test_a_slope_between_two_signs_is_that_of_the_chord() -> None:
    before = np.array([[1.0, -1.0, -2.0, 3.0, 0.0, 2.0]])
    after = np.array([[2.0, -3.0, 2.0, -1.0, 4.0, 0.0]])
    assert _slopes(before, after).tolist() == [[1.0, 0.0, 0.5, 0.75, 1.0, 1.0]]


def test_a_finite_kernel_is_the_mean_over_neurons() -> None:
    random = np.random.default_rng(0)
    slopes, open_ = random.random((5, 3)), random.random((5, 3)) > 0.5
    inner = random.random((3, 3))
    expected = [
        [inner[i, j] * np.mean([slopes[r, i] * open_[r, j] for r in range(5)]) for j in range(3)] for i in range(3)
    ]
    np.testing.assert_allclose(_finite(slopes, open_, inner), expected, rtol=1e-12)


@pytest.fixture
def claim() -> LabelAlignment:
    return LabelAlignment(examples=2, dimension=3, width=256, steps=3)


KERNEL = _Kernel(np.diag([0.5, 0.125]), np.array([0.5, 0.125]), np.eye(2))


def test_a_residual_decays_by_its_eigenvalue(claim: LabelAlignment) -> None:
    start = np.array([2.0, 4.0])
    assert claim._predicted(start, KERNEL, False).tolist() == [[2, 4], [0, 3], [0, 2.25], [0, 1.6875]]
    assert claim._predicted(start, KERNEL, True).tolist() == [[2, 4], [1.5, 0], [1.125, 0], [0.84375, 0]]


def test_the_bound_is_the_sum_that_the_help_gives(claim: LabelAlignment) -> None:
    residuals = np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [9.0, 9.0]])
    descent = _Descent(residuals, apart=0.25, start=0.0)
    rate, norms = 1 / 0.5, [5.0, 2.0, 1.0]
    expected = [rate * 0.25 * sum((1 - rate * 0.125) ** (k - 1 - j) * norms[j] for j in range(k)) for k in range(4)]
    np.testing.assert_allclose(claim._bound(descent, KERNEL), expected, rtol=1e-12)


def test_rows_hold_hoeffdings_bound_and_the_worst_step(claim: LabelAlignment) -> None:
    x = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    descent = _Descent(np.zeros((4, 2)), apart=0.0, start=0.125)
    rows = list(claim._rows("0: m=64", x, 64, descent, np.array([0, 1.0, 3.0, 2.0]), np.array([0, 4.0, 6.0, 5.0])))
    rounding = 100 * claim.eps * 2 * math.sqrt(3)
    # the norm of the products 1, 0.6, 0.6, 1; 2 n^2 = 8 sides of 2 n^2 events
    hoeffding = math.sqrt(2 * (1 + 0.36)) * math.sqrt(math.log(8 / 1e-6) / 128)
    names = ["|H_0 - H|, Hoeffding's bound", "deviation after 2 steps, bound"]
    assert [each.quantity for each in rows] == names
    assert [(each.instance, each.left, each.relation) for each in rows] == [
        ("0: m=64", 0.125, "<="),
        ("0: m=64", 3, "<="),
    ]
    assert [each.right for each in rows] == pytest.approx([hoeffding, 6.0])
    assert [each.tolerance for each in rows] == pytest.approx([rounding] * 2)


@pytest.mark.parametrize(
    ("count", "shown"), [(2, [1, 2]), (3, [1, 2, 3]), (5, [1, 2, 3, 4, 5]), (7, [1, 2, 3, 5, 6, 7])]
)
def test_three_directions_at_either_end_are_compared(count: int, shown: list[int]) -> None:
    claim = LabelAlignment(examples=count, dimension=3, width=256, steps=1)
    found = np.array([np.zeros(count), -np.arange(1.0, count + 1)])
    rows = list(claim._along("i", found, 2 * found, 0.5))
    assert [each.quantity for each in rows] == [f"|residual along v_{n}| after 1 steps, predicted" for n in shown]
    assert [(each.left, each.right) for each in rows] == [(n, 2 * n) for n in shown]
    assert {each.tolerance for each in rows} == {0.5 + claim._rounding}


def test_the_pictures_are_of_four_directions_and_all_widths() -> None:
    found = -np.arange(24.0).reshape(3, 8)
    widths, deviations, bounds = np.array([1.0, 4.0, 16.0]), np.array([8.0, 3.0, 1.0]), np.array([9.0, 5.0, 2.0])
    decay, fall = _panels(found, 2 * found, widths, deviations, bounds)
    assert [each.label for each in decay.series] == [
        word for n in (1, 3, 5, 8) for word in (f"along v_{n}", "predicted")
    ]
    assert decay.series[0].x.tolist() == [0, 1, 2]
    assert [each.y.tolist() for each in decay.series[2:4]] == [[2, 10, 18], [4, 20, 36]]
    assert [each.y.tolist() for each in fall.series] == [[8, 3, 1], [9, 5, 2], [8, 4, 2]]
    assert [each.x.tolist() for each in fall.series] == [[1, 4, 16]] * 3


def test_what_no_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # of each neuron its weights and steps, two times d, and six times n numbers; n x n five times, and the residuals
    need = 8 * (256 * (2 * 3 + 6 * 2) + (5 * 2 + 3) * 2)
    monkeypatch.setattr("gencli.machine.free_memory", lambda: need)
    LabelAlignment(examples=2, dimension=3, width=256, steps=3)
    monkeypatch.setattr("gencli.machine.free_memory", lambda: need - 1)
    with pytest.raises(GencliError, match=r"--width 256, --examples 2: needs [\d.]+ KiB of memory"):
        LabelAlignment(examples=2, dimension=3, width=256, steps=3)
