"""LeNet-5: the known counts, and the same logits as its description computed step by step."""

import pytest
import torch
from torch.nn import functional

from gencli import models


@pytest.mark.parametrize(("shape", "count"), [((28, 28, 1), 61_706), ((32, 32, 3), 62_006), ((8, 8, 1), 61_706)])
def test_parameters_are_as_many_as_known(shape: models.Shape, count: int) -> None:
    assert sum(each.numel() for each in models.build("lenet5", shape, 10).parameters()) == count


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (9, 40, 2)])
def test_logits_are_those_of_the_description(shape: models.Shape) -> None:
    network = models.build("lenet5", shape, 10)
    images = torch.randn(3, shape[2], *shape[:2])
    state = list(network.state_dict().values())
    framed = torch.zeros(3, shape[2], max(32, shape[0]), max(32, shape[1]))
    top, left = ((after - before) // 2 for before, after in zip(shape[:2], framed.shape[2:], strict=True))
    framed[:, :, top : top + shape[0], left : left + shape[1]] = images
    for weight, bias in (state[:2], state[2:4]):
        framed = functional.max_pool2d(functional.conv2d(framed, weight, bias).relu(), 2)
    hidden = framed.permute(0, 2, 3, 1).flatten(1)
    for weight, bias in (state[4:6], state[6:8]):
        hidden = (hidden @ weight.T + bias).relu()
    assert torch.allclose(network(images), hidden @ state[8].T + state[9], atol=1e-5)


def test_dropout_comes_before_dense_layers() -> None:
    network = models.build("lenet5", (28, 28, 1), 10, models.Options(dropout=0.3))
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in network.modules()) == 3
