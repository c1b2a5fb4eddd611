"""Jacobians are held against other routes by default: wrong ways are left for right ones, or nothing is given."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gencli.errors import CheckFailed, GencliError
from gencli.jacobians import building, summary
from gencli.jacobians import confirmation as confirming
from gencli.jacobians import rows as under_test
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import Mode, RowFunction, Wrt
from gencli.models.inputs import Rows
from tests.curvature.test_products import NORMS, SMOOTH
from tests.curvature.test_verification import AtAKink, Faulty
from tests.jacobians.test_rows import BOTH, expected, function, one_thread

__all__ = ["one_thread"]
DTYPES = torch.float32, torch.float64


class Between(nn.Module):
    """Linear layers around any function of hidden units [n, 5]."""

    def __init__(self, middle: Callable[[Tensor], Tensor], units: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.out, self.middle = nn.Linear(36, 5), nn.Linear(units, 3), middle

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.middle(self.into(images.flatten(1)).tanh()))


def solve(hidden: Tensor) -> Tensor:
    return torch.linalg.solve(torch.eye(5) + torch.arange(25.0).view(5, 5).sin() / 9, hidden.T).T


def distances(hidden: Tensor) -> Tensor:
    return torch.cdist(hidden, torch.arange(20.0).view(4, 5).cos().to(hidden))


def found(
    network: nn.Module, wrt: Wrt = "input", mode: Mode | None = None, dtype: torch.dtype = torch.float32, **more: Any
) -> tuple[Tensor, RowFunction, list[str], Confirmation]:
    """The confirmed Jacobians, the function in float64, what was said, and the confirmation."""
    exact = function(network, wrt, **more)
    made = exact if dtype == torch.float64 else function(network, wrt, dtype=dtype, **more)
    confirmation, notes, chunks = Confirmation(made, exact), [], {}
    for chunk in made.jacobians(mode, notes.append, confirm=confirmation):
        chunks |= {chunk.start + place: matrix for place, matrix in enumerate(chunk.matrices)}
    return torch.stack([chunks[row] for row in range(made.rows)]), exact, notes, confirmation


def require_right(matrices: Tensor, exact: RowFunction) -> None:
    tolerance = 1e-12 if matrices.dtype == torch.float64 else 2e-5
    for row in range(exact.rows):
        right = torch.stack([expected(exact, row, output) for output in range(exact.outputs)])
        assert float((matrices[row] - right).norm() / right.norm()) < tolerance, row


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrt", BOTH)
@pytest.mark.parametrize(
    ("network", "mode"), [(Between(solve), "forward"), (Between(distances, 4), None)], ids=["solve", "distances"]
)
def test_wrong_batching_rules_of_torch_are_left_for_rows(
    network: nn.Module, wrt: Wrt, mode: Mode | None, dtype: torch.dtype
) -> None:
    matrices, exact, notes, confirmation = found(network, wrt, mode, dtype)
    require_right(matrices, exact)
    [note] = notes
    assert f"in {mode or 'reverse'} mode row by row, which is slower: torch.func.vmap" in note
    assert "is wrong for mlp-1x5: row" in note
    assert confirmation.said.startswith("3 rows" if mode is None else "")


class Rare(torch.autograd.Function):
    """sin, whose backward is wrong for one of the rows that are not looked at in any case."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return gradients[0] * x.cos() * torch.where(x[:, :1].sub(Rare.at).abs() < 1e-2, 0.5, 1.0)

    at = 0.0


@pytest.mark.parametrize("wrt", BOTH)
def test_a_backward_that_is_wrong_for_one_row_is_found(wrt: Wrt) -> None:
    faulty = Faulty(Rare.apply)
    made = function(faulty, wrt, dtype=torch.float64)
    unseen = next(row for row in range(made.rows) if row not in Confirmation(made, made).rows)
    images, _ = made.inputs(slice(unseen, unseen + 1))
    Rare.at = float(copy.deepcopy(faulty).double().into(images.flatten(1))[0, 0].detach())
    with pytest.raises(CheckFailed, match=f"row {unseen} contradicts differences"):
        list(made.jacobians(confirm=Confirmation(made, made)))


def test_what_is_right_is_taken_as_it_is() -> None:
    for network in (SMOOTH, AtAKink(0), nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(),
                    nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 3)), *NORMS.values()):  # fmt: skip
        for wrt in BOTH:
            for dtype in DTYPES:
                for loss in (None, "ce"):
                    *_, notes, confirmation = found(network, wrt, dtype=dtype, loss=loss)
                    assert not [*notes, *confirmation.notes], network
                    assert confirmation.said.endswith(
                        " rows compared with differences in float64, all with reverse mode without vmap"
                    )


