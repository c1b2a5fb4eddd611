"""How far the loss rises near a network's weights: in random directions, and at worst."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from gencli.evaluation.named import Figure
from gencli.evaluation.predictions import NONE, Predictions, batch_size, cross_entropy, predict
from gencli.evaluation.settings import ASCENTS, DIRECTIONS
from gencli.files.tensors import double
from gencli.models import Model
from gencli.models.circulant import Circulant
from gencli.models.inputs import Rows

RADIUS = 0.1


def not_finite(found: Predictions) -> str | None:
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
    weights, here = filters(model.network), predict(model, rows)
    if why := not_finite(here) if weights else "no weights are trained":
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


def filters(network: nn.Module) -> list[nn.Parameter]:
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
