"""The part of `gencli jacobian` that is about formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from gencli.cli.options import TableFormat
from gencli.curvature.settings import TOLERANCES
from gencli.errors import GencliError
from gencli.formulas.settings import FormulaSettings

if TYPE_CHECKING:
    from gencli.files.provenance import Step
    from gencli.files.stream import Input
    from gencli.formulas.compare import Derivatives
    from gencli.formulas.reports import Report


def run(
    asked: FormulaSettings, tolerance: float | None, dtype: str, as_tensors: bool,
    format: TableFormat | None, output: str | None,
) -> None:  # fmt: skip
    """Reads, computes, writes; see the help of `gencli jacobian`."""
    from gencli.cli import console
    from gencli.formulas import compare, differences, graph, reports, requests, settings

    settings.refuse_together(
        {"--trace": asked.trace, "--check-against": asked.check_against, "safetensors": as_tensors}
    )
    length, trace, picture, answer = differences.parse_step(asked.step), asked.trace, asked.graph, asked.check_against
    difference = asked.difference or ("extended" if length is None else "forward")
    if difference == "extended" and length is not None:
        raise GencliError("--difference extended chooses its own steps", "omit --step")
    tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
    request = requests.read(asked.formula or [], asked.file, asked.at or [], asked.hessian, asked.hvp, answer)
    if picture:
        graph.require_drawable(request.program, len(request.points.coordinates))
    with console.progress("points", len(request.points.coordinates)) as advance:
        quotient = None if difference == "extended" else difference
        found = compare.compute(request, quotient, length, dtype, tolerance, advance)
    report = reports.make(found, request, trace, answer, asked.check_tolerance)
    chosen = {"step": asked.step, "difference": difference, "trace": trace, "dtype": dtype, "tolerance": tolerance}
    chosen |= {"check_tolerance": asked.check_tolerance if answer else None}
    made = request.step(chosen, ["torch", "numpy", "scipy", "mpmath", "pyarrow"])
    _write(found, report, made, list(request.files.values()), asked, "safetensors" if as_tensors else format, output)
    for said in [*report.wrong, *report.notes, *(found.value_losses() if picture and not trace else [])]:
        console.message(console.printable(f"gencli jacobian: {said}"))
    if report.wrong:
        raise typer.Exit(1)


def _write(
    found: Derivatives, report: Report, made: Step, read: list[Input], asked: FormulaSettings,
    form: TableFormat | Literal["safetensors"] | None, output: str | None,
) -> None:  # fmt: skip
    """Draws the graph, where asked for, and writes the matrices, the pages for people, or the rows."""
    from gencli.cli.outputs import open_figure, open_result, result_format
    from gencli.files import tensors
    from gencli.files.together import Together
    from gencli.formulas import reports
    from gencli.reporting import curves

    form = form or result_format(output)
    with Together() as places:
        if draw := open_figure(places, asked.graph, read):
            draw(curves.drawn(lambda: reports.picture(found, asked.trace or "reverse")), made.to("graph"))
        if form == "safetensors":
            place = places.open(output, read, binary=True)
            tensors.write(place, found.tensors(), found.facts() | {"step": made})
        elif form == "table":
            write, pages = open_result(places, output, form, read), report.pages()
            for number, (title, page) in enumerate(pages, 1):
                write(page, lambda: made, title, "\n" if number < len(pages) else report.below)
        else:
            rows = report.stacked if form == "md" else report.rows
            open_result(places, output, form, read)(rows, lambda: made)
