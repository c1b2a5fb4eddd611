"""Capacity measures of the generalization literature, from a network's weights and margins: a table."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import nn

from gencli.errors import first_line, require_enough
from gencli.evaluation.logits import margins
from gencli.evaluation.predictions import NONE, Predictions, batch_size, cross_entropy, predict
from gencli.evaluation.settings import ASCENTS, DIRECTIONS
from gencli.evaluation.trace import Node, Trace
from gencli.files.tensors import double
from gencli.models import Model, Shape
from gencli.models.circulant import Circulant
from gencli.models.inputs import Rows

SOURCES = {
    "parameters": "",
    "frobenius_norm": "",
    "frobenius_norm_product": "Neyshabur et al. 2015, arXiv:1503.00036",
    "spectral_norm": "Sedghi, Gupta, Long 2019, arXiv:1805.10408, there with circular padding",
    "spectral_norm_product": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "lipschitz_bound": "Szegedy et al. 2014, arXiv:1312.6199, section 4.3",
    "spectral_complexity": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "path_norm": "Neyshabur et al. 2015, arXiv:1503.00036",
    "distance_from_initialization": "Nagarajan, Kolter 2019, arXiv:1901.01672",
    "vc_dimension_bound": "Bartlett, Harvey, Liaw, Mehrabian 2019, arXiv:1703.02930",
    "vc_gap_bound": "Vapnik, Chervonenkis 1971",
    "margin": "Jiang et al. 2020, arXiv:1912.02178; rank as in the code of Dziugaite et al. 2020, arXiv:2010.11924",
    "margin_normalized_complexity": "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498",
    "sharpness": "directions: Li et al. 2018, arXiv:1712.09913",
    "sharpness_standard_error": "",
    "worst_sharpness": "Keskar et al. 2017, arXiv:1609.04836, there in a box",
}
RADIUS = 0.1
_CONFIDENCE, _STEP = 0.05, 1000


@dataclass(frozen=True)
class Figure:
    """A value of a layer or of the whole network; or None, and a note why it is not defined."""

    measure: str
    value: float | None
    layer: str | None = None
    note: str | None = None

    @classmethod
    def of(cls, measure: str, value: float | str | None, layer: str | None = None) -> Figure:
        """A value, or why there is none."""
        if isinstance(value, str):
            return cls(measure, None, layer, value)
        if value is not None and not math.isfinite(value):
            return cls(measure, None, layer, "not a number" if math.isnan(value) else "too large for float64")
        return cls(measure, value, layer)


def measure(
    model: Model,
    initial: nn.Module | None,
    rows: Rows | None,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> pa.Table:
    """The table of measures: measure, layer (null of the whole network), value, source, note (why a value is null).

    Args:
        initial: the network before training; without it there is no distance.
        rows: data, for a network that tells classes apart; without it there are no margins, sharpness and VC bound
            on the gap.
        seed: of sharpness' random directions.
        progress: called with the number of `DIRECTIONS` and `ASCENTS` done.
    """
    figures = list(of_weights(model, initial))
    if rows is not None:
        known = {each.measure: each for each in figures}
        complexity, dimension = (known[name] for name in ("spectral_complexity", "vc_dimension_bound"))
        figures += [*of_data(model, rows, complexity, dimension), *flatness(model, rows, seed, progress)]
    return pa.table({
        "measure": [each.measure for each in figures],
        "layer": pa.array([each.layer for each in figures], pa.string()),
        "value": pa.array([each.value for each in figures], pa.float64()),
        "source": [SOURCES[each.measure] or None for each in figures],
        "note": pa.array([each.note for each in figures], pa.string()),
    })  # fmt: skip


def of_weights(model: Model, initial: nn.Module | None) -> Iterator[Figure]:
    """The measures that need no data; computed in float64 on the CPU if the network supports that.

    Norms are of every layer that bears on the output, a batch norm right behind one taken into it. Products and the
    spectral complexity are of a chain; the Lipschitz bound, the path norm and the VC bound know branches too.
    """
    network = copy.deepcopy(model.network).cpu().eval()
    trace = _traced(network, model.preprocessing.input_shape(model.shape))
    yield Figure("parameters", model.parameters)
    nodes = [] if isinstance(trace, str) else [node for node in trace.nodes if node.layer]
    layers = [node.layer for node in nodes if node.layer]
    chain = trace if isinstance(trace, str) else trace.chain()
    norms = {"frobenius_norm": [layer.frobenius_norm() for layer in layers], "spectral_norm": [n.norm for n in nodes]}
    for name, values in norms.items():
        yield from (Figure.of(name, value, layer.name) for layer, value in zip(layers, values, strict=True))
        yield Figure.of(f"{name}_product", chain if isinstance(chain, str) else math.prod(values))
    bound = trace if isinstance(trace, str) else trace.lipschitz()
    yield Figure.of("lipschitz_bound", bound)
    yield Figure.of("spectral_complexity", chain if isinstance(chain, str) else spectral_complexity(chain))
    yield Figure.of("path_norm", trace if isinstance(trace, str) else path_norm(network, trace))
    if initial is not None:
        yield Figure("distance_from_initialization", distance(model.network, initial))
    depth = trace if isinstance(trace, str) else trace.depth()
    yield Figure.of("vc_dimension_bound", depth if isinstance(depth, str) else vc_dimension(model.parameters, depth))


def _traced(network: nn.Module, shape: Shape) -> Trace | str:
    """A run of the network, in float64 if it supports that; or the reason why it cannot be analysed."""
    for dtype in (torch.float64, torch.float32):
        image = torch.zeros(1, shape[2], *shape[:2], dtype=dtype)
        try:
            trace = Trace(network.to(dtype), image)
            if trace.why:
                return trace.why
            bound = trace.lipschitz()
            return _contradiction(network, image, math.inf if isinstance(bound, str) else bound) or trace
        except Exception as error:
            require_enough(error)
            why = f"the network cannot be read: {type(error).__name__}: {first_line(error)}"
    return why


@torch.no_grad()
def _contradiction(network: nn.Module, image: torch.Tensor, bound: float) -> str | None:
    """Why what was read of a network cannot be right, by what it makes of random images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, *image.shape[1:], dtype=image.dtype, generator=generator)
    images = torch.cat([images, images + 1e-3 * images.flip(0), torch.zeros_like(image)])
    together = network(images.clone()).flatten(1)  # which may write to what it is given
    alone = torch.stack([network(each[None].clone()).flatten() for each in images])
    close = 1e-6 if image.dtype == torch.float64 else 1e-2
    if together.shape != alone.shape or not torch.allclose(together, alone, close, close):
        return "the network's output for an image depends on other images of its batch, or on chance"
    far, apart = (torch.pdist(each.double()) for each in (together, images.flatten(1)))
    return "two images differ by more than the bound allows" if (far > bound * apart * (1 + close)).any() else None


