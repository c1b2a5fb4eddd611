"""The small AlexNet: published count, and the same logits as its description computed step by step."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli import models
from gencli.models.alexnet import ResponseNorm


def described(images: torch.Tensor, state: list[torch.Tensor]) -> torch.Tensor:
    for weight, bias in zip(state[0:4:2], state[1:4:2]):
        images = functional.conv2d(images, weight, bias, padding="same").relu()
        ends = [int(side % 2 or side == 1) for side in images.shape[2:]]
        padded = functional.pad(images, (ends[1], 1, ends[0], 1), value=-torch.inf)
        images = functional.local_response_norm(functional.max_pool2d(padded, 3, 2), 9, 0.001, 0.75, 1)
    rows = images.permute(0, 2, 3, 1).flatten(1)
    for weight, bias in zip(state[4:8:2], state[5:8:2]):
        rows = functional.linear(rows, weight, bias).relu()
    return functional.linear(rows, *state[8:])


@pytest.mark.parametrize("shape", [(28, 28, 3), (8, 8, 1), (5, 7, 2)])
def test_logits_are_those_of_the_description(shape: models.Shape) -> None:
    network = models.build("alexnet-small", shape, 10)
    images = torch.randn(3, shape[2], *shape[:2])
    expected = described(images, list(network.state_dict().values()))
    assert torch.allclose(network(images), expected, atol=1e-6)
    assert torch.allclose(network(images.contiguous(memory_format=torch.channels_last)), expected, atol=1e-6)


def test_the_parameter_count_is_the_published_one() -> None:
    network = models.build("alexnet-small", (28, 28, 3), 10)
    assert sum(p.numel() for p in network.parameters()) == 1_387_786


def test_the_response_norm_is_torchs_and_exact_under_autocast() -> None:
    images = (torch.randn(3, 64, 4, 5) * 30).to(torch.bfloat16)
    expected = nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1)(images.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(ResponseNorm()(images), expected.float(), rtol=1e-5)
    assert ResponseNorm()(images.double()).dtype == torch.float64


def test_dropout_stands_before_each_dense_layer() -> None:
    network = models.build("alexnet-small", (8, 8, 1), 10, models.Options(dropout=0.3))
    kinds = [type(layer) for layer in network.children()]
    dense = [place for place, kind in enumerate(kinds) if kind is nn.Linear]
    assert [kinds[place - 1] for place in dense] == [nn.Dropout] * 3
