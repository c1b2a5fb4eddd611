"""A derivative that is wrong for few rows, one class or some sizes of batches alone is seen; what is right passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gencli.curvature import routes
from gencli.curvature.coverage import Coverage
from gencli.curvature.differences import relative
from gencli.curvature.operators import Kind, Operator
from gencli.errors import CheckFailed, GencliError
from gencli.jacobians.rows import RowFunction
from gencli.losses.classes import CrossEntropy
from gencli.models.inputs import Rows
from tests.curvature.test_products import KINDS, SHAPE, model, vector

_ROWS = 400

Where = Callable[[Tensor], Tensor]  # of images [n, pixels], which of them are wrong


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors two make none faster, and wait for each other
    yield
    torch.set_num_threads(threads)


class Tanh(torch.autograd.Function):
    """In some rows its gradient times 1 + `fault`, or without one, its gradient taken for a constant."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, wrong: Tensor, fault: float | None) -> Tensor:
        ctx.save_for_backward(x, wrong)
        ctx.fault = fault
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, wrong = ctx.saved_tensors
        slope = 1 - x.tanh().square()
        other = slope.detach() if ctx.fault is None else slope * (1 + ctx.fault)
        return gradients[0] * torch.where(wrong[:, None], other, slope), None, None


class Net(nn.Module):
    def __init__(self, where: Where, fault: float | None = None, relu: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.out = nn.Linear(36, 8), nn.Linear(8, 3)
        self.where, self.fault, self.relu = where, fault, relu

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        x = self.into(pixels)
        made: Any = Tanh.apply(functional.leaky_relu(x, 0.1) if self.relu else x, self.where(pixels), self.fault)
        return self.out(made)


def rows() -> Rows:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_ROWS, *SHAPE), dtype=torch.uint8, generator=random)
    places = torch.arange(_ROWS)
    return Rows(images, torch.where((places >= 388) & (places < 398), 2, places % 2))


def operator(network: nn.Module, kind: Kind = "hessian", batch_size: int = 128, **more: Any) -> Operator:
    few = rows().select(torch.arange(_ROWS if batch_size > 1 else 30))
    return Operator(model(network), few, CrossEntropy(), kind, batch_size=batch_size, **more)


def these(*places: int) -> Where:
    keys = model(Net(never)).preprocessing(rows().images).flatten(1)[list(places), :3]
    return lambda pixels: (pixels[:, None, :3].float() - keys).abs().sum(2).lt(1e-4).any(1)


def never(pixels: Tensor) -> Tensor:
    return torch.zeros(len(pixels), dtype=torch.bool)


def batches(test: Callable[[int], bool]) -> Where:
    return lambda pixels: torch.full((len(pixels),), test(len(pixels)))


FAULTS: dict[str, tuple[Where, int, str]] = {
    "three rows": (these(101, 203, 377), 128, r"row (101|203|377)$"),
    "two rows, one at a time": (these(7, 19), 1, r"row (7|19)$"),
    "one row of a single batch": (these(57), _ROWS, "row 57$"),
    "a rare class": (these(*range(388, 398)), _ROWS, r"row 3(88|89|9.)$"),
    "the last batch": (batches(lambda n: n == 80), 160, "rows 320 to 399$"),
    "large batches": (batches(lambda n: n >= 100), 128, r"rows (0 to 127|128 to 255|256 to 383)$"),
}


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("name", FAULTS)
def test_a_derivative_that_is_wrong_in_parts_is_seen(name: str, relu: bool) -> None:
    where, batch_size, words = FAULTS[name]
    made, right = operator(Net(where, relu=relu), batch_size=batch_size), operator(Net(never, relu=relu))
    with pytest.raises(CheckFailed, match=f"double-backward differs by .* from differences of gradients, for {words}"):
        routes.choose(made, "double-backward")
    if batch_size > 1:
        choice = routes.choose(made)
        assert made.route == made.exact.route == "finite-difference", choice.said
        v = vector(made.size).float()
        assert relative(made.matvec(v), right.matvec(v)) < 1e-5
    with pytest.raises(CheckFailed, match=f"the gradient differs by .* % from differences of losses, for {words}"):
        routes.choose(operator(Net(where, 0.2, relu), batch_size=batch_size))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_first_derivatives_are_held_over_all_rows_too(kind: Kind) -> None:
    with pytest.raises(CheckFailed, match=r"the gradient differs by .* for row 57$"):
        routes.choose(operator(Net(these(57), 0.2), kind))
    choice = routes.choose(operator(Net(these(57)), kind))  # whose second derivatives do not matter
    assert choice.record["route"] == "double-backward"


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_passes(kind: Kind, dtype: torch.dtype, relu: bool) -> None:
    made = operator(Net(never, relu=relu), kind, dtype=dtype)
    choice = routes.choose(made)
    assert choice.record["route"] == "double-backward"
    assert choice.record["all_rows"] < 1e-5
    assert choice.record["unsure"] == 0
    assert "on all 400 rows" in choice.said


BESIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "a branch": lambda x: x.tanh() if x.mean() > 0.05 else 2 * x.tanh(),
    "a choice": lambda x: torch.where(x.mean() > 0.05, x.tanh(), 2 * x.tanh()),
}


class Beside(Net):
    """What it does depends on all rows of a batch; the first ones' do not show it."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(never)
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.function(self.into(images.flatten(1))))


@pytest.mark.parametrize("name", BESIDE)
def test_a_row_that_depends_on_those_beside_it_is_refused(name: str) -> None:
    network, words = Beside(BESIDE[name]), r"the output of row \d+ depends on other rows of the batch"
    with torch.no_grad():
        network.into.bias += 0.05 - network.into(model(network).preprocessing(rows().images).flatten(1)).mean()
        first = network.into(model(network).preprocessing(rows().images[:4]).flatten(1)).mean(1)
        network.into.bias += 1.1 * (first - 0.05).abs().max()
    with pytest.raises(GencliError, match=words):
        routes.choose(operator(network))
    with pytest.raises(GencliError, match=words):
        RowFunction(model(network), rows(), "input").require_alone()
    made = operator(Net(never))
    made.require_alone()
    RowFunction(model(Net(never)), rows(), "input").require_alone()


@pytest.mark.parametrize(("unsure", "right"), [(200, True), (201, False)])
def test_differences_must_confirm_half_of_the_rows(unsure: int, right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coverage, "_search", lambda self, doubtful: setattr(self, "unsure", unsure))
    made = operator(nn.Sequential(nn.Flatten(), nn.Linear(SHAPE[0] * SHAPE[1] * SHAPE[2], 10)))
    assert made.rows == 400
    if right:
        assert f"undecided for {unsure}" in routes.choose(made).said
    else:
        with pytest.raises(CheckFailed, match="differences are unreliable for 201 of its rows"):
            routes.choose(made)
