"""What an operator is made of, when it keeps its graphs, and the words with which it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from gencli.curvature import operators
from gencli.curvature.operators import Operator
from gencli.errors import CheckFailed, GencliError
from gencli.losses import choose
from gencli.losses.settings import LossSettings
from tests.curvature.test_products import model, one_thread, operator, rows, vector

__all__ = ["one_thread"]


def test_an_operator_counts_its_parameters_rows_outputs_and_operations() -> None:
    made = operator(parameters="*.weight")
    assert made.shapes == {"1.weight": (5, 36), "3.weight": (3, 5)}
    assert made.fixed == {"1.bias", "3.bias"}
    assert (made.size, made.rows, made.outputs, made.flops) == (195, 23, 3, 2 * 195)
    assert not made.kinks
    assert [(part.start, part.stop) for part in made.slices()] == [(0, 7), (7, 14), (14, 21), (21, 23)]
    parts = made.unflatten(torch.arange(195.0))
    assert torch.equal(made.flatten(dict(reversed(parts.items()))), torch.arange(195.0))


def test_a_product_is_made_of_one_of_each_batch_but_for_those_of_all_rows() -> None:
    made = operator()
    for route, shares in (("double-backward", 4), ("finite-difference", 1), ("jacobian", 1)):
        made.route = route  # type: ignore[assignment]
        assert made.shares == shares


def test_there_is_a_jacobian_where_memory_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, hessian = operator(kind="ggn"), operator()
    need = 23 * 3 * made.size * 8
    for memory, fits in ((need, True), (need - 1, False)):
        monkeypatch.setattr(operators, "_MEMORY", memory)
        assert made.has_jacobian == fits
        assert not hessian.has_jacobian


@pytest.mark.parametrize(
    ("batch_size", "memory", "kept"),
    [(7, 4 * 450, True), (7, 4 * 450 - 1, False), (23, 0, True), (22, 2 * 1200 - 1, False)],
)
def test_graphs_are_kept_where_memory_holds_those_of_all_batches(
    batch_size: int, memory: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs of 2 rows take 200 bytes and of 4 rows 300: those of 7 rows 450, of 22 rows 1,200."""
    monkeypatch.setattr(operators, "_MEMORY", memory)
    monkeypatch.setattr(Operator, "_graph", lambda self, rows: 100 + 50 * rows)
    made = operator(batch_size=batch_size)
    assert made._keeps == kept
    made.matvec(vector(made.size))
    assert list(made._kept) == (["double-backward"] if kept else [])
    made.forget()
    assert made._kept == {}


def test_the_part_of_rows_is_the_operator_of_their_mean_loss() -> None:
    made, v = operator(), vector(203)
    both = [made.part(torch.arange(*ends)) for ends in ((0, 9), (9, 23))]
    assert [each.rows for each in both] == [9, 14]
    torch.testing.assert_close((9 * both[0].matvec(v) + 14 * both[1].matvec(v)) / 23, made.matvec(v))
    assert made.part(None).rows == 23


def test_columns_of_the_whole_matrix_are_counted_batch_by_batch() -> None:
    made, told = operator(parameters="3.*"), list[int]()
    matrix = made.dense(told.append)
    assert told == list(range(1, 4 * 18 + 1))
    for place in (0, 17):
        unit = torch.zeros(18, dtype=torch.float64)
        unit[place] = 1
        torch.testing.assert_close(matrix[:, place], made.matvec(unit))


@pytest.mark.parametrize(("error", "fine"), [(0.5, True), (0.51, False)])
def test_differences_that_contradict_each_other_are_refused(
    error: float, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a part of the largest product of a vector of length 1 so far: 10 here, then of a smaller one."""
    monkeypatch.setattr(operators, "_UNSURE", 0.05)
    made = operator(parameters="3.*")
    v = torch.full((18,), 2 / 18**0.5, dtype=torch.float64)
    found = SimpleNamespace(product=10 * v, error=0.0)
    monkeypatch.setattr(operators, "sweep", lambda *given, **more: found)
    assert torch.equal(made._by_differences(v), 10 * v)
    found.product, found.error = v, 2 * error
    if fine:
        assert torch.equal(made._by_differences(v), v)
    else:
        with pytest.raises(CheckFailed, match=r"^differences of gradients contradict each other by 5\.1%"):
            made._by_differences(v)
    assert made._by_differences(0 * v).tolist() == [0.0] * 18


@pytest.mark.parametrize(
    ("loss", "kind", "message"),
    [
        ("ce", "fisher", None), ("focal", "ggn", None),
        ("focal", "fisher", "--operator: fisher is defined for the softmax with cross-entropy, ce, not for focal"),
    ],
)  # fmt: skip
def test_a_fisher_matrix_is_of_cross_entropy(loss: str, kind: Any, message: str | None) -> None:
    chosen = choose(LossSettings(loss=loss))
    if message is None:
        assert Operator(model(), rows(), chosen, kind).kind == kind
    else:
        with pytest.raises(GencliError, match=message):
            Operator(model(), rows(), chosen, kind)


class Unused(nn.Module):
    """With a parameter that no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(36, 3), nn.Parameter(torch.ones(2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


def test_parameters_that_no_output_depends_on_are_refused() -> None:
    with pytest.raises(GencliError, match="--parameters: no output depends on other"):
        operator(Unused(), parameters="other")


def test_products_that_are_not_finite_are_refused() -> None:
    made = operator(dtype=torch.float32)
    with pytest.raises(GencliError, match=r"a product of the hessian is not finite in torch\.float32"):
        made.matvec(torch.full((203,), 3e38))