def plant(monkeypatch: pytest.MonkeyPatch, place: int, sizes: set[int]) -> None:
    """Makes the gradients of one place of a batch of one of these sizes wrong."""
    right = under_test._together

    def wrong(*given: Any) -> tuple[Tensor, Tensor]:
        values, matrices = right(*given)
        if len(matrices) in sizes:
            matrices[place] *= 1.001
        return values, matrices

    monkeypatch.setattr(under_test, "_together", wrong)


# of 5 rows, in chunks of 2 where there is little memory
@pytest.mark.parametrize("wrt", BOTH)
@pytest.mark.parametrize(
    ("place", "sizes", "little"), [(1, {5}, False), (3, {5}, False), (1, {2}, True), (0, {1}, True)]
)
def test_one_wrong_row_is_found_wherever_it_is(
    place: int, sizes: set[int], little: bool, wrt: Wrt, monkeypatch: pytest.MonkeyPatch
) -> None:
    if little:
        made = function(dtype=torch.float32, wrt=wrt)
        most = 2 * 4 * (made._kept + made.size + made.outputs) * made.outputs
        monkeypatch.setattr(under_test, "_MEMORY", most)
        assert [len(chunk.matrices) for chunk in made.jacobians()] == [2, 2, 1]
    plant(monkeypatch, place, sizes)
    matrices, exact, [note], _ = found(SMOOTH, wrt)
    require_right(matrices, exact)
    assert "torch.func.vmap in reverse mode is wrong for mlp-1x5: row " in note
    assert "is off by 0.001 of its size" in note


def test_the_summary_is_that_of_the_way_that_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = function(SMOOTH)
    monkeypatch.setattr(under_test, "_MEMORY", 2 * 8 * (made._kept + made.size + made.outputs) * made.outputs)
    plant(monkeypatch, 0, {1})
    done: list[int] = []
    rows, confirmation = made._data, Confirmation(made, made)
    table, tensors = summary.collect(made, rows, None, True, confirmation, None, lambda note: None, done.append)
    assert done == [2, 4, 1, 2, 3, 4, 5]
    require_right(tensors["input"].flatten(2), made)
    norms = tensors["input"].flatten(1).norm(dim=1)
    assert table["norm"].to_pylist() == pytest.approx(norms.tolist(), rel=1e-12)


