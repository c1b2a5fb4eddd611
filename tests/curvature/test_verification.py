"""Verification passes what is right, catches planted faults, and reports kinks without failing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gencli.curvature import verification
from gencli.curvature.operators import Kind
from tests.curvature.test_products import NORMS, operator, vector


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors two make none faster, and wait for each other
    yield
    torch.set_num_threads(threads)


def findings(network: nn.Module | str, kind: Kind = "hessian", dtype: torch.dtype = torch.float64) -> Any:
    made = operator(network, kind, dtype=dtype)
    exact = made if dtype == torch.float64 else operator(network, kind)
    v = vector(made.size).to(dtype)
    found = verification.compute(made, exact, [("v", v)], ["double-backward"], verification.TOLERANCES[dtype])
    return found[1]


def smooth() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher", "empirical-fisher"])
def test_differences_reach_their_accuracy_on_smooth_networks(kind: Kind) -> None:
    found = findings(smooth(), kind)
    assert not found.failed
    curve = found.sweeps["v"]
    assert curve.best(curve.central)[1] <= 1e-9
    assert curve.best(curve.richardson)[1] <= 1e-11
    assert curve.central[0] > 1e-3  # the V has two sides
    assert curve.central[-1] > 1e-9


@pytest.mark.parametrize("name", NORMS)
def test_norms_and_attention_hold(name: str) -> None:
    assert not findings(NORMS[name]).failed


def test_float32_holds_against_float64() -> None:
    assert not findings(smooth(), dtype=torch.float32).failed


@pytest.mark.parametrize(("dtype", "off", "right"), [
    (torch.float64, 0, True),
    (torch.float64, 1e-16, True),
    (torch.float64, 1e-13, False),
    (torch.float32, 0, True),
    (torch.float32, 1e-7, True),
    (torch.float32, 1e-4, False),
])  # fmt: skip
def test_a_product_that_is_0_but_for_rounding_holds(dtype: torch.dtype, off: float, right: bool) -> None:
    """Softmax of logits that are all moved alike is the same, so that H 1 = 0."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    made, exact = operator(network, dtype=dtype), operator(network)
    ones, probe = made.weights.new_ones(made.size), vector(made.size).to(dtype)
    product = made.matvec(ones)
    usual = ones.norm() * made.matvec(probe).norm() / probe.norm()
    assert product.norm() < 1e-6 * usual
    found = verification.Findings()
    product[0] += off * usual
    verification.verify(found, "ones", made, made if dtype == torch.float64 else exact, ones, probe,
                        {"double-backward": product}, verification.TOLERANCES[dtype])  # fmt: skip
    assert bool(found.failed) != right, found.table.to_pylist()


class AtAKink(nn.Module):
    """Half of its units are at exactly 0 for every row."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.into, self.out = nn.Linear(36, 6), nn.Linear(6, 3)
        with torch.no_grad():
            self.into.weight[:3] = 0
            self.into.bias[:3] = 0

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.into(images.flatten(1)).relu())


# with seed 0 the bends of the units nearly cancel in the loss
@pytest.mark.parametrize("network", ["mlp-1x5", "alexnet-small", AtAKink(0), AtAKink(1)])
def test_kinks_are_reported_and_do_not_fail(network: nn.Module | str) -> None:
    found = findings(network)
    assert not found.failed
    if not isinstance(network, str):
        assert "kinks" in found.table["verdict"].to_pylist()


class _Scaled(torch.autograd.Function):
    """tanh, its gradient times 1 + fault."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fault: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.fault = fault
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return gradients[0] * (1 - x.tanh().square()) * (1 + ctx.fault), None


class _Small(torch.autograd.Function):
    """x + 1e-6 sin x, whose second part backward forgets."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x + 1e-6 * x.sin()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0]


class _Once(torch.autograd.Function):
    """tanh whose backward forgets that it depends on x, so that its own derivative is wrong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.detach())
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return gradients[0] * (1 - x.detach().tanh().square())


FAULTS = {
    "a gradient 1e-4 off": lambda x: _Scaled.apply(x, 1e-4),
    "a part of 1e-6 that is left out": lambda x: _Small.apply(x.tanh()),
    "a wrong second derivative": _Once.apply,
}


class Faulty(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.out, self.function = nn.Linear(36, 5), nn.Linear(5, 3), function

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.function(self.into(images.flatten(1))))


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_caught(fault: str) -> None:
    assert findings(Faulty(FAULTS[fault])).failed


def test_the_same_network_without_fault_holds() -> None:
    found = findings(Faulty(lambda x: _Scaled.apply(x, 0.0)))
    assert not found.failed
    assert "missing" in found.table["verdict"].to_pylist()  # torch.func takes no such function
