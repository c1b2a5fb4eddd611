"""Optimizers change the parameters as their formulas say, and go on from a saved state bit by bit."""

import copy
import math

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn
from torch._subclasses import FakeTensorMode

from gencli.errors import GencliError
from gencli.training.muon import orthogonalized
from gencli.training.optimizers import Optimizer, build

SETTINGS = [
    ("sgd", None, None, 0.0),
    ("sgd", 0.0, None, 0.1),
    ("sgd", 0.8, True, 0.1),
    ("adamw", None, None, 0.1),
    ("adam", None, None, 0.1),
    ("sam", None, None, 0.1),
    ("muon", 0.7, None, 0.1),
]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 8), nn.LayerNorm(8),
        nn.Linear(8, 4),
    )  # fmt: skip


def walk(module: nn.Module, optimizer: Optimizer, steps: int = 3) -> list[dict[str, NDArray[np.float64]]]:
    """Goes so many steps along random gradients, given back by the parameters' names."""
    gradients = []
    torch.manual_seed(0)
    for _ in range(steps):
        own = {name: torch.randn_like(parameter) for name, parameter in module.named_parameters()}
        for name, parameter in module.named_parameters():
            parameter.grad = own[name]
        gradients.append({name: gradient.double().numpy() for name, gradient in own.items()})
        optimizer.step()
    return gradients


def values(module: nn.Module) -> dict[str, NDArray[np.float64]]:
    return {name: parameter.detach().double().numpy() for name, parameter in module.named_parameters()}


def decays(optimizer: Optimizer, module: nn.Module) -> set[str]:
    """The names of the parameters that decay."""
    rates = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    return {name for name, parameter in module.named_parameters() if rates[parameter]}


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.7])
def test_sgd_is_gradient_descent_with_momentum_on_the_loss_and_its_penalty(
    momentum: float | None, nesterov: bool
) -> None:
    module = network()
    expected, mu = values(module), 0.9 if momentum is None else momentum
    gradients = walk(module, build("sgd", module, 0.01, momentum, nesterov, 0.1))
    for name, start in expected.items():
        value, velocity = start, np.zeros_like(start)
        for gradient in gradients:
            total = gradient[name] + 0.1 * value
            velocity = mu * velocity + total
            value = value - 0.01 * (total + mu * velocity if nesterov else velocity)
        np.testing.assert_allclose(values(module)[name], value, rtol=1e-5, atol=1e-6)


def test_adam_adds_the_penalty_to_the_gradient() -> None:
    """Kingma, Ba 2015, arXiv:1412.6980, algorithm 1, of the loss and decay |p|^2 / 2."""
    module = network()
    before = values(module)
    gradients = walk(module, build("adam", module, 0.01, weight_decay=0.5))
    for name, start in before.items():
        value, mean, square = start, np.zeros_like(start), np.zeros_like(start)
        for step, gradient in enumerate((each[name] for each in gradients), 1):
            whole = gradient + 0.5 * value
            mean, square = 0.9 * mean + 0.1 * whole, 0.999 * square + 0.001 * whole**2
            value = value - 0.01 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(values(module)[name], value, rtol=1e-5, atol=1e-6)


