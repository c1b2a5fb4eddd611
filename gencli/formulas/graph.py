"""The computation graph of formulas at a point as a figure: values at the nodes, derivatives at nodes and edges.

Nodes stand in columns by their depth; edges over several columns get a place in each, and places are ordered by the
mean of their neighbours: Sugiyama, Tagawa, Toda 1981, doi:10.1109/TSMC.1981.4308636.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from gencli.errors import GencliError
from gencli.formulas.calculus import Evaluation, Floats
from gencli.formulas.evaluation_trace import labels, operations, output_names
from gencli.formulas.parsing import Program

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 150  # nodes of a figure that can be read
_APART, _WIDE, _LINE = 2.4, 1.6, 0.16  # inches: from column to column, of a node, of a line of text
_SWEEPS, _LONGEST, _MARKS = 12, 24, 6
_COLORS = {"input": "#cfe3f5", "output": "#fbe0c3", "inner": "#f2f2f2"}
_BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}

Point = tuple[float, float]
Place = tuple[int, ...]  # a node; or, of an edge that passes a column, its ends and the column


def require_drawable(program: Program, points: int) -> None:
    """Refuses what has too many nodes, or is at several points."""
    nodes = sum(node.function != "number" for node in program.nodes)
    if points > 1 or nodes > MOST:
        what = f"{points} points" if points > 1 else f"{nodes} nodes"
        raise GencliError(f"--graph: {what}", f"a graph of one point and at most {MOST} nodes can be read; use --trace")


def draw(evaluation: Evaluation, derivatives: list[Floats], others: list[str], kind: str) -> Figure:
    """The graph, inputs on the left; at each edge the partial derivative of its right end by its left one.

    Args:
        evaluation: at one point.
        derivatives: of every node, [others, 1], its tangents by these or its adjoints of these.
        others: the names of the inputs or the outputs.
        kind: `tangent` or `adjoint`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    program = evaluation.program
    nodes = [each for each, node in enumerate(program.nodes) if node.function != "number"]
    texts = {node: _lines(evaluation, node, derivatives[node][:, 0].tolist(), others, kind) for node in nodes}
    partials = _edges(evaluation)
    columns = _columns(program, nodes, list(partials))
    heights: dict[Place, float] = {(node,): _LINE * (len(lines) + 1.5) for node, lines in texts.items()}
    where = _positions(columns, heights)
    width = _APART * len(columns)
    height = max(sum(heights.get(place, _LINE) for place in column) for column in columns) + _LINE
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(-_APART / 2, width - _APART / 2), ylim=(-height / 2, height / 2))
    axis.set_axis_off()
    for partial, corners in zip(partials.values(), _routes(list(partials), where, heights)):
        path = Path(corners)
        axis.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, linewidth=0.7, color="#666666"))
        (from_x, from_y), (to_x, to_y) = corners[-2:]
        near = from_x + 0.7 * (to_x - from_x), from_y + 0.7 * (to_y - from_y)
        axis.text(*near, _number(partial), size=7, color="#aa3333", ha="center", va="center", bbox=_BEHIND)
    for node, lines in texts.items():
        (x, y), tall = where[node,], heights[node,] - _LINE
        role = "output" if node in program.outputs else "input" if program.nodes[node].function == "input" else "inner"
        corner = x - _WIDE / 2, y - tall / 2
        style = "round,pad=0,rounding_size=0.06"
        box = FancyBboxPatch(corner, _WIDE, tall, style, facecolor=_COLORS[role], edgecolor="#444444", linewidth=0.8)
        axis.add_patch(box)
        axis.text(x, y, "\n".join(lines), size=8, ha="center", va="center", linespacing=1.25)
    return figure


def _lines(evaluation: Evaluation, node: int, numbers: list[float], others: list[str], kind: str) -> list[str]:
    program = evaluation.program
    name, what, of = labels(program)[node], operations(program)[node], output_names(program, node)
    head = " = ".join(each for each in (of, name, what) if each)
    marks = [f"{kind} {other}: {_number(number)}" for other, number in zip(others, numbers)]
    if len(marks) > _MARKS:
        marks = [*marks[: _MARKS - 1], f"and {len(marks) - _MARKS + 1} more"]
    short = head if len(head) <= _LONGEST else head[: _LONGEST - 1] + "…"
    return [short, _number(evaluation.at(evaluation.values[node], 0)), *marks]


