"""When a search of eigenpairs has found what it looks for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.curvature.extremes import Extremes

DOUBLE = torch.float64


def search(**more: Any) -> Any:
    own = {"top": 1, "bottom": 1, "tolerance": 0.125, "_slack": 0.5, "_most_products": None}
    made: Any = SimpleNamespace(**own | more)
    made._wanted = lambda count, spare=0: Extremes._wanted(made, count, spare)
    return made


@pytest.mark.parametrize(
    ("last", "found"),
    [
        ([0.25, 9, 9, 0.5], True), ([0.26, 9, 9, 0.5], False), ([0.25, 9, 9, 0.51], False), ([0.0, 9, 9, 0.0], True),
        ([-0.25, 9, 9, -0.5], True), ([-0.26, 9, 9, 0.5], False),
    ],
)  # fmt: skip
def test_pairs_are_found_where_their_residuals_are_small_for_their_values(last: list[float], found: bool) -> None:
    """Of a coupling of 2, residuals of an eighth of |-4| and |8| at most: 0.5 and 1."""
    values, columns = torch.tensor([-4.0, 1, 2, 8], dtype=DOUBLE), torch.zeros(4, 4, dtype=DOUBLE)
    columns[-1] = torch.tensor(last)
    made = search(process=SimpleNamespace(beta=2.0))
    assert Extremes._are_found(made, values, columns) == found
    assert Extremes._are_found(made, values, columns, 100.0)
    assert Extremes._are_found(made, values, columns, 0.5) == (not any(abs(each) not in (0, 9) for each in last))


@pytest.mark.parametrize(("residual", "found"), [(0.125, True), (0.126, False)])
def test_a_value_near_0_is_found_to_the_tolerance_of_the_largest_ones(residual: float, found: bool) -> None:
    """An eighth of an eighth of 8."""
    values, columns = torch.tensor([0.001, 8], dtype=DOUBLE), torch.zeros(2, 2, dtype=DOUBLE)
    columns[-1] = torch.tensor([residual, 0.0])
    assert Extremes._are_found(search(process=SimpleNamespace(beta=1.0)), values, columns) == found


@pytest.mark.parametrize(
    ("beta", "complete", "block", "rest", "ends", "settled"),
    [
        (0.51, False, 3, 9.0, (1, 1), True), (0.5, True, 3, 9.0, (1, 1), True), (0.5, False, 3, 2.0, (1, 1), False),
        (0.5, False, 1, 2.0, (1, 1), True), (0.5, False, 1, 4.5, (1, 1), True), (0.5, False, 1, 4.51, (1, 1), False),
        (0.5, False, 1, 0.5, (1, 1), True), (0.5, False, 1, 0.49, (1, 1), False), (0.5, False, 1, 9.0, (0, 1), True),
        (0.5, False, 1, -9.0, (1, 0), True), (0.5, False, 1, 9.0, (1, 0), False), (0.5, False, 1, 3.5, (2, 0), True),
        (0.5, False, 1, 3.51, (2, 0), False),
    ],
)  # fmt: skip
def test_an_invariant_subspace_hides_no_copy_where_a_random_vector_lies_within_the_ends(
    beta: float, complete: bool, block: int, rest: float, ends: tuple[int, int], settled: bool
) -> None:
    """The values found are 1, 3 and 4; what is left of the space has the one value `rest`."""
    process = SimpleNamespace(beta=beta, complete=complete, block=block, steps=1, projected=torch.tensor([[rest]]))
    made = search(process=process, top=ends[0], bottom=ends[1])
    assert Extremes._settled(made, torch.tensor([1.0, 3, 4])) == settled
    assert process.block == (block if beta > 0.5 or complete else 0)


@pytest.mark.parametrize(("most", "spent"), [(None, False), (11, False), (10, True), (9, True)])
def test_products_are_spent_at_their_number(most: int | None, spent: bool) -> None:
    made: Any = SimpleNamespace(_most_products=most, products=10)
    assert Extremes._spent.fget(made) == spent  # type: ignore[attr-defined]