def adamw(value: NDArray[np.float64], gradients: list[NDArray[np.float64]], lr: float, decay: float) -> NDArray:
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for step, gradient in enumerate(gradients, 1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        change = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        value = (1 - lr * decay) * value - lr * change
    return value


def test_adamw_is_adam_with_a_decay_of_its_own() -> None:
    module = network()
    before = values(module)
    gradients = walk(module, build("adamw", module, 0.01, weight_decay=0.5))
    for name, value in before.items():
        expected = adamw(value, [gradient[name] for gradient in gradients], 0.01, 0.5)
        np.testing.assert_allclose(values(module)[name], expected, rtol=1e-5, atol=1e-6)


def newton_schulz(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def test_muon_orthogonalizes_the_momentum_of_hidden_weights_and_leaves_the_rest_to_adamw() -> None:
    module = network()
    before = values(module)
    gradients = walk(module, build("muon", module, 0.02, 0.7, weight_decay=0.5))
    after = values(module)
    for name, value in before.items():
        mine = [gradient[name] for gradient in gradients]
        if name not in ("0.weight", "4.weight"):
            np.testing.assert_allclose(after[name], adamw(value, mine, 0.02, 0.5), rtol=1e-5, atol=1e-6)
            continue
        expected, buffer = value, np.zeros_like(value)
        scale = 0.2 * math.sqrt(max(len(value), value[0].size))
        for gradient in mine:
            buffer = 0.7 * buffer + 0.3 * gradient
            update = newton_schulz((0.3 * gradient + 0.7 * buffer).reshape(len(value), -1)).reshape(value.shape)
            expected = (1 - 0.02 * 0.5) * expected - 0.02 * scale * update
        error = np.linalg.norm(after[name] - expected) / np.linalg.norm(expected - value)
        assert error < 0.05  # bfloat16


@pytest.mark.parametrize("channels_last", [False, True])
def test_muon_on_matrices_is_that_of_torch_bit_by_bit(channels_last: bool) -> None:
    module = network()
    own = module.get_parameter("0.weight"), module.get_parameter("4.weight")
    copies = [parameter.detach().flatten(1).clone().requires_grad_() for parameter in own]
    peer = torch.optim.Muon(copies, 0.02, 0.5, 0.95, adjust_lr_fn="match_rms_adamw")
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build("muon", module, 0.02, weight_decay=0.5)
    for _ in range(4):
        walk(module, optimizer, 1)
        for parameter, matrix in zip(own, copies):
            assert parameter.grad is not None
            matrix.grad = parameter.grad.flatten(1)
        peer.step()
    assert all(torch.equal(parameter.flatten(1), matrix) for parameter, matrix in zip(own, copies))


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 20), (1, 9)])
def test_orthogonalized_keeps_the_directions_and_levels_the_singular_values(shape: tuple[int, int]) -> None:
    left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=shape), full_matrices=False)
    sizes = np.linspace(1, 3, min(shape))
    found = orthogonalized(torch.from_numpy((left * sizes) @ right).float()).double().numpy()
    inner = left.T @ found @ right.T
    assert np.diag(inner).min() > 0.6
    assert np.diag(inner).max() < 1.3
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 0.05
    assert not orthogonalized(torch.zeros(shape)).any()


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_norms_biases_and_what_is_exempt_do_not_decay(name: str) -> None:
    module = network()
    names = {name for name, _ in module.named_parameters()}
    norms, biases = {"1.weight", "1.bias", "5.weight", "5.bias"}, {name for name in names if "bias" in name}
    for no_decay, still in (((), set()), (("norm",), norms), (("bias",), biases), (("norm", "bias"), norms | biases)):
        optimizer = build(name, module, 0.1, weight_decay=0.1, no_decay=no_decay)
        assert decays(optimizer, module) == names - still
        assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    assert decays(
        build(name, module, 0.1, weight_decay=0.1, exempt=[module.get_parameter("6.bias")]), module
    ) == names - {"6.bias"}


def test_the_learning_rate_of_a_group_is_that_of_the_step() -> None:
    for name in ("sgd", "adamw", "muon"):
        module = network()
        before = copy.deepcopy(module.state_dict())
        optimizer = build(name, module, 0.1, weight_decay=0.1)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        walk(module, optimizer)
        assert all(torch.equal(parameter, before[name]) for name, parameter in module.named_parameters())


def test_what_is_not_trained_stays() -> None:
    for name in ("sgd", "adamw", "muon"):
        module = network()
        module[0].requires_grad_(False)
        before = copy.deepcopy(module[0].state_dict())
        walk(module, build(name, module, 0.1, weight_decay=0.5))
        assert all(torch.equal(tensor, before[name]) for name, tensor in module[0].state_dict().items())


