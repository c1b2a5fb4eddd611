"""Evaluation traces as students write them by hand: every intermediate, its value, its tangents or its adjoints."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from gencli.formulas.calculus import Evaluation, Floats, written
from gencli.formulas.parsing import Program, derivative_programs

Kind = Literal["forward", "reverse"]

TANGENT, ADJOINT = "\u0307", "\u0304"  # the dot and the bar above a letter


def labels(program: Program) -> list[str]:
    """What each node is called: inputs and numbers as they are written, the others v1, v2, and so on."""
    names, count = [], 0
    for node in program.nodes:
        count += bool(node.arguments)
        names.append(f"v{count}" if node.arguments else node.text or program.inputs[int(node.value)])
    return names


def operations(program: Program) -> list[str]:
    """What each node is of other nodes; empty for inputs and numbers."""
    names = labels(program)
    return [
        written(node.function, [names[each] for each in node.arguments]) if node.arguments else ""
        for node in program.nodes
    ]


def output_names(program: Program, place: int) -> str:
    """Of which formulas a node is the value: `f1`, or `f1, f3`, or nothing."""
    return ", ".join(name for name, output in zip(program.output_names, program.outputs) if output == place)


def trace(evaluation: Evaluation, derivatives: Sequence[Floats], kind: Kind) -> pa.Table:
    """One row per node, inputs first, then in the order of computation; of reverse mode from outputs back to inputs.

    Columns: node, output (which formula's value it is), operation, value, rule (of its tangent or its adjoint, which
    a dot or a bar marks), and tangent_INPUT by each input, or adjoint_OUTPUT of each output; these are null where a
    node depends on no input.

    Args:
        evaluation: at one point.
        derivatives: of every node, [inputs, 1] its tangents, or [outputs, 1] its adjoints.
    """
    program, names, what = evaluation.program, labels(evaluation.program), operations(evaluation.program)
    shown = [each for each, node in enumerate(program.nodes) if node.function != "number" or each in program.outputs]
    shown.sort(key=lambda each: program.nodes[each].value if program.nodes[each].function == "input" else math.inf)
    rules = _tangent_rules(program, names) if kind == "forward" else _adjoint_rules(program, names)
    if kind == "reverse":
        shown.reverse()
    columns = {
        "node": pa.array([names[each] for each in shown]),
        "output": pa.array([output_names(program, each) for each in shown]),
        "operation": pa.array([what[each] for each in shown]),
        "value": pa.array([evaluation.at(evaluation.values[each], 0) for each in shown]),
        "rule": pa.array([rules[each] for each in shown]),
    }
    word, others = ("tangent", program.inputs) if kind == "forward" else ("adjoint", program.output_names)
    for number, name in enumerate(others):
        numbers = [float(derivatives[each][number, 0]) if program.active[each] else None for each in shown]
        columns[f"{word}_{name}"] = pa.array(numbers, pa.float64())
    return pa.table(columns)


def _tangent_rules(program: Program, names: Sequence[str]) -> list[str]:
    def term(place: int, k: int, argument: int) -> str:
        return _product(_partial(program, place, k, names), _marked(names[argument], TANGENT))

    return [_sum([term(place, k, each) for k, each in _active(program, place)]) for place in range(len(names))]


def _adjoint_rules(program: Program, names: Sequence[str]) -> list[str]:
    terms: list[list[str]] = [["1"] if place in program.outputs else [] for place in range(len(names))]
    for place in reversed(range(len(names))):
        for k, argument in _active(program, place):
            terms[argument].append(_product(_partial(program, place, k, names), _marked(names[place], ADJOINT)))
    return [_sum(each) for each in terms]


def _active(program: Program, place: int) -> list[tuple[int, int]]:
    return [(k, each) for k, each in enumerate(program.nodes[place].arguments) if program.active[each]]


def _partial(program: Program, place: int, k: int, names: Sequence[str]) -> str:
    """The derivative of a node by its k-th argument, in the nodes' names."""
    node = program.nodes[place]
    text = derivative_programs(node.function)[k].formulas[0].text
    exponent = program.nodes[node.arguments[-1]]
    if node.function == "^" and k == 0 and exponent.text[-1:].isdigit():
        text = "2*x" if exponent.value == 2 else f"y*x^{exponent.value - 1:.15g}"
    of = dict(zip("xy", (names[each] for each in node.arguments)))
    return re.sub(r"\b[xy]\b", lambda found: of[found[0]], text)


def _product(factor: str, term: str) -> str:
    if factor in ("0", "1", "-1"):
        return {"0": "0", "1": term, "-1": f"-{term}"}[factor]
    outside = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", factor[1:]))
    return f"({factor})*{term}" if re.search("[+-]", outside) else f"{factor}*{term}"


def _sum(terms: Sequence[str]) -> str:
    return " + ".join(each for each in terms if each != "0").replace("+ -", "- ")


def _marked(name: str, mark: str) -> str:
    return name[0] + mark + name[1:]
