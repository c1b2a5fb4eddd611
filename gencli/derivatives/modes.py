"""Jacobians and second derivatives of formulas by three independent routes, and how far these are apart.

`numeric` sees evaluations alone, `forward` follows the rules of calculus, `reverse` is torch's autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gencli.derivatives.formulas import Program
from gencli.derivatives.functions import EVERY
from gencli.derivatives.matrices import Points
from gencli.derivatives.numeric import Difference, Direction, differentiate
from gencli.derivatives.requests import Request
from gencli.derivatives.rules import Evaluation, evaluate
from gencli.errors import GencliError

if TYPE_CHECKING:
    import torch

Floats = NDArray[Any]
_BLOCK = 4_000_000  # numbers that the nodes of a block of points may have
_STEPS = 100  # evaluations of a numeric derivative


@dataclass(frozen=True)
class Derivatives:
    """What the three methods found.

    Attributes:
        values: [points, outputs] of the formulas.
        methods: numeric, forward, reverse: [points, outputs, inputs]; Hessians [points, outputs, inputs, inputs].
        allowed: by how much numeric and forward may differ from reverse, likewise.
    """

    program: Program
    points: Points
    values: Floats
    methods: dict[str, Floats]
    allowed: dict[str, Floats]

    def difference(self, method: str) -> Floats:
        """From reverse."""
        return abs(self.methods[method] - self.methods["reverse"])

    def tensors(self) -> dict[str, torch.Tensor]:
        """A matrix a method, [outputs, inputs], of several points [points, outputs, inputs]."""
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
        for method, allowed in self.allowed.items():
            difference = self.difference(method)
            wrong = ~(difference <= allowed)
            if wrong.any():
                excess = np.where(wrong, np.nan_to_num(difference - allowed, nan=np.inf), -1)
                worst = np.unravel_index(excess.argmax(), wrong.shape)
                point, output, *inputs = map(int, worst)
                names = " and ".join(self.program.inputs[each] for each in inputs)
                yield (
                    f"{method} and reverse disagree in {wrong.sum():,} of {wrong.size:,} numbers: "
                    f"{self.program.output_names[output]} by {names}, {self.points.place(point)}, "
                    f"{difference[worst]:.2g} apart where {allowed[worst]:.2g} is allowed"
                )


def compute(
    request: Request,
    difference: Difference,
    step: float | None,
    dtype: str,
    tolerance: float,
    advance: Callable[[int], None],
) -> Derivatives:
    """What a request asks for, by all methods.

    Args:
        step: of the differences, None to choose it; see `numeric`.
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
    found: dict[str, list[Floats]] = {"values": [], "numeric": [], "forward": [], "errors": []}

    def outputs(at: Floats) -> Floats:
        every = evaluate(program, list(at.T), dtype)
        return np.stack([np.broadcast_to(every[place], len(at)) for place in program.outputs], 1)

    for block in blocks:
        here = inputs[block]
        evaluation = Evaluation(program, here, lambda row, start=block.start: points.place(start + row))
        forward = evaluation.outputs(evaluation.tangents(axes)) if along is None else evaluation.second(along)
        numeric, errors = differentiate(outputs, here, ways, difference, step)
        found["values"].append(evaluation.outputs(evaluation.values))
        found["forward"].append(forward.reshape(numeric.shape))
        found["numeric"].append(numeric)
        found["errors"].append(errors)
        advance(min(block.stop, len(inputs)))
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    steps = "every step" if step is None else f"--step {step:g}"
    outside = f"{steps} leaves the domain, or is lost in rounding"
    _require_finite(whole["forward"], program, points, "the derivative is too large", "choose another point")
    _require_finite(whole["numeric"], program, points, outside, "take another step, or --step auto")
    whole["reverse"] = np.concatenate([_reverse(program, inputs[block], along) for block in blocks])
    _require_finite(whole["reverse"], program, points, "torch finds no finite derivative", "choose another point")
    if vectors is not None and vectors.ndim > 1:
        shape = len(inputs), len(program.outputs), *vectors.shape
        whole |= {name: whole[name].reshape(shape) for name in ("numeric", "forward", "reverse", "errors")}
    slack = tolerance * np.maximum(1, abs(whole["reverse"]))
    methods = {name: whole[name] for name in ("numeric", "forward", "reverse")}
    return Derivatives(
        program, points, whole["values"], methods, {"numeric": whole["errors"] + slack, "forward": slack}
    )


def _require_finite(numbers: Floats, program: Program, points: Points, what: str, hint: str) -> None:
    missing = np.argwhere(~np.isfinite(numbers))
    if len(missing):
        point, output = map(int, missing[0][:2])
        raise GencliError(f"{program.formulas[output].where}: {what}, {points.place(point)}", hint)


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