def spectral_complexity(nodes: list[Node]) -> float | str:
    """Π ρᵢ sᵢ · (Σ (bᵢ / sᵢ)^⅔)^³⸍² over a chain's layers, or why it is not defined.

    sᵢ is the layer's spectral norm, bᵢ = ‖Aᵢᵀ‖₂,₁ the sum of its rows' norms, ρᵢ the Lipschitz constant of what stands
    between two layers. Biases count as none, as do values of activations at 0.

    Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498, equation 1.2, with reference matrices 0.
    """
    for node in nodes:
        if node.trained:
            return f"{node.name} has parameters, where the bound's activations are fixed"
    layers = [(node.layer, node.norm) for node in nodes if node.layer]
    if not layers:
        return "the network has no layers"
    if not all(norm for _, norm in layers):
        return 0.0
    ratios = sum((layer.row_norms().sum().item() / norm) ** (2 / 3) for layer, norm in layers)
    return math.prod(node.norm * math.prod(node.factors) for node in nodes) * ratios**1.5


def path_norm(network: nn.Module, trace: Trace) -> float | str:
    """The root of the sum over all paths from inputs and biases to outputs of the product of the squared weights.

    It is what the network with squared weights makes of ones, summed; max-pools, means and constants stay as they are.
    Undefined where the network without its biases is not positively homogeneous, f(2x) = 2 f(x): paths say nothing of
    such.

    Neyshabur, Tomioka, Srebro 2015, arXiv:1503.00036, p = 2; computed as in Neyshabur, Salakhutdinov, Srebro 2015,
    arXiv:1506.02617.

    Args:
        network: in evaluation mode and on the CPU.
        trace: a run of it on an image of its dtype.
    """
    for node in trace.nodes:
        if node.why or node.signed:
            return node.why or f"{node.name} subtracts, but paths add up"
    image = trace.image
    images = torch.randn(image.shape, dtype=image.dtype, generator=torch.Generator().manual_seed(0))
    unbiased = lambda kind, tensor: torch.zeros_like(tensor) if kind == "bias" else tensor  # noqa: E731
    once, twice = (Trace(network, times * images, unbiased).output for times in (1, 2))
    close = 1e-9 if image.dtype == torch.float64 else 1e-4
    if not torch.allclose(twice, 2 * once, rtol=close, atol=close * 1e-3):
        return "the network without biases is not homogeneous, f(2x) = 2 f(x)"
    squared = Trace(network, torch.ones_like(image), lambda kind, tensor: tensor.square()).output
    return squared.sum().clamp(min=0).sqrt().item()


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


