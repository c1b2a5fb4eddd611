"""Draws, divergences and descent of normal weights, against torch's own and explicit weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call

from gencli.bounds.gaussian import GRID, RATIO, Gaussian


class Twice(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.layer(torch.relu(self.layer(x)))))


class Patches(nn.Module):
    """A layer that each row passes twice, as two rows of one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(2, 3), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.layer(x.reshape(-1, 2))).view(len(x), 6))


class Tied(nn.Module):
    """A layer whose weight is used once more, and not by the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.layer(x)) @ self.layer.weight)


def around(network: nn.Module, inputs: torch.Tensor, deviation: float = 0.3) -> Gaussian:
    fitted = Gaussian(network, inputs, deviation, dict(network.named_parameters()))
    for each in fitted.logs.values():
        each.add_(torch.randn_like(each) / 2)
    return fitted


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.ReLU(), nn.Linear(6, 3))


def images() -> nn.Module:
    first = nn.Conv2d(2, 3, 2, stride=(1, 2), padding=(1, 0), dilation=(2, 1))
    return nn.Sequential(
        first, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 1, bias=False), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.mark.parametrize(
    ("kind", "shape", "local"),
    [
        (dense, (4,), {"0", "2"}),
        (images, (2, 3, 4), {"0", "3", "5"}),
        (convolution, (1, 4), {"3"}),
        (Twice, (4,), {"last"}),
        (Patches, (4,), {"last"}),
        (Tied, (4,), {"last"}),
    ],
)
def test_outputs_have_the_moments_of_drawn_weights(
    kind: Callable[[], nn.Module], shape: tuple[int, ...], local: set[str]
) -> None:
    torch.manual_seed(0)
    x, network, count = torch.randn(shape), kind(), 20_000
    fitted = around(network, x[None].expand(2, *x.shape))
    assert fitted.local.keys() == local
    assert fitted.by_row == (kind in (dense, images))
    with torch.no_grad(), fitted.drawing() as outputs:
        found = (
            outputs(x.expand(count, *x.shape)) if fitted.by_row else torch.cat([outputs(x[None]) for _ in range(1000)])
        )
    drawn = {
        name: mean + fitted.logs[name].exp() * torch.randn(3000, *mean.shape) for name, mean in fitted.means.items()
    }
    expected = torch.func.vmap(lambda each: functional_call(network, each, (x[None],))[0])(drawn)
    error = expected.std(0) * math.sqrt(1 / 3000 + 1 / len(found))
    assert ((found.mean(0) - expected.mean(0)).abs() < 5 * error).all()
    assert torch.allclose(found.std(0), expected.std(0), rtol=0.1)


def test_large_convolutions_and_grouped_ones_are_drawn_for_all_rows_at_once() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2), nn.Conv2d(2, 17_000, 1), nn.Conv2d(17_000, 1, 1))
    assert around(network, torch.randn(2, 2, 1, 1)).local.keys() == {"2"}


@pytest.mark.parametrize(("kind", "shape"), [(dense, (4,)), (images, (2, 3, 4))])
def test_rows_have_weights_of_their_own(kind: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape).expand(4000, *shape)
    fitted = around(kind(), x[:2])
    with torch.no_grad(), fitted.drawing() as outputs:
        pairs = outputs(x).view(2000, 2, 3)
    first, second = (pairs[:, place, 0] - pairs[:, place, 0].mean() for place in (0, 1))
    assert abs((first * second).mean() / (first.std() * second.std())) < 0.1


def test_the_grid_of_the_prior_is_from_1_to_a_65536th_in_parts_of_an_octave() -> None:
    assert pytest.approx(1 / 2, rel=1e-12) == RATIO**128
    assert pytest.approx(2**-16, rel=1e-12) == RATIO**GRID


def test_divergence_is_that_of_torch_in_float64_with_the_best_variance_of_the_grid() -> None:
    torch.manual_seed(0)
    fitted = around(dense(), torch.randn(2, 4))
    prior = {name: each + torch.randn_like(each) / 10 for name, each in fitted.means.items()}
    total, chosen = fitted.divergence(prior)

    def exact(name: str, j: int) -> float:
        own = Normal(fitted.means[name].double(), fitted.logs[name].double().exp())
        return (
            kl_divergence(own, Normal(prior[name].double(), torch.tensor(RATIO**j, dtype=torch.float64))).sum().item()
        )

    assert total == pytest.approx(sum(exact(name, j) for name, j in chosen.items()), rel=1e-12)
    for name, j in chosen.items():
        assert exact(name, j) == min(exact(name, other) for other in range(max(0, j - 300), min(GRID, j + 300)))
    least = fitted.least_divergence(prior).item()
    assert least == pytest.approx(total, abs=0.05)
    assert least <= total + 1e-3


def test_a_posterior_that_is_its_prior_has_no_divergence() -> None:
    fitted = Gaussian(network := dense(), torch.randn(2, 4), RATIO**500, dict(network.named_parameters()))
    total, chosen = fitted.divergence(fitted.means)
    assert total == pytest.approx(0, abs=1e-4)
    assert set(chosen.values()) == {500}
