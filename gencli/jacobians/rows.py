"""Jacobians of a network row by row: of its outputs or its loss, by its input or by its parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from gencli.curvature.kinks import Kinks
from gencli.curvature.networks import (
    copied,
    find_parameters,
    in_dtype,
    require_alone,
    require_float64,
    require_loss,
    require_rows_apart,
)
from gencli.curvature.products import differentiable, load_forward_mode
from gencli.errors import CheckFailed, GencliError, first_line
from gencli.losses import Loss
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows, target_input
from gencli.objectives import each_row

Wrt = Literal["input", "parameters"]
Mode = Literal["forward", "reverse"]
Point = dict[str, Tensor]
_Compute = Callable[["RowFunction", Mode, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

_TOGETHER = 128  # rows
_WORDS = 100  # characters of an error of torch's
_MEMORY = 1 << 26  # bytes of a chunk of rows and directions
_FAILURES = (RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Chunk:
    """The Jacobians of consecutive rows.

    Attributes:
        start: the first row.
        values: [rows, outputs] of the function.
        matrices: [rows, outputs, size].
    """

    start: int
    values: Tensor
    matrices: Tensor


class Unconfirmed(Exception):  # noqa: N818
    """Derivatives that are not what they should be, and in words why."""


Confirm = Callable[[Chunk, bool], None]


class _Ways:
    """The ways to compute Jacobians that are left, the first of which is used.

    Attributes:
        why: those before were given up, in words: the first one's, or that of the first whose derivatives were wrong.
        denied: whether any were wrong.
    """

    def __init__(self, model: Model, left: list[tuple[Mode, _Compute]]) -> None:
        self.left, self.why, self.denied = left, "", False
        self._model, self._changed = model, False

    def give_up(self, error: Exception) -> None:
        """Leaves the first way, for this reason."""
        used, compute = self.left.pop(0)
        if isinstance(error, Unconfirmed):
            which = "torch.func.vmap in " if compute is _together else ""
            wrong = f"{which}{used} mode is wrong for {self._model.arch}: {error}"
            self.why, self.denied = self.why if self.denied else wrong, True
        self.why = self.why or f"torch.func.vmap does not support {self._model.title}: {first_line(error, _WORDS)}"
        self._changed = True

    def news(self) -> str:
        """What to say of the way in use, where it has just replaced another."""
        used, compute = self.left[0]
        how = "with all directions together" if compute is _together else "row by row, which is slower"
        changed, self._changed = self._changed, False
        return f"in {used} mode {how}: {self.why}" if changed else ""


class RowFunction:
    """What a network, or a loss of it, makes of a row: a function of the row's input or of the parameters.

    The network is a copy in evaluation mode, the model stays as it is. The input is what the network gets, after the
    model's preprocessing.

    Args:
        rows: on the device to compute on.
        loss: None for the network's outputs; see `objectives.each_row`.
        parameters: a pattern of names, as of files; the others are fixed.
        epoch: that of the loss, where it changes in training.

    Attributes:
        shapes: of what it is differentiated by: of `input`, or of the parameters by name.
        size, outputs: how many numbers go in and come out; these have the `shape`.
        of_images, of_loss: whether the network makes images, and whether the function is a loss.
        kinks: torch's names of the operations whose derivatives jump somewhere.

    Raises:
        GencliError: no parameter matches, the loss does not fit the model, or rows depend on the other rows of their
            batch or on chance.
    """

    def __init__(
        self,
        model: Model,
        rows: Rows,
        wrt: Wrt,
        loss: Loss | None = None,
        *,
        parameters: str = "*",
        dtype: torch.dtype = torch.float32,
        epoch: int = 1,
    ) -> None:
        if loss is not None:
            require_loss(model, loss)
        self.rows, self.wrt, self.dtype = len(rows), wrt, dtype
        self.network = copied(model, rows.images.device, dtype)
        self._weights = find_parameters(model, self.network, parameters) if wrt == "parameters" else {}
        self.network.requires_grad_(False)
        self._model, self._data, self._losses = model, rows, None
        if loss is not None:
            self._losses = each_row(model, loss, epoch, rows.labels, dtype)
        images, _ = self.inputs(slice(0, min(4, self.rows)))
        with differentiable(), torch.no_grad():
            first, second, part = (self._made({}, images[:n]) for n in (len(images), len(images), 2))
        require_rows_apart(model.title, self.network, first, second, part)
        self.shapes = {name: each.shape for name, each in self.point(0).items()}
        self.size = sum(shape.numel() for shape in self.shapes.values())
        self.shape = first.shape[1:] if loss is None else torch.Size()
        self.outputs = self.shape.numel()
        self.of_images, self.of_loss = model.task == "images", loss is not None
        self._kept = self._count_kept()

    def inputs(self, part: slice) -> tuple[Tensor, Tensor]:
        """What the network gets [n, channels, height, width] of these rows, and what its outputs are compared with."""
        preprocessing, targets = self._model.preprocessing, self._data.targets
        images = preprocessing(self._data.images[part]).to(self.dtype)
        if self._model.task == "images" and targets is not None:
            return images, target_input(preprocessing.center(targets[part])).to(self.dtype)
        return images, self._data.labels[part]

    def point(self, row: int) -> Point:
        """Where a row's Jacobian is taken: tensors of `shapes`."""
        return {"input": self.inputs(slice(row, row + 1))[0][0]} if self.wrt == "input" else self._weights

    def __call__(self, point: Point, image: Tensor, target: Tensor) -> Tensor:
        """[outputs] at a point, of a row's image, which a point of inputs replaces, and target."""
        image, weights = (point["input"], {}) if self.wrt == "input" else (image, point)
        return self.values(image[None], target[None], weights)[0]

    def values(self, images: Tensor, targets: Tensor, weights: Point | None = None) -> Tensor:
        """[n, outputs] of n rows together, at the network's weights or these in their place."""
        made = self._made(weights or {}, images)
        return (made if self._losses is None else self._losses(made, targets)).reshape(len(images), -1)

    def _made(self, weights: Point, images: Tensor) -> Tensor:
        with in_dtype(self.dtype):
            return functional_call(self.network, weights, (images,))

    def require_alone(self, rows: range | None = None) -> None:
        """Refuses a network whose output for one of these rows by itself differs from that among other rows.

        Raises:
            GencliError: it does.
        """
        with differentiable(), torch.no_grad():
            rows = range(self.rows) if rows is None else rows
            for start in rows[::_TOGETHER]:
                images = self.inputs(slice(start, min(start + _TOGETHER, rows.stop)))[0]
                require_alone(self._model.title, lambda images: self._made({}, images), images, start)

    def pull(self, images: Tensor, targets: Tensor, duals: Tensor, weights: Point | None = None) -> Tensor:
        """Duals [n, outputs] times the Jacobians of n rows by torch's reverse mode only, without vmap.

        Returns:
            [n, size]; by parameters [1, size], the sum over rows.
        """
        given = {"input": images} if self.wrt == "input" else weights or self._weights
        point = {name: each.detach().requires_grad_() for name, each in given.items()}
        with differentiable():
            of_input = self.wrt == "input"
            values = self.values(point["input"], targets) if of_input else self.values(images, targets, point)
            found = torch.autograd.grad(values, list(point.values()), duals, materialize_grads=True)
        return found[0].flatten(1) if of_input else self.join(dict(zip(point, found, strict=True)))[None]

    @property
    def device(self) -> torch.device:
        """That of the rows, on which it computes."""
        return self._data.images.device

    @property
    def title(self) -> str:
        """The model's name in messages."""
        return self._model.title

    @property
    def mode(self) -> Mode:
        """Forward mode takes one pass per input, reverse mode one per output: the one that takes fewer."""
        return "forward" if self.size < self.outputs else "reverse"

    def jacobians(
        self,
        mode: Mode | None = None,
        say: Callable[[str], None] = lambda note: None,
        rows: range | None = None,
        confirm: Confirm = lambda chunk, plain: None,
    ) -> Iterator[Chunk]:
        """The rows' Jacobians in order, in chunks whose computation takes about 64 MiB in addition to the result.

        Rows and directions go together through torch.func.vmap; a network that it cannot do, or does wrong, goes row
        by row. Where a chunk is not confirmed, those of the next way start at the first row again.

        Args:
            mode: None for the cheaper one, or the other where torch lacks it or has it wrong.
            say: takes what is done in another way than it should be.
            rows: consecutive ones; None for all.
            confirm: gets a chunk, and whether plain reverse mode of torch computed it; raises `Unconfirmed`.

        Raises:
            GencliError: torch cannot differentiate the network in this mode.
            CheckFailed: no way's derivatives are confirmed.
        """
        modes: list[Mode] = [mode] if mode else [self.mode, "forward" if self.mode == "reverse" else "reverse"]
        ways = _Ways(self._model, [(each, how) for each in modes for how in (_together, _row_by_row)])
        every = left = range(self.rows) if rows is None else rows
        while left:
            used, compute = ways.left[0]
            most, directions = self._widths(used)
            part = left[: most if compute is _together else 1]
            try:
                chunk = self._chunk(slice(part.start, part.stop), directions, used, compute)
                confirm(chunk, compute is _row_by_row and used == "reverse")
            except (*_FAILURES, Unconfirmed) as error:
                if isinstance(error, torch.OutOfMemoryError) or "allocate" in str(error):
                    raise
                ways.give_up(error)
                left = every if isinstance(error, Unconfirmed) else left
                if not ways.left:
                    raise self._none_left(mode, ways.why if ways.denied else "", first_line(error), confirm) from error
                continue
            if note := ways.news():
                say(note)
            yield chunk
            left = left[len(part) :]

    def _none_left(self, mode: Mode | None, wrong: str, missing: str, confirm: Confirm) -> GencliError:
        hint, other = "", "reverse" if mode == "forward" else "forward"
        with suppress(*_FAILURES, GencliError):
            if mode and next(self.jacobians(other, rows=range(1), confirm=confirm)):
                hint = f"use --mode {other}"
        if wrong:
            return CheckFailed(
                f"differences confirm no derivatives, so nothing is written: {wrong}",
                hint or "correct the backward of the network's own operations",
            )
        return GencliError(
            f"--mode: {mode or self.mode} is not available for {self._model.arch}: {missing}", hint or "see --debug"
        )

    def _chunk(self, part: slice, directions: int, mode: Mode, compute: _Compute) -> Chunk:
        images, targets = self.inputs(part)
        count = self.outputs if mode == "reverse" else self.size
        matrices = images.new_empty(len(images), self.outputs, self.size)
        values = images.new_empty(len(images), self.outputs)
        with differentiable(), _quiet():
            for start in range(0, count, directions):
                stop = min(start + directions, count)
                units = torch.zeros(stop - start, count, dtype=self.dtype, device=images.device)
                units[range(stop - start), range(start, stop)] = 1
                values, found = compute(self, mode, images, targets, units)
                if mode == "reverse":
                    matrices[:, start:stop] = found
                else:
                    matrices[:, :, start:stop] = found.mT
        return Chunk(part.start, values.detach(), matrices)

    def _widths(self, mode: Mode) -> tuple[int, int]:
        """Rows and directions at a time."""
        count = self.outputs if mode == "reverse" else self.size
        one = self.dtype.itemsize * (self._kept + self.size + self.outputs)
        directions = max(1, min(count, _MEMORY // one))
        return max(1, _MEMORY // (one * count)), directions

    def _count_kept(self) -> int:
        """Numbers that autograd keeps of a row, the network's own left out."""
        own = {each.untyped_storage().data_ptr() for each in (*self.network.parameters(), *self.network.buffers())}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        images, targets = self.inputs(slice(0, 1))
        point = {name: each.detach().requires_grad_() for name, each in self.point(0).items()}
        seen = Kinks()
        with differentiable(), seen, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            values = self(point, images[0], targets[0])
        self.kinks = seen.names
        if self.dtype == torch.float64:
            require_float64(self._model.arch, seen)
        if not values.requires_grad:
            raise GencliError(
                f"--wrt: no output of {self._model.arch} depends on {', '.join(self.shapes)}", "use others"
            )
        return sum(kept.values()) // self.dtype.itemsize

    def split(self, vectors: Tensor) -> Point:
        """Vectors [..., size] as tensors [..., *shape] by name."""
        parts = vectors.split([shape.numel() for shape in self.shapes.values()], -1)
        return {
            name: part.reshape((*vectors.shape[:-1], *shape))
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def join(self, tensors: Point) -> Tensor:
        """[size] of one vector's tensors by name."""
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])


def _together(
    function: RowFunction, mode: Mode, images: Tensor, targets: Tensor, units: Tensor
) -> tuple[Tensor, Tensor]:
    """Values [n, outputs] and Jacobian times units [n, units, size], or in forward mode [n, units, outputs]."""
    load_forward_mode()

    def of_row(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        point = {"input": image} if function.wrt == "input" else function.point(0)
        if mode == "reverse":
            made: Any = vjp(lambda point: function(point, image, target), point)
            values, pull = made
            return values, vmap(lambda unit: function.join(pull(unit)[0]))(units)
        values, pushed = vmap(lambda unit: _push(function, point, image, target, unit))(units)
        return values[0], pushed

    return vmap(of_row)(images, targets)


def _row_by_row(
    function: RowFunction, mode: Mode, images: Tensor, targets: Tensor, units: Tensor
) -> tuple[Tensor, Tensor]:
    """What `_together` gives, of one row, a direction at a time."""
    load_forward_mode()
    [image], [target] = images, targets
    point = {"input": image} if function.wrt == "input" else function.point(0)
    if mode == "forward":
        made = [_push(function, point, image, target, unit) for unit in units]
        return made[0][0][None], torch.stack([pushed for _, pushed in made])[None]
    point = {name: each.detach().requires_grad_() for name, each in point.items()}
    values = function(point, image, target)
    pulled = [
        torch.autograd.grad(values, list(point.values()), unit, retain_graph=True, materialize_grads=True)
        for unit in units
    ]
    joined = [function.join(dict(zip(point, each, strict=True))) for each in pulled]
    return values[None], torch.stack(joined)[None]


def _push(function: RowFunction, point: Point, image: Tensor, target: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    made: Any = jvp(lambda at: function(at, image, target), (point,), (function.split(unit),))
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():  # torch tells its own developers what could be faster
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


def singular_values(matrices: Tensor) -> Tensor:
    """[..., min(outputs, size)] float64, descending, of matrices [..., outputs, size]."""
    return torch.linalg.svdvals(matrices.cpu().double())


def rank(singular: Tensor, dtype: torch.dtype) -> Tensor:
    """[...] how many singular values are no rounding errors: above 32 units in the last place of the matrix's norm."""
    norm = singular.square().sum(-1, keepdim=True).sqrt()
    return (singular > 32 * torch.finfo(dtype).eps * norm).sum(-1)
