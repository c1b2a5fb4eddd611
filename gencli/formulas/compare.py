"""Jacobians and second derivatives of formulas by three independent routes, and the differences between these.

`numeric` uses only evaluations, `forward` follows the rules of calculus, `reverse` is torch's autograd. What rounding
left of the latter two is known from evaluations in many digits, which are what `numeric` takes as well by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.formulas.calculus import Evaluation, evaluate
from gencli.formulas.differences import Difference, Direction, differentiate
from gencli.formulas.extended import Extended
from gencli.formulas.functions import EVERY
from gencli.formulas.matrices import Points
from gencli.formulas.parsing import FormulaError, Program
from gencli.formulas.requests import Request

if TYPE_CHECKING:
    import torch

Floats = NDArray[Any]
_BLOCK = 4_000_000  # numbers that the nodes of a block of points may have
_STEPS = 100  # evaluations of a numeric derivative


@dataclass(frozen=True)
class Derivatives:
    """What the three methods found.

    Attributes:
        values: [points, outputs] of the formulas, right to the last digit.
        methods: numeric, forward, reverse: [points, outputs, inputs]; Hessians [points, outputs, inputs, inputs].
        allowed: by how much numeric, forward and exact may differ from reverse, of the same shapes.
        exact, uncertain: the derivatives from many digits, and their error; NaN and infinite where these find none.
        traced: the formulas' values by evaluation in the dtype.
    """

    program: Program
    points: Points
    values: Floats
    methods: dict[str, Floats]
    allowed: dict[str, Floats]
    exact: Floats
    uncertain: Floats
    traced: Floats

    def difference(self, method: str) -> Floats:
        """From reverse."""
        other = self.exact if method == "exact" else self.methods[method]
        return abs(other - self.methods["reverse"])

    def errors(self, method: str) -> Floats:
        """Bounds; NaN where they are not known."""
        return abs(self.methods[method] - self.exact) + self.uncertain

    def tensors(self) -> dict[str, torch.Tensor]:
        """One matrix per method, [outputs, inputs], of several points [points, outputs, inputs]."""
        import torch

        return {
            method: torch.from_numpy(np.ascontiguousarray(each if self.points.several else each[0]))
            for method, each in self.methods.items()
        }

    def facts(self) -> dict[str, Any]:
        """What the matrices' rows and columns are."""
        return {"formulas": [each.text for each in self.program.formulas], "inputs": self.program.inputs}

    def disagreements(self) -> Iterator[str]:
        """Of each method that differs from reverse by more than it may: how often, and where by most."""
        said = np.isnan(self.exact)  # of reverse, which is wrong where exact is not known or numeric has said so
        for method, allowed in self.allowed.items():
            difference = self.difference(method)
            wrong = ~(difference <= allowed) & ~(said & (method == "exact"))
            said |= wrong & (method == "numeric")
            if wrong.any():
                excess = np.where(wrong, np.nan_to_num(difference - allowed, nan=np.inf), -1)
                worst = np.unravel_index(excess.argmax(), wrong.shape)
                lost = self.difference("exact")[worst] > self.allowed["exact"][worst]
                yield (
                    f"{'extended evaluation' if method == 'exact' else method} and reverse disagree in "
                    f"{wrong.sum():,} of {wrong.size:,} numbers: {self._name(worst)}, "
                    f"difference {difference[worst]:.2g}, allowed {allowed[worst]:.2g}"
                    f"{'; reverse is ' + self._right('reverse', worst) if lost else ''}"
                )

    def _name(self, place: Sequence[Any]) -> str:
        point, output, *inputs = map(int, place)
        names = " and ".join(self.program.inputs[each] for each in inputs)
        return f"{self.program.output_names[output]} by {names}, {self.points.place(point)}"

    def _right(self, method: str, place: Any) -> str:
        return f"{self.methods[method][place]:.6g} instead of {self.exact[place]:.6g}"

    def losses(self) -> Iterator[str]:
        """Of forward and reverse, where fewer than half of the digits are right and the tolerance does not see it."""
        for method in ("forward", "reverse"):
            errors = self.errors(method)
            few = self._few(errors, self.exact, self.uncertain) & (errors <= self.allowed["exact"])
            if few.any():
                place = np.unravel_index(np.where(few, errors, -1).argmax(), few.shape)
                yield (
                    f"{method} keeps less than half of its digits in {few.sum():,} of {few.size:,} numbers: "
                    f"{self._name(place)}: {self._right(method, place)}"
                )

    def value_losses(self) -> Iterator[str]:
        """The same for the values of the formulas, as traces and graphs show them."""
        for point, output in np.argwhere(self._few(abs(self.traced - self.values), self.values, 0)).tolist():
            yield (
                f"{self.values.dtype} keeps less than half of the digits of {self.program.output_names[output]}, "
                f"{self.points.place(point)}: {self.traced[point, output]:.6g} instead of "
                f"{self.values[point, output]:.6g}"
            )

    @staticmethod
    def _few(errors: Floats, right: Floats, uncertain: Floats | int) -> NDArray[np.bool_]:
        limits = np.finfo(right.dtype)
        return (errors > np.sqrt(limits.eps) * abs(right) + 4 * limits.smallest_subnormal) & (abs(right) > uncertain)


