"""Capacity measures of the generalization literature, from a network's weights and margins: a table."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import pyarrow as pa
import torch
from torch import nn

from gencli.errors import first_line, require_enough
from gencli.evaluation.flatness import flatness, not_finite
from gencli.evaluation.logits import margins
from gencli.evaluation.named import MEASURES, NAMED, Figure
from gencli.evaluation.predictions import Predictions, predict
from gencli.evaluation.quantities import Quantities
from gencli.evaluation.trace import Node, Trace
from gencli.files.tensors import double
from gencli.models import Model, Shape, trained
from gencli.models.inputs import Rows

_CONFIDENCE, _STEP = 0.05, 1000


def measure(
    model: Model,
    initial: nn.Module | None,
    rows: Rows | None,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
    steps: float | str = "no history is given",
) -> pa.Table:
    """The table of measures: measure, layer (null of the whole network), value, source, note (why a value is null).

    Args:
        initial: the network before training; without it there is no distance.
        rows: data, for a network that tells classes apart; without it there are no margins, sharpness and VC bound
            on the gap, nor those of `NAMED`.
        seed: of sharpness' random directions.
        progress: called with the number of `DIRECTIONS` and `ASCENTS` done.
        steps: those to a loss, or why they are not known.
    """
    trace = _read(model, model.network)
    figures = list(of_weights(model, initial, trace))
    if rows is not None:
        predicted, known = predict(model, rows), {each.measure: each for each in figures}
        complexity, dimension = (known[name] for name in ("spectral_complexity", "vc_dimension_bound"))
        of_rows = list(of_data(model, rows, predicted, complexity, dimension))
        figures += [*of_rows, *flatness(model, rows, seed, progress)]
        start = "the network before training is not known" if initial is None else _read(model, initial)
        known |= {each.measure: each for each in of_rows}
        quantities = Quantities(model, rows, initial, trace, start, predicted, known, steps, seed)
        figures += [each.figure(quantities) for each in NAMED]
    sources = {each.name: each.source for each in MEASURES}
    return pa.table({
        "measure": [each.measure for each in figures],
        "layer": pa.array([each.layer for each in figures], pa.string()),
        "value": pa.array([each.value for each in figures], pa.float64()),
        "source": [sources[each.measure] or None for each in figures],
        "note": pa.array([each.note for each in figures], pa.string()),
    })  # fmt: skip


def of_weights(model: Model, initial: nn.Module | None, trace: Trace | str) -> Iterator[Figure]:
    """The measures that need no data; computed in float64 on the CPU if the network supports that.

    Norms are of every layer that bears on the output, a batch norm right behind one taken into it. Products and the
    spectral complexity are of a chain; the Lipschitz bound, the path norm and the VC bound know branches too.
    """
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
    yield Figure.of("path_norm", trace if isinstance(trace, str) else path_norm(trace))
    if initial is not None:
        yield Figure("distance_from_initialization", distance(model.network, initial))
    depth = trace if isinstance(trace, str) else trace.depth()
    dimension = depth if isinstance(depth, str) else vc_dimension(model.parameters, depth, trained(model.network))
    yield Figure.of("vc_dimension_bound", dimension)


def _read(model: Model, network: nn.Module) -> Trace | str:
    return _traced(copy.deepcopy(network).cpu().eval(), model.preprocessing.input_shape(model.shape))


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


def path_norm(trace: Trace) -> float | str:
    """The root of the sum over all paths from inputs and biases to outputs of the product of the squared weights.

    It is what the network with squared weights makes of ones, summed; max-pools, means and constants stay as they are.
    Undefined where the network without its biases is not positively homogeneous, f(2x) = 2 f(x): paths say nothing of
    such.

    Neyshabur, Tomioka, Srebro 2015, arXiv:1503.00036, p = 2; computed as in Neyshabur, Salakhutdinov, Srebro 2015,
    arXiv:1506.02617.

    Args:
        trace: a run of the network on an image of its dtype.
    """
    for node in trace.nodes:
        if node.why or node.signed:
            return node.why or f"{node.name} subtracts, but paths add up"
    image = trace.image
    images = torch.randn(image.shape, dtype=image.dtype, generator=torch.Generator().manual_seed(0))
    unbiased = lambda kind, tensor: torch.zeros_like(tensor) if kind == "bias" else tensor  # noqa: E731
    once, twice = (Trace(trace.network, times * images, unbiased).output for times in (1, 2))
    close = 1e-9 if image.dtype == torch.float64 else 1e-4
    if not torch.allclose(twice, 2 * once, rtol=close, atol=close * 1e-3):
        return "the network without biases is not homogeneous, f(2x) = 2 f(x)"
    squared = Trace(trace.network, torch.ones_like(image), lambda kind, tensor: tensor.square()).output
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


def vc_dimension(parameters: int, layers: int, all_parameters: int) -> float:
    """W L log₂ N for W trained of N parameters in L layers, piecewise linear activations; the VC-dimension is O of it.

    Without frozen ones W is N. The logarithm is of the units, of which there are no more than parameters.
    Bartlett, Harvey, Liaw, Mehrabian 2019, arXiv:1703.02930; the constant factor, above 1, is left out.
    """
    return parameters * layers * math.log2(max(all_parameters, 2))


def vc_gap(dimension: float, n: int) -> float:
    """What the gap between test and training error of a two-class network stays below with probability 95 %.

    √(8/n · (ln Π(2n) + ln(4/δ))) with the growth function Π(m) ≤ 2^m, and ≤ (em/d)^d where m ≥ d. Above 1 it says
    nothing.
    """
    growth = 2 * n * math.log(2)
    if dimension <= 2 * n:
        growth = min(growth, dimension * math.log(2 * math.e * n / dimension))
    return math.sqrt(8 / n * (growth + math.log(4 / _CONFIDENCE)))


def of_data(
    model: Model, rows: Rows, predicted: Predictions, complexity: Figure, dimension: Figure
) -> Iterator[Figure]:
    """The measures that need data: the bound on the gap, the margin γ, and R ‖X‖ / (γ n).

    γ is the ⌊n/10⌋-th smallest margin (see `logits`), of fewer than 10 the smallest: the tenth percentile of Jiang et
    al. 2020, arXiv:1912.02178, as Dziugaite et al. 2020, arXiv:2010.11924, compute it (`kthvalue(m // 10)`), so that at
    most a tenth of the rows has no larger one. R is the spectral complexity, ‖X‖ the Frobenius norm of the network's n
    inputs: the leading term of Bartlett et al.'s bound, its logarithm left out. Undefined where γ ≤ 0, and both where
    the outputs of a row are not finite.
    """
    gap = dimension.note if dimension.value is None else vc_gap(dimension.value, len(rows))
    yield Figure.of("vc_gap_bound", gap)
    if predicted.logits is None:
        raise TypeError("margins are defined for classifiers only")
    if why := not_finite(predicted):
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
