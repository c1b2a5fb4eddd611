"""What is shown of derivatives of formulas: the methods side by side, a trace, or an answer that is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.formulas.calculus import Evaluation, Floats
from gencli.formulas.compare import Derivatives
from gencli.formulas.evaluation_trace import Kind, trace
from gencli.formulas.graph import draw
from gencli.formulas.requests import Request

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pages = list[tuple[str, pa.Table]]

_WITHIN = {"numeric": "its estimated error", "forward": "the tolerance"}


@dataclass(frozen=True)
class Report:
    """Attributes:
    rows: for programs.
    pages: returns the output for people, pairs of a title and a table.
    below: what stands under the last page.
    wrong: in words, what disagrees.
    notes: in words, what is right but for its last digits.
    several: whether the pages are of several points.
    """

    rows: pa.Table
    pages: Callable[[], Pages]
    below: str
    wrong: list[str]
    notes: list[str]
    several: bool

    @property
    def stacked(self) -> pa.Table:
        """The pages' tables as one."""
        return _stack(self.pages(), self.several)


def make(found: Derivatives, request: Request, kind: Kind | None, answer: str | None, tolerance: float) -> Report:
    """The report on an answer, which is called so, or of a trace of that kind, or otherwise of the methods."""
    if answer is not None and request.answer is not None:
        return of_answer(found, request.answer, answer, tolerance)
    return side_by_side(found) if kind is None else of_trace(found, kind)


def picture(found: Derivatives, kind: Kind) -> Figure:
    """The computation graph at the first point, with tangents or adjoints (see `graphs`)."""
    evaluation, derivatives = _propagate(found, kind, 0)
    program, word = found.program, "tangent" if kind == "forward" else "adjoint"
    return draw(evaluation, derivatives, program.inputs if kind == "forward" else program.output_names, word)


def side_by_side(found: Derivatives) -> Report:
    """The methods, with one page per point.

    Rows: point (of several), method, output, input, second_input (of Hessians), value, output_value (the formula's),
    difference (from reverse) and allowed (for it), which are null for reverse; error (of the value), null where it is
    not known.
    """
    indices = [each.ravel() for each in np.indices(found.methods["reverse"].shape)]
    tables = []
    for method, matrix in found.methods.items():
        columns = {"point": pa.array(indices[0])} if found.points.several else {}
        columns["method"] = pa.array([method] * matrix.size)
        columns |= _names(found, indices[1:])
        columns["value"] = _floats(matrix)
        columns["output_value"] = _floats(found.values[indices[0], indices[1]])
        checked, nulls = method in found.allowed, pa.nulls(matrix.size, pa.float64())
        columns["difference"] = _floats(found.difference(method)) if checked else nulls
        columns["allowed"] = _floats(found.allowed[method]) if checked else nulls
        columns["error"] = _floats(found.errors(method), known=True)
        tables.append(pa.table(columns))

    def pages() -> Pages:
        return [(_title(found, point), _page(found, point)) for point in range(len(found.values))]

    wrong = list(found.disagreements())
    return Report(pa.concat_tables(tables), pages, _agreement(found), wrong, list(found.losses()), found.points.several)


def of_trace(found: Derivatives, kind: Kind) -> Report:
    """The evaluation trace of forward or of reverse mode, with one page per point; its derivatives are torch's too."""
    pages, wrong = [], list(found.disagreements())
    for point in range(len(found.values)):
        evaluation, derivatives = _propagate(found, kind, point)
        pages.append((_title(found, point), trace(evaluation, derivatives, kind)))
        if kind == "reverse":
            wrong += _strange_adjoints(found, derivatives, point)
    several = found.points.several
    notes = [*found.losses(), *found.value_losses()]
    return Report(_stack(pages, several), lambda: pages, _agreement(found), wrong, notes, several)


def _propagate(found: Derivatives, kind: Kind, point: int) -> tuple[Evaluation, list[Floats]]:
    """At one point the values, and every node's tangents by the inputs or adjoints of the outputs."""
    at = found.points.coordinates[point, None].astype(found.values.dtype)
    evaluation = Evaluation(found.program, at, lambda row: found.points.place(point))
    axes = np.eye(at.shape[1], dtype=at.dtype)
    return evaluation, evaluation.tangents(axes) if kind == "forward" else evaluation.adjoints()


def _strange_adjoints(found: Derivatives, adjoints: Sequence[Floats], point: int) -> Iterator[str]:
    """Which inputs' adjoints by our rules are not those by torch."""
    reverse, allowed = found.methods["reverse"][point], found.allowed["forward"][point]
    for node, adjoint in zip(found.program.nodes, adjoints, strict=True):
        by = int(node.value)
        if node.function == "input" and not (abs(adjoint[:, 0] - reverse[:, by]) <= allowed[:, by]).all():
            yield f"the adjoint of {node.text} in the trace and reverse disagree, {found.points.place(point)}"


