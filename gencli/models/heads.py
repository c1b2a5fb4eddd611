"""The last layer of a classifier: as built, with a prior in its bias, or normalized."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from gencli.errors import GencliError
from gencli.models.base import Head


class Cosine(nn.Module):
    """scale · ⟨x, w_c⟩ / (‖x‖ ‖w_c‖) for each class c: rows [n, features] to logits [n, classes], no bias.

    Weights start uniform on [−1, 1], their rows brought to length 1.

    Cao, Wei, Gaidon, Arechiga, Ma 2019, arXiv:1906.07413 (LDAM), and the authors' code, whose scale is 30.
    """

    scale = 30.0

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(torch.empty(classes, features).uniform_(-1, 1)))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return functional.linear(functional.normalize(rows), functional.normalize(self.weight)) * self.scale


def last_layer(network: nn.Module, classes: int) -> tuple[str, nn.Linear] | None:
    """The last dense layer that has `classes` outputs, in the order of the network's modules, and its name."""
    dense = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return next((each for each in reversed(dense) if each[1].out_features == classes), None)


def head_name(network: nn.Module, classes: int) -> str | None:
    """The name of the layer that gives the logits of so many classes, empty where it is the network; None for none.

    That is also a last convolution whose outputs are pooled, as in SqueezeNet.
    """
    found = last_layer(network, classes)
    ends = [name for name, layer in network.named_modules() if isinstance(layer, Cosine)]
    if ends or found is not None:
        return ends[-1] if ends or found is None else found[0]
    layers = [(name, layer) for name, layer in network.named_modules() if [*layer.parameters(recurse=False)]]
    name, last = layers[-1] if layers else ("", network)
    return name if isinstance(last, nn.Conv2d) and last.out_channels == classes else None


def attach(network: nn.Module, head: Head, classes: int, arch: str) -> nn.Module:
    """The network with its last layer changed.

    Args:
        head: `linear`: as it is; `sigmoid`: the bias, which it gets if it has none, starts at −log(classes − 1), so
            that a sigmoid starts about 1 / classes (Cui et al. 2019, arXiv:1901.05555); `cosine`: a `Cosine` in its
            place.

    Raises:
        GencliError: there is no such layer.
    """
    if head == "linear":
        return network
    found = last_layer(network, classes)
    if found is None:
        raise GencliError(f"--head: {arch} has no dense layer of {classes} outputs for {head}", "use another network")
    name, layer = found
    if head == "sigmoid":
        if classes < 2:
            raise GencliError(f"--head: {arch}: sigmoid needs at least two classes", "use another loss")
        layer.bias = nn.Parameter(torch.full_like(layer.weight[:, 0], -math.log(classes - 1)))
        return network
    with torch.device(layer.weight.device):
        cosine = Cosine(layer.in_features, classes)
    if name == "":
        return cosine
    network.set_submodule(name, cosine)
    return network