class _Off(torch.autograd.Function):
    """relu whose gradient is 1e-4 off; its forward mode is right."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.relu()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # type: ignore[override]
        return gradients[0] * (ctx.saved_tensors[0] > 0) * 1.0001

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Any:
        return tangents[0] * (ctx.saved_tensors[0] > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mode_that_differences_confirm_is_taken(dtype: torch.dtype) -> None:
    network = Between(_Off.apply)
    matrices, _, [note], _ = found(network, dtype=dtype)
    assert "in forward mode row by row" in note
    assert "reverse mode is wrong" in note
    require_right(matrices, function(Between(torch.relu)))
    with pytest.raises(CheckFailed, match=r"differences confirm no derivatives.*reverse mode is wrong") as failed:
        found(network, mode="reverse", dtype=dtype)
    assert failed.value.status == 1
    assert "--mode forward" in failed.value.hint


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrt", BOTH)
def test_kinks_excuse_no_wrong_derivative(wrt: Wrt, dtype: torch.dtype) -> None:
    class Kinked(AtAKink):
        def forward(self, images: Tensor) -> Tensor:
            hidden = self.into(images.flatten(1)).relu()
            return self.out(hidden if self.right else hidden * 1.001 - 0.001 * hidden.detach())

        right = True

    network = Kinked(0)
    assert not found(network, wrt, dtype=dtype)[2]
    network.right = False
    with pytest.raises(CheckFailed):
        found(network, wrt, dtype=dtype)


@pytest.mark.parametrize(
    "middle", [torch.round, lambda h: h + (h.round() - h).detach()], ids=["rounding", "straight through"]
)
def test_derivatives_that_are_meant_otherwise_are_refused(middle: Callable[[Tensor], Tensor]) -> None:
    if middle is torch.round:  # 0, as it should be
        assert not found(Between(lambda h: (9 * h).round() + h))[2]
    else:
        with pytest.raises(CheckFailed):
            found(Between(middle))


def test_derivatives_that_are_not_finite_are_refused() -> None:
    with pytest.raises(GencliError, match="row 0: its outputs or their derivatives are not finite"):
        found(Between(lambda hidden: (hidden - hidden.detach()).abs().sqrt()))


@pytest.mark.parametrize(
    "middle",
    [
        lambda h: (h.float() * 3).sin().type_as(h),
        lambda h: h.to(torch.float32).square().to(h.dtype) + torch.zeros(5),
        lambda h: h @ torch.eye(5, dtype=torch.float32),
        lambda h: h.softmax(1, dtype=torch.float32).to(h.dtype),
    ],
    ids=["float", "to", "dtype=", "softmax"],
)
def test_networks_that_name_float32_are_differentiated_in_float64(middle: Callable[[Tensor], Tensor]) -> None:
    matrices, exact, notes, confirmation = found(Between(middle), dtype=torch.float32)
    assert not notes
    assert not confirmation.notes
    require_right(matrices, exact)


def test_a_network_that_fails_in_float64_is_checked_in_float32() -> None:
    class Fixed(Between):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) @ self.fixed

        fixed = torch.ones(3, 3)

    made = function(Fixed(torch.sin), dtype=torch.float32)
    confirmation = building.Target(made._model, None, 1, "input", "*").confirmation(made, made._data)
    assert confirmation.exact is made
    assert len(list(made.jacobians(confirm=confirmation))) == 1
    assert "fails in float64" in confirmation.notes[0]
    made = function(Fixed(lambda hidden: hidden + 0.03 * (hidden - hidden.detach())), dtype=torch.float32)
    with pytest.raises(CheckFailed):
        list(made.jacobians(confirm=Confirmation(made, made)))


def test_what_rounding_makes_of_small_derivatives_is_said() -> None:
    network = Between(torch.tanh)
    network.out.weight.data *= 40  # the loss is some 1e-6 or less of rows that are predicted right
    images = function(network).inputs(slice(None))[0]
    made = {dtype: function(network, "parameters", "ce", dtype=dtype) for dtype in DTYPES}
    labels = network(images.float()).argmax(1)
    for each in made.values():
        each._data = Rows(each._data.images, labels, targets=None)
    confirmation = Confirmation(made[torch.float32], made[torch.float64])
    assert len(list(made[torch.float32].jacobians(confirm=confirmation))) == 1
    assert confirmation.rounding > 1e-3


@pytest.mark.parametrize(
    ("off", "error", "verdict"),
    [
        (0.9e-3, 0, "holds"), (1.1e-3, 0, "fails"), (4e-3, 4e-4, "holds"), (6e-3, 4e-4, "fails"),
        (0.9e-3, 0.2, "holds"), (1.1e-3, 0.2, "unclear"), (1.9, 0.2, "unclear"), (2.1, 0.2, "fails"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_derivative_is_as_sure_as_its_differences(
    off: float, error: float, verdict: str, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By 1e-3 of its size, here 1, and ten times the differences' error, where that is no more than a thousandth."""
    monkeypatch.setattr(confirming, "_direction", lambda point, *purpose: point)
    monkeypatch.setattr(confirming, "_UNCLEAR", {torch.float64: 5e-3})
    way = torch.tensor([0.6, 0.8], dtype=torch.float64)
    said: Any = SimpleNamespace(
        exact=SimpleNamespace(join=lambda point: point["w"], dtype=torch.float64),
        _along=lambda *words: (1.4 + sign * off, error),
    )  # fmt: skip
    pulled = torch.ones(2, dtype=torch.float64)
    assert Confirmation._compare(said, 0, {"w": way}, way, pulled, 1e-3) == verdict


def test_directions_are_of_each_tensors_own_size_or_of_the_usual_one() -> None:
    point = {"a": torch.tensor([3.0, 4.0]), "b": torch.zeros(4), "c": torch.full((3,), 5.0)}
    way = confirming._direction(point, "trial", 1)
    for name, size in (("a", 12.5**0.5), ("b", (100 / 9) ** 0.5), ("c", 5.0)):
        torch.testing.assert_close(way[name], size * confirming._normals(point[name], "trial", 1, name))
    zeros = {"a": torch.zeros(2), "b": torch.zeros(4)}
    torch.testing.assert_close(confirming._direction(zeros)["b"], confirming._normals(zeros["b"], "b"))
    moved = confirming._moved(point, way, 0.25)
    torch.testing.assert_close(moved["a"], point["a"] + way["a"] / 4)