def of_answer(found: Derivatives, answer: Floats, name: str, tolerance: float) -> Report:
    """A matrix [rows, inputs] compared row by row, with the method that is nearest to the row.

    Rows: point (of several), output, input (of Hessians), method, then of the number that differs most its input
    (second_input), given, value, difference, allowed; and agrees, yes or no.
    """
    matrices = {method: each.reshape(answer.shape) for method, each in reversed(found.methods.items())}
    off = np.stack([abs(answer - each) / np.maximum(1, abs(each)) for each in matrices.values()])
    nearest = off.max(2).argmin(0)
    rows = np.arange(len(answer))
    column = off[nearest, rows].argmax(1)
    value = np.stack(list(matrices.values()))[nearest, rows, column]
    given, allowed = answer[rows, column], tolerance * np.maximum(1, abs(value))
    agrees = abs(given - value) <= allowed
    indices = [each.ravel() for each in np.indices(found.methods["reverse"].shape[:-1])]
    names = _names(found, [*indices[1:], column])
    last = list(names)[-1]
    columns = {"point": pa.array(indices[0])} if found.points.several else {}
    columns |= {key: names[key] for key in list(names)[:-1]}
    columns["method"] = pa.array([list(matrices)[each] for each in nearest])
    columns |= {last: names[last], "given": _floats(given), "value": _floats(value)}
    columns |= {"difference": _floats(abs(given - value)), "allowed": _floats(allowed)}
    columns["agrees"] = pa.array(["yes" if each else "no" for each in agrees])
    table, wrong = pa.table(columns), list(found.disagreements())
    if not agrees.all():
        wrong.append(f"{name}: {(~agrees).sum():,} of {len(agrees):,} rows differ from the derivatives")
    title = f"{name}: each row's largest difference from the method nearest to it"
    return Report(table, lambda: [(title, table)], "", wrong, list(found.losses()), False)


def _stack(pages: Pages, several: bool) -> pa.Table:
    """The pages' tables as one, which says of which of several points a row is."""
    tables = [table for _, table in pages]
    if several:
        numbers = [pa.array([point] * table.num_rows) for point, table in enumerate(tables)]
        tables = [table.add_column(0, "point", each) for table, each in zip(tables, numbers, strict=True)]
    return pa.concat_tables(tables)


def _page(found: Derivatives, point: int) -> pa.Table:
    columns = _names(found, [each.ravel() for each in np.indices(found.methods["reverse"].shape[1:])])
    columns |= {method: _floats(matrix[point]) for method, matrix in found.methods.items()}
    columns |= {f"{method}_difference": _floats(found.difference(method)[point]) for method in _WITHIN}
    return pa.table(columns | {"numeric_allowed": _floats(found.allowed["numeric"][point])})


def _title(found: Derivatives, point: int) -> str:
    formulas = zip(found.program.output_names, found.program.formulas, found.values[point], strict=True)
    lines = [f"{name} = {formula.text} = {value:.6g}" for name, formula, value in formulas]
    return "\n".join([found.points.place(point), *lines])


def _agreement(found: Derivatives) -> str:
    lines = []
    for method, words in _WITHIN.items():
        difference, allowed = found.difference(method), found.allowed[method]
        within = "within" if (difference <= allowed).all() else "NOT within"
        lines.append(f"{method} and reverse differ by at most {difference.max():.2g}, {within} {words}\n")
    if np.isfinite(found.exact).all():
        size = np.maximum(1, abs(found.exact))
        most = " and ".join(f"{(found.errors(method) / size).max():.2g}" for method in ("forward", "reverse"))
        lines.append(f"forward and reverse: errors of at most {most}, over max(1, |value|)\n")
    return "".join(lines)


def _names(found: Derivatives, indices: Sequence[NDArray[np.int64]]) -> dict[str, pa.Array]:
    """The columns that say which number of a matrix a row is."""
    known = [found.program.output_names] + [found.program.inputs] * (len(indices) - 1)
    columns = zip(("output", "input", "second_input"), known, indices)
    return {column: pa.array([names[each] for each in places.tolist()]) for column, names, places in columns}


def _floats(numbers: Floats, known: bool = False) -> pa.Array:
    """With `known`, null where a number is not finite."""
    flat = numbers.ravel().astype(np.float64)
    return pa.array(flat, mask=~np.isfinite(flat) if known else None)
