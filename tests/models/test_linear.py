"""Softmax regression: one dense layer on the pixels."""

import torch

from gencli import models


def test_logits_are_one_matrix_of_the_pixels_as_the_table_has_them() -> None:
    network = models.build("linear", (4, 3, 2), 5)
    images = torch.randn(6, 2, 4, 3)
    weight, bias = network.state_dict().values()
    assert weight.shape == (5, 24)
    assert torch.allclose(network(images), images.permute(0, 2, 3, 1).reshape(6, 24) @ weight.T + bias, atol=1e-6)
