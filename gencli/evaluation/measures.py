"""What the generalization literature computes from a network's weights, and from its margins: a table of measures."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import nn

from gencli.evaluation.affine import Affine, affine_layers
from gencli.evaluation.logits import margins
from gencli.evaluation.predictions import predict
from gencli.evaluation.settings import DIRECTIONS
from gencli.models import Model, Shape
from gencli.models.inputs import Rows
from gencli.tensors import double

SOURCES = {
    "parameters": "",
    "frobenius_norm": "",
    "frobenius_norm_product": "Neyshabur et al. 2015, arXiv:1503.00036",
    "spectral_norm": "Sedghi, Gupta, Long 2019, arXiv:1805.10408, there with circular padding",
    "spectral_norm_product": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "spectral_complexity": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "path_norm": "Neyshabur et al. 2015, arXiv:1503.00036",
    "distance_from_initialization": "Nagarajan, Kolter 2019, arXiv:1901.01672",
    "vc_dimension_bound": "Bartlett, Harvey, Liaw, Mehrabian 2019, arXiv:1703.02930",
    "vc_gap_bound": "Vapnik, Chervonenkis 1971",
    "margin": "Jiang et al. 2020, arXiv:1912.02178",
    "margin_normalized_complexity": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "sharpness": "directions: Li et al. 2018, arXiv:1712.09913",
}
RADIUS = 0.1
_MARGIN_QUANTILE, _CONFIDENCE, _STEP = 0.1, 0.05, 1000


@dataclass(frozen=True)
class Figure:
    """A value, None where it is not defined, of a layer or of the whole network."""

    measure: str
    value: float | None
    layer: str | None = None


def measure(
    model: Model,
    initial: nn.Module | None,
    rows: Rows | None,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> pa.Table:
    """The table of measures: columns measure, layer (null of the whole network), value (null where undefined), source.

    Args:
        initial: the network before training; without it there is no distance.
        rows: data, for a network that tells classes apart; without it there are no margins, sharpness and VC bound
            on the gap.
        seed: of sharpness' random directions.
        progress: hears how many of `DIRECTIONS` are done.
    """
    figures = list(of_weights(model, initial))
    if rows is not None:
        complexity = next(each.value for each in figures if each.measure == "spectral_complexity")
        bound = next(each.value for each in figures if each.measure == "vc_dimension_bound")
        figures += [
            *of_data(model, rows, complexity, bound),
            Figure("sharpness", sharpness(model, rows, seed, progress)),
        ]
    finite = [each.value if each.value is None or math.isfinite(each.value) else None for each in figures]
    return pa.table({
        "measure": [each.measure for each in figures],
        "layer": pa.array([each.layer for each in figures], pa.string()),
        "value": pa.array(finite, pa.float64()),
        "source": [SOURCES[each.measure] or None for each in figures],
    })  # fmt: skip


def of_weights(model: Model, initial: nn.Module | None) -> Iterator[Figure]:
    """What takes no data; computed in float64 on the CPU.

    Products, spectral complexity and the VC bound take the affine layers (see `affine`) for a chain whose other parts
    have Lipschitz constant 1, as ReLU and max-pooling do; they are undefined where something else has parameters.
    """
    network = copy.deepcopy(model.network).to("cpu", torch.float64).eval()
    shape = model.preprocessing.input_shape(model.shape)
    layers, others = affine_layers(network, shape)
    frobenius = {layer.name: layer.weight.norm().item() for layer in layers}
    spectral = {layer.name: layer.spectral_norm() for layer in layers}
    yield Figure("parameters", model.parameters)
    for name, norms in (("frobenius_norm", frobenius), ("spectral_norm", spectral)):
        yield from (Figure(name, value, layer) for layer, value in norms.items())
        yield Figure(f"{name}_product", None if others else math.prod(norms.values()))
    yield Figure("spectral_complexity", None if others else spectral_complexity(layers, list(spectral.values())))
    yield Figure("path_norm", None if others else path_norm(network, layers, shape))
    if initial is not None:
        yield Figure("distance_from_initialization", distance(model.network, initial))
    depth = sum(not layer.normalizes for layer in layers)
    yield Figure("vc_dimension_bound", None if others else vc_dimension(model.parameters, depth))


def spectral_complexity(layers: list[Affine], spectral: list[float]) -> float:
    """Π sᵢ · (Σ (bᵢ / sᵢ)^⅔)^³⸍² with sᵢ the layer's spectral norm, bᵢ = ‖Aᵢᵀ‖₂,₁ the sum of its rows' norms.

    Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498, equation 1.2, with reference matrices 0.
    """
    norms = [layer.row_norms().sum().item() for layer in layers]
    if not all(spectral):
        return 0.0
    ratios = sum((b / s) ** (2 / 3) for b, s in zip(norms, spectral, strict=True))
    return math.prod(spectral) * ratios**1.5


@torch.no_grad()
def path_norm(network: nn.Module, layers: list[Affine], shape: Shape) -> float | None:
    """The root of the sum over all paths from inputs and biases to outputs of the product of the squared weights.

    It is what the network with squared weights makes of ones, summed; max-pools and means stay as they are. None where
    the network without its biases is not positively homogeneous, f(2x) = 2 f(x): paths say nothing of such.

    Neyshabur, Tomioka, Srebro 2015, arXiv:1503.00036, p = 2; computed as in Neyshabur, Salakhutdinov, Srebro 2015,
    arXiv:1506.02617.

    Args:
        network: in float64 and evaluation mode, `layers` being all that has parameters.
        shape: height, width, channels of the images that it gets.
    """

    def run(change: Callable[[str, torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        state = {name: tensor for layer in layers for name, tensor in layer.named(change).items()}
        return torch.func.functional_call(network, state, images)

    ones = torch.ones(1, shape[2], *shape[:2], dtype=torch.float64)
    images = torch.randn(ones.shape, dtype=ones.dtype, generator=torch.Generator().manual_seed(0))
    unbiased = lambda key, tensor: torch.zeros_like(tensor) if key == "bias" else tensor  # noqa: E731
    if not torch.allclose(run(unbiased, 2 * images), 2 * run(unbiased, images), rtol=1e-9, atol=1e-12):
        return None
    return run(lambda key, tensor: tensor.square(), ones).sum().clamp(min=0).sqrt().item()


def distance(network: nn.Module, initial: nn.Module) -> float:
    """‖w − w₀‖₂ over all trained parameters."""
    before = dict(initial.named_parameters())
    squares = [
        (parameter.detach().cpu().double() - before[name].detach().cpu().double()).square().sum()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    ]
    return torch.stack(squares).sum().sqrt().item()


def vc_dimension(parameters: int, layers: int) -> float:
    """W L log₂ W for W parameters in L layers with piecewise linear activations; the VC-dimension is O of it.

    Bartlett, Harvey, Liaw, Mehrabian 2019, arXiv:1703.02930; the constant factor, above 1, is left out.
    """
    return parameters * layers * math.log2(max(parameters, 2))


def vc_gap(dimension: float, n: int) -> float:
    """What the gap between test and training error of a two-class network stays below with probability 95 %.

    √(8/n · (ln Π(2n) + ln(4/δ))) with the growth function Π(m) ≤ 2^m, and ≤ (em/d)^d where m ≥ d. Above 1 it says
    nothing.
    """
    growth = 2 * n * math.log(2)
    if dimension <= 2 * n:
        growth = min(growth, dimension * math.log(2 * math.e * n / dimension))
    return math.sqrt(8 / n * (growth + math.log(4 / _CONFIDENCE)))


def of_data(model: Model, rows: Rows, complexity: float | None, bound: float | None) -> Iterator[Figure]:
    """What takes data: the bound on the gap, the margin γ, and R ‖X‖ / (γ n).

    γ is the tenth percentile of the margins (see `logits`), R the spectral complexity, ‖X‖ the Frobenius norm of the
    network's n inputs: the leading term of Bartlett et al.'s bound, its logarithm left out. Undefined where γ ≤ 0.
    """
    logits = predict(model, rows).logits
    if logits is None:
        raise TypeError("margins are of networks that tell classes apart")
    found = margins(logits, rows.labels).cpu().double()
    gamma = found.sort().values[int(_MARGIN_QUANTILE * len(found))].item()
    inputs = (model.preprocessing(part) for part in rows.images.split(_STEP))
    norm = math.sqrt(sum(double(part).square().sum().item() for part in inputs))
    yield Figure("vc_gap_bound", None if bound is None else vc_gap(bound, len(rows)))
    yield Figure("margin", gamma)
    normalized = None if complexity is None or gamma <= 0 else complexity * norm / (gamma * len(rows))
    yield Figure("margin_normalized_complexity", normalized)


@torch.no_grad()
def sharpness(model: Model, rows: Rows, seed: int, progress: Callable[[int], None] = lambda done: None) -> float:
    """The mean over 10 random directions d of L(w + 0.1 d) − L(w), L the mean cross-entropy over the rows.

    A direction is Gaussian, each filter (row of a weight) scaled to the norm of the network's own; biases and norms'
    parameters stay: Li et al. 2018, arXiv:1712.09913, section 4. Rescaling a ReLU network's layers leaves it as it is.
    """
    before = predict(model, rows).mean_loss
    generator = torch.Generator().manual_seed(seed)
    weights = [each for each in model.network.parameters() if each.requires_grad and each.ndim > 1]
    kept, total = [weight.clone() for weight in weights], 0.0
    try:
        for done in range(DIRECTIONS):
            for weight, own in zip(weights, kept, strict=True):
                drawn = torch.randn(own.shape, generator=generator).to(own.device)
                scale = own.flatten(1).norm(dim=1) / drawn.flatten(1).norm(dim=1)
                weight.copy_(own + RADIUS * drawn * scale.view(-1, *[1] * (own.ndim - 1)))
            total += predict(model, rows).mean_loss - before
            progress(done + 1)
    finally:
        for weight, own in zip(weights, kept, strict=True):
            weight.copy_(own)
    return total / DIRECTIONS
