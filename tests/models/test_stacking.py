"""Networks as one compute what each computes by itself."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gencli.models.heads import Cosine
from gencli.models.stacking import Stack, agrees, clip, known

SHAPE = (2, 3, 1)


class Mixed(nn.Module):
    """Rows that bear on each other: no network of rows alone."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1)
        return self.last(rows - rows.mean(0))


class Unused(nn.Module):
    """A layer that nothing uses, and so no gradient of it."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.beside = nn.Linear(6, 4), nn.Linear(2, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(images.flatten(1))


def networks(*layers: nn.Module, count: int = 3) -> list[nn.Module]:
    """Of one architecture with values of their own."""
    found: list[nn.Module] = [copy.deepcopy(nn.Sequential(nn.Flatten(), *layers)).train() for _ in range(count)]
    drawn = torch.Generator().manual_seed(1)
    for network in found:
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=drawn) + 0.1)
    return found


@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize("training", [True, False])
def test_outputs_statistics_and_gradients_are_those_of_each(momentum: float | None, training: bool) -> None:
    alone = networks(
        nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5, eps=0.01, momentum=momentum), nn.Linear(5, 4), Cosine(4, 2)
    )
    alone = [each.double() for each in alone]
    stack = Stack(copy.deepcopy(alone)).train(training)
    drawn = torch.Generator().manual_seed(2)
    for _ in range(2):
        images = torch.randn(3, 7, 1, 2, 3, generator=drawn, dtype=torch.float64)
        made = stack(images.flatten(0, 1))
        made.square().sum().backward()
        for number, network in enumerate(alone):
            outputs = network.train(training)(images[number])
            outputs.square().sum().backward()
            torch.testing.assert_close(made.unflatten(0, (3, 7))[number], outputs)
            own = dict(network.named_parameters())
            for name, tensor in stack.network.named_parameters():
                assert tensor.grad is not None
                torch.testing.assert_close(tensor.grad[number], own[name].grad)
            statistics = dict(network.named_buffers())
            for name, tensor in stack.network.named_buffers():
                torch.testing.assert_close(tensor[number], statistics[name])


def test_a_step_of_the_stack_is_one_of_each_network() -> None:
    alone = networks(nn.Linear(6, 4))
    stack = Stack(alone)
    with torch.no_grad():
        for tensor in stack.parameters():
            tensor.mul_(torch.tensor([1.0, 2.0, 3.0]).view(-1, *[1] * (tensor.ndim - 1)))
    for number, network in enumerate(alone):
        for name, tensor in network.named_parameters():
            assert torch.equal(tensor, dict(stack.network.named_parameters())[name][number])
    both = stack.part(slice(1, 3))
    images = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    made = both(images.flatten(0, 1)).unflatten(0, (2, 5))
    torch.testing.assert_close(made, torch.stack([alone[1](images[0]), alone[2](images[1])]))
    with torch.no_grad():
        next(both.parameters()).zero_()
    assert not next(iter(stack.parameters()))[1:].any()
    assert next(iter(stack.parameters()))[0].all()


def test_each_drops_by_its_own_rate_from_its_own_seed() -> None:
    rates = [0.25, 0.5, 0.75]
    alone = networks(nn.Linear(6, 40), nn.Dropout())
    for rate, network in zip(rates, alone, strict=True):
        network[2].p = rate  # type: ignore[index, assignment]
    stack = Stack(copy.deepcopy(alone))
    stack.seed(lambda number: 10 + number)
    images = torch.rand(3, 8, 6, generator=torch.Generator().manual_seed(0))
    made = stack.train()(images.flatten(0, 1)).unflatten(0, (3, 8))
    for number, (rate, network) in enumerate(zip(rates, alone, strict=True)):
        torch.manual_seed(10 + number)
        torch.testing.assert_close(made[number], network(images[number]))
        assert (made[number] == 0).double().mean().item() == pytest.approx(rate, abs=0.08)
    whole = stack.eval()(images.flatten(0, 1)).unflatten(0, (3, 8))
    torch.testing.assert_close(whole[2], alone[2].eval()(images[2]))
    assert not Stack(networks(nn.Linear(6, 4)))._generators


@pytest.mark.parametrize(
    ("layer", "is_known"),
    [
        (nn.Linear(2, 2), True),
        (nn.ReLU(), True),
        (nn.MaxPool2d(2), True),
        (nn.BatchNorm2d(2), True),
        (nn.BatchNorm2d(2, track_running_stats=False), False),
        (nn.BatchNorm1d(2, affine=False), True),
        (nn.Dropout(), True),
        (nn.Dropout2d(), False),
        (nn.Conv2d(1, 1, 1), False),
        (nn.LayerNorm(2), False),
        (nn.LayerNorm(2, elementwise_affine=False), True),
        (nn.InstanceNorm2d(2, track_running_stats=True), False),
    ],
)
def test_layers_with_tensors_or_random_numbers_of_their_own_must_be_known(layer: nn.Module, is_known: bool) -> None:
    assert known(nn.Sequential(nn.Linear(3, 3), layer)) is is_known


def test_gradients_are_shortened_as_torch_does_it_for_each() -> None:
    drawn = torch.Generator().manual_seed(0)
    gradients = [torch.randn(3, 4, 5, generator=drawn), torch.randn(3, 6, generator=drawn)]
    scales = torch.tensor([0.01, 1.0, 100.0])
    gradients = [each * scales.view(-1, *[1] * (each.ndim - 1)) for each in gradients]
    expected = []
    for number in range(3):
        parameters = [nn.Parameter(each[number].clone()) for each in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[number].clone()
        nn.utils.clip_grad_norm_(parameters, 2.0)
        expected.append([each.grad for each in parameters])
    clip(gradients, 2.0)
    for number, each in enumerate(expected):
        for gradient, right in zip(gradients, each, strict=True):
            torch.testing.assert_close(gradient[number], right)


@pytest.mark.parametrize(
    ("layers", "right"),
    [
        ((nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4)), True),
        ((nn.Linear(6, 8), nn.Unflatten(1, (2, 2, 2)), nn.BatchNorm2d(2), nn.Flatten(), Cosine(8, 3)), True),
        ((Unused(),), True),
        ((Mixed(),), False),
        ((nn.Linear(6, 4), nn.Softmax(0)), False),
    ],
)
def test_a_trial_step_tells_whether_rows_are_treated_alike(layers: tuple[nn.Module, ...], right: bool) -> None:
    alone = networks(*layers)
    before = [copy.deepcopy(each.state_dict()) for each in alone]
    state = torch.random.get_rng_state()
    assert agrees(alone, SHAPE) is right
    assert torch.equal(torch.random.get_rng_state(), state)
    for each, network in zip(before, alone, strict=True):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, each[name])
        assert all(parameter.grad is None for parameter in network.parameters())
