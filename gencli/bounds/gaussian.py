"""A normal distribution over a network's weights: its draws, its divergence from a prior, and descent on a bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gencli.bounds import inversion
from gencli.files.tensors import double
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows

GRID, RATIO = 2048, 2 ** (-1 / 128)  # the prior's standard deviations: RATIO^j, j < GRID, from 1 to 2⁻¹⁶
_PACE = 0.01  # of means over steps
_FILTERS = 1 << 15  # weights of a convolution that are drawn for each row

Tensors = dict[str, torch.Tensor]


class Gaussian:
    """Independent normal weights around a network's: N(m, e^{2r}) for each trained parameter.

    Attributes:
        means, logs: m and r by parameter, of its shape, float32.
        local: the layers whose rows have weights of their own: those that a network uses once, on one input a row,
            which is tried on two rows. Of dense layers outputs are drawn in place of weights: given its input, the
            output is normal with independent entries (Kingma, Salimans, Welling 2015, arXiv:1506.02557). Of
            convolutions of up to `_FILTERS` weights each row's filters are drawn. Other layers' weights are drawn once
            for each call.
    """

    def __init__(self, network: nn.Module, inputs: torch.Tensor, deviation: float, means: Tensors) -> None:
        """Around `means`; `inputs` [n, …] are tried, of two rows or more."""
        self.network = network.eval()
        self.means = {name: each.detach().clone() for name, each in means.items()}
        self.logs = {name: torch.full_like(each, math.log(deviation)) for name, each in self.means.items()}
        self.local = {name: each for name, each in _once(network, inputs).items() if _owned(name, each) <= {*means}}

    @property
    def by_row(self) -> bool:
        """Whether all rows of a call have weights of their own, independent of each other's."""
        return set[str]().union(*(_owned(name, layer) for name, layer in self.local.items())) >= {*self.means}

    @contextmanager
    def drawing(self) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        """Gives the function from inputs to outputs with weights drawn, from torch's random numbers."""

        def drawn(name: str, *rows: int) -> torch.Tensor:
            mean = self.means[name]
            return mean + self.logs[name].exp() * torch.randn((*rows, *mean.shape), device=mean.device)

        def hook(name: str) -> Callable[..., torch.Tensor]:
            def dense(layer: nn.Linear, given: tuple[torch.Tensor], mean: torch.Tensor) -> torch.Tensor:
                weight, bias = (self.logs.get(f"{name}.{part}") for part in ("weight", "bias"))
                assert weight is not None
                variance = functional.linear(
                    given[0].square(), (2 * weight).exp(), None if bias is None else (2 * bias).exp()
                )
                return mean + (variance + 1e-30).sqrt() * torch.randn_like(mean)

            def filters(layer: nn.Conv2d, given: tuple[torch.Tensor], mean: torch.Tensor) -> torch.Tensor:
                n, images = len(given[0]), given[0].flatten(0, 1)[None]
                weight = drawn(f"{name}.weight", n).flatten(0, 1)
                bias = drawn(f"{name}.bias", n).flatten() if layer.bias is not None else None
                made = functional.conv2d(images, weight, bias, layer.stride, layer.padding, layer.dilation, n)
                return made.view(mean.shape)

            return filters if isinstance(self.local[name], nn.Conv2d) else dense

        own = [f"{name}." for name in self.local]

        def outputs(inputs: torch.Tensor) -> torch.Tensor:
            weights = {name: mean if name.startswith(tuple(own)) else drawn(name) for name, mean in self.means.items()}
            return functional_call(self.network, weights, (inputs,))

        with _hooked(self.local, hook):
            yield outputs

    def spread(self, prior: Tensors) -> Tensors:
        """By parameter, the mean over its entries of e^{2r} + (m − m₀)²: the prior variance of least divergence."""
        return {
            name: ((2 * self.logs[name]).exp() + (mean - prior[name]).square()).mean()
            for name, mean in self.means.items()
        }

    def least_divergence(self, prior: Tensors) -> torch.Tensor:
        """KL(Q ‖ N(m₀, λ)) in nats with each parameter's λ the best of all: what descent goes down."""
        spread = self.spread(prior)
        parts = [mean.numel() * spread[name].log() - 2 * self.logs[name].sum() for name, mean in self.means.items()]
        return torch.stack(parts).sum() / 2

    @torch.no_grad()
    def divergence(self, prior: Tensors) -> tuple[float, dict[str, int]]:
        """KL(Q ‖ P) in nats, in float64, and by parameter the j of P's deviation RATIO^j, the best of `GRID`."""
        total, chosen = 0.0, dict[str, int]()
        for name, mean in self.means.items():
            log, moved = double(self.logs[name]), double(mean) - double(prior[name])
            squares, entropy = ((2 * log).exp().sum() + moved.square().sum()).item(), 2 * log.sum().item()
            count = mean.numel()
            near = math.log(squares / count) / 2 / math.log(RATIO)
            choices = {min(max(round_(near), 0), GRID - 1) for round_ in (math.floor, math.ceil)}
            kls = {j: _divergence(squares, entropy, count, 2 * j * math.log(RATIO)) for j in choices}
            chosen[name] = min(kls, key=lambda j: kls[j])
            total += kls[chosen[name]]
        return total, chosen

    def finite(self) -> bool:
        """Whether all of its numbers are."""
        return all(bool(each.isfinite().all()) for part in (self.means, self.logs) for each in part.values())


