"""The convolutional network of one convolution."""

import torch
from torch.nn import functional

from gencli import models


def test_logits_are_those_of_the_description() -> None:
    network = models.build("convnet-vanilla", (9, 8, 2), 5)
    kernel, shift, weight, bias = network.state_dict().values()
    assert kernel.shape == (32, 2, 7, 7)
    images = torch.randn(3, 2, 9, 8)
    hidden = functional.max_pool2d(functional.conv2d(images, kernel, shift, padding=3).relu(), 2)
    rows = hidden.permute(0, 2, 3, 1).flatten(1)
    assert torch.allclose(network(images), rows @ weight.T + bias, atol=1e-5)
