"""Norms are those of the layers' matrices, written out as the network's derivative; batch norm is part of a layer."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli.evaluation.affine import operator_norm
from gencli.evaluation.trace import Trace
from gencli.models.circulant import Circulant
from gencli.models.layers import Pixels, SameConv

SHAPE = 1, 3, 6, 5


def matrix(network: nn.Module, at: torch.Tensor) -> torch.Tensor:
    """[outputs, inputs] the network's derivative."""
    found = torch.autograd.functional.jacobian(network, at, vectorize=True)
    assert isinstance(found, torch.Tensor)
    return found.reshape(-1, at.numel())


def image(shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def trace(network: nn.Module, shape: tuple[int, ...] = SHAPE) -> Trace:
    return Trace(network.double().eval(), torch.zeros(shape, dtype=torch.float64))


def normalized(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    for name, tensor in layer.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2) if name != "bias" else tensor.normal_()
    return layer


class Raw(nn.Module):
    """Weights without modules."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(90, 4))
        self.mix = nn.Parameter(torch.randn(6, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w


class Rows(Raw):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,wk->nchk", x, self.mix.T)


class Own(nn.Linear):
    """Not what its class is."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.linear(input, self.weight / self.weight.norm())


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: nn.Sequential(Pixels(), nn.Linear(90, 7)),
    "one output": lambda: nn.Sequential(Pixels(), nn.Linear(90, 1)),
    "dense, of each row": lambda: nn.Linear(5, 4),
    "padded": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "reflected": lambda: nn.Conv2d(3, 4, 3),
    "stride, dilation, groups": lambda: nn.Conv2d(3, 6, 2, stride=2, dilation=2, padding=1, groups=3),
    "transposed": lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1),
    "transposed in groups": lambda: nn.ConvTranspose2d(3, 6, 3, groups=3),
    "SAME": lambda: SameConv(3, 4, 3),
    "1-D": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3, padding=1)),
    "3-D": lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 2, 2)),
    "circulant": lambda: nn.Sequential(Pixels(), Circulant(90)),
    "batch norm": lambda: normalized(nn.BatchNorm2d(3)),
    "weight norm": lambda: nn.Sequential(Pixels(), nn.utils.parametrizations.weight_norm(nn.Linear(90, 7))),
    "spectral norm": lambda: nn.Sequential(Pixels(), nn.utils.parametrizations.spectral_norm(nn.Linear(90, 7))),
    "raw": Raw,
    "rows": Rows,
    "own": lambda: nn.Sequential(Pixels(), Own(90, 7)),
    "dense, batch norm": lambda: nn.Sequential(Pixels(), nn.Linear(90, 7), normalized(nn.BatchNorm1d(7))),
    "convolution, batch norm": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), normalized(nn.BatchNorm2d(4))),
    "transposed, batch norm": lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3), normalized(nn.BatchNorm2d(4))),
    "circulant, batch norm": lambda: nn.Sequential(Pixels(), Circulant(90), normalized(nn.BatchNorm1d(90))),
    "two batch norms": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *(normalized(nn.BatchNorm2d(4)) for _ in range(2))),
    "dropped out": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), normalized(nn.BatchNorm2d(4))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_the_matrix(name: str) -> None:
    torch.manual_seed(1)
    network = LAYERS[name]()
    found = trace(network)
    (layer,) = found.layers
    written = matrix(network, image())
    largest = torch.linalg.matrix_norm(written, 2).item()
    assert layer.spectral_norm() == pytest.approx(largest, rel=1e-7)
    assert found.lipschitz() == pytest.approx(largest, rel=1e-7)
    assert torch.allclose(layer.row_norms(), written.norm(dim=1))


@pytest.mark.parametrize("name", ["dense", "convolution", "transposed", "circulant"])
def test_a_folded_layer_has_the_norm_of_the_weight_that_has_the_factors(name: str) -> None:
    torch.manual_seed(1)
    layer, norm = LAYERS[f"{name}, batch norm"]().double()[-2:]  # type: ignore[index]
    factors = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    weight = layer.weight.detach()
    if name == "circulant":
        expected = weight.norm() * factors.norm() / math.sqrt(90)
    else:
        axis = 1 if name == "transposed" else 0
        expected = (weight * factors.view([-1 if place == axis else 1 for place in range(weight.ndim)])).norm()
    (found,) = trace(nn.Sequential(*([Pixels()] if weight.ndim < 4 else []), layer, norm)).layers
    assert found.frobenius_norm() == pytest.approx(expected.item())


def test_batch_norm_is_folded_only_into_the_layer_right_before_it() -> None:
    def names(*modules: nn.Module) -> list[str]:
        return [layer.name for layer in trace(nn.Sequential(*modules)).layers]

    conv, norm = nn.Conv2d(3, 3, 3, padding=1), normalized(nn.BatchNorm2d(3))
    assert names(conv, norm, nn.ReLU()) == ["0"]
    assert names(norm, nn.ReLU(), conv) == ["0", "2"]  # pre-activation
    assert names(norm, conv) == ["0", "1"]
    assert names(conv, nn.ReLU(), norm) == ["0", "2"]
    assert names(conv, nn.MaxPool2d(2), norm) == ["0", "2"]
    assert names(conv, norm, nn.ReLU(inplace=True), conv, norm) == ["0", "0 (2)"]  # the modules' second use


def test_a_batch_norm_that_is_not_fixed_is_no_layer() -> None:
    for module in (nn.BatchNorm2d(3, track_running_stats=False), nn.InstanceNorm2d(3)):
        found = trace(nn.Sequential(nn.Conv2d(3, 3, 3), module))
        assert "uses the mean and variance of its input" in str(found.lipschitz())
        assert found.chain() == found.lipschitz()


def test_a_layer_used_twice_counts_twice() -> None:
    dense = nn.Linear(5, 5)
    found = trace(nn.Sequential(dense, nn.ReLU(), dense))
    once = torch.linalg.matrix_norm(dense.weight, 2).item()
    assert [layer.name for layer in found.layers] == ["0", "0 (2)"]
    assert found.lipschitz() == pytest.approx(once**2)


def test_layers_without_bearing_on_the_output_do_not_count() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.aside = nn.Linear(5, 4), nn.Linear(5, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.aside(x)
            return self.used(x)

    assert [layer.name for layer in trace(Aside()).layers] == ["used"]


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (3, 1), (1, 1), (4, 3)])
def test_a_linear_function_of_or_to_one_number_has_a_norm_too(inputs: int, outputs: int) -> None:
    weights = torch.randn(outputs, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 100
    largest = torch.linalg.matrix_norm(weights, 2).item()
    assert operator_norm(lambda x: weights @ x, (inputs,)) == pytest.approx(largest, rel=1e-9)
