"""The curvature matrices of a model's mean loss over a table, as operators on vectors of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import vjp
from torch.utils.flop_counter import FlopCounterMode

from gencli.curvature.differences import SHORT, sizes, sweep
from gencli.curvature.kinks import Kinks
from gencli.curvature.networks import (
    OVERFLOW,
    copied,
    duplicate,
    find_parameters,
    in_dtype,
    require_alone,
    require_float64,
    require_loss,
    require_rows_apart,
)
from gencli.curvature.products import METHODS, Batch, Product, Route, differentiable, jacobian, product
from gencli.errors import CheckFailed, GencliError
from gencli.files.tensors import WITHOUT_FLOAT64
from gencli.losses import Loss
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows, target_input
from gencli.objectives import each_row
from gencli.ranks import ALONE, Group

_MEMORY = 1 << 31  # bytes of the graphs of many batches, or of a Jacobian
_UNSURE = 1e-3  # of the largest product: what differences may contradict each other by

Kind = Literal["hessian", "ggn", "fisher", "empirical-fisher"]


@dataclass(frozen=True)
class _Formula:
    formula: str
    source: str


# l_i is a row's loss, z_i what the network gives for it, J_i the Jacobian of z_i, p_i the softmax of z_i
OPERATORS: dict[str, _Formula] = {
    "hessian": _Formula("H = mean of d^2 l_i / dw^2", "Pearlmutter 1994, Neural Computation 6(1)"),
    "ggn": _Formula("G = mean of J_i' (d^2 l_i / dz_i^2) J_i", "Schraudolph 2002, Neural Computation 14(7)"),
    "fisher": _Formula("F = mean of J_i' (diag p_i - p_i p_i') J_i", "Martens 2014, arXiv:1412.1193"),
    "empirical-fisher": _Formula("E = mean of (dl_i/dw) (dl_i/dw)'", "Kunstner, Hennig, Balles 2019, arXiv:1905.12558"),
}


class Operator:
    """A curvature matrix [size, size] of the mean loss over all rows, never formed.

    `hessian` is that of the mean loss; `ggn` the generalized Gauss-Newton matrix, which leaves the network's curvature
    out; `fisher` the Fisher information of the softmax, its expectation over all classes exact, and so equal to the
    GGN of cross-entropy; `empirical-fisher` the uncentred second moment of the rows' gradients. Formulas and sources
    are in `OPERATORS`.

    The network is a copy in evaluation mode, the model stays as it is. A batch counts by its rows, batches come in the
    table's order; of several processes each takes those of its part of the rows, and all get the sums over all rows.
    Double backward keeps its graphs from product to product where one batch holds all rows, or those of all batches
    take 2 GiB at most; the route `jacobian` keeps that of the outputs.

    Args:
        rows: on the device to compute on.
        loss: of `losses`; the classes' rows are those of the model's training, see `objectives.each_row`.
        parameters: a pattern of names, as of files; the others are fixed.
        dtype: float32 or float64, of all arithmetic.
        batch_size: rows at a time, which bounds the memory.
        epoch: that of the loss, where it changes in training.
        group: the processes that have the same rows.

    Attributes:
        route: of products that name none; `routes.choose` finds one that is right for the network.
        size: number of parameters in play.
        rows, outputs: number of rows, and of what the network gives for one.
        shapes: theirs, by name.
        fixed: the names of the other parameters.
        weights: [size] their values.
        kinks: torch's names of the operations in network and loss whose derivatives jump somewhere.
        flops: of one row's way through the network, as torch.utils.flop_counter counts.

    Raises:
        GencliError: no parameter matches, the loss does not fit the model or has no such operator, or rows depend on
            the other rows of their batch or on chance.
    """

    def __init__(
        self,
        model: Model,
        rows: Rows,
        loss: Loss,
        kind: Kind = "hessian",
        *,
        parameters: str = "*",
        dtype: torch.dtype = torch.float32,
        batch_size: int = 128,
        epoch: int = 1,
        group: Group = ALONE,
    ) -> None:
        require_loss(model, loss)
        if kind == "fisher" and loss != CrossEntropy():
            raise GencliError(
                f"--operator: fisher is defined for the softmax with cross-entropy, ce, not for {loss.name}",
                "use ggn or empirical-fisher, or --loss ce without smoothing",
            )
        device = rows.images.device
        self.kind, self.dtype, self.batch_size = kind, dtype, batch_size
        self.route: Route = "double-backward"
        self.network = copied(model, device, dtype)
        chosen = find_parameters(model, self.network, parameters)
        self.shapes = {name: each.shape for name, each in chosen.items()}
        self.fixed = {name for name, _ in self.network.named_parameters()} - {*chosen}
        self.weights = self.flatten(chosen)
        self.size, self.rows = len(self.weights), len(rows)
        self._model, self._data, self._labels, self.group = model, rows, rows.labels, group
        self._losses = partial(each_row, model, loss, epoch)
        self._objective = self._losses(rows.labels, dtype)
        self._kept: dict[Route, list[Product]] = {}
        self._largest = 0.0
        self._require_rows_apart()

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """[size] of tensors by parameter name, in the parameters' own order."""
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """By parameter name, a vector's [size] parts in the parameters' shapes."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def matvec(self, v: Tensor, route: Route | None = None) -> Tensor:
        """The matrix times v [size], or times each row of v [k, size]; same shape, of `dtype`.

        Several vectors at once share each batch's gradient.

        Args:
            route: `self.route` where None.
        """
        vectors = v.to(self.weights).reshape(-1, self.size)
        total = torch.zeros_like(vectors)
        route = route or self.route
        # differences are of gradients that are sums over all rows already
        with differentiable(), (ALONE if route == "finite-difference" else self.group).summed(total):
            for multiply in self._products(route):
                for place, vector in enumerate(vectors):
                    total[place] += multiply(vector)
        if not total.isfinite().all():
            raise GencliError(
                f"{self._model.title}: a product of the {self.kind} is not finite in {self.dtype}", OVERFLOW
            )
        return total.view(v.shape)

    def forget(self) -> None:
        """Drops the graphs that are kept."""
        self._kept = {}

    def dense(self, progress: Callable[[int], None] = lambda done: None) -> Tensor:
        """The matrix [size, size] itself, column i its product with the i-th unit vector."""
        total = torch.zeros(self.size, self.size, dtype=self.dtype, device=self.weights.device)
        unit = torch.zeros_like(self.weights)
        apart = ALONE if self.route == "finite-difference" else self.group
        with differentiable(), apart.summed(total):
            for batch, multiply in enumerate(self._products(self.route)):
                for place in range(self.size):
                    unit[place] = 1
                    total[place] += multiply(unit)
                    unit[place] = 0
                    progress(batch * self.size + place + 1)
        return total.T

    def gradient(self) -> Tensor:
        """[size], of the mean loss."""
        total = torch.zeros_like(self.weights)
        with differentiable(), self.group.summed(total):
            for batch in self.batches():
                total += _gradient(batch.loss, self.weights)[1]
        return total

    def at(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss at parameters w [size], and the vector field [size] whose Jacobian at `weights` is the matrix.

        That of the Hessian is the gradient. That of J' M J is J' link(outputs(w)), J staying the one at `weights`.
        """
        loss, field = torch.zeros((), dtype=self.dtype, device=w.device), torch.zeros_like(w)
        with differentiable(), self.group.summed(loss, field):
            for batch in self.batches():
                if batch.link is None:
                    value, part = _gradient(batch.loss, w)
                else:
                    with torch.no_grad():
                        outputs = batch.outputs(w)
                    value, at = batch.objective(outputs), self.weights.detach().requires_grad_()
                    (part,) = torch.autograd.grad(batch.outputs(at), at, batch.link(outputs))
                loss += value.detach()
                field += part
        return loss, field

    def batches(self) -> Iterator[Batch]:
        """The shares of the rows of this process, in order."""
        return map(self._batch, self.slices())

    def slices(self) -> list[slice]:
        """The rows of each batch of this process."""
        own, size = self.group.span(self.rows), self.batch_size
        return [slice(start, min(start + size, own.stop)) for start in own[::size]]

    def again(
        self, rows: Tensor | None = None, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Operator:
        """The same operator and loss in another precision, on another device, over the rows [n] int64 only.

        Raises:
            WithoutFloat64: that is the precision, and the network leaves it.
        """
        made, device = self.part(rows), device or self.weights.device
        made.dtype, made._data = dtype, made._data.to(device)
        made.network, made.weights = duplicate(self.network).to(device, dtype), self.weights.to(device, dtype)
        made._labels = self._labels.to(device)
        made._objective = self._losses(made._labels, dtype)
        if dtype == torch.float64 != self.dtype:
            inputs = made._inputs(slice(0, 1))
            with Kinks() as seen, torch.no_grad():
                made._evaluate(made.weights, inputs)
            require_float64(self._model.arch, seen)
        return made

    def part(self, rows: Tensor | None) -> Operator:
        """The same operator over the rows [n] int64 only, all if None; the loss is the mean over these rows.

        Of few rows each process computes the whole by itself.
        """
        made = copy.copy(self)
        made.__dict__ = {name: each for name, each in vars(self).items() if name not in ("exact", "scales", "_keeps")}
        made._data = self._data if rows is None else self._data.select(rows.to(self.weights.device))
        made.rows, made._kept = len(made._data), {}
        made.group = self.group if rows is None else ALONE
        return made

    def require_alone(self) -> None:
        """Refuses a network whose output for a row by itself differs from that in its batch.

        Raises:
            GencliError: it does.
        """
        with differentiable(), torch.no_grad(), self.group.summed():
            for part in self.slices():
                images = self._inputs(part)
                evaluate = partial(self._evaluate, self.weights)
                require_alone(self._model.title, evaluate, images, part.start)

    @cached_property
    def exact(self) -> Operator:
        """The same in float64, on the CPU where the device has none; itself where it is."""
        return self if self.dtype == torch.float64 else self.again(device=self.exact_device)

    @cached_property
    def scales(self) -> Tensor:
        """[size], see `differences.sizes`."""
        return sizes(self)

    @property
    def exact_device(self) -> torch.device:
        """Where there is float64."""
        device = self.weights.device
        return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device

    @property
    def shares(self) -> int:
        """Products that make one by `route`."""
        return len(self.slices()) if self.route in METHODS else 1

    @property
    def has_jacobian(self) -> bool:
        """Whether there is the route `jacobian`: of J' M J, where J takes 2 GiB at most."""
        return self.kind != "hessian" and self.rows * self.outputs * self.size * self.dtype.itemsize <= _MEMORY

    def _products(self, route: Route) -> Iterator[Product]:
        if route in self._kept:
            yield from self._kept[route]
        elif route == "finite-difference":
            yield lambda v: self._by_differences(v.to(self.exact.weights)).to(v)
        elif route == "jacobian":
            self._kept[route] = [self._by_jacobian(own) for own in [self.group.span(self.rows)] if own]
            yield from self._kept[route]
        else:
            kept: list[Product] = []
            for batch in self.batches():
                multiply = product(batch, self.weights, route)
                if route == "double-backward" and self._keeps:
                    kept.append(multiply)
                yield multiply
            if kept:
                self._kept[route] = kept

    def _by_differences(self, v: Tensor) -> Tensor:
        if not v.any():
            return torch.zeros_like(v)
        found, length = sweep(self.exact, v, v, steps=SHORT), float(v.norm())
        self._largest = max(self._largest, float(found.product.norm()) / length)
        if not found.error / length <= _UNSURE * self._largest:
            raise CheckFailed(
                f"differences of gradients contradict each other by {found.error / length / self._largest:.1%}",
                "use fewer rows: --limit N; kinks in the network, or a very small loss, make them unreliable",
            )
        return found.product

    def _by_jacobian(self, own: range) -> Product:
        found = [jacobian(self._batch(slice(row, row + 1)), self.weights) for row in own]
        outputs, matrix = (torch.cat(each) for each in zip(*found, strict=True))
        link = self._batch(slice(own.start, own.stop)).link
        if link is None:
            raise TypeError("a Hessian does not have the form J' M J")
        middle: Any = vjp(link, outputs)[1]
        return lambda v: middle((matrix @ v).view_as(outputs))[0].reshape(-1) @ matrix

    @cached_property
    def _keeps(self) -> bool:
        own = len(self.group.span(self.rows))
        if own <= self.batch_size:
            return True
        few, many = (self._graph(n) for n in (2, 4))  # bytes; the others' by the slope
        return -(-own // self.batch_size) * (few + (many - few) * (self.batch_size - 2) // 2) <= _MEMORY

    def _graph(self, rows: int) -> int:
        storages: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            product(replace(self._batch(slice(0, rows)), link=None), self.weights, "double-backward")
        return sum(storages.values())

    def _inputs(self, part: slice) -> Tensor:
        return self._model.preprocessing(self._data.images[part]).to(self.dtype)

    def _evaluate(self, w: Tensor, inputs: Tensor) -> Tensor:
        with in_dtype(self.dtype):
            return functional_call(self.network, self.unflatten(w), (inputs,))

    def _batch(self, part: slice) -> Batch:
        total, preprocessing = self.rows, self._model.preprocessing
        inputs, wanted = self._inputs(part), self._data.labels[part]
        if self._model.task == "images" and self._data.targets is not None:
            wanted = target_input(preprocessing.center(self._data.targets[part])).to(self.dtype)

        def outputs(w: Tensor) -> Tensor:
            return self._evaluate(w, inputs)

        def losses(outputs: Tensor) -> Tensor:
            return self._objective(outputs, wanted)

        if self.kind == "empirical-fisher":
            return Batch(lambda w: losses(outputs(w)), lambda each: each.sum() / total, lambda each: each / total)

        def objective(outputs: Tensor) -> Tensor:
            return losses(outputs).sum() / total

        links = {"ggn": torch.func.grad(objective), "fisher": lambda logits: logits.softmax(1) / total}
        return Batch(outputs, objective, links.get(self.kind))

    def _require_rows_apart(self) -> None:
        many, few = min(4, self.rows), min(2, self.rows)
        at, kinks = self.weights.clone().requires_grad_(), Kinks()
        with differentiable():
            batch = self._batch(slice(0, many))
            with kinks, FlopCounterMode(display=False) as counter:
                traced = batch.outputs(at)
                batch.objective(traced)
            others = [self._batch(slice(0, n)).outputs(at) for n in (many, few)]
        first, second, part = (each.detach() for each in (traced, *others))
        if self.dtype == torch.float64:
            require_float64(self._model.arch, kinks)
        self.kinks, self.flops = kinks.names, counter.get_total_flops() // many
        self.outputs = traced.numel() // many
        if not traced.requires_grad:
            raise GencliError(f"--parameters: no output depends on {', '.join(self.shapes)}", "include others")
        require_rows_apart(self._model.title, self.network, first, second, part)


def _gradient(function: Callable[[Tensor], Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    at = w.detach().requires_grad_()
    value = function(at)
    return value.detach(), torch.autograd.grad(value, at)[0]
