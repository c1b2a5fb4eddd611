"""Which networks are one and the same, by their numbers."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from gencli.training.distinct import alike


def model(scale: float = 1.0, failed: str = "", changes: dict[str, float] | None = None) -> Any:
    """Of numbers 1, 2, 3, …, some of which are changed by name."""
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    for number, tensor in enumerate(network.state_dict().values()):
        tensor.copy_(scale * (1 + number + torch.arange(float(tensor.numel())).view(tensor.shape)))
    for name, value in (changes or {}).items():
        network.state_dict()[name].view(-1)[-1] += value
    return SimpleNamespace(network=network, failed=failed)


@pytest.mark.parametrize(
    ("models", "pairs"),
    [
        ([model(), model(2.0)], []),
        ([model(), model()], [(0, 1)]),
        ([model(), model(2.0), model()], [(0, 2)]),
        ([model(), model(), model()], [(0, 1), (1, 2)]),
        ([model(2.0), model(), model(2.0), model()], [(0, 2), (1, 3)]),
        ([model(), model(failed="loss is nan"), model()], [(0, 2)]),
        ([model(failed="loss is nan"), model(failed="loss is nan")], []),
        ([model()], []),
    ],
)
def test_pairs_of_networks_with_the_same_numbers_are_named(models: list[Any], pairs: list[tuple[int, int]]) -> None:
    assert alike(models) == pairs


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.running_mean", "1.running_var"])
def test_any_number_that_differs_by_more_than_rounding_tells_them_apart(name: str) -> None:
    largest = float(model().network.state_dict()[name].abs().amax())
    assert alike([model(), model(changes={name: 1.5e-6 * largest})]) == []
    assert alike([model(), model(changes={name: 5e-7 * largest})]) == [(0, 1)]


def test_a_count_of_batches_and_empty_tensors_make_no_difference() -> None:
    one = model()
    one.network.register_buffer("none", torch.empty(0))
    other = copy.deepcopy(one)
    other.network.state_dict()["1.num_batches_tracked"].fill_(99)
    assert alike([one, other]) == [(0, 1)]
