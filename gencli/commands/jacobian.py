"""`gencli jacobian`: Jacobians by numeric, forward and reverse mode, checked against each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gencli.options import Format, Output, command, single

app = single()

_FIGURES = (".svg", ".png", ".pdf")


@command(app, "jacobian")
def jacobian(
    formula: Annotated[
        list[str] | None,
        typer.Option("-f", "--formula", metavar="FORMULA", help="Formula, repeatable; semicolons part several."),
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="More formulas, one a line; # begins a comment.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="POINT|FILE", help="Point, as 1,2 or pi/2,0; repeatable; or a file, a point a row."),
    ] = None,
    *,
    difference: Annotated[
        Literal["forward", "central", "richardson"] | None,
        typer.Option(help="Numeric method's quotient; default: forward with a number for --step, else richardson."),
    ] = None,
    step: Annotated[str, typer.Option(metavar="X|auto", help="Its step; auto takes the best at each point.")] = "auto",
    hessian: Annotated[bool, typer.Option("--hessian", help="Instead: the Hessian of each formula.")] = False,
    hvp: Annotated[
        str | None, typer.Option(metavar="VECTOR|FILE", help="Instead: the Hessians times this vector.")
    ] = None,
    trace: Annotated[
        Literal["forward", "reverse"] | None,
        typer.Option(help="Show the evaluation trace: each node's value and tangents, or adjoints."),
    ] = None,
    graph: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw the computation graph to a .svg, .png or .pdf file.")
    ] = None,
    check_against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with this matrix, row by row; a row an output.")
    ] = None,
    check_tolerance: Annotated[
        float, typer.Option(min=0, help="Allowed there, times 1 or the derivative if that is larger.")
    ] = 5e-4,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Allowed between forward and reverse, likewise; default: 1e-10, in float32 1e-4."),
    ] = None,
    dtype: Annotated[Literal["float64", "float32"], typer.Option(help="Precision of all methods.")] = "float64",
    format: Format = None,
    output: Output = None,
) -> None:
    """Jacobians by numeric, forward and reverse mode, side by side.

    Reads formulas and points; writes each derivative by three independent methods: numeric (difference quotients, with
    an estimate of their error), forward (tangents by the rules of calculus) and reverse (torch's autograd). If forward
    and reverse differ by more than the tolerance, or numeric and reverse by more than that and the estimated error
    together, that is said and the exit status is 1.

    A formula holds numbers, pi and e, the coordinates w1, w2, ... (also w[1], x1, x[1]; x, y and z are the first
    three), + - * / ^ (or **), parentheses, and the functions square, sqrt, rsqrt, reciprocal, exp, exp2, expm1, ln
    (log), log2, log10, log1p, logaddexp, sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh, atanh,
    hypot, sigmoid, logsigmoid, logit, softplus, softsign, relu, relu6, hardtanh, leaky_relu, elu, selu, silu, mish,
    gelu, tanhshrink, erf, erfc, erfinv, abs, sign, floor, ceil, round, trunc, max, min; derivatives at kinks are
    torch's. At most 10,000 characters, 200 open operators and parentheses, 1,000 coordinates; 1,000 formulas and
    100,000 characters together.

    On a terminal there is a table a point; other formats have a row a number, with columns method, output, input,
    second_input (of Hessians), value, output_value (the formula's), difference (from reverse) and allowed, before them
    point if there are several. To a file that ends in .safetensors it writes one matrix a method: outputs by inputs,
    before them points. --at, --hvp and --check-against read Parquet, CSV and numbers between spaces, --check-against
    safetensors too. Columns that are named as coordinates are taken by name.

    \b
    Example:
      gencli jacobian -f "cos(w1)*cos(w2) + sigmoid(w2)" \\
        -f "ln(w1+w2) + w1^2*w2" --at 1,2 --step 0.01 --format table
      gencli jacobian -f "ln(w1+w2) + w1^2*w2" --at 1,2 --trace reverse \\
        --graph graph.svg --format table
    """
    from contextlib import ExitStack

    from gencli import console, provenance, stream, tensors
    from gencli.derivatives import graphs, modes, numeric, reports, requests
    from gencli.errors import GencliError
    from gencli.outputs import open_result, result_format
    from gencli.reporting import curves

    as_tensors = format is None and (output or "").endswith(".safetensors")
    _refuse_together({"--trace": trace, "--check-against": check_against, "safetensors": as_tensors})
    _refuse_together({"--hessian": hessian, "--hvp": hvp, "--trace": trace})
    _refuse_together({"--hessian": hessian, "--hvp": hvp, "--graph": graph})
    stream.require_writable(output, graph)
    if graph and not graph.endswith(_FIGURES):
        raise GencliError(f"--graph: {graph}: not a .svg, .png or .pdf file", "the ending says which to draw")
    length = numeric.parse_step(step)
    difference = difference or ("richardson" if length is None else "forward")
    tolerance = {"float64": 1e-10, "float32": 1e-4}[dtype] if tolerance is None else tolerance
    request = requests.read(formula or [], file, at or [], hessian, hvp, check_against)
    if graph:
        graphs.require_drawable(request.program, len(request.points.coordinates))
    with console.progress("points", len(request.points.coordinates)) as advance:
        found = modes.compute(request, difference, length, dtype, tolerance, advance)
    report = reports.make(found, request, trace, check_against, check_tolerance)
    chosen = {"step": step, "difference": difference, "trace": trace, "dtype": dtype, "tolerance": tolerance}
    chosen |= {"check_tolerance": check_tolerance if check_against else None}
    made = request.step(chosen, ["torch", "numpy", "scipy", "pyarrow", *(["matplotlib"] if graph else [])])
    read = list(request.files.values())
    form = format or result_format(output)
    with ExitStack() as files:
        if graph:
            drawing = files.enter_context(stream.Output(graph, read, binary=True))
            with curves.canvas():
                figure = reports.picture(found, trace or "reverse")
                drawing.write(curves.encode(figure, graph[-3:], provenance.encode(made).decode()))
        if as_tensors:
            place = files.enter_context(stream.Output(output, read, binary=True))
            tensors.write(place, found.tensors(), found.facts() | {"step": made})
        elif form == "table":
            write, pages = files.enter_context(open_result(output, form, read)), report.pages()
            for number, (title, page) in enumerate(pages, 1):
                write(page, lambda: made, title, "\n" if number < len(pages) else report.below)
        else:
            rows = report.stacked if form == "md" else report.rows
            files.enter_context(open_result(output, form, read))(rows, lambda: made)
    for wrong in report.wrong:
        console.message(console.printable(f"gencli jacobian: {wrong}"))
    if report.wrong:
        raise typer.Exit(1)


def _refuse_together(options: dict[str, Any]) -> None:
    from gencli.errors import GencliError

    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise GencliError(f"{given[0]} and {given[1]} do not go together", "leave one out")
