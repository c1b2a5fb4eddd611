"""torchvision's classifiers: as they are, for other channels and sizes, or refused by a size that they take."""

import pytest
import torch
from torch import nn

from gencli import models
from gencli.errors import GencliError
from gencli.models.layers import AdaptiveMean


def test_a_network_is_torchvisions_own() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours = models.build("torchvision:resnet18", (32, 32, 3), 10)
    torch.manual_seed(0)
    theirs = resnet18(weights=None, num_classes=10)
    assert ours.training
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("arch", ["torchvision:resnet18", "torchvision:squeezenet1_1"])
def test_other_channels_are_taken_at_the_same_scale(arch: str) -> None:
    torch.manual_seed(0)
    three, one = (models.build(arch, (32, 32, channels), 5).eval() for channels in (3, 1))
    first, drawn = (next(each for each in network.modules() if isinstance(each, nn.Conv2d)) for network in (three, one))
    assert drawn.in_channels == 1
    assert (first.weight.var() * 3 / drawn.weight.var()).item() == pytest.approx(1, rel=0.1)
    assert one(torch.randn(2, 1, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_classifiers_come_without(arch: str) -> None:
    with torch.device("meta"):
        network = models.build(f"torchvision:{arch}", (75, 75, 3), 5)
        assert network(torch.randn(2, 3, 75, 75)).shape == (2, 5)


@pytest.mark.parametrize(
    ("arch", "shape", "hint"),
    [
        ("alexnet", (62, 80), "it takes 63×63 and more"),
        ("inception_v3", (32, 32), "it takes 75×75 and more"),
        ("vit_b_16", (32, 48), "it takes squares whose side is a multiple of 16"),
        ("vit_b_32", (28, 28), "it takes squares whose side is a multiple of 32"),
    ],
)
def test_images_of_a_wrong_size_are_refused(arch: str, shape: tuple[int, int], hint: str) -> None:
    with (
        torch.device("meta"),
        pytest.raises(
            GencliError, match=f"--arch: torchvision:{arch} takes no images of {shape[0]}×{shape[1]}"
        ) as raised,
    ):
        models.build(f"torchvision:{arch}", (*shape, 3), 10)
    assert raised.value.hint == hint


def test_a_vision_transformer_is_made_for_the_images_size() -> None:
    with torch.device("meta"):
        network = models.build("torchvision:vit_b_16", (32, 32, 3), 10)
        assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arch", "near"), [("resnet19", "resnet18"), ("ResNet18", "resnet18"), ("fcn_resnet50", "resnet50")]
)
def test_other_names_are_refused(arch: str, near: str) -> None:
    with pytest.raises(GencliError, match=f"--arch: no network 'torchvision:{arch}'") as raised:
        models.build(f"torchvision:{arch}", (32, 32, 3), 10)
    assert near in raised.value.hint


def test_adaptive_means_of_vgg_are_those_with_a_reproducible_gradient_on_a_gpu() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        ours = models.build("torchvision:alexnet", (64, 64, 3), 10)
    assert [layer.output_size for layer in ours.modules() if type(layer) is AdaptiveMean] == [(6, 6)]
    assert not any(type(layer) is nn.AdaptiveAvgPool2d for layer in ours.modules())
