"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from gencli.errors import GencliError


class Average:
    """The exponential moving average of a network's parameters and of its buffers of floating point.

    a ← d a + (1 − d) p after step t, from 0, with d = min(decay, (1 + t)/(10 + t)), so that the initial weights are
    soon forgotten: TensorFlow's `ExponentialMovingAverage` with `num_updates`. Batch-norm statistics are averaged like
    the weights they belong to; counters are not averaged.

    Args:
        decay: in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise GencliError(f"--ema: decay {decay:g} is out of range", "give 0 or more, below 1, such as 0.999")
        named = chain(network.named_parameters(), network.named_buffers())
        self._current = {name: tensor for name, tensor in named if tensor.is_floating_point()}
        self._averages = {name: tensor.detach().clone() for name, tensor in self._current.items()}
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the network's weights; to be called after a step."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        averages, current = list(self._averages.values()), list(self._current.values())
        torch._foreach_lerp_(averages, current, 1 - decay)  # type: ignore[attr-defined]
        self._updates += 1

    @contextmanager
    def swap(self) -> Iterator[None]:
        """The network with the averages in place of its weights, which come back afterwards, bit by bit."""
        kept = {name: tensor.detach().clone() for name, tensor in self._current.items()}
        self._put(self._averages)
        try:
            yield
        finally:
            self._put(kept)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averages by `average.` and their names in the network, and `updates` [] int64."""
        averages = {f"average.{name}": tensor for name, tensor in self._averages.items()}
        return averages | {"updates": torch.tensor(self._updates)}

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes a copy of the state that the average of the same network had."""
        for name, tensor in self._averages.items():
            tensor.copy_(tensors[f"average.{name}"])
        self._updates = int(tensors["updates"])

    @torch.no_grad()
    def _put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        torch._foreach_copy_(list(self._current.values()), list(tensors.values()))  # type: ignore[attr-defined]
