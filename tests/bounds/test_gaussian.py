"""Draws, divergences and descent of normal weights, against torch's own and explicit weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call

from gencli.bounds import gaussian, inversion
from gencli.bounds.gaussian import GRID, RATIO, Descent, Gaussian, bound_cost, descend
from gencli.models.inputs import Rows


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


@pytest.mark.parametrize(("rows", "steps"), [(1, 3), (4, 3), (5, 6), (8, 6), (9, 9)])
def test_steps_are_batches_of_all_epochs(rows: int, steps: int) -> None:
    assert Descent(3, 0.1, 0.1, 4).steps(rows) == steps


class Recorder:
    """In the place of Adam: takes no step, keeps rates and slopes."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.param_groups = groups
        self.rates: list[list[float]] = []
        self.slopes: list[torch.Tensor] = []

    def zero_grad(self) -> None:
        for each in self.param_groups[0]["params"]:
            each.grad = None

    def step(self) -> None:
        self.rates.append([group["lr"] for group in self.param_groups])
        self.slopes.append(self.param_groups[0]["params"][0].grad.clone())


@pytest.mark.parametrize("deviations", [0.0, 0.5])
@pytest.mark.parametrize("with_kl", [False, True])
def test_descent_is_on_the_error_rate_in_units_of_cross_entropy(
    deviations: float, with_kl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At rates that fall along a cosine, of means over steps; 5 rows in batches of 2, five times."""
    monkeypatch.setattr(gaussian, "_PACE", 0.1)
    made: list[Recorder] = []
    monkeypatch.setattr(torch.optim, "Adam", lambda groups: (made.append(Recorder(groups)), made[0])[1])
    w, log = torch.tensor([[0.5, -0.25], [0.1, 0.3]]), torch.zeros(1)

    @contextmanager
    def drawing() -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        yield lambda x: x @ w

    fitted: Any = SimpleNamespace(means={"w": w}, logs={"w": log}, drawing=drawing)
    model: Any = SimpleNamespace(preprocessing=lambda images: 2 * images)
    rows = Rows(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1]))
    errors, done = list[float](), list[int]()

    def cost(error: float) -> tuple[float, torch.Tensor | None]:
        errors.append(error)
        return 3.0, w.sum() if with_kl else None

    torch.manual_seed(1)
    descend(fitted, model, rows, Descent(5, 0.2, deviations, 2), cost, done.append)
    assert done == list(range(1, 16))
    (adam,) = made
    falls = [(1 + math.cos(math.pi * step / 15)) / 2 for step in range(15)]
    assert adam.rates == [pytest.approx([0.2 * fall, deviations * fall][: 1 + bool(deviations)]) for fall in falls]
    assert not w.requires_grad
    assert not log.requires_grad
    torch.manual_seed(1)
    error = entropy = 0.0
    at = w.clone().requires_grad_()
    for step, part in enumerate(part for _ in range(5) for part in torch.randperm(5).split(2)):
        logits = 2 * rows.images[part] @ at
        loss = nn.functional.cross_entropy(logits, rows.labels[part])
        wrong = (logits.argmax(1) != rows.labels[part]).float().mean().item()
        pace = 1 / (step + 1) if step < 9 else 0.1
        error, entropy = error + pace * (wrong - error), entropy + pace * (loss.item() - entropy)
        assert errors[step] == pytest.approx(error)
        (slope,) = torch.autograd.grad(loss, at)
        torch.testing.assert_close(adam.slopes[step], 3 * error / entropy * slope + int(with_kl), rtol=1e-4, atol=1e-6)


def test_the_cost_is_the_bounds_derivatives_by_error_and_by_divergence() -> None:
    network = dense()
    fitted = around(network, torch.randn(2, 4))
    prior = {name: each + 0.1 for name, each in fitted.means.items()}
    least = fitted.least_divergence(prior)
    by_error, by_c = inversion.slopes(0.2, (least.item() + 7) / 50)
    slope, complexity = bound_cost(fitted, prior, 50, 7.0)(0.2)
    assert complexity is not None
    assert (slope, complexity.item()) == pytest.approx((by_error, by_c / 50 * least.item()))


def test_numbers_that_overflow_are_told() -> None:
    for part in ("means", "logs", None):
        fitted = around(dense(), torch.randn(2, 4))
        if part:
            getattr(fitted, part)["0.bias"][1] = torch.inf
        assert fitted.finite() == (part is None)


def test_the_priors_deviation_stays_on_the_grid() -> None:
    network = dense()
    for deviation, j in ((4.0, 0), (2.0**-20, GRID - 1)):
        fitted = Gaussian(network, torch.randn(2, 4), deviation, dict(network.named_parameters()))
        assert set(fitted.divergence(fitted.means)[1].values()) == {j}