def of_data(model: Model, rows: Rows, complexity: Figure, dimension: Figure) -> Iterator[Figure]:
    """The measures that need data: the bound on the gap, the margin γ, and R ‖X‖ / (γ n).

    γ is the ⌊n/10⌋-th smallest margin (see `logits`), of fewer than 10 the smallest: the tenth percentile of Jiang et
    al. 2020, arXiv:1912.02178, as Dziugaite et al. 2020, arXiv:2010.11924, compute it (`kthvalue(m // 10)`), so that at
    most a tenth of the rows has no larger one. R is the spectral complexity, ‖X‖ the Frobenius norm of the network's n
    inputs: the leading term of Bartlett et al.'s bound, its logarithm left out. Undefined where γ ≤ 0, and both where
    the outputs of a row are not finite.
    """
    gap = dimension.note if dimension.value is None else vc_gap(dimension.value, len(rows))
    yield Figure.of("vc_gap_bound", gap)
    predicted = predict(model, rows)
    if predicted.logits is None:
        raise TypeError("margins are defined for classifiers only")
    if why := _not_finite(predicted):
        for name in ("margin", "margin_normalized_complexity"):
            yield Figure.of(name, why)
        return
    found = margins(predicted.logits, rows.labels).cpu().double()
    gamma = found.kthvalue(max(len(found) // 10, 1)).values.item()
    inputs = (model.preprocessing(part) for part in rows.images.split(_STEP))
    norm = math.sqrt(sum(double(part).square().sum().item() for part in inputs))
    yield Figure.of("margin", gamma)
    if complexity.value is None or gamma <= 0:
        normalized = complexity.note or "the margin is not above 0"
    else:
        normalized = complexity.value * norm / (gamma * len(rows))
    yield Figure.of("margin_normalized_complexity", normalized)


def _not_finite(found: Predictions) -> str | None:
    """The reason why rows have no margins if some outputs are not finite."""
    gone = 0 if found.predicted is None else int((found.predicted == NONE).sum())
    return f"the outputs of {gone:,} of {len(found.losses):,} rows are not finite" if gone else None


def flatness(
    model: Model, rows: Rows, seed: int, progress: Callable[[int], None] = lambda done: None
) -> Iterator[Figure]:
    """How far the mean cross-entropy L over the rows rises near the weights w: in random directions, and at worst.

    `sharpness` is the mean of L(w + d) − L(w) over 10 random d, with its standard error. A direction is Gaussian, each
    filter (row of a weight) scaled to a tenth of the norm of the network's own; biases and norms' parameters stay: Li
    et al. 2018, arXiv:1712.09913, section 4. Rescaling a ReLU network's layers leaves it as it is.

    `worst_sharpness` is the largest rise that is found where no filter moves by more than a tenth of its norm, a lower
    bound of the largest there is (Keskar et al. 2017, arXiv:1609.04836, whose region is a box): from w each filter goes
    10 times all the way along its gradient there (the power method for convex functions of Journée, Nesterov,
    Richtárik, Sepulchre 2010, arXiv:0811.4724); the random d count too.

    The weights are moved and put back.
    """
    weights, here = _filters(model.network), predict(model, rows)
    if why := _not_finite(here) if weights else "no weights are trained":
        for name in ("sharpness", "sharpness_standard_error", "worst_sharpness"):
            yield Figure.of(name, why)
        return
    before, generator = here.mean_loss, torch.Generator().manual_seed(seed)
    near, rises = _Neighbourhood(weights), list[float]()
    try:
        for done in range(DIRECTIONS):
            near.move(torch.randn(own.shape, generator=generator).to(own.device) for own in near.kept)
            rises.append(predict(model, rows).mean_loss - before)
            progress(done + 1)
        yield Figure.of("sharpness", sum(rises) / DIRECTIONS)
        yield Figure.of("sharpness_standard_error", torch.tensor(rises).double().std().item() / math.sqrt(DIRECTIONS))
        near.put_back()
        yield Figure.of("worst_sharpness", _worst(model, rows, near, before, rises, progress))
    finally:
        near.put_back()


class _Neighbourhood:
    """Weights w, which are moved to w + d with each filter's d scaled to the allowed length, and put back."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self.weights, self.kept = weights, [weight.detach().clone() for weight in weights]

    def move(self, directions: Iterable[torch.Tensor]) -> None:
        for weight, own, drawn in zip(self.weights, self.kept, directions, strict=True):
            lengths = _rows(drawn).norm(dim=1)
            scale = RADIUS * _rows(own).norm(dim=1) / torch.where(lengths > 0, lengths, 1)
            weight.data.copy_(own + (_rows(drawn) * scale[:, None]).view(own.shape))

    def put_back(self) -> None:
        for weight, own in zip(self.weights, self.kept, strict=True):
            weight.data.copy_(own)


def _worst(
    model: Model, rows: Rows, near: _Neighbourhood, before: float, rises: list[float], progress: Callable[[int], None]
) -> float | str:
    """The largest of the loss's `rises` from `before` and of those that are found by ascent; or why there is none."""
    for done in range(ASCENTS):
        found = _slopes(model, rows, near.weights)
        if found is None:
            return "the network has no gradient"
        if done:  # one pass gives what the step before came to as well
            rises.append(found[0] - before)
        near.move(found[1])
        progress(DIRECTIONS + done + 1)
    rises.append(predict(model, rows).mean_loss - before)
    return max(rises) if all(map(math.isfinite, rises)) else math.nan


def _filters(network: nn.Module) -> list[nn.Parameter]:
    """The weights that directions are drawn for: matrices and kernels, and circulant ones, which are one filter."""
    circulant = {id(module.weight) for module in network.modules() if isinstance(module, Circulant)}
    return [each for each in network.parameters() if each.requires_grad and (each.ndim > 1 or id(each) in circulant)]


def _rows(weight: torch.Tensor) -> torch.Tensor:
    return weight.flatten(1) if weight.ndim > 1 else weight[None]


def _slopes(model: Model, rows: Rows, weights: list[nn.Parameter]) -> tuple[float, list[torch.Tensor]] | None:
    """The mean cross-entropy, and the derivative of its sum by each weight; None where the network gives none."""
    totals, size = [torch.zeros_like(weight) for weight in weights], batch_size(model.network)
    losses: list[torch.Tensor] = []
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        with torch.enable_grad():
            loss = cross_entropy(model.network(model.preprocessing(rows.images[part])).float(), rows.labels[part])
            whole = loss.sum()
        if not whole.requires_grad:
            return None
        losses.append(loss.detach())
        slopes = torch.autograd.grad(whole, weights, materialize_grads=True)
        totals = [total + slope for total, slope in zip(totals, slopes, strict=True)]
    return double(torch.cat(losses)).mean().item(), totals
