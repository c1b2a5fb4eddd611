"""ResNet-32: the known count, 32 layers, shortcuts without parameters."""

import torch
from torch import nn

from gencli import models
from gencli.models.resnet32 import Subsample


def test_the_parameter_count_is_the_literatures() -> None:
    network = models.build("resnet32", (32, 32, 3), 10)
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == 0.46
    widths = [(3, 16)] + [(16, 16)] * 10 + [(16, 32)] + [(32, 32)] * 9 + [(32, 64)] + [(64, 64)] * 9
    assert count == sum(9 * before * after + 2 * after for before, after in widths) + 64 * 10 + 10


def test_it_has_32_layers() -> None:
    network = models.build("resnet32", (32, 32, 3), 10)
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules()) == 32


def test_a_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    images = torch.randn(2, 4, 5, 6)
    result = Subsample()(images)
    assert result.shape == (2, 8, 3, 3)
    assert torch.equal(result[:, 2:6], images[:, :, ::2, ::2])
    assert not result[:, :2].any()
    assert not result[:, 6:].any()
