"""Several networks of one architecture as one: layers whose tensors have a leading dimension, the networks.

Images and what is made of them keep the form [networks · rows, …], network after network, so that all that treats rows
alike, activations, pooling, reshaping, needs no rule. Layers that have tensors of their own are in `STACKED`; whether a
network of a user's own treats its rows alike is not known, and so a trial step is compared with the networks' own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import nn
from torch.nn import functional

from gencli.models.heads import Cosine

_ROWS = 8  # of a trial, of each network: batch norm divides by their deviation, which that of two may be near 0
_CLOSE = 1e-5  # relative to a tensor's largest value


class _Linear(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return _products(input, self.weight, self.bias)


class _Cosine(Cosine):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return _products(functional.normalize(rows), functional.normalize(self.weight, dim=2), None) * self.scale


def _products(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    rows, weight = input.reshape(len(weight), -1, input.shape[-1]), weight.mT
    made = torch.bmm(rows, weight) if bias is None else torch.baddbmm(bias[:, None], rows, weight)
    return made.view(*input.shape[:-1], -1)


class _Norm(nn.modules.batchnorm._BatchNorm):
    """Batch norm of each network's rows by themselves: the networks' channels side by side."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        mean, variance, steps = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None
        assert variance is not None
        assert steps is not None
        count = len(mean)
        rate = self.momentum
        if self.training:
            steps += 1
            rate = 1 / steps[0].item() if rate is None else rate
        beside = input.unflatten(0, (count, -1)).transpose(0, 1).flatten(1, 2)
        flat = (None if each is None else each.view(-1) for each in (mean, variance, self.weight, self.bias))
        made = functional.batch_norm(beside, *flat, self.training, rate or 0.0, self.eps)  # type: ignore[arg-type]
        return made.unflatten(1, (count, -1)).transpose(0, 1).flatten(0, 1)


class _Dropout(nn.Dropout):
    """Each network drops by its own `rates` and draws from its own `generators`, as it would by itself."""

    rates: list[float]
    generators: list[torch.Generator]

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return input
        noise = torch.empty_like(input)
        for part, rate, generator in zip(noise.chunk(len(self.rates)), self.rates, self.generators, strict=True):
            part.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
        return input * noise


STACKED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: _Linear,
    Cosine: _Cosine,
    nn.BatchNorm1d: _Norm,
    nn.BatchNorm2d: _Norm,
    nn.Dropout: _Dropout,
}
_RANDOM = nn.modules.dropout._DropoutNd


def known(network: nn.Module) -> bool:
    """Whether all layers of a network that have tensors of their own, or draw random numbers, are in `STACKED`."""
    return all(
        type(layer) in STACKED
        and (not isinstance(layer, nn.modules.batchnorm._BatchNorm) or layer.running_mean is not None)
        for layer in network.modules()
        if isinstance(layer, _RANDOM) or [*chain(layer.parameters(False), layer.buffers(False))]
    )


class Stack(nn.Module):
    """Networks as one, from images [networks · rows, …] to outputs of the same form.

    The tensors have the names that they have in each network, and a leading dimension. The networks' own become parts
    of them, so that each is what a step has made of it.

    Args:
        networks: `known`, of the same architecture.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self._networks = len(networks)
        self.network = copy.deepcopy(networks[0])
        for name, tensor in _tensors(self.network):
            parts = [dict(_tensors(network))[name] for network in networks]
            tensor.data = torch.stack([part.data for part in parts])
            for part, own in zip(parts, tensor.data, strict=True):
                part.data = own
        generators = [torch.Generator(next(iter(self.parameters())).device) for _ in networks]
        for name, layer in self.network.named_modules():
            if type(layer) not in STACKED:
                continue
            layer.__class__ = STACKED[type(layer)]
            if isinstance(layer, _Dropout):
                layer.rates = [dict(network.named_modules())[name].p for network in networks]  # type: ignore[misc]
                layer.generators = generators
        drops = any(isinstance(layer, _Dropout) for layer in self.network.modules())
        self._generators = generators if drops else []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)

    def seed(self, seeds: Callable[[int], int]) -> None:
        """Starts each network's dropout at a seed, by the network's number."""
        for number, generator in enumerate(self._generators):
            generator.manual_seed(seeds(number))

    def part(self, which: slice) -> nn.Module:
        """Some of the networks as one, whose tensors are parts of these."""
        found = copy.deepcopy(self.network)
        whole = dict(_tensors(self.network))
        for name, tensor in _tensors(found):
            tensor.data = whole[name].data[which]
        return found


def _tensors(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*chain(network.named_parameters(), network.named_buffers())]


def clip(gradients: Sequence[torch.Tensor], norm: float) -> None:
    """Shortens each network's gradient to a norm, as torch.nn.utils.clip_grad_norm_ does; [networks, …] each."""
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (norm / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def agrees(networks: Sequence[nn.Module], shape: tuple[int, int, int]) -> bool:
    """Whether a training step's outputs, gradients and statistics of networks as one are those of each by itself.

    Args:
        networks: on their device; they stay as they are.
        shape: height, width and channels of their images.
    """
    device = next(networks[0].parameters()).device
    alone = [copy.deepcopy(network).train() for network in networks]
    stack = Stack(copy.deepcopy([*networks])).train()
    drawn = torch.Generator().manual_seed(0)
    images = torch.randn(len(networks), _ROWS, shape[2], *shape[:2], generator=drawn).to(device)
    images = images.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (len(networks), _ROWS))
    seen: list[list[torch.Tensor]] = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for number, network in enumerate(alone):
            torch.manual_seed(number)
            outputs = network(images[number])
            outputs.square().sum().backward()
            seen.append(_found(outputs, network))
        stack.seed(lambda number: number)
        try:
            outputs = stack(images.flatten(0, 1))
            outputs.square().sum().backward()
            whole = _found(outputs.unflatten(0, (len(networks), _ROWS)), stack.network, 1)
        except (RuntimeError, ValueError, AssertionError):
            return False
    pairs = [(torch.stack(each), both) for *each, both in zip(*seen, whole, strict=True)]
    return all(_close(one, other) for one, other in pairs)


def _found(outputs: torch.Tensor, network: nn.Module, start: int = 0) -> list[torch.Tensor]:
    """Outputs, buffers, and all gradients in one, since some are rounding errors alone; networks are in `start`."""
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in network.parameters()]
    flat = [each.reshape(*each.shape[:start], -1) for each in gradients]
    return [outputs.detach(), *network.buffers(), torch.cat(flat, start)]


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    one, other = one.double(), other.double()
    return bool(((one - other).abs() <= _CLOSE * one.abs().amax().clamp(min=1e-12)).all())
