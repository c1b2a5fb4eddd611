"""The convolutional network with GELU: its layers, and which it can do without."""

import torch
from torch import nn

from gencli import models

BLOCK = [nn.Conv2d, nn.BatchNorm2d, nn.GELU] * 2 + [nn.MaxPool2d, nn.Dropout]


def kinds(**options: float | bool) -> list[type]:
    network = models.build("convnet-gelu", (32, 32, 3), 10, models.Options(**options))  # type: ignore[arg-type]
    return [type(layer) for layer in network.children() if list(layer.named_modules())]


def test_four_blocks_grow_from_128_to_512_channels() -> None:
    network = models.build("convnet-gelu", (32, 32, 3), 10)
    layers = list(network.children())
    assert [type(layer) for layer in layers[:32]] == BLOCK * 4
    widths = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)]
    assert widths == [128, 128, 256, 256, 512, 512, 512, 512]
    assert sum(isinstance(layer, nn.Linear) for layer in layers) == 3
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.1}
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_batch_norm_and_dropout_can_be_left_out() -> None:
    assert nn.BatchNorm2d not in kinds(batch_norm=False)
    assert nn.Dropout in kinds(batch_norm=False)
    assert nn.Dropout not in kinds(dropout=0.0)
