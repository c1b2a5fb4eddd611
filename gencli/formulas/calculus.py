"""Values and derivatives of formulas, node by node, by the rules of calculus, in numpy.

Forward mode carries tangents along, reverse mode carries adjoints back: Baydin, Pearlmutter, Radul, Siskind 2018,
arXiv:1502.05767, section 3. Nothing here knows how torch differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.formulas.extended import defined
from gencli.formulas.functions import EVERY, OPERATORS
from gencli.formulas.parsing import FormulaError, Node, Program, derivative_programs

Floats = NDArray[Any]


def evaluate(program: Program, inputs: Sequence[Floats], dtype: Any, product: Any = np.multiply) -> list[Floats]:
    """Every node's values from the inputs' [points]; [] for constant nodes; not finite where it has none."""
    values: list[Floats] = []
    with np.errstate(all="ignore"):
        for node in program.nodes:
            if node.function == "input":
                value = inputs[int(node.value)]
            elif node.function == "number":
                value = node.value
            else:
                apply = product if node.function == "*" else EVERY[node.function].value
                value = apply(*(values[each] for each in node.arguments))
            values.append(np.asarray(value, dtype))
    return values


class Evaluation:
    """A program's values and derivatives at points.

    Attributes:
        values: of every node, [points]; [] for constant nodes; dtype that of the points.
        partials: of every node by each of its arguments, [points]; None by arguments that depend on no coordinate.

    Args:
        points: [points, inputs], float32 or float64.
        place: what messages call a point, by its row.

    Raises:
        FormulaError: a value or a partial derivative is not finite.
    """

    def __init__(self, program: Program, points: Floats, place: Callable[[int], str]) -> None:
        self.program, self._count, self._dtype, self._place = program, len(points), points.dtype, place
        self.values = evaluate(program, list(points.T), points.dtype)
        self.partials: list[list[Floats | None]] = []
        for node, value in zip(program.nodes, self.values, strict=True):
            self._require_finite(node, value, "is not defined", "is too large for")
            partials = [_partial(node, self.values, k) if program.active[a] else None for k, a in _numbered(node)]
            self.partials.append(partials)
            for partial in partials:
                if partial is not None:
                    self._require_finite(node, partial, "has no finite derivative", "has a derivative beyond")

    def _require_finite(self, node: Node, numbers: Floats, undefined: str, large: str) -> None:
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            row = int(wrong[0])
            of = [self.at(self.values[each], row) for each in node.arguments]
            infinite = np.isinf(numbers.flat[row]) and all(of)  # at 0 there are the poles of derivatives
            infinite = infinite and (not of or defined(node.function, of))
            what = written(node.function, [f"{each:.6g}" for each in of]) if of else node.text
            said = f"{large} {self._dtype.name}" if infinite else undefined
            message = f"{what} {said}, {self._place(row)}"
            raise FormulaError(node.formula, node.column, message, "choose another point")

    def at(self, numbers: Floats, row: int) -> float:
        """What a node has, [points] or [], at one of the points."""
        return float(np.broadcast_to(numbers, self._count)[row])

    def outputs(self, nodes: Sequence[Floats]) -> Floats:
        """[points, outputs, …] from what nodes have, […, points]."""
        each = [nodes[place] for place in self.program.outputs]
        return np.stack([np.moveaxis(np.broadcast_to(one, (*one.shape[:-1], self._count)), -1, 0) for one in each], 1)

    @np.errstate(over="ignore", invalid="ignore")
    def tangents(self, directions: Floats) -> list[Floats]:
        """Forward mode: every node's derivatives along directions [directions, inputs], [directions, points]."""
        tangents: list[Floats] = []
        for node, partials in zip(self.program.nodes, self.partials, strict=True):
            total = np.zeros((len(directions), self._count), self._dtype)
            if node.function == "input":
                total += directions[:, int(node.value), None]
            for argument, partial in zip(node.arguments, partials, strict=True):
                if partial is not None:
                    total += partial * tangents[argument]
            tangents.append(total)
        return tangents

    @np.errstate(over="ignore", invalid="ignore")
    def adjoints(self) -> list[Floats]:
        """Reverse mode: the outputs' derivatives by every node, [outputs, points]."""
        outputs = self.program.outputs
        adjoints = [np.zeros((len(outputs), self._count), self._dtype) for _ in self.program.nodes]
        for number, place in enumerate(outputs):
            adjoints[place][number] = 1
        for place in reversed(range(len(adjoints))):
            for argument, partial in zip(self.program.nodes[place].arguments, self.partials[place], strict=True):
                if partial is not None:
                    adjoints[argument] += partial * adjoints[place]
        return adjoints

    @np.errstate(over="ignore", invalid="ignore")
    def second(self, directions: Floats) -> Floats:
        """Forward over forward: the outputs' second derivatives along directions and by every input.

        Args:
            directions: [directions, inputs].

        Returns:
            [points, outputs, directions, inputs].

        Raises:
            FormulaError: one is not finite.
        """
        count = len(self.program.inputs)
        by_input = self.tangents(np.eye(count, dtype=self._dtype))
        curvatures = [self._curvatures(place) for place in range(len(by_input))]
        results = []
        for direction in directions:
            along, seconds = self.tangents(direction[None]), []
            for place, node in enumerate(self.program.nodes):
                total = np.zeros((count, self._count), self._dtype)
                for argument, partial in zip(node.arguments, self.partials[place], strict=True):
                    if partial is not None:
                        total += partial * seconds[argument]
                for a, b, curvature in curvatures[place]:
                    total += curvature * along[a] * by_input[b]
                seconds.append(total)
            results.append(self.outputs(seconds))
        return np.stack(results, 2)

    def _curvatures(self, place: int) -> list[tuple[int, int, Floats]]:
        """A node's second derivatives by two of its arguments, and which these are."""
        node, active = self.program.nodes[place], self.program.active
        found = []
        for i, a in _numbered(node):
            for j, b in _numbered(node):
                if active[a] and active[b]:
                    curvature = _second_partial(node, self.values, i, j)
                    words = "has no finite second derivative", "has a second derivative beyond"
                    self._require_finite(node, curvature, *words)
                    found.append((a, b, curvature))
        return found


