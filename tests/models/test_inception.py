"""The small Inception: published count with batch norm and without, and the logits of its description."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli import models


def described(images: torch.Tensor, state: Iterator[torch.Tensor], batch_norm: bool) -> torch.Tensor:
    def convolved(images: torch.Tensor, kernel: int, stride: int = 1) -> torch.Tensor:
        weight = next(state)
        assert weight.shape[2:] == (kernel, kernel)
        bias = None if batch_norm else next(state)
        ends = (kernel // 2,) * 4 if stride == 1 else before_and_after(images)
        images = functional.conv2d(functional.pad(images, ends), weight, bias, stride)
        if batch_norm:
            shift = next(state)
            mean, variance = images.mean((0, 2, 3), True), images.var((0, 2, 3), False, keepdim=True)
            images = (images - mean) / (variance + 1e-5).sqrt() + shift.view(1, -1, 1, 1)
        return images.relu()

    def before_and_after(images: torch.Tensor) -> tuple[int, int, int, int]:
        height, width = images.shape[2:]
        return width % 2, 1, height % 2, 1

    def inception(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([convolved(images, 1), convolved(images, 3)], 1)

    def downsample(images: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(images, before_and_after(images), value=-torch.inf)
        return torch.cat([convolved(images, 3, 2), functional.max_pool2d(padded, 3, 2)], 1)

    images = convolved(images, 3)
    for module in "IIDIIIIDII":
        images = inception(images) if module == "I" else downsample(images)
    return functional.linear(images.mean((2, 3)), next(state), next(state))


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("shape", [(28, 28, 3), (9, 6, 1)])
def test_logits_are_those_of_the_description(batch_norm: bool, shape: models.Shape) -> None:
    network = models.build("inception-small", shape, 10, models.Options(batch_norm=batch_norm))
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    images = torch.randn(4, shape[2], *shape[:2])
    expected = described(images, iter(network.parameters()), batch_norm)
    assert torch.allclose(network(images), expected, atol=1e-4)


@pytest.mark.parametrize("batch_norm", [None, True, False])
def test_the_parameter_count_is_the_published_one(batch_norm: bool | None) -> None:
    network = models.build("inception-small", (28, 28, 3), 10, models.Options(batch_norm=batch_norm))
    assert sum(p.numel() for p in network.parameters()) == 1_649_402


def test_the_scale_of_batch_norm_is_kept_and_not_trained() -> None:
    network = models.build("inception-small", (8, 8, 1), 10)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 1 + 8 * 2 + 2
    trained = {id(parameter) for parameter in network.parameters()}
    assert all(id(norm.bias) in trained and id(norm.weight) not in trained for norm in norms)
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)


def test_without_batch_norm_images_bear_on_the_logits() -> None:
    """With torch's own initialization their part is 1e-5, and the network learns nothing."""
    torch.manual_seed(0)
    network = models.build("inception-small", (8, 8, 3), 10, models.Options(batch_norm=False))
    with torch.no_grad():
        assert network(torch.randn(20, 3, 8, 8)).std(0).mean() > 0.1
