"""Sharpness-aware steps are the paper's: the gradient at w + rho g / |g|, the rest at w."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gencli.models.inputs import load
from gencli.ranks import Group
from gencli.training import sam
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.helpers import image_table

TABLE = image_table(24, (4, 4, 1))


def training(**more: object) -> Training:
    given: dict[str, object] = {"arch": "mlp-1x8", "batch_size": 24, "device": "cpu", "lr": 0.3, "epochs": 4}
    settings = Settings(**given | {"optimizer": "sam", "rho": 0.2} | more)  # type: ignore[arg-type]
    return prepare(settings, TABLE.description, TABLE.schema.names, "").training(TABLE, None, Group())


def gradients(network: nn.Module, parameters: list[Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    names = [name for name, _ in network.named_parameters()]
    at = [each.detach().requires_grad_() for each in parameters]
    outputs = torch.func.functional_call(network, dict(zip(names, at, strict=True)), (images,))
    return torch.autograd.grad(functional.cross_entropy(outputs, labels), at)


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_steps_are_algorithm_1_by_hand_in_float64(clip: float | None, batch_norm: bool) -> None:
    """Decay and momentum act at w; clipping shortens the second gradient; statistics are of the first pass alone."""
    run = training(momentum=0.9, weight_decay=0.05, batch_norm=batch_norm, grad_clip=clip)
    network, rows = copy.deepcopy(run.model.network).double().train(), load(TABLE)
    images = run.model.preprocessing(rows.images).double()
    values: list[Tensor] = [each.detach().clone() for each in network.parameters()]
    velocities = [torch.zeros_like(each) for each in values]
    for _ in range(4):
        slopes = gradients(network, values, images, rows.labels)
        statistics = copy.deepcopy(network.state_dict())
        length = torch.cat([each.flatten() for each in slopes]).norm()
        above = [value + 0.2 * slope / length for value, slope in zip(values, slopes, strict=True)]
        slopes = gradients(network, above, images, rows.labels)
        network.load_state_dict(statistics)
        if clip is not None:
            length = torch.cat([each.flatten() for each in slopes]).norm()
            slopes = tuple(each * min(1.0, clip / float(length)) for each in slopes)
        for place, slope in enumerate(slopes):
            velocities[place] = 0.9 * velocities[place] + slope + 0.05 * values[place]
            values[place] = values[place] - 0.3 * velocities[place]
    run.run()
    for parameter, value in zip(run.model.network.parameters(), values, strict=True):
        torch.testing.assert_close(parameter.detach().double(), value, rtol=1e-4, atol=1e-5)
    for name, buffer in run.model.network.named_buffers():
        torch.testing.assert_close(buffer, dict(network.named_buffers())[name].to(buffer.dtype), rtol=1e-4, atol=1e-5)


def test_a_radius_of_0_is_sgd_bit_by_bit() -> None:
    none, plain = training(rho=0.0), training(optimizer="sgd", rho=None)
    for run in (none, plain):
        run.run()
    state = plain.model.network.state_dict()
    assert all(torch.equal(each, state[name]) for name, each in none.model.network.state_dict().items())
    assert none.history[0].train_loss == plain.history[0].train_loss


@pytest.mark.parametrize("radii", [[0.2], [0.2, 0.5], [0.2, 0.5, 0.0]])
def test_each_of_several_networks_ascends_by_its_own_radius_along_its_own_gradient(radii: list[float]) -> None:
    torch.manual_seed(0)
    lead = [len(radii)] if len(radii) > 1 else []
    network = nn.Module()
    shapes = {"weight": (3, 4), "bias": (3,)}
    for name, shape in shapes.items():
        network.register_parameter(name, nn.Parameter(torch.randn(*lead, *shape)))
    network.register_buffer("mean", torch.zeros(3))
    slopes = [torch.randn(*lead, *shape) for shape in shapes.values()]
    before = [each.detach().clone() for each in network.parameters()]
    with sam.ascended(network, [*network.parameters()], slopes, radii):
        network.get_buffer("mean").fill_(5)
        for place, (now, own, slope) in enumerate(zip(network.parameters(), before, slopes, strict=True)):
            for number, radius in enumerate(radii):
                mine = [each[number] if lead else each for each in slopes]
                length = torch.cat([each.flatten() for each in mine]).norm()
                moved = (now - own)[number] if lead else now - own
                torch.testing.assert_close(moved, radius * mine[place] / length, rtol=1e-4, atol=1e-6)
            assert now.shape == slope.shape
    assert all(torch.equal(now, own) for now, own in zip(network.parameters(), before, strict=True))
    assert not network.get_buffer("mean").any()


def test_without_a_gradient_a_network_stays() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    with sam.ascended(layer, [*layer.parameters()], [torch.zeros(2, 2)], [0.3]):
        assert torch.equal(layer.weight, before)
