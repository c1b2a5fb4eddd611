"""Rows' Jacobians against routes that share no code with the one that made them.

torch's batching rules, forward mode and the backward of a network's own operations may each be wrong. All rows are held
against reverse mode without vmap, in one pass, and three rows of the table and the one that this doubts most against
the same in float64, a row alone, which in its turn has to be what differences of evaluations say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gencli.curvature.products import differentiable
from gencli.curvature.settings import TOLERANCES
from gencli.errors import GencliError, require_enough
from gencli.files.tensors import double
from gencli.formulas.differences import Difference, Floats, differentiate
from gencli.jacobians.rows import Chunk, Point, RowFunction, Unconfirmed
from gencli.randomness import derive
from gencli.ranks import Group

Verdict = Literal["holds", "unclear", "fails"]

# in parts of the numbers' own size
_STEPS = {  # of differences; short ones cross few kinks, long ones round little
    torch.float64: (2.0**-19, 2.0**-26, 2.0**-13),
    torch.float32: (2.0**-8, 2.0**-11, 2.0**-5),
}
_NEARBY = 2.0**-10  # how far off a kink
_SLACK = {torch.float64: 1e-6, torch.float32: 1e-3}  # allowed between autograd and differences, besides their error
_UNCLEAR = {torch.float64: 1e-3, torch.float32: 0.1}  # differences that are less sure say nothing
_DOUBT = 10
_ROUNDING = 4  # errors of a loss, in units of the last place
_SAMPLES = 4  # of rounding
_USUAL = 0.1  # largest differences that rounding by itself may cause
_TOLD = 0.01  # of rounding that is told
_WORST, _FAR = 3, 1e-2  # rows of a chunk examined if one difference is far from them, and how far
_BESIDE = 2  # points next to one at a kink
_LEAST = 1e-3  # of a row's largest output: smaller ones count less than the others


@dataclass
class Confirmation:
    """Whether chunks of Jacobians are right; raises `Unconfirmed` where one is not.

    A row is right if it equals torch's reverse mode of that row by itself in float64, within the tolerance of its
    precision or ten times the effect of rounding the point, and if that equals the derivative by differences. At kinks,
    where the derivatives ahead and behind differ, reverse mode must be right at two points next to it. If reverse mode
    is wrong or missing, the row itself must agree with differences. All are compared by random combinations of a row's
    outputs, each scaled by its size.

    Args:
        function: whose Jacobians they are.
        exact: the same in float64, where the network computes in it; otherwise the same one.
        part: the rows that are asked for, all where None.

    Attributes:
        rounding: the largest part of a row that rounding accounts for.
        examined, unclear: rows compared with differences, and those for which differences are unreliable.
    """

    function: RowFunction
    exact: RowFunction
    part: range | None = None
    rounding: float = 0.0
    examined: set[int] = field(default_factory=set)
    unclear: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._all = True
        part = range(self.function.rows) if self.part is None else self.part
        self.rows = sorted({part[0], part[derive(0, "jacobian", "row") % len(part)], part[-1]})
        self._tolerance = TOLERANCES[str(self.function.dtype).removeprefix("torch.")]
        self._usual = self._tolerance

    def __call__(self, chunk: Chunk, plain: bool) -> None:
        """Args:
        plain: whether torch's reverse mode without vmap made the chunk.

        Raises:
            Unconfirmed: a row is wrong.
            GencliError: it has derivatives that are not finite, in reverse mode too.
        """
        count = len(chunk.matrices)
        wrong = ~(chunk.matrices.flatten(1).isfinite().all(1) & chunk.values.isfinite().all(1))
        if wrong.any():
            self._refuse(chunk.start + int(wrong.nonzero()[0]))
        duals = self._duals(chunk)
        rows = {row for row in self.rows if chunk.start <= row < chunk.start + count} | self._steep(chunk, duals)
        if not plain:
            doubted = self._doubted(chunk, duals, slice(0, count))
            rows |= set() if doubted is None else {chunk.start + doubted}
        for row in sorted(rows):
            here = row - chunk.start
            self._examine(row, chunk.matrices[here], duals[here])

    def gather(self, group: Group) -> None:
        """Takes what the other processes of a group compared."""
        every = group.each(lambda: (self.rounding, self.examined, self.unclear, self._all))
        rounding, examined, unclear, everywhere = zip(*every, strict=True)
        self.rounding, self._all = max(rounding), all(everywhere)
        self.examined, self.unclear = set().union(*examined), set().union(*unclear)

    @property
    def said(self) -> str:
        """What was compared, for people and for provenance."""
        those = f"{len(self.examined)} rows compared with differences in {str(self.exact.dtype)[6:]}"
        return f"{those}, all with reverse mode without vmap" if self._all else those

    @property
    def notes(self) -> list[str]:
        """Remarks on the comparison for people, one line each."""
        found = []
        if self.rounding > _TOLD:
            found.append(
                f"rounding in {str(self.function.dtype)[6:]} changes a row's derivatives by {self.rounding:.1g} of "
                "their size, compared with float64; --dtype float64 avoids this"
            )
        if self.exact.dtype != torch.float64:
            found.append("the network fails in float64: differences are in float32 and detect only errors above 0.1 %")
        if self.unclear == self.examined:
            found.append("differences are unreliable for all compared rows; two routes agree")
        return found

    def _refuse(self, row: int) -> None:
        """Of a row that is not finite."""
        function = self.function
        point = function.point(row)
        if self._pull(function, row, point, torch.ones(function.outputs)).isfinite().all():
            raise Unconfirmed(f"row {row} is not finite")
        raise GencliError(
            f"{function.title}: row {row}: its outputs or their derivatives are not finite in {function.dtype}",
            "gencli eval counts rows whose outputs are not finite; --dtype float64 has a larger range",
        )

    def _duals(self, chunk: Chunk) -> Tensor:
        norms = torch.linalg.vector_norm(chunk.matrices, dim=2)
        sizes = torch.maximum(norms, _LEAST * norms.amax(1, keepdim=True))
        drawn = _normals(norms, "outputs", chunk.start)
        return drawn / torch.where(sizes > 0, sizes, 1)

    def _steep(self, chunk: Chunk, duals: Tensor) -> set[int]:
        """At most `_WORST` rows that are farthest from one difference of all rows together, if any is far."""
        exact, device, step = self.exact, self.exact.device, _STEPS[self.exact.dtype][0]
        images, targets = exact.inputs(slice(chunk.start, chunk.start + len(duals)))
        point = {"input": images} if exact.wrt == "input" else exact.point(0)
        way, dual = _direction(point, "ways", chunk.start), duals.to(device, exact.dtype)
        with differentiable(), torch.no_grad():
            ahead, behind = (
                exact.values(at["input"], targets) if exact.wrt == "input" else exact.values(images, targets, at)
                for at in (_moved(point, way, step), _moved(point, way, -step))
            )
        slopes = ((ahead - behind) * dual).sum(1) / (2 * step)
        pushed = torch.einsum("no,nos->ns", duals, chunk.matrices).to(device, exact.dtype)
        parts = pushed * (way["input"].flatten(1) if exact.wrt == "input" else exact.join(way))
        apart = (parts.sum(1) - slopes).abs() / parts.norm(dim=1)
        far = [row for row in apart.nan_to_num(0.0).topk(min(_WORST, len(apart))).indices.tolist() if apart[row] > _FAR]
        return {chunk.start + row for row in far}

    def _doubted(self, chunk: Chunk, duals: Tensor, part: slice) -> int | None:
        """The row of this part that is farthest from reverse mode, if any is farther than usual."""
        images, targets = self.function.inputs(slice(chunk.start + part.start, chunk.start + part.stop))
        try:
            expected = self.function.pull(images, targets, duals[part])
        except RuntimeError as error:  # torch lacks it
            require_enough(error)
            self._all = False
            return None
        shape = "no,nos->ns" if self.function.wrt == "input" else "no,nos->s"
        found = torch.einsum(shape, duals[part], chunk.matrices[part]).reshape(expected.shape)
        apart = torch.linalg.vector_norm(found - expected, dim=1) / torch.linalg.vector_norm(expected, dim=1)
        apart = torch.where(found.ne(expected).any(1), apart.nan_to_num(math.inf), 0)
        worst = int(apart.argmax())
        if float(apart[worst]) <= self._usual:
            return None
        if self.function.wrt == "input" or part.stop - part.start == 1:
            return part.start + worst
        middle = (part.start + part.stop) // 2
        halves = (self._doubted(chunk, duals, each) for each in (slice(part.start, middle), slice(middle, part.stop)))
        return next((each for each in halves if each is not None), None)

    def _examine(self, row: int, matrix: Tensor, dual: Tensor) -> None:
        self.examined.add(row)
        device = self.exact.device
        pushed, dual = double(dual @ matrix).to(device), dual.to(device, self.exact.dtype)
        truth = self._truth(row, dual)
        if truth is None:
            if self._compare(row, self.exact.point(row), dual, pushed, self._tolerance) != "holds":
                raise Unconfirmed(f"row {row} contradicts differences")
            return
        size, apart = float(truth.norm()), float((pushed - truth).norm())
        if apart <= self._tolerance * size:
            return
        rounding = self._rounding(row, dual, truth)
        part = apart / (size or math.inf)
        if apart > _DOUBT * rounding:
            raise Unconfirmed(f"row {row} is off by {apart / size if size else math.inf:.2g} of its size")
        self.rounding = max(self.rounding, part)
        self._usual = max(self._usual, min(part, _USUAL))

    def _truth(self, row: int, dual: Tensor) -> Tensor | None:
        """[size] dual times the Jacobian of a row by reverse mode, where it is the derivative."""
        point, slack = self.exact.point(row), _SLACK[self.exact.dtype]
        try:
            truth = self._pull(self.exact, row, point, dual)
        except RuntimeError as error:
            require_enough(error)
            return None
        verdict = self._compare(row, point, dual, truth, slack)
        if verdict == "fails" and not self._jumps(row, point, dual):
            return None
        if verdict != "holds":
            ways = (_direction(point, "beside", row, number) for number in range(_BESIDE))
            points = [_moved(point, way, _NEARBY) for way in ways]
            beside = [self._compare(row, at, dual, self._pull(self.exact, row, at, dual), slack) for at in points]
            if "fails" in beside:
                return None
            if "holds" not in beside:
                self.unclear.add(row)
        return truth

    def _compare(self, row: int, point: Point, dual: Tensor, pulled: Tensor, slack: float) -> Verdict:
        """Of pulled [size], the derivative of dual times the outputs, along a random direction with differences."""
        way = _direction(point, "way", row)
        moves = self.exact.join(way) * pulled
        slope, size = float(moves.sum()), float(moves.norm())
        found: list[tuple[float, float]] = []  # errors and values
        for step in _STEPS[self.exact.dtype]:
            value, error = self._along(row, point, way, dual, "central", step)
            found.append((error, value))
            if _DOUBT * error <= slack * size and abs(slope - value) <= slack * size:
                break
        error, numeric = min(found)
        # rounding can make one step seem sure of what the others contradict
        doubt = _DOUBT * max(error, *(abs(each - numeric) - own for own, each in found))
        apart, clear = abs(slope - numeric), doubt <= _UNCLEAR[self.exact.dtype] * size
        if apart <= slack * size + (doubt if clear else 0):
            return "holds"
        return "fails" if apart > slack * size + doubt else "unclear"

    def _jumps(self, row: int, point: Point, dual: Tensor) -> bool:
        """Whether the derivatives ahead and behind differ."""
        way = _direction(point, "way", row)
        back = {name: -each for name, each in way.items()}
        ahead, behind = (
            self._along(row, point, each, dual, "forward", _STEPS[self.exact.dtype][0]) for each in (way, back)
        )
        return abs(ahead[0] + behind[0]) > _DOUBT * (ahead[1] + behind[1])

    def _along(
        self, row: int, point: Point, way: Point, dual: Tensor, difference: Difference, step: float
    ) -> tuple[float, float]:
        """The derivative of dual times a row's outputs from a point along a way, by evaluations, and its error."""
        exact, (images, targets) = self.exact, self.exact.inputs(slice(row, row + 1))

        def values(steps: Floats) -> Floats:
            made = []
            for each in torch.from_numpy(steps[:, 0]).to(dual):
                moved = _moved(point, way, float(each))
                of_input = exact.wrt == "input"
                outputs = (
                    exact.values(moved["input"][None], targets) if of_input else exact.values(images, targets, moved)
                )
                made.append(float(outputs[0] @ dual))
            return np.array(made)[:, None]

        start = np.zeros((1, 1), np.float64 if exact.dtype == torch.float64 else np.float32)
        with differentiable(), torch.no_grad():
            derivative, error = differentiate(values, start, [(np.ones(1), None)], difference, step)
        # cross-entropy and the like round as numbers of size 1, however small they are
        floor = _ROUNDING * torch.finfo(exact.dtype).eps * float(dual.abs().sum()) / step if exact.of_loss else 0.0
        return float(derivative.item()), float(error.item()) + floor

    def _rounding(self, row: int, dual: Tensor, truth: Tensor) -> float:
        """How far reverse mode in the function's own precision, of points that rounding moved, is from truth [size]."""
        function, most = self.function, 0.0
        point = {name: each.to(function.dtype) for name, each in self.exact.point(row).items()}
        for number in range(_SAMPLES):
            way = _direction(point, "rounding", row, number)
            moved = _moved(point, way, 2 * torch.finfo(function.dtype).eps if number else 0.0)
            most = max(most, float((double(self._pull(function, row, moved, dual)).to(truth) - truth).norm()))
        return most

    def _pull(self, function: RowFunction, row: int, point: Point, dual: Tensor) -> Tensor:
        images, targets = function.inputs(slice(row, row + 1))
        point = {name: each.to(images) for name, each in point.items()}
        duals = dual[None].to(images)
        if function.wrt == "input":
            return function.pull(point["input"][None], targets, duals)[0]
        return function.pull(images, targets, duals, point)[0]


def _normals(like: Tensor, *purpose: str | int) -> Tensor:
    generator = torch.Generator().manual_seed(derive(0, "jacobian", *purpose))
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


def _direction(point: Point, *purpose: str | int) -> Point:
    """Random, of each tensor's own size, or that of all where it is 0."""
    squares = [(float(each.square().sum()), each.numel()) for each in point.values()]
    total, numbers = reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]), squares)
    usual = math.sqrt(total / numbers) or 1.0
    return {
        name: _normals(each, *purpose, name) * (math.sqrt(square / number) or usual)
        for (name, each), (square, number) in zip(point.items(), squares, strict=True)
    }


def _moved(point: Point, way: Point, step: float) -> Point:
    return {name: each + step * way[name] for name, each in point.items()}