def _numbered(node: Node) -> list[tuple[int, int]]:
    return list(enumerate(node.arguments))


def _product(a: Floats, b: Floats) -> Floats:
    """0 where a factor is 0 and the other infinite: the derivative of x^y by y is x^y ln(x), 0 at x = 0."""
    return np.where((a == 0) | (b == 0), 0, a * b)


def _partial(node: Node, values: Sequence[Floats], k: int) -> Floats:
    program = derivative_programs(node.function)[k]
    inputs = [values[each] for each in node.arguments]
    return evaluate(program, inputs, inputs[0].dtype, _product)[program.outputs[0]]


def _second_partial(node: Node, values: Sequence[Floats], k: int, by: int) -> Floats:
    """The derivative of a node's k-th partial derivative by one of its arguments."""
    program = derivative_programs(node.function)[k]
    inputs = [values[each] for each in node.arguments]
    own = evaluate(program, inputs, inputs[0].dtype, _product)
    tangents: list[Any] = []  # None for what does not depend on that argument, where derivatives may not exist
    with np.errstate(all="ignore"):
        for each in program.nodes:
            parts = [
                _product(_partial(each, own, k), tangents[a]) for k, a in _numbered(each) if tangents[a] is not None
            ]
            tangents.append(
                sum(parts) if parts else np.ones_like(inputs[by]) if each[:3] == ("input", (), by) else None
            )
    result = tangents[program.outputs[0]]
    return np.zeros_like(inputs[by]) if result is None else np.asarray(result, inputs[by].dtype)


def written(function: str, arguments: Sequence[str]) -> str:
    """A function of arguments, in the language of formulas."""
    if function not in OPERATORS:
        return f"{function}({', '.join(arguments)})"
    safe = [f"({each})" if each.startswith("-") else each for each in arguments]
    return f"-{safe[0]}" if function == "negative" else function.join(safe)