def _divergence(squares: float, entropy: float, count: int, log: float) -> float:
    """½ Σ (s/λ + (m − m₀)²/λ − 1 + ln λ − ln s), given Σ s + (m − m₀)², Σ ln s and ln λ."""
    return (squares * math.exp(-log) - count + count * log - entropy) / 2


def _owned(name: str, layer: nn.Module) -> set[str]:
    """The names of a layer's parameters in the network."""
    return {f"{name}.{part}" for part, _ in layer.named_parameters()}


def _drawable(layer: nn.Module) -> bool:
    """Whether rows' outputs of it can be drawn by themselves."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros" and layer.weight.numel() <= _FILTERS
    return type(layer) is nn.Linear


def _once(network: nn.Module, rows: torch.Tensor) -> dict[str, nn.Module]:
    """The layers that run once, on one input a row, and whose weights nothing else uses.

    Tried on a few rows: with outputs as they were, and no numbers for weights, the network still gives numbers.
    """
    layers = {name: each for name, each in network.named_modules() if _drawable(each)}
    used: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in layers}

    def seen(name: str) -> Callable[..., None]:
        return lambda layer, given, made: used[name].append((given[0], made))

    def once(name: str) -> bool:
        layer = layers[name]
        if len(used[name]) != 1 or used[name][0][0].shape[:1] != rows.shape[:1]:
            return False
        given, made = used[name][0]
        none = {part: torch.full_like(each, math.nan) for part, each in layer.named_parameters(prefix=name)}
        with _hooked({name: layer}, lambda _: lambda layer, given, output: made):
            alone = functional_call(network, none, (rows,)).isfinite().all()
        return given.ndim == (4 if isinstance(layer, nn.Conv2d) else 2) and bool(alone)

    with torch.no_grad():
        with _hooked(layers, seen):
            network(rows)
        return {name: each for name, each in layers.items() if once(name)}


@contextmanager
def _hooked(layers: dict[str, nn.Module], hook: Callable[[str], Callable[..., Any]]) -> Iterator[None]:
    """Within this context each layer's outputs pass the hook of its name."""
    hooks = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


@dataclass(frozen=True)
class Descent:
    """How a distribution is fitted.

    Attributes:
        epochs: passes over the rows.
        rate: Adam's, of the means.
        rate_deviations: Adam's, of the logarithms of standard deviations; 0 keeps them.
        batch: rows a step.
    """

    epochs: int
    rate: float
    rate_deviations: float
    batch: int

    def steps(self, rows: int) -> int:
        """How many there are."""
        return self.epochs * math.ceil(rows / self.batch)


def descend(
    fitted: Gaussian,
    model: Model,
    rows: Rows,
    how: Descent,
    cost: Callable[[float], tuple[float, torch.Tensor | None]],
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Fits a distribution to rows by Adam, at rates that fall to zero along a cosine.

    Each step goes down a · (error rate of the batch, each row's weights drawn) + b · KL, where a and b are the bound's
    own derivatives by error rate and by divergence at the present error rate, a mean over steps. The error rate has no
    slope; in its place stands the cross-entropy times the ratio of both, also means over steps: what changes one by a
    share changes the other by the same.

    Args:
        cost: of the error rate → a, and b · KL as a tensor to differentiate, None for none.
    """
    free = [*fitted.means.values()], [*fitted.logs.values()]
    for each in (*free[0], *(free[1] if how.rate_deviations else [])):
        each.requires_grad_(True)
    groups = [{"params": free[0], "lr": how.rate}]
    groups += [{"params": free[1], "lr": how.rate_deviations}] if how.rate_deviations else []
    adam = torch.optim.Adam(groups)
    rates = [group["lr"] for group in adam.param_groups]
    n, error, entropy, done = len(rows), 1.0, 1.0, 0
    steps = how.steps(n)
    with fitted.drawing() as outputs:
        for _ in range(how.epochs):
            for part in torch.randperm(n).to(rows.labels.device).split(how.batch):
                for group, rate in zip(adam.param_groups, rates):
                    group["lr"] = rate * (1 + math.cos(math.pi * done / steps)) / 2
                logits = outputs(model.preprocessing(rows.images[part])).float()
                labels = rows.labels[part]
                loss = functional.cross_entropy(logits, labels)
                pace = max(_PACE, 1 / (done + 1))
                error += pace * ((logits.argmax(1) != labels).float().mean().item() - error)
                entropy += pace * (loss.item() - entropy)
                slope, complexity = cost(error)
                loss = slope * error / max(entropy, 1e-30) * loss
                adam.zero_grad()
                (loss if complexity is None else loss + complexity).backward()
                adam.step()
                done += 1
                progress(done)
    for each in (*free[0], *free[1]):
        each.requires_grad_(False)


def bound_cost(
    fitted: Gaussian, prior: Tensors, n: int, extra: float
) -> Callable[[float], tuple[float, torch.Tensor | None]]:
    """The `cost` of descent on the PAC-Bayes-kl bound of n rows, `extra` being what the divergence is added to."""

    def cost(error: float) -> tuple[float, torch.Tensor | None]:
        divergence = fitted.least_divergence(prior)
        by_error, by_c = inversion.slopes(error, (divergence.item() + extra) / n)
        return by_error, by_c / n * divergence

    return cost
