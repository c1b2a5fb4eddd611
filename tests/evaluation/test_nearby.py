"""Moves of a network's parameters that cost a stated part of its accuracy: where they go, and which scale is found."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

from gencli.evaluation import nearby
from gencli.evaluation.named import Undefined
from gencli.models import Model
from gencli.models.inputs import Rows, load
from tests.helpers import image_table

SHAPE = 2, 2, 1
EPSILON = 0.001


def made(network: nn.Module) -> tuple[Model, Rows]:
    table = image_table(30, SHAPE)
    return Model("mlp-1x8", SHAPE, table.description.classes, network.eval()), load(table)


def dense() -> nn.Sequential:
    """The first of its 44 parameters is not used."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    with torch.no_grad():
        network[3].bias[1:].zero_()  # type: ignore[union-attr, index]
    network.register_parameter("spare", nn.Parameter(torch.ones(1)))
    return network


def at(
    scale: float, monkeypatch: pytest.MonkeyPatch, find: Callable[..., float], aware: bool
) -> tuple[float, list[torch.Tensor], list[float], torch.Tensor]:
    """What a scale costs, the parameters at each pass, the accuracies there, and the parameters before."""
    network = dense()
    model, rows = made(network)
    passes: list[torch.Tensor] = []
    right: list[float] = []

    def note(module: nn.Module, given: object, outputs: torch.Tensor) -> None:
        passes.append(torch.cat([each.detach().flatten().clone() for each in network.parameters()]))
        right.append((outputs.argmax(1) == rows.labels).double().mean().item())

    before = torch.cat([each.detach().flatten().clone() for each in network.parameters()])
    network.register_forward_hook(note)
    monkeypatch.setattr(nearby, "bisect", lambda lost: lost(scale))
    cost = find(model, rows, 0.75, aware, 7)
    assert torch.equal(torch.cat([each.detach().flatten() for each in network.parameters()]), before)
    return cost, passes, right, before


@pytest.mark.parametrize("aware", [False, True])
@pytest.mark.parametrize("scale", [0.002, 0.5])
def test_ten_gaussian_moves_are_as_large_as_stated(scale: float, aware: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cost, passes, right, before = at(scale, monkeypatch, nearby.gaussian, aware)
    assert len(passes) == 10
    assert cost == pytest.approx(0.75 - sum(right) / 10)
    generator, shapes = torch.Generator().manual_seed(7), ((1,), (5, 4), (5,), (3, 5), (3,))
    spread = torch.hypot(scale * before, torch.tensor(EPSILON)) if aware else torch.full_like(before, scale)
    for moved in passes:
        drawn = torch.cat([torch.randn(shape, generator=generator).flatten() for shape in shapes])
        torch.testing.assert_close(moved - before, spread * drawn, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("aware", [False, True])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_ascents_go_to_corners_of_the_box_and_the_worst_counts(
    scale: float, aware: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost, passes, right, before = at(scale, monkeypatch, nearby.worst, aware)
    assert len(passes) == 6  # one more where it starts
    assert torch.equal(passes[0], before)
    assert cost == pytest.approx(0.75 - min(right[1:]))
    assert min(right[1:]) < max(right[1:])
    side = scale * before.abs() + EPSILON if aware else torch.full_like(before, scale)
    side[0] = 0.0
    for moved in passes[1:]:
        torch.testing.assert_close((moved - before).abs(), side, rtol=1e-4, atol=1e-6)


def test_the_first_ascent_is_along_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    _, passes, _, before = at(0.25, monkeypatch, nearby.worst, False)
    network = dense()
    model, rows = made(network)
    nn.functional.cross_entropy(network(model.preprocessing(rows.images)), rows.labels).backward()
    slope = torch.cat([each.grad.flatten() for each in network[1:].parameters() if each.grad is not None])
    assert torch.equal((passes[1] - before).sign()[1:], slope.sign())


def test_scales_are_doubled_or_halved_from_an_eighth_until_there_is_none() -> None:
    for cost, scales in ((0.0, [2.0**power for power in range(-3, 11)]), (0.5, [0.5**power for power in range(3, 21)])):
        tried: list[float] = []

        def lost(scale: float, cost: float = cost, tried: list[float] = tried) -> float:
            tried.append(scale)
            return cost

        with pytest.raises(Undefined, match=re.escape("no move of 1e-06 to 1024 loses 0.1 of accuracy")):
            nearby.bisect(lost)
        assert tried == scales


@pytest.mark.parametrize("edge", [2.0**-20 * 1.5, 0.03125, 0.0625, 0.1, 0.125, 0.2, 0.25, 0.5, 3.0, 1000.0])
@pytest.mark.parametrize("cost", [0.1, 1.0])
def test_a_loss_of_just_the_stated_part_is_enough(edge: float, cost: float) -> None:
    found = nearby.bisect(lambda scale: cost if scale >= edge else 0.0)
    if cost == 1:
        assert found == pytest.approx(edge, rel=1e-3)
    else:  # any scale where just that is lost
        assert edge / 1.001 <= found <= 2 * edge


def test_equal_edges_are_met_from_below() -> None:
    for edge in (0.03125, 0.125, 0.5):
        assert nearby.bisect(lambda scale, edge=edge: 0.1 if scale >= edge else 0.0) == pytest.approx(edge, rel=1e-3)


def test_half_a_hundredth_beside_the_stated_part_is_near_enough() -> None:
    tried: list[float] = []

    def lost(scale: float, between: float) -> float:
        tried.append(scale)
        return 0.0 if scale <= 0.125 else 1.0 if scale >= 0.25 else between

    middle = math.sqrt(0.125 * 0.25)
    for between, near in ((0.1049, True), (0.0951, True), (0.1051, False), (0.0949, False)):
        tried.clear()
        nearby.bisect(lambda scale, between=between: lost(scale, between))
        assert (tried == [0.125, 0.25, pytest.approx(middle)]) == near


def test_a_network_without_weights_or_gradients_is_moved_nowhere() -> None:
    frozen = dense()
    for each in frozen.parameters():
        each.requires_grad_(False)
    for find in (nearby.gaussian, nearby.worst):
        with pytest.raises(Undefined, match="no weights are trained"):
            find(*made(frozen), 0.5, False, 0)
    cut = dense()
    cut.register_forward_hook(lambda module, given, outputs: outputs.detach())
    with pytest.raises(Undefined, match="the network has no gradient"):
        nearby.worst(*made(cut), 0.5, False, 0)
