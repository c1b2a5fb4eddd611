"""What the measures of `named` are made of, each computed once, when it is first asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import nn
from torch.func import grad, vmap

from gencli.errors import first_line, require_enough
from gencli.evaluation import nearby
from gencli.evaluation.affine import Affine
from gencli.evaluation.flatness import filters, not_finite
from gencli.evaluation.gradients import dense_gradients
from gencli.evaluation.named import EPSILON, Figure, Undefined
from gencli.evaluation.predictions import Predictions, cross_entropy
from gencli.evaluation.trace import Trace
from gencli.files.tensors import double
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows

T = TypeVar("T")

_VALUES = 1 << 23  # of gradients of single rows that are held at once
_NORMALIZED = "batch norm: its running statistics are no parameters, and say nothing before training"


class Quantities:
    """Of a network that tells classes apart, and its training rows.

    Attributes:
        n: the number of rows.
        side: the larger of height and width of the network's input.

    Args:
        model, rows: on the device to compute on.
        initial: the network before training, None where there was none.
        trace: of the network, or the reason why there is none; `start`, of the initial one likewise.
        predicted: what the network says of the rows.
        known: measures that were computed already, by name: `margin` and `path_norm` count.
        steps: those to a loss, or why they are not known.
    """

    def __init__(
        self, model: Model, rows: Rows, initial: nn.Module | None, trace: Trace | str, start: Trace | str,
        predicted: Predictions, known: dict[str, Figure], steps: float | str, seed: int,
    ) -> None:  # fmt: skip
        self._model, self._rows, self._initial = model, rows, initial
        self._trace, self._start, self._predicted, self._known = trace, start, predicted, known
        self._steps, self._seed = steps, seed
        self.n, self.side = len(rows), max(model.preprocessing.input_shape(model.shape)[:2])

    def require_chain(self) -> None:
        """Raises `Undefined` where the network is no chain of layers."""
        if isinstance(chain := self._read.chain(), str):
            raise Undefined(chain)

    @property
    def _read(self) -> Trace:
        return _known(self._trace)

    @cached_property
    def _layers(self) -> list[Affine]:
        if not (found := self._read.layers):
            raise Undefined("the network has no layers")
        for node in self._read.nodes:
            if node.trained and node.why:
                raise Undefined(node.why)
        return found

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self._layers)

    @cached_property
    def _uses(self) -> list[list[int]]:
        """The layers by their weights, which may be used again, transposed or behind another batch norm."""
        known = dict[str, list[tuple[torch.Tensor, list[int]]]]()
        for place, layer in enumerate(self._layers):
            own = (layer.weight if layer.plain is None else layer.plain).flatten().sort().values
            alike = known.setdefault(layer.name.split(" (")[0], [])
            places = next((places for other, places in alike if torch.equal(own, other)), None)
            if places is None:
                alike.append((own, places := []))
            places.append(place)
        return [places for alike in known.values() for _, places in alike]

    def of_weights(self, norms: list[float]) -> list[float]:
        """Layers' norms, of each weight once."""
        for places in self._uses:
            if not all(math.isclose(norms[place], norms[places[0]], rel_tol=1e-9) for place in places):
                again = self._layers[places[1]].name.split(" (")[0]
                raise Undefined(f"{again} is used again behind another batch norm, which makes another matrix of it")
        return [norms[places[0]] for places in self._uses]

    @cached_property
    def frobenius(self) -> list[float]:
        """Of each layer."""
        return [layer.frobenius_norm() for layer in self._layers]

    @cached_property
    def spectral(self) -> list[float]:
        """Of each layer."""
        return [node.norm for node in self._read.nodes if node.layer]

    @cached_property
    def _moved(self) -> list[Affine]:
        """The layers with what training added to them as their weights."""
        self._require_start()
        before = _known(self._start).layers
        return [replace(each, weight=each.weight - old.weight) for each, old in zip(self._layers, before, strict=True)]

    def _require_start(self) -> nn.Module:
        if self._initial is None:
            raise Undefined("the network before training is not known")
        self._require_plain()
        return self._initial

    def _require_plain(self) -> None:
        network = self._model.network
        if any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in network.modules()):
            raise Undefined(_NORMALIZED)
        start = {} if self._initial is None else dict(self._initial.named_buffers())
        for name, each in network.named_buffers():
            if name in start and not torch.equal(each, start[name].to(each.device)):
                raise Undefined(f"{name} is no parameter, but training changed it")

    @cached_property
    def moved_frobenius(self) -> list[float]:
        """Of each layer, how far it is from initialization."""
        return [layer.frobenius_norm() for layer in self._moved]

    @cached_property
    def moved_spectral(self) -> list[float]:
        """Likewise."""
        return [layer.spectral_norm() for layer in self._moved]

    @property
    def convolved(self) -> int:
        """Σ k² c c′ over the layers, a dense one being a convolution as large as its input."""
        self.require_chain()
        if isinstance(why := self._read.depth(), str):
            raise Undefined(why)
        for layer in self._layers:
            if layer.kind != "dense" and (layer.outputs != 0 or layer.weight.ndim != 4):
                raise Undefined(f"{layer.name} is neither dense nor a convolution")
        return sum(self._layers[place].weight.numel() for place, *_ in self._uses)

    @property
    def margin(self) -> float:
        """See `measures`; above 0."""
        margin = self._figure("margin")
        if margin <= 0:
            raise Undefined("the margin is not above 0")
        return margin

    @property
    def path_norm(self) -> float:
        """See `measures`."""
        return self._figure("path_norm")

    def _figure(self, name: str) -> float:
        found = self._known[name]
        if found.value is None:
            raise Undefined(found.note or "not defined")
        return found.value

    @property
    def steps_to_loss(self) -> float:
        """Of the history."""
        return _known(self._steps)

    @property
    def _logits(self) -> torch.Tensor:
        if why := not_finite(self._predicted):
            raise Undefined(why)
        assert self._predicted.logits is not None
        return self._predicted.logits

    @cached_property
    def _log_chances(self) -> torch.Tensor:
        """[rows, classes] ln p in float64."""
        if self._model.options.head == "sigmoid":
            raise Undefined("sigmoids of classes are no distribution")
        return double(self._logits).log_softmax(1)

    @property
    def cross_entropy(self) -> float:
        """The mean over the rows of −ln p of the label."""
        labels = self._rows.labels.to(self._log_chances.device)
        return -self._log_chances.gather(1, labels[:, None]).mean().item()

    @property
    def negative_entropy(self) -> float:
        """The mean over the rows of Σ p ln p."""
        logs = self._log_chances
        return torch.special.xlogy(logs.exp(), logs.exp()).sum(1).mean().item()

    @cached_property
    def _vector(self) -> torch.Tensor:
        self._require_plain()
        return _flat(filters(self._model.network))

    @cached_property
    def _move(self) -> torch.Tensor:
        return self._vector - _flat(filters(self._require_start()))

    @property
    def weights(self) -> int:
        """How many there are, biases left out."""
        return len(self._vector)

    @property
    def norm(self) -> float:
        """‖w‖."""
        return self._vector.norm().item()

    @property
    def moved_norm(self) -> float:
        """‖w − w₀‖."""
        return self._move.norm().item()

    def log_moves(self, scale: float) -> float:
        """Σ ln(ε² + scale² (w − w₀)²)."""
        return (EPSILON**2 + scale**2 * self._move.square()).log().sum().item()

    @cached_property
    def sigma(self) -> float:
        """The deviation of Gaussian noise on all parameters that costs `DROP` of accuracy; see `nearby`."""
        return self._nearby(nearby.gaussian, False)

    @cached_property
    def aware_sigma(self) -> float:
        """Likewise of noise in proportion to the parameters."""
        return self._nearby(nearby.gaussian, True)

    @cached_property
    def box(self) -> float:
        """The half side of the box in which the worst that is found costs `DROP` of accuracy."""
        return self._nearby(nearby.worst, False)

    @cached_property
    def aware_box(self) -> float:
        """Likewise of a box in proportion to the parameters."""
        return self._nearby(nearby.worst, True)

    def _nearby(self, search: Callable[..., float], aware: bool) -> float:
        self._require_plain()
        accuracy = double(self._logits.argmax(1) == self._rows.labels).mean().item()
        return search(self._model, self._rows, accuracy, aware, self._seed)

    @property
    def fisher_rao(self) -> float:
        """See `named`."""
        return self._gradients[0]

    @property
    def gradient_noise(self) -> float:
        """See `named`."""
        return self._gradients[1]

    @cached_property
    def _gradients(self) -> tuple[float, float]:
        """The mean of ⟨p, ∇ℓ⟩² over the rows, and the variance of ∇ℓ, the sum of its coordinates'."""
        network, _ = self._model.network, self._logits
        values = {name: each.detach() for name, each in network.named_parameters() if each.requires_grad}
        if not values:
            raise Undefined("no weights are trained")
        if (found := dense_gradients(self._model, self._rows, {*values})) is not None:
            return found

        def loss(given: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return cross_entropy(functional_call(network, given, (image[None],)).float(), label[None]).sum()

        size = max(1, _VALUES // sum(each.numel() for each in values.values()))
        alongs, squares, total = list[torch.Tensor](), list[torch.Tensor](), 0
        flat = torch.cat([each.flatten() for each in values.values()]).double()
        for start in range(0, self.n, size):
            part = slice(start, start + size)
            images = self._model.preprocessing(self._rows.images[part])
            try:
                found = vmap(grad(loss), (None, 0, 0))(values, images, self._rows.labels[part])
            except Exception as error:
                require_enough(error)
                raise Undefined(f"single rows have no gradients: {first_line(error)}") from None
            rows = double(torch.cat([each.reshape(len(images), -1) for each in found.values()], 1))
            alongs.append(rows @ flat)
            squares.append(rows.square().sum(1))
            total = total + rows.sum(0)
        assert isinstance(total, torch.Tensor)
        noise = torch.cat(squares).mean() - (total / self.n).square().sum()
        return torch.cat(alongs).square().mean().item(), noise.clamp(min=0).item()


def _known(found: T | str) -> T:
    if isinstance(found, str):
        raise Undefined(found)
    return found


def _flat(tensors: list[nn.Parameter]) -> torch.Tensor:
    if not tensors:
        raise Undefined("no weights are trained")
    return torch.cat([each.detach().cpu().double().flatten() for each in tensors])
