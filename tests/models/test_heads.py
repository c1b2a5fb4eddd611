"""The last layer: a prior in its bias, or normalized, in every classifier that ends in a dense layer."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gencli import models
from gencli.errors import GencliError
from gencli.models import FAMILIES, Options
from gencli.models.base import Head
from gencli.models.heads import Cosine, last_layer

CLASSIFIERS = [
    name
    for family in FAMILIES
    for name in family.samples
    if family.task == "classes" and not name.startswith("torchvision:")
]


@pytest.mark.parametrize("arch", CLASSIFIERS)
def test_the_sigmoid_head_starts_from_a_small_prior(arch: str) -> None:
    network = models.build(arch, (16, 16, 1), 11, Options(head="sigmoid"))
    found = last_layer(network, 11)
    assert found is not None
    assert found[1] is [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    assert found[1].bias.tolist() == pytest.approx([-math.log(10)] * 11)


@pytest.mark.parametrize("arch", [*CLASSIFIERS, "torchvision:resnet18", "torchvision:mobilenet_v3_small"])
def test_the_cosine_head_bounds_logits_and_comes_last(arch: str) -> None:
    network = models.build(arch, (32, 32, 3), 11, Options(head="cosine")).eval()
    heads = [layer for layer in network.modules() if isinstance(layer, Cosine)]
    seen: list[torch.Tensor] = []
    heads[0].register_forward_hook(lambda *call: seen.append(call[-1]))
    logits = network(torch.randn(3, 3, 32, 32))
    assert len(heads) == 1
    assert torch.equal(seen[0], logits)
    assert logits.abs().max() <= 30.001


def test_cosine_logits_are_scaled_cosines() -> None:
    head, rows = Cosine(7, 5), torch.randn(4, 7)
    w, x = (each.detach().numpy().astype(np.float64) for each in (head.weight, rows))
    expected = 30 * (x @ w.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(head(rows).detach(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1, rtol=1e-5)
    assert [name for name, _ in head.named_parameters()] == ["weight"]


@pytest.mark.parametrize("head", ["sigmoid", "cosine"])
def test_networks_without_a_dense_last_layer_are_refused(head: Head) -> None:
    with pytest.raises(GencliError, match="--head: torchvision:squeezenet1_1 has no dense layer of 10 outputs"):
        models.build("torchvision:squeezenet1_1", (32, 32, 3), 10, Options(head=head))
    with pytest.raises(GencliError, match="--head: unet-small outputs images"):
        models.build("unet-small", (32, 32, 3), 10, Options(head=head))


def test_a_sigmoid_head_needs_a_second_class() -> None:
    with pytest.raises(GencliError, match="sigmoid needs at least two classes"):
        models.build("linear", (4, 4, 1), 1, Options(head="sigmoid"))
