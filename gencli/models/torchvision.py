"""The classifiers of torchvision, without their weights."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from gencli.counts import by
from gencli.errors import GencliError, nearest, require_enough
from gencli.models.base import Family, Shape, require_room
from gencli.models.layers import AdaptiveMean

_LARGEST = 256  # side of an image, when the least is looked for
# torchvision warns that the initialization they have by default will change
_WITHOUT_AUXILIARIES: dict[str, Any] = {"aux_logits": False, "init_weights": True}


def classifier(name: str, shape: Shape, classes: int) -> nn.Module:
    """`torchvision.models.get_model(name, weights=None, num_classes=classes)`, as torchvision initializes it.

    GoogLeNet and Inception v3 come without auxiliary classifiers, vision transformers for the image's size. Where
    images have other than three channels, the first convolution takes as many; its weights are then normal, their
    variance 3 / channels times that of torchvision's.

    Raises:
        GencliError: torchvision has no such classifier, or it takes no images of this size.
    """
    from torchvision import models

    known = [f"torchvision:{each}" for each in models.list_models(module=models)]
    if f"torchvision:{name}" not in known:
        raise GencliError(f"--arch: no network 'torchvision:{name}'", nearest(f"torchvision:{name}", known))
    if torch.get_default_device().type != "meta":
        require_room(_published(name), f"torchvision:{name}")
    network = _fitting(name, shape, classes)
    if network is None:
        size = by(shape[:2])
        raise GencliError(f"--arch: torchvision:{name} takes no images of {size}", f"it takes {_sizes(name, shape[2])}")
    return network


def _published(name: str) -> int:
    """Parameters, of the published network of 1,000 classes."""
    from torchvision.models import get_model_weights

    return next((int(each.meta["num_params"]) for each in get_model_weights(name)), 0)


def _fitting(name: str, shape: Shape, classes: int) -> nn.Module | None:
    """The network, where it takes images of this shape."""
    from torchvision.models import get_model

    height, width, channels = shape
    options = _WITHOUT_AUXILIARIES if name in ("googlenet", "inception_v3") else {}
    if name.startswith("vit_"):
        if height != width or height % _patch(name):
            return None
        options = {"image_size": height}
    with _sizes_in_numbers():
        network = get_model(name, weights=None, num_classes=classes, **options)
    for layer in network.modules():
        if type(layer) is nn.AdaptiveAvgPool2d:
            layer.__class__ = AdaptiveMean
    if channels != 3:
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        weight = first.weight.detach()
        drawn = torch.randn(first.out_channels, channels, *first.kernel_size, device=weight.device)
        first.in_channels, first.weight = channels, nn.Parameter(drawn * weight.std() * (3 / channels) ** 0.5)
    tensors = chain(network.named_parameters(), network.named_buffers())
    state = {key: tensor.detach().to("meta") for key, tensor in tensors}
    try:
        torch.func.functional_call(network.eval(), state, torch.empty(1, channels, height, width, device="meta"))
    except (RuntimeError, ValueError, AssertionError) as error:
        require_enough(error)
        return None
    return network.train()


@contextmanager
def _sizes_in_numbers() -> Iterator[None]:
    """Within, RegNets compute their layers' sizes, which they do with tensors, on the CPU: on meta these have none."""
    from torchvision.models.regnet import BlockParams

    compute = BlockParams.from_init_params

    def of(*given: Any, **named: Any) -> BlockParams:
        with torch.device("cpu"):
            return compute(*given, **named)

    BlockParams.from_init_params = of
    try:
        yield
    finally:
        BlockParams.from_init_params = compute


def _sizes(name: str, channels: int) -> str:
    if name.startswith("vit_"):
        return f"squares whose side is a multiple of {_patch(name)}"

    def takes(side: int) -> bool:
        with torch.device("meta"):
            return _fitting(name, (side, side, channels), 2) is not None

    least = 1 + bisect_left(range(1, _LARGEST), True, key=takes)
    return f"{least}×{least}" + (" and more" if takes(_LARGEST) else "")


def _patch(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


TORCHVISION = Family(
    example="torchvision:NAME",
    pattern="torchvision:(.*)",
    purpose="a classifier of torchvision, without its weights",
    source="torchvision.models",
    build=classifier,
    rates=(0.005, 0.005),  # vision transformers diverge at 0.05, also on CIFAR-10
    samples=(
        "torchvision:resnet18",
        "torchvision:resnet50",
        "torchvision:vgg16_bn",
        "torchvision:mobilenet_v3_small",
        "torchvision:vit_b_16",
    ),
)
