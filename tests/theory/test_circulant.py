"""Circulant matrices: projections, commutators and waves of small matrices."""

from __future__ import annotations

import numpy as np
import pytest

from gencli.randomness import Draws
from gencli.theory import circulant
from gencli.theory.base import Row
from gencli.theory.circulant import Circulant


def test_projection_is_the_mean_along_wrapped_diagonals() -> None:
    matrix = np.array([[1.0, 0, 0], [3, 2, 0], [6, 0, 6]])
    assert circulant._projected(matrix).tolist() == [[3, 2, 1], [1, 3, 2], [2, 1, 3]]


def test_commutator_is_that_with_the_shift_as_a_matrix() -> None:
    matrix, shift = np.random.default_rng(0).standard_normal((4, 4)), np.eye(4)[[3, 0, 1, 2]]
    np.testing.assert_array_equal(shift @ [0, 1, 2, 3], [3, 0, 1, 2])
    expected = np.sqrt(((matrix @ shift - shift @ matrix) ** 2).sum())
    assert circulant._commutator(matrix) == pytest.approx(expected, rel=1e-12)


def test_slow_waves_have_one_period_along_each_wrapped_diagonal() -> None:
    matrix = circulant._slowest_wave(6, np.random.default_rng(1))
    random = np.random.default_rng(1)
    heights, phases = random.standard_normal(6), random.uniform(0, 2 * np.pi, 6)
    for row in range(6):
        for column in range(6):
            k = (row - column) % 6
            expected = heights[k] * np.cos(2 * np.pi * column / 6 + phases[k])
            assert matrix[row, column] == pytest.approx(expected, abs=1e-12)


def test_as_many_matrices_commute_as_there_are_rows() -> None:
    for n in 3, 4, 5:
        dimension, apart = circulant._commuting(n)
        assert dimension == n
        assert apart < 1e-12


@pytest.mark.parametrize("size", [3, 5])
def test_every_row_of_the_claim_holds_and_is_named(size: int) -> None:
    claim = Circulant(size=size, instances=9)
    rows = [row for row in claim.check(Draws(0, "test"), False, None) if isinstance(row, Row)]
    assert len(rows) == 9 * 13
    assert all(row.holds for row in rows)
    solved = [(row.instance, row.right) for row in rows if row.quantity.startswith("dimension")]
    sizes = [min(each, size) for each in (3, 4, 5, 6, 7, 8, 9, 10, 3)]
    assert solved == [(f"{number}: n={n}, solved", n) for number, n in enumerate(sizes)]
    rounding = 10 * size**0.5 * np.finfo(float).eps
    assert [float(row.right) for row in rows[:6]] == pytest.approx([0, 0, rounding, rounding, rounding, 10 * rounding])
    assert rows[0].tolerance == pytest.approx(rounding * size**0.5)
    for low, high in (rows[6], rows[7]), (rows[8], rows[9]):
        assert float(low.left) / float(high.right) == pytest.approx(np.sin(np.pi / size))
        assert low.right == high.left
    assert rows[10].left == pytest.approx(float(rows[10].right), rel=1e-9)


def test_toeplitz_matrices_that_do_not_wrap_are_not_circulant() -> None:
    rows = [row for row in Circulant(size=5).check(Draws(0, "test"), True, None) if isinstance(row, Row)]
    assert [row.holds for row in rows[:6]] == [True, True, False, False, False, False]


def test_memory_is_asked_for_eight_complex_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(circulant, "require_memory", lambda *words: asked.append(words))
    Circulant(size=10)
    assert asked == [(8 * 100 * 16, "--size 10: eight complex matrices")]
