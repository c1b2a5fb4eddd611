"""`gencli report`: tables and figures of histories, results and benchmarks, and how a file was made."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gencli.options import Output, TableFormat, command, single

if TYPE_CHECKING:
    from gencli.stream import Input

app = single()

_FIGURES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...", help="Histories and results, or benchmarks; - for standard input.", show_default=False
    ),
]  # fmt: skip


@command(app, "report")
def report(
    files: Files = None,
    *,
    table: Annotated[
        Literal["runs", "classes"] | None,
        typer.Option(help="A row a run, or a row a class; default: runs where a history is given."),
    ] = None,
    fitted_at: Annotated[
        float, typer.Option(min=0, max=1, help="Train accuracy that counts as fitted, for epochs_to_fit.")
    ] = 0.99,
    curves: Annotated[bool, typer.Option("--curves", help="Draw learning curves in text, below the table.")] = False,
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Draw learning curves, or a benchmark's ratios, to a .png, .svg or .pdf file."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="History column to draw, repeatable; default: train_accuracy and test_accuracy.",
            show_default=False,
        ),
    ] = None,
    contact_sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Instead: draw the first images of image tables, a row a table."),
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Instead: how each file was made, one line a step.")
    ] = False,
    format: Annotated[
        TableFormat | None, typer.Option("--format", help="Default: by the file's ending, otherwise table.")
    ] = None,
    output: Output = None,
) -> None:
    """Tables and learning curves of histories and results.

    Reads what gencli train --history and gencli eval wrote (with --provenance any gencli file); writes a table:
    a row a run with its network, data, corruption, train and test accuracy and epochs to fit, or a row a class.
    Settings in which the runs differ get a column each. Benchmarks that make bench wrote are shown item by item. With
    --contact-sheet it reads image tables instead, to compare what was done to their images.

    \b
    Example:
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 \\
        --history history.parquet -o model.safetensors
      gencli report history.parquet --curves --figure curves.png
    """
    from pathlib import Path

    from gencli import outputs, stream
    from gencli.errors import GencliError
    from gencli.provenance import encode, source, step
    from gencli.reporting import benchmarks, classes, documents, runs
    from gencli.reporting import curves as drawing

    stream.require_writable(output, figure, contact_sheet)
    inputs = [stream.Input(name) for name in files or ["-"]]
    if provenance:
        text = "".join(f"{line}\n" for each in inputs for line in documents.steps(each, len(inputs) > 1))
        with stream.Output(output, inputs) as file:
            file.write(text.encode())
        return
    if contact_sheet is not None:
        _draw_tables(inputs, contact_sheet)
        return
    image_form = None if figure is None else _FIGURES.get(Path(figure).suffix.lower())
    if figure is not None and image_form is None:
        raise GencliError(f"--figure: {figure}: not a .png, .svg or .pdf file", "the ending says which to draw")
    format = format or ("table" if output in (None, "-") else outputs.result_format(output))
    if curves and format != "table":
        raise GencliError("--curves: text does not go with other formats", "leave --format out, or use --figure")
    read = [documents.read(each) for each in inputs]
    histories, results, measured = ([each for each in read if each.kind == kind] for kind in documents.KINDS)
    if measured and (histories or results or table):
        raise GencliError(f"{measured[0].title}: a benchmark has neither runs nor classes", "report it by itself")
    panels = drawing.panels(histories, metric) if histories else []
    if (curves or (figure and not measured) or metric) and not panels:
        raise GencliError(f"{inputs[0].name}: no history, so no curves", "give what `gencli train --history` wrote")
    table = table or ("runs" if histories else None if measured else "classes")
    if table == "classes" and not results:
        raise GencliError(f"{inputs[0].name}: no result, so no classes", "give what `gencli eval` wrote")
    if measured:
        rows = benchmarks.benchmarks_table(measured)
    else:
        rows = runs.runs_table(read, fitted_at) if table == "runs" else classes.classes_table(results)
    used = [source("file", each.sha256, document.made, each.path) for each, document in zip(inputs, read, strict=True)]
    arguments = {"table": table, "fitted_at": fitted_at, "metric": metric and ",".join(metric)}
    made = step("report", arguments, used, ["pyarrow", *(["matplotlib"] if figure else [])])
    if figure is not None and image_form is not None:
        with stream.Output(figure, inputs, binary=True) as file:
            how = image_form, encode(made).decode()
            file.write(benchmarks.image(measured, *how) if measured else drawing.image(panels, *how))
    below = drawing.text(panels, shutil.get_terminal_size().columns) if curves else ""
    with outputs.open_result(output, format, inputs) as write:
        write(rows, lambda: made, below=below)


def _draw_tables(inputs: list[Input], destination: str) -> None:
    from gencli import provenance, stream, tables
    from gencli.errors import GencliError
    from gencli.reporting import documents, runs, sheet
    from gencli.sources import read_table

    if not destination.lower().endswith(".png"):
        raise GencliError(f"--contact-sheet: {destination}: not a .png file", "a sheet is a PNG picture")
    read = [read_table([each]) for each in inputs]
    names = runs.chains([documents.corruptions({"step": each.made}) for each in read])
    used = [tables.source("file", each) for each in inputs]
    made = provenance.step("report", {}, used, ["numpy", "pyarrow", "PIL"])
    with stream.Output(destination, inputs, binary=True) as file:
        file.write(sheet.comparison(read, names, 10, provenance.encode(made).decode()))