@pytest.mark.parametrize(("name", "momentum", "nesterov", "decay"), SETTINGS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_state_from_a_file_goes_on_bit_by_bit(
    name: str, momentum: float | None, nesterov: bool | None, decay: float, channels_last: bool
) -> None:
    module = network()
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build(name, module, 0.01, momentum, nesterov, decay)
    assert optimizer.state_dict() == {}
    walk(module, optimizer)
    state = {name: tensor.contiguous() for name, tensor in optimizer.state_dict().items()}
    other = copy.deepcopy(module)
    resumed = build(name, other, 0.01, momentum, nesterov, decay)
    resumed.load_state_dict(safetensors.torch.load(safetensors.torch.save(state)))
    walk(module, optimizer)
    walk(other, resumed)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True))
    assert resumed.state_dict().keys() == state.keys()
    resumed.load_state_dict({})
    assert resumed.state_dict() == {}


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])  # torch's fused kernel of sgd has no fake
def test_nothing_waits_for_the_device(name: str) -> None:
    with FakeTensorMode(), torch.device("cuda"):
        module = network()
        optimizer = build(name, module, 0.1, weight_decay=0.1, no_decay=("norm",))
        for _ in range(2):
            for parameter in module.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
            optimizer.zero_grad()
        state = optimizer.state_dict()
    assert all(tensor.device.type == "cuda" for tensor in state.values())


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"name": "adamv"}, "--optimizer: no optimizer 'adamv'", "did you mean adam?"),
        (
            {"name": "adamw", "momentum": 0.9},
            "--momentum: the adamw optimizer has no such option",
            "sgd or sam or muon",
        ),
        ({"name": "adam", "nesterov": True}, "--nesterov: the adam optimizer has no such option", "use sgd or sam"),
        ({"name": "sgd", "rho": 0.1}, "--rho: the sgd optimizer has no such option", "use sam"),
        ({"name": "sam", "rho": -0.1}, "--rho: -0.1 is out of range", "give 0 (which is sgd) or more"),
        ({"name": "sam", "rho": math.inf}, "--rho: inf is out of range", "give 0 (which is sgd) or more"),
        ({"name": "muon", "nesterov": True}, "--nesterov: the muon optimizer has no such option", "use sgd"),
        ({"name": "muon", "momentum": 1.0}, "--momentum: 1 is out of range for muon", "less than 1"),
        ({"name": "sgd", "momentum": -0.5}, "--momentum: -0.5 is out of range for sgd", "give 0 or more"),
        ({"name": "sgd", "momentum": 0.0, "nesterov": True}, "--nesterov: the momentum is 0", "above 0"),
        ({"name": "sgd", "no_decay": ["norms"]}, "--no-decay: no parameters 'norms'", "did you mean norm?"),
    ],
)
def test_what_an_optimizer_does_not_take_is_refused(arguments: dict, message: str, hint: str) -> None:
    with pytest.raises(GencliError) as caught:
        build(network=network(), lr=0.1, **arguments)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_limits_of_options_are_taken_and_nothing_beyond() -> None:
    for name, momentum in (("sgd", 0.0), ("sgd", 1.0), ("sam", 1.0), ("muon", 0.999_999)):
        build(name, network(), 0.1, momentum)
    build("sam", network(), 0.1, rho=0.0)
    for name, momentum in (("sgd", 1.0001), ("sam", 1.0001), ("muon", 0.999_999_9)):
        with pytest.raises(GencliError, match="is out of range"):
            build(name, network(), 0.1, momentum)


def test_muon_is_refused_where_there_is_only_an_output_layer() -> None:
    with pytest.raises(GencliError, match="the network has no hidden weights for muon"):
        build("muon", nn.Linear(4, 2), 0.1)