def compute(
    request: Request,
    difference: Difference | None,
    step: float | None,
    dtype: str,
    tolerance: float,
    advance: Callable[[int], None],
) -> Derivatives:
    """What a request asks for, by all methods.

    Args:
        difference: the numeric method's, see `numeric`; None for that of evaluations in many digits, see `extended`.
        step: of the differences, None to choose it.
        tolerance: by how much forward and reverse may differ, relative to 1 or to the derivative where that is larger;
            numeric may differ by its estimated error more.
        advance: takes the number of points that are done.

    Raises:
        FormulaError: a formula or its derivative is not finite at a point.
        GencliError: no step stays in a formula's domain, or torch finds no derivative.
    """
    program, points, vectors = request.program, request.points, request.vectors
    with np.errstate(over="ignore"):
        inputs, axes = points.coordinates.astype(dtype), np.eye(len(program.inputs), dtype=dtype)
    along = None if vectors is None else np.atleast_2d(vectors).astype(dtype)
    ways: list[Direction] = [(axis, way) for way in ([None] if along is None else along) for axis in axes]
    size = max(1, _BLOCK // (len(program.nodes) * max(_STEPS, len(ways))))
    blocks = [slice(start, start + size) for start in range(0, len(inputs), size)]
    _require_exponents(program, points, inputs)
    traced, forward = _by_rules(program, points, inputs, along, axes, blocks)
    extended = Extended(program, dtype)
    found = []
    for number, point in enumerate(inputs, 1):
        found.append(extended.derivatives(point, ways))
        advance(number)
    values, exact, uncertain = (np.stack(each) for each in zip(*found, strict=True))
    numeric, errors = exact, uncertain
    if difference:
        numeric, errors = _by_differences(program, inputs, ways, difference, step, extended, blocks)
        errors = errors + np.where(np.isfinite(uncertain), uncertain, 0)  # of kinks
    shape = (*forward.shape[:2], *((len(axes),) if vectors is None else vectors.shape))
    numeric, errors, forward, exact, uncertain = (
        each.reshape(shape) for each in (numeric, errors, forward, exact, uncertain)
    )
    _require_defined(program, points, numeric, forward, exact, difference, step, along is not None)
    reverse = np.concatenate([_reverse(program, inputs[block], along) for block in blocks]).reshape(shape)
    lost = f"its derivative by %, in reverse mode, has a part that is not finite in {dtype}"
    _refuse(program, points, ~np.isfinite(reverse), lost)
    slack = tolerance * np.maximum(1, abs(reverse))
    methods = {"numeric": numeric, "forward": forward, "reverse": reverse}
    allowed = {"numeric": errors + slack, "forward": slack, "exact": uncertain + slack}
    return Derivatives(program, points, values, methods, allowed, exact, uncertain, traced)


def _by_rules(
    program: Program, points: Points, inputs: Floats, along: Floats | None, axes: Floats, blocks: Sequence[slice]
) -> tuple[Floats, Floats]:
    """The formulas' values and derivatives by the rules of calculus."""

    def place(start: int) -> Callable[[int], str]:
        return lambda row: points.place(start + row)

    made = []
    for block in blocks:
        evaluation = Evaluation(program, inputs[block], place(block.start))
        tangents = evaluation.outputs(evaluation.tangents(axes)) if along is None else evaluation.second(along)
        made.append((evaluation.outputs(evaluation.values), tangents))
    values, forward = (np.concatenate(each) for each in zip(*made, strict=True))
    return values, forward


def _by_differences(
    program: Program, inputs: Floats, ways: list[Direction], difference: Difference, step: float | None,
    extended: Extended, blocks: Sequence[slice],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Difference quotients and their errors; the rounding of a value is what its evaluation in many digits says."""

    def outputs(at: Floats) -> Floats:
        every = evaluate(program, list(at.T), str(inputs.dtype))
        return np.stack([np.broadcast_to(every[place], len(at)) for place in program.outputs], 1)

    def rounding(at: Floats) -> Floats:
        return abs(outputs(at) - extended.values(at))

    parts = [differentiate(outputs, inputs[block], ways, difference, step, rounding) for block in blocks]
    numeric, errors = (np.concatenate(each) for each in zip(*parts, strict=True))
    return numeric, errors


def _require_defined(
    program: Program, points: Points, numeric: Floats, forward: Floats, exact: Floats,
    difference: Difference | None, step: float | None, second: bool,
) -> None:  # fmt: skip
    """Refuses derivatives that do not exist, or that the dtype or a step does not reach."""
    refuse, dtype = partial(_refuse, program, points), forward.dtype
    refuse(np.isinf(exact), f"its derivative by % is too large for {dtype}")
    refuse(~np.isfinite(forward), f"its derivative by %, in forward mode, has a part too large for {dtype}")
    if difference is None:
        jumps = "the formula or its derivative ends or jumps" if second else "the formula ends or jumps"
        refuse(np.isnan(numeric), f"its derivative by % does not exist: {jumps} there")
    steps = "every step" if step is None else f"--step {step:g}"
    hint = "use another step, or --step auto" if step else "choose another point"
    refuse(~np.isfinite(numeric), f"{steps} leaves the domain, or is lost in rounding", hint)


@np.errstate(over="ignore")
def _require_exponents(program: Program, points: Points, inputs: Floats) -> None:
    """Refuses numbers that the dtype makes 0."""
    for node in program.nodes:
        if node.function == "number" and node.value and not np.asarray(node.value, inputs.dtype):
            raise FormulaError(node.formula, node.column, f"too small for {inputs.dtype}", "use --dtype float64")
    lost = np.argwhere((inputs == 0) & (points.coordinates != 0))
    if len(lost):
        point, place = lost[0]
        what = f"{program.inputs[place]} is too small for {inputs.dtype}, {points.place(point)}"
        raise GencliError(what, "use --dtype float64")


def _refuse(
    program: Program, points: Points, where: NDArray[np.bool_], what: str, hint: str = "choose another point"
) -> None:
    """Refuses the derivatives there, by the first; % stands for its inputs."""
    if where.any():
        point, output, *inputs = map(int, np.argwhere(where)[0])
        said = what.replace("%", " and ".join(program.inputs[each] for each in inputs))
        raise GencliError(f"{program.formulas[output].where}: {said}, {points.place(point)}", hint)


def _reverse(program: Program, points: Floats, vectors: Floats | None) -> Floats:
    """[points, outputs, inputs] by torch's autograd; with vectors, by which it differentiates again, one by one."""
    import torch

    x = torch.from_numpy(points.copy()).requires_grad_()
    nodes: list[torch.Tensor] = []
    for node in program.nodes:
        if node.function == "input":
            nodes.append(x[:, int(node.value)])
        elif node.function == "number":
            nodes.append(torch.tensor(node.value, dtype=x.dtype))
        else:
            nodes.append(_by_torch(node.function, [nodes[each] for each in node.arguments]))

    def gradient(of: torch.Tensor, again: bool = False) -> torch.Tensor:
        if not of.requires_grad:
            return torch.zeros_like(x)
        return torch.autograd.grad(of.sum(), x, retain_graph=True, create_graph=again, materialize_grads=True)[0]

    made: list[torch.Tensor] = []
    for place in program.outputs:
        first = gradient(nodes[place], vectors is not None)
        if vectors is not None:
            first = torch.cat([gradient(first @ torch.from_numpy(vector)) for vector in vectors], 1)
        made.append(first)
    return torch.stack(made, 1).numpy()


def _by_torch(function: str, arguments: list[Any]) -> Any:
    import torch

    log_sigmoid = torch.nn.functional.logsigmoid  # torch's own of these are inexact or overflow
    if function == "logaddexp":
        return arguments[0] - log_sigmoid(arguments[0] - arguments[1])
    if function in ("softplus", "mish"):
        softplus = -log_sigmoid(-arguments[0])
        return softplus if function == "softplus" else arguments[0] * torch.tanh(softplus)
    name = EVERY[function].torch or ""
    return (getattr(torch, name, None) or getattr(torch.nn.functional, name))(*arguments)
