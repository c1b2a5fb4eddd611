"""Layers, operations and memory per step, against counts by hand and against a step that is computed."""

import math

import pytest
import torch
from torch import nn

from gencli import models
from gencli.models.circulant import Circulant
from gencli.models.summary import flops, layers, step_flops, step_memory

SHAPE = (8, 6, 3)


def test_layers_are_listed_with_their_outputs() -> None:
    network = models.build("convnet-vanilla", SHAPE, 5)
    rows = [(layer.name, layer.kind, layer.shape, layer.parameters) for layer in layers(network, SHAPE, 2)]
    assert rows == [
        ("0", "Conv2d", (2, 32, 8, 6), 7 * 7 * 3 * 32 + 32),
        ("1", "ReLU", (2, 32, 8, 6), 0),
        ("2", "MaxPool2d", (2, 32, 4, 3), 0),
        ("3", "Pixels", (2, 384), 0),
        ("4", "Linear", (2, 5), 384 * 5 + 5),
    ]


class Odd(nn.Module):
    """Calls a layer twice, reads another's weight itself, has a parameter of its own and one that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.read = nn.Linear(144, 144), nn.Linear(144, 5)
        self.scale, self.fixed = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.twice(self.twice(images.flatten(1)))
        return nn.functional.linear(hidden, self.read.weight, self.read.bias) * self.scale + self.fixed


def test_parameters_of_layers_add_up_to_the_networks() -> None:
    network = Odd()
    counted = [(layer.name, layer.parameters) for layer in layers(network, SHAPE)]
    assert counted == [("twice", 144 * 145), ("twice", 0), ("", 144 * 5 + 5 + 5)]
    with torch.device("meta"):
        for arch in ("resnet32", "inception-small", "torchvision:vit_b_16"):
            made = models.build(arch, (32, 32, 3), 10)
            assert sum(layer.parameters for layer in layers(made, (32, 32, 3))) == sum(
                each.numel() for each in made.parameters()
            )


def test_operations_by_hand() -> None:
    network = models.build("mlp-2x7", SHAPE, 5)
    products = [144 * 7, 7 * 7, 7 * 5]
    assert flops(network, SHAPE, 3) == 3 * 2 * sum(products)
    assert step_flops(network, SHAPE, 3) == 3 * 2 * (3 * sum(products) - products[0])


def test_operations_of_convolutions_by_hand() -> None:
    full, grouped = 8 * 6 * 9 * 3 * 6, 4 * 3 * 9 * 6 * 2
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, 2, padding=1, groups=6))
    assert flops(network, SHAPE, 5) == 5 * 2 * (full + grouped)
    assert step_flops(network, SHAPE, 5) == 5 * 2 * (2 * full + 3 * grouped)
    back = nn.Sequential(nn.ConvTranspose2d(3, 6, 2, 2))
    assert step_flops(back, SHAPE, 5) == 2 * flops(back, SHAPE, 5) == 5 * 2 * 2 * (8 * 6 * 4 * 3 * 6)


def test_fourier_transforms_are_counted() -> None:
    network = nn.Sequential(nn.Flatten(), Circulant(144))
    transform = round(5 * 144 * math.log2(144)) / 2
    assert flops(network, SHAPE, 1) == pytest.approx(3 * transform, abs=3)  # of the weight, the row, and back
    assert flops(network, SHAPE, 4) == pytest.approx(9 * transform, abs=9)
    assert step_flops(network, SHAPE, 4) > flops(network, SHAPE, 4)


def test_memory_by_hand() -> None:
    network = models.build("mlp-1x7", SHAPE, 5)
    parameters, kept = 144 * 7 + 7 + 7 * 5 + 5, 3 * 144 + 3 * 7  # the images, and what ReLU gives
    for states in (0, 1, 2):
        assert step_memory(network, SHAPE, 3, states) == 4 * ((2 + states) * parameters + kept)


def kept_in_a_step(network: nn.Module, images: torch.Tensor) -> int:
    """Bytes of the storages that autograd keeps in a real forward pass, without parameters and buffers."""
    own = {each.data_ptr() for each in [*network.parameters(), *network.buffers()]}
    tensors: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        tensors.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images).sum()
    sizes = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    return sum(size for address, size in sizes.items() if address not in own)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("arch", ["alexnet-small", "resnet32", "circulant-mlp-3x512", "unet-small"])
def test_memory_is_that_of_a_step_that_is_computed(arch: str, bf16: bool) -> None:
    network = models.build(arch, (9, 12, 3), 10)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        expected = kept_in_a_step(network, torch.randn(4, 3, 9, 12))
        memory = step_memory(network, (9, 12, 3), 4, 0)
    parameters = sum(each.nbytes for each in network.parameters())
    held = 2 * parameters + sum(each.nbytes for each in network.buffers())
    assert memory - held == pytest.approx(expected, rel=0.01)


def test_the_network_and_the_random_numbers_stay_as_they_are() -> None:
    network = models.build("convnet-gelu", (16, 16, 1), 3)
    network[0].eval()  # type: ignore[index]
    modes = [module.training for module in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.random.get_rng_state()
    layers(network, (16, 16, 1))
    flops(network, (16, 16, 1), 2)
    step_flops(network, (16, 16, 1), 2)
    step_memory(network, (16, 16, 1), 2, 1)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and not parameter.is_meta for parameter in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not any(module._forward_hooks for module in network.modules())
