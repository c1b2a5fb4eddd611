"""ResNet-18 for 32×32: the known count, and that the stem keeps the image's size."""

import torch
from torch import nn

from gencli import models
from gencli.models.summary import layers


def test_the_parameter_count_is_the_known_one() -> None:
    network = models.build("resnet18", (32, 32, 3), 10)
    assert sum(p.numel() for p in network.parameters()) == 11_173_962


def test_images_are_halved_three_times() -> None:
    network = models.build("resnet18", (32, 32, 3), 10)
    shapes = [layer.shape[1:] for layer in layers(network, (32, 32, 3)) if layer.kind == "Conv2d"]
    assert len(shapes) == 17 + 3  # and three in shortcuts
    assert shapes[0] == (64, 32, 32)
    assert shapes[-1] == (512, 4, 4)
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in network.modules())


def test_it_is_torchvisions_but_for_the_stem() -> None:
    from torchvision.models import resnet18

    ours, theirs = models.build("resnet18", (32, 32, 3), 10), resnet18(weights=None, num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()  # type: ignore[assignment]
    names = [name for name in theirs.state_dict() if "downsample" not in name]
    shortcuts = [name for name in theirs.state_dict() if "downsample" in name]
    our_names = [name for name in ours.state_dict() if "shortcut" not in name]
    our_shortcuts = [name for name in ours.state_dict() if "shortcut" in name]
    state = ours.state_dict()
    pairs = [*zip(names, our_names, strict=True), *zip(shortcuts, our_shortcuts, strict=True)]
    theirs.load_state_dict({their: state[our] for their, our in pairs})
    images = torch.randn(4, 3, 32, 32)
    assert torch.allclose(ours(images), theirs(images), atol=1e-4)
