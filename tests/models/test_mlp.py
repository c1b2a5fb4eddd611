"""Fully connected networks: layers and counts as published, other names refused."""

import pytest
import torch
from torch import nn

from gencli import models
from gencli.errors import GencliError

CIFAR = (28, 28, 3)


def parameters(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


@pytest.mark.parametrize(("arch", "count"), [("mlp-1x512", 1_209_866), ("mlp-3x512", 1_735_178)])
def test_parameter_counts_are_the_published_ones(arch: str, count: int) -> None:
    assert parameters(models.build(arch, CIFAR, 10)) == count


def test_layers_are_linear_and_relu_and_a_linear_to_the_classes() -> None:
    network = models.build("mlp-2x7", (4, 3, 2), 5)
    layers = [type(layer) for layer in network.children()][1:]  # the first makes rows of images
    assert layers == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    linear = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(24, 7), (7, 7), (7, 5)]
    assert all(layer.bias is not None for layer in linear)


def test_tanh_takes_the_place_of_relu_and_nothing_else_changes() -> None:
    """Cohen et al. 2021, 2×200 on CIFAR-10: as many parameters, from the same random numbers."""
    assert parameters(models.build("mlp-2x200-tanh", (32, 32, 3), 10)) == 3073 * 200 + 201 * 200 + 201 * 10
    built = []
    for arch in ("mlp-2x7", "mlp-2x7-tanh"):
        torch.manual_seed(0)
        built.append(models.build(arch, (4, 3, 2), 5, models.Options(batch_norm=True, dropout=0.3)))
    relu, tanh = built
    assert [type(layer) for layer in tanh] == [nn.Tanh if type(layer) is nn.ReLU else type(layer) for layer in relu]
    assert all(torch.equal(one, other) for one, other in zip(relu.parameters(), tanh.parameters(), strict=True))


def test_the_weights_see_an_image_in_the_order_of_the_table() -> None:
    network = models.build("mlp-1x7", (4, 3, 2), 5)
    images = torch.randn(6, 2, 4, 3)
    first, last = (layer for layer in network.children() if isinstance(layer, nn.Linear))
    expected = (images.permute(0, 2, 3, 1).reshape(6, 24) @ first.weight.T + first.bias).clamp(
        min=0
    ) @ last.weight.T + last.bias
    assert torch.allclose(network(images), expected, atol=1e-6)


def test_batch_norm_stands_before_relu_in_place_of_the_bias_and_dropout_after() -> None:
    network = models.build("mlp-2x7", (4, 3, 2), 5, models.Options(batch_norm=True, dropout=0.3))
    layers = list(network.children())[1:]
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert [type(layer) for layer in layers] == [*hidden, *hidden, nn.Linear]
    assert [layer.bias is None for layer in layers if isinstance(layer, nn.Linear)] == [True, True, False]
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.3}


@pytest.mark.parametrize(
    "arch", ["mlp", "mlp-0x512", "mlp-1x0", "mlp-1x512-", "MLP-1x512", "mlp--1x5", "mlp-1x²", "mlp-1x5-relu"]
)
def test_other_names_are_refused(arch: str) -> None:
    with pytest.raises(GencliError, match="no network") as raised:
        models.build(arch, CIFAR, 10)
    assert "mlp-" in raised.value.hint