def _edges(evaluation: Evaluation) -> dict[tuple[int, int], float]:
    """From node to node the partial derivative of the second by the first, however often it is an argument."""
    found: dict[tuple[int, int], float] = {}
    for end, partials in enumerate(evaluation.partials):
        for start, partial in zip(evaluation.program.nodes[end].arguments, partials, strict=True):
            if evaluation.program.nodes[start].function != "number":
                found.setdefault((start, end), 0.0)
                found[start, end] += 0.0 if partial is None else evaluation.at(partial, 0)
    return found


def _columns(program: Program, nodes: list[int], edges: list[tuple[int, int]]) -> list[list[Place]]:
    """The places of each column, ordered so that few edges cross."""
    depths: dict[int, int] = {}
    for node in nodes:
        depths[node] = max((depths[each] + 1 for each in program.nodes[node].arguments if each in depths), default=0)
    columns: list[list[Place]] = [[] for _ in range(max(depths.values()) + 1)]
    neighbours: dict[Place, list[Place]] = {(node,): [] for node in nodes}
    for node in nodes:
        columns[depths[node]].append((node,))
    for start, end in edges:
        passed: list[Place] = [(start, end, column) for column in range(depths[start] + 1, depths[end])]
        for place in passed:
            columns[place[2]].append(place)
        chain = [(start,), *passed, (end,)]
        for left, right in pairwise(chain):
            neighbours.setdefault(left, []).append(right)
            neighbours.setdefault(right, []).append(left)
    for sweep in range(_SWEEPS):
        for number in range(len(columns))[:: 1 if sweep % 2 == 0 else -1]:
            beside = columns[number - 1 if sweep % 2 == 0 else number + 1 : number if sweep % 2 == 0 else number + 2]
            ranks = {place: (rank + 0.5) / len(column) for column in beside for rank, place in enumerate(column)}
            columns[number] = _ordered(columns[number], neighbours, ranks)
    return columns


def _ordered(column: list[Place], neighbours: dict[Place, list[Place]], ranks: dict[Place, float]) -> list[Place]:
    def mean(rank: int, place: Place) -> float:
        known = [ranks[each] for each in neighbours[place] if each in ranks]
        return sum(known) / len(known) if known else (rank + 0.5) / len(column)

    means = {place: mean(rank, place) for rank, place in enumerate(column)}
    return sorted(column, key=means.__getitem__)


def _positions(columns: list[list[Place]], heights: dict[Place, float]) -> dict[Place, Point]:
    where = {}
    for number, column in enumerate(columns):
        top = sum(heights.get(place, _LINE) for place in column) / 2
        for place in column:
            tall = heights.get(place, _LINE)
            where[place] = (number * _APART, top - tall / 2)
            top -= tall
    return where


def _routes(
    edges: list[tuple[int, int]], where: dict[Place, Point], heights: dict[Place, float]
) -> Iterator[list[Point]]:
    """The corners of each edge, which leaves and enters nodes at points of their sides that are its own."""
    chains = {}
    for start, end in edges:
        passed = sorted((place for place in where if place[:2] == (start, end)), key=lambda place: place[2])
        chains[start, end] = [(start,), *passed, (end,)]

    def side(node: int, end: int, y_beside: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
        own = sorted((edge for edge in edges if edge[end] == node), key=y_beside.__getitem__)
        y, tall = where[node,][1], heights[node,] - _LINE
        return {edge: y + tall * ((rank + 1) / (len(own) + 1) - 0.5) for rank, edge in enumerate(own)}

    after = {edge: where[chain[1]][1] for edge, chain in chains.items()}
    before = {edge: where[chain[-2]][1] for edge, chain in chains.items()}
    for edge in edges:
        (left, _), (right, _) = where[edge[0],], where[edge[1],]
        corners = [(left + _WIDE / 2, side(edge[0], 0, after)[edge])]
        for place in chains[edge][1:-1]:
            x, y = where[place]
            corners += [(x - _WIDE / 2, y), (x + _WIDE / 2, y)]
        yield [*corners, (right - _WIDE / 2, side(edge[1], 1, before)[edge])]


def _number(value: float) -> str:
    return f"{value:.4g}"
