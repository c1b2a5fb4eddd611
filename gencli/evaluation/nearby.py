"""How far a network's parameters may be moved until a stated part of its accuracy on the rows is lost.

Bisection: by factors of 2 from 1/8, until the loss of accuracy is on both sides of `DROP`; then by the geometric mean,
until it is within `TOLERANCE` of it, or the sides within a thousandth of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from gencli.evaluation.named import DROP, EPSILON, Undefined
from gencli.evaluation.predictions import batch_size, cross_entropy
from gencli.models import Model
from gencli.models.inputs import Rows

TOLERANCE, DRAWS, ASCENTS = 0.005, 10, 5
_START, _LEAST, _MOST = 0.125, 2.0**-20, 2.0**10
_HELD = 1 << 28  # bytes of inputs that are prepared once


def gaussian(model: Model, rows: Rows, accuracy: float, aware: bool, seed: int) -> float:
    """σ at which the mean accuracy of 10 networks p + u is `DROP` less; u ~ N(0, σ²), or N(0, σ² p² + ε²).

    The draws are the same at every σ. Jiang et al. 2020, arXiv:1912.02178, appendix C; the public code of Dziugaite et
    al. 2020 takes the variance for the deviation there.
    """
    with _Moving(model, rows) as near:

        def lost(scale: float) -> float:
            generator = torch.Generator().manual_seed(seed)
            found = 0.0
            for _ in range(DRAWS):
                near.move(
                    ((scale * own).square() + EPSILON**2).sqrt() * _normal(own, generator)
                    if aware else scale * _normal(own, generator)
                    for own in near.kept
                )  # fmt: skip
                found += near.accuracy()
            return accuracy - found / DRAWS

        return bisect(lost)


def worst(model: Model, rows: Rows, accuracy: float, aware: bool, seed: int) -> float:
    """α at which the worst network found with |uᵢ| ≤ α, or α |pᵢ| + ε, has lost `DROP` of accuracy.

    From p, 5 times to the corner of the box along the gradient of the cross-entropy there (the power method of Journée,
    Nesterov, Richtárik, Sepulchre 2010, arXiv:0811.4724, on a box), so that α is an upper bound of the least there is.
    """
    with _Moving(model, rows) as near:

        def lost(scale: float) -> float:
            near.put_back()
            found, signs = list[float](), near.signs()
            for _ in range(ASCENTS):
                near.move(
                    (scale * own.abs() + EPSILON if aware else scale) * sign for own, sign in zip(near.kept, signs)
                )
                signs = near.signs()
                found.append(accuracy - near.seen)
            return max(found)

        return bisect(lost)


def bisect(lost: Callable[[float], float]) -> float:
    """The scale at which `lost` is `DROP`; see above."""
    scale = _START
    above = lost(scale) >= DROP
    low, high = (scale, scale) if not above else (0.0, scale)
    while above and high > _LEAST:
        low = high / 2
        if lost(low) < DROP:
            break
        high = low
    else:
        while not above and high < _MOST:
            high = low * 2
            if lost(high) >= DROP:
                break
            low = high
        else:
            raise Undefined(f"no move of {_LEAST:.1g} to {_MOST:g} loses {DROP:g} of accuracy")
    scale = math.sqrt(low * high)
    while high > 1.001 * low:
        found = lost(scale)
        if abs(found - DROP) <= TOLERANCE:
            break
        low, high = (low, scale) if found > DROP else (scale, high)
        scale = math.sqrt(low * high)
    return scale


def _normal(own: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(own.shape, generator=generator, dtype=own.dtype).to(own.device)


class _Moving:
    """All trained parameters of a network, moved within a `with`, and put back."""

    seen = 0.0  # accuracy of the last `signs`

    def __init__(self, model: Model, rows: Rows) -> None:
        self._network, self._prepare, self._rows = model.network, model.preprocessing, rows
        self.own = [each for each in model.network.parameters() if each.requires_grad]
        if not self.own:
            raise Undefined("no weights are trained")
        self.kept = [each.detach().clone() for each in self.own]
        self._parts = rows.images.split(batch_size(model.network)), rows.labels.split(batch_size(model.network))
        shape = model.preprocessing.input_shape(model.shape)
        small = 4 * len(rows) * math.prod(shape) <= _HELD
        self._inputs = [model.preprocessing(part) for part in self._parts[0]] if small else None

    def __enter__(self) -> _Moving:
        return self

    def __exit__(self, *_: object) -> None:
        self.put_back()

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        inputs = map(self._prepare, self._parts[0]) if self._inputs is None else self._inputs
        yield from zip(inputs, self._parts[1], strict=True)

    def move(self, moves: Iterator[torch.Tensor]) -> None:
        for weight, own, move in zip(self.own, self.kept, moves, strict=True):
            weight.data.copy_(own + move)

    def put_back(self) -> None:
        for weight, own in zip(self.own, self.kept, strict=True):
            weight.data.copy_(own)

    @torch.no_grad()
    def accuracy(self) -> float:
        right = sum(int((self._network(x).argmax(1) == labels).sum()) for x, labels in self._batches())
        return right / len(self._rows)

    def signs(self) -> list[torch.Tensor]:
        """Of the derivative of the cross-entropy's sum by each parameter; `seen` gets the accuracy."""
        totals, right = [torch.zeros_like(each) for each in self.own], 0
        for inputs, labels in self._batches():
            with torch.enable_grad():
                logits = self._network(inputs)
                loss = cross_entropy(logits.float(), labels).sum()
            if not loss.requires_grad:
                raise Undefined("the network has no gradient")
            right += int((logits.argmax(1) == labels).sum())
            found = torch.autograd.grad(loss, self.own, materialize_grads=True)
            totals = [total + each for total, each in zip(totals, found, strict=True)]
        self.seen = right / len(self._rows)
        return [each.sign() for each in totals]
