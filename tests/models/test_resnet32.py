"""ResNet-32: the known count, 32 layers, shortcuts without parameters."""

import math

import pytest
import torch
from torch import nn

from gencli import models
from gencli.models.resnet32 import Average, Subsample

NAMES = "resnet32", "resnet32-cui2019"


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_count_is_the_literatures(name: str) -> None:
    network = models.build(name, (32, 32, 3), 10)
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == 0.46
    widths = [(3, 16)] + [(16, 16)] * 10 + [(16, 32)] + [(32, 32)] * 9 + [(32, 64)] + [(64, 64)] * 9
    assert count == sum(9 * before * after + 2 * after for before, after in widths) + 64 * 10 + 10


@pytest.mark.parametrize("name", NAMES)
def test_it_has_32_layers(name: str) -> None:
    network = models.build(name, (32, 32, 3), 10)
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules()) == 32


def test_a_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    images = torch.randn(2, 4, 5, 6)
    result = Subsample()(images)
    assert result.shape == (2, 8, 3, 3)
    assert torch.equal(result[:, 2:6], images[:, :, ::2, ::2])
    assert not result[:, :2].any()
    assert not result[:, 6:].any()


def test_a_shortcut_of_cui_takes_means_of_four_and_adds_channels_of_zeros() -> None:
    images = torch.arange(2 * 4 * 5 * 6, dtype=torch.float64).view(2, 4, 5, 6)
    result = Average()(images)
    assert result.shape == (2, 8, 3, 3)
    assert torch.equal(result[:, 2:6, 0, 0], images[:, :, :2, :2].mean((2, 3)))
    assert torch.equal(result[:, 2:6, 2, 1], images[:, :, 4:, 2:4].mean((2, 3)))  # a line that stands alone
    assert not result[:, :2].any()
    assert not result[:, 6:].any()


def test_weights_of_cui_are_glorots_and_biases_zero() -> None:
    torch.manual_seed(0)
    network = models.build("resnet32-cui2019", (32, 32, 3), 10)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            limit = math.sqrt(6 / (9 * (layer.in_channels + layer.out_channels)))
            assert 0.98 * limit < layer.weight.abs().max() <= limit
            assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    assert not last.bias.any()
