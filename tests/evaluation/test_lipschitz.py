"""Constants are reached and never passed: by slopes on a grid, derivatives at many places, and matrices written out."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli import models
from gencli.evaluation.trace import Trace
from gencli.models.alexnet import ResponseNorm
from gencli.models.layers import GlobalMax, GlobalMean, SameMaxPool, Scale
from tests.evaluation.test_affine import image, matrix, trace

ACTIVATIONS: dict[str, tuple[nn.Module, float]] = {
    "relu": (nn.ReLU(), 1),
    "relu6": (nn.ReLU6(), 1),
    "gelu": (nn.GELU(), 1.12890415),
    "gelu, tanh": (nn.GELU("tanh"), 1.12899307),
    "silu": (nn.SiLU(), 1.09983932),
    "mish": (nn.Mish(), 1.08849816),
    "elu": (nn.ELU(), 1),
    "elu, alpha": (nn.ELU(2.5), 2.5),
    "selu": (nn.SELU(), 1.0507009873554805 * 1.6732632423543772),
    "celu": (nn.CELU(2.5), 1),
    "prelu": (nn.PReLU(init=-1.5), 1.5),
    "leaky": (nn.LeakyReLU(0.1), 1),
    "leaky, steep": (nn.LeakyReLU(3.0), 3),
    "hardswish": (nn.Hardswish(), 1.5),
    "hardsigmoid": (nn.Hardsigmoid(), 1 / 6),
    "hardtanh": (nn.Hardtanh(), 1),
    "softplus": (nn.Softplus(3.0), 1),
    "sigmoid": (nn.Sigmoid(), 0.25),
    "logsigmoid": (nn.LogSigmoid(), 1),
    "tanh": (nn.Tanh(), 1),
    "tanhshrink": (nn.Tanhshrink(), 1),
    "softsign": (nn.Softsign(), 1),
    "softshrink": (nn.Softshrink(), 1),
    "rrelu": (nn.RReLU(2.0, 4.0), 3),
    "threshold": (nn.Threshold(0.0, 0.0), 1),
    "scale": (Scale(-4.0), 4),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_its_largest_slope(name: str) -> None:
    module, known = ACTIVATIONS[name]
    grid = torch.linspace(-12, 12, 1_200_001, dtype=torch.float64).requires_grad_()
    (slopes,) = torch.autograd.grad(module.double().eval()(grid).sum(), grid)
    found = trace(nn.Sequential(module)).lipschitz()
    assert found == pytest.approx(known, rel=1e-8)
    assert slopes.abs().max().item() <= found * (1 + 1e-7)  # type: ignore[operator]
    assert slopes.abs().max().item() == pytest.approx(found, rel=2e-4)


LINEAR: dict[str, nn.Module] = {
    "mean": GlobalMean(),
    "average": nn.AvgPool2d(2),
    "average, overlapping": nn.AvgPool2d(3, 1, 1),
    "average, the padding not counted": nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True),
    "adaptive": nn.AdaptiveAvgPool2d(4),
    "adaptive to one": nn.AdaptiveAvgPool2d(1),
    "zeros": nn.ZeroPad2d(2),
    "reflected": nn.ReflectionPad2d(2),
    "replicated": nn.ReplicationPad2d(2),
    "larger": nn.Upsample(scale_factor=2.0),
    "larger, bilinear": nn.Upsample(scale_factor=2.0, mode="bilinear"),
    "patches": nn.Unfold(3),
    "flat": nn.Flatten(),
    "dropout": nn.Dropout(0.5),
    "dropout, alpha": nn.AlphaDropout(0.5),
    "shuffled": nn.ChannelShuffle(3),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_fixed_linear_map_has_its_largest_singular_value(name: str) -> None:
    network = nn.Sequential(LINEAR[name])
    found = trace(network)
    largest = torch.linalg.matrix_norm(matrix(network, image()), 2).item()
    assert found.lipschitz() == pytest.approx(largest, rel=1e-8)
    assert isinstance(found.chain(), list)
    assert found.depth() == 0


MAXIMA: dict[str, tuple[nn.Module, float]] = {
    "apart": (nn.MaxPool2d(2), 1),
    "3x3 by 2": (nn.MaxPool2d(3, 2), 2),
    "3x3 by 2, padded": (nn.MaxPool2d(3, 2, 1), 2),
    "3x3 by 1": (nn.MaxPool2d(3, 1, 1), 3),
    "3x2 by 1": (nn.MaxPool2d((3, 2), 1), math.sqrt(6)),
    "dilated": (nn.MaxPool2d(2, 1, dilation=2), 2),
    "SAME": (SameMaxPool(), 2),
    "adaptive": (nn.AdaptiveMaxPool2d(4), 2),
    "of all": (GlobalMax(), 1),
}


@pytest.mark.parametrize("name", MAXIMA)
def test_a_max_pool_stretches_by_the_root_of_how_often_a_pixel_is_the_largest(name: str) -> None:
    module, known = MAXIMA[name]
    size = 1, 1, 6, 7
    found = trace(nn.Sequential(module), size).lipschitz()
    assert found == pytest.approx(known)
    often = [(module(10 * torch.eye(42)[pixel].view(size)) == 10).sum().item() for pixel in range(42)]
    assert found == pytest.approx(math.sqrt(max(often)))


def places(shape: tuple[int, ...], spread: tuple[float, ...] = (0.01, 0.3, 1, 3, 30)) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [scale * torch.randn(shape, dtype=torch.float64, generator=random) for scale in spread for _ in range(6)]


def scaled(norm: nn.LayerNorm | nn.GroupNorm, weight: float) -> nn.Module:
    nn.init.constant_(norm.weight, weight)
    return norm


BOUNDED: dict[str, tuple[nn.Module, tuple[int, ...], float]] = {
    "softmax": (nn.Softmax(1), (1, 7), 0.5),
    "softmin": (nn.Softmin(1), (1, 7), math.nan),
    "log softmax": (nn.LogSoftmax(1), (1, 7), math.sqrt(7)),
    "layer norm": (nn.LayerNorm(7, eps=1e-2, elementwise_affine=False), (1, 7), 10),
    "group norm": (nn.GroupNorm(2, 4, eps=1e-2, affine=False), (1, 4, 3, 3), 10),
    "layer norm, weighted": (scaled(nn.LayerNorm(7, eps=1e-2), -3.0), (1, 7), 30),
    "group norm, weighted": (scaled(nn.GroupNorm(2, 4, eps=1e-2), 3.0), (1, 4, 3, 3), 30),
    "response norm": (nn.LocalResponseNorm(5, alpha=2.0, beta=0.75, k=1.5), (1, 7, 2, 2), math.nan),
    "response norm of ours": (ResponseNorm(), (1, 12, 2, 2), math.nan),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_no_derivative_is_larger_than_the_constant(name: str) -> None:
    module, shape, known = BOUNDED[name]
    network = nn.Sequential(module)
    found = trace(network, shape).lipschitz()
    assert isinstance(found, float)
    corner = torch.zeros(shape, dtype=torch.float64)
    corner.flatten()[:1] = 60
    two = corner.clone()
    two.flatten()[:2] = 60
    at = [*places(shape, (1e-3, 0.3, 1, 3, 30)), torch.full_like(corner, 0.5), corner, two]
    largest = max(torch.linalg.matrix_norm(matrix(network, each), 2).item() for each in at)
    assert largest <= found * (1 + 1e-9)
    if not math.isnan(known):
        assert found == pytest.approx(known)
        assert largest == pytest.approx(known, rel=0.01)


def test_what_has_no_constant_says_why() -> None:
    def why(module: nn.Module, shape: tuple[int, ...] = (1, 4, 4, 4)) -> str:
        found = trace(nn.Sequential(module), shape).lipschitz()
        assert isinstance(found, str)
        return found

    assert "multiplies activations" in why(nn.GLU(1))
    assert "jumps" in why(nn.Hardshrink())
    assert "jumps" in why(nn.Threshold(1.0, 0.0))
    assert "softplus jumps" in why(nn.Softplus(1.0, 1.0))
    assert "attention" in why(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), (1, 5, 8))
    assert "multiplies activations" in why(Of(lambda x: x * x.sigmoid()))
    assert "divides by activations" in why(Of(lambda x: x / (1 + x.abs())))
    assert "multiplies activations" in why(Of(lambda x: x.flatten(2) @ x.flatten(2).mT))
    assert "linalg_vector_norm" in why(Of(functional.normalize))
    assert "exp" in why(Of(torch.exp))
    assert "whole numbers" in why(Of(lambda x: x * (x > 0)))
    assert "part of another" in why(Of(written))


class Of(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def written(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[:, :1].mul_(5)
    return x.flatten(1)


def test_values_that_choose_what_is_computed_make_a_run_say_nothing() -> None:
    found = trace(Of(lambda x: x if x.sum() > 1 else 2 * x))
    assert "depends on values" in str(found.why)
    assert "does not depend" in str(trace(Of(lambda x: torch.from_numpy(x.numpy() * 3))).why)
    assert trace(Of(lambda x: x * 2)).why is None


def test_branches_add_up_and_stand_side_by_side() -> None:
    shape = 1, 90
    dense = nn.Linear(90, 90).double()
    norm = torch.linalg.matrix_norm(dense.weight, 2).item()
    cases: list[tuple[Callable[[torch.Tensor], torch.Tensor], float]] = [
        (lambda x: x + dense(x).relu(), 1 + norm),
        (lambda x: x - 0.5 * dense(x), 1 + 0.5 * norm),
        (lambda x: torch.sub(x, dense(x), alpha=3), 1 + 3 * norm),
        (lambda x: torch.cat([x, dense(x)], 1), math.hypot(1, norm)),
        (lambda x: torch.maximum(x, dense(x)), math.hypot(1, norm)),
        (lambda x: x + x, 2),
        (lambda x: 1 - x / 4, 0.25),
        (lambda x: x.add(dense(x)).relu_(), 1 + norm),
        (lambda x: x[:, :1] + torch.zeros(1, 5), math.sqrt(5)),
        (lambda x: x[:, [0, 0, 0, 1]], math.sqrt(3)),
        (lambda x: torch.stack([*x.split(30, 1)]).sum(0), math.sqrt(3) * math.sqrt(3)),
    ]
    for function, known in cases:
        network = Of(function)
        found = trace(network, shape).lipschitz()
        assert found == pytest.approx(known)
        for at in places(shape, (1,)):
            assert torch.linalg.matrix_norm(matrix(network, at), 2) <= known * (1 + 1e-9)
    assert "branches meet" in str(trace(Of(lambda x: x + dense(x)), shape).chain())


SMALL = ("mlp-2x8", "circulant-mlp-2x8", "alexnet-small", "convnet-vanilla")


@pytest.mark.parametrize("arch", SMALL)
def test_no_derivative_of_a_network_is_larger_than_its_bound(arch: str) -> None:
    torch.manual_seed(0)
    network = models.build(arch, (5, 5, 1), 3).double().eval()
    for name, tensor in network.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 2)
    found = trace(network, (1, 1, 5, 5)).lipschitz()
    assert isinstance(found, float)
    largest = max(
        torch.linalg.matrix_norm(matrix(network, at), 2).item() for at in places((1, 1, 5, 5), (0.3, 1, 3))[::5]
    )
    assert 0 < largest <= found


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("resnet18", "branches meet"),
        ("squeezenet1_1", "branches meet"),
        ("mobilenet_v3_small", "multiplies activations"),
    ],
)
def test_torchvisions_networks_are_chains_or_say_why_not(name: str, why: str) -> None:
    torch.manual_seed(0)
    network = models.build(f"torchvision:{name}", (32, 32, 3), 2).eval()
    found = Trace(network, torch.zeros(1, 3, 32, 32))
    assert why in str(found.chain())
    weights = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules())
    assert len(found.layers) == weights
